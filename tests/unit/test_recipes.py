"""Recipes: what a pair says of itself, what a short budget changes, and which approaches live on a problem."""

from dataclasses import fields

import pytest
import torch

from nfdlab import approaches, problems, recipes, store
from nfdlab.core.config import from_mapping
from nfdlab.core.grid import cell_centres
from nfdlab.core.types import Budget

SHORT, LONG = Budget(seconds=599), Budget(seconds=600)
PAIRS = sorted({**recipes.CONFIGS, **recipes.LIVE, **recipes.SMALL_PAIRS})


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_a_recipe_names_what_there_is(pair):
    """A problem, an approach, and fields of its config; a pair ships or trains live, not both."""
    kind, has = approaches.get(pair[0]), {f.name for f in fields(approaches.get(pair[0]))}
    assert pair[1] in problems.names() and not (pair in recipes.CONFIGS and pair in recipes.LIVE)
    said = (recipes.CONFIGS, recipes.LIVE, recipes.SMALL_PAIRS)
    assert set(recipes.SMALL[pair[0]]).union(*(part.get(pair, {}) for part in said)) <= has
    assert isinstance(recipes.approach_for(pair[0], problems.get(pair[1]), SHORT), kind)


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_later_ones_win(pair):
    """The defaults of the approach, then its pair, then short budgets, then the pair at short budgets, then steps."""
    name, problem = pair[0], problems.get(pair[1])
    plain, own = approaches.get(name)(), {**recipes.CONFIGS, **recipes.LIVE}.get(pair, {})
    small, last = recipes.SMALL[name], recipes.SMALL_PAIRS.get(pair, {})
    for budget, parts in ((LONG, (own,)), (SHORT, (own, small, last)), (Budget(steps=5), (own, small, last)),
                          (Budget(steps=5, seconds=900), (own,))):
        found = recipes.approach_for(name, problem, budget)
        for f in fields(found):
            expected = next((part[f.name] for part in parts[::-1] if f.name in part), getattr(plain, f.name))
            few = budget.seconds is None and f.name in recipes.FEW_PARTICLES
            assert getattr(found, f.name) == (recipes.FEW_PARTICLES[f.name] if few else expected), f.name
    smoke, short = (recipes.approach_for(name, problem, b) for b in (Budget.named("smoke"), Budget(steps=8)))
    assert vars(smoke) == {**vars(short), **{key: few for key, few in recipes.SMOKE.items() if key in vars(short)}}


@pytest.mark.parametrize("pair", sorted(store.shipped()), ids="-".join)
def test_a_recipe_remakes_what_ships(pair):
    """The config of a file's header is that of the reference budget, or of the seconds that it was trained for."""
    about, problem = store.about(store.shipped()[pair]), problems.get(pair[1])
    budgets = [Budget.named("reference"), Budget(about["budget"]["seconds"] or 600)]
    made = [recipes.approach_for(pair[0], problem, budget) for budget in budgets]
    assert from_mapping(type(made[0]), about["config"]) in made


def test_homes_are_the_pairs_with_a_recipe_in_the_order_of_the_course():
    everywhere = {problem: recipes.homes(problem) for problem in problems.names()}
    assert {(a, p) for p, found in everywhere.items() for a in found} == {*recipes.CONFIGS, *recipes.LIVE}
    assert all((a in everywhere[p]) for a, p in store.shipped())
    for found in everywhere.values():
        assert found == [name for name in approaches.names() if name in found]


def test_half_of_the_training_digits_are_as_they_are():
    """Of a mixed source every draw is one of the two sources' own, each as often, and more only append."""
    problem = problems.get("digits2d")
    source, coords = recipes.half_plain(problem), cell_centres((28, 28))
    values = source.draw(200, seed=3)(coords)
    stored = problem._data.float().flatten(1)
    plain = torch.cdist(values[..., 0], stored, compute_mode="donot_use_mm_for_euclid_dist").amin(1) < 1e-3
    assert 70 < int(plain.sum()) < 130
    assert torch.equal(source.draw(7, seed=3)(coords), values[:7])
    assert torch.equal(source.draw(200, seed=3)[5:9](coords), values[5:9])
