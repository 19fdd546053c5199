"""The kit works in single precision whatever torch's default dtype is: the same problems, draws, trainings and answers
in a program that has set float64. Sizes are relative to the largest value."""

from contextlib import contextmanager
from dataclasses import replace
from functools import cache

import pytest
import torch

import nfdlab as nfd
from nfdlab import approaches, baselines, problems, recipes, store
from nfdlab.core.types import Observations
from nfdlab.inference.posterior import GUIDES
from nfdlab.observation import patterns

GRID = {1: (37,), 2: (9, 7), 3: (5, 4, 3), 4: (4, 3, 3, 2)}
NAMES = [name for name in problems.names() if name != "arrays"]
LINEAR = {"blockaverage": patterns.BlockAverage(4), "blur": patterns.Blur(5), "projections": patterns.Projections(3, 4)}
CLOSE = 1e-5                         # rounding of single precision, through a sampler


@contextmanager
def double():
    """Torch's default dtype is float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def alike(make, close=CLOSE):
    """What `make` gives, tensors, is the same in dtype and value where the default dtype is float64."""
    here = make()
    with double():
        there = make()
    for a, b in zip(here, there, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        if a.is_floating_point():
            assert float((a - b).abs().max() if a.numel() else 0) <= close * (float(a.abs().max()) + 1e-3)
        else:
            assert torch.equal(a, b)


@cache
def observed(name, noise_std=0.05):
    problem = problems.get(name)
    pattern = nfd.patterns.Frames(count=9, cells=3) if len(problem.card.axes) > 2 else nfd.patterns.Random(count=9)
    return nfd.observe(problem.draw(1, seed=5), pattern, noise_std=noise_std, seed=5)


@pytest.mark.parametrize("name", NAMES)
def test_problems_and_their_exact_posteriors(name):
    grid, seen = nfd.cell_centres(GRID[problems.get(name).d]), observed(name)

    def make():
        problem = problems.get(name)
        found = [nfd.observe(problem.draw(1, seed=2), patterns.Random(count=5), seed=3).values]
        exact = problem.oracle()
        answers = [problem.draw(3, seed=1), problems.held_out(problem).draw(2, seed=1)]
        answers += [] if exact is None else [exact.draw(seen, 3, seed=1), exact.draw(None, 2, seed=1)]
        return found + [fields(grid) for fields in answers]

    alike(make)


@pytest.mark.parametrize("name", [*patterns.ALL, *LINEAR])
def test_patterns(name):
    def make():
        truth = problems.get("gp2d").draw(1, seed=1)
        pattern = LINEAR.get(name) or patterns.ALL[name](share=0.1)
        seen = nfd.observe(truth, pattern, seed=2)
        return seen.points, seen.values

    alike(make)


@pytest.mark.parametrize("name", baselines.names())
def test_baselines(name):
    home = "gp1d" if name == "optimal_interpolation" else "gp2d"
    seen, grid = observed(home), nfd.cell_centres(GRID[problems.get(home).d])

    def make():
        rival = baselines.get(name, problems.get(home))
        return [rival.draw(seen, 3, seed=1)(grid)]

    alike(make)


@pytest.mark.parametrize("approach,name", list(store.shipped()), ids=map("-".join, store.shipped()))
def test_draws_of_what_ships(approach, name):
    """Loaded and drawn from under either default, with observations in its dtype."""
    grid, seen = nfd.cell_centres(GRID[problems.get(name).d]), observed(name)

    def make():
        model = replace(nfd.load(approach, name, device="cpu"), steps=recipes.SMOKE["steps"])
        config = model.about["config"]
        config.update({key: recipes.SMOKE[key] for key in ("num_particles", "rounds") if key in config})
        ours = Observations(*(t.to(torch.get_default_dtype()) for t in (seen.coords, seen.values)), seen.noise_std)
        return [model.draw(ours, 3, seed=3)(grid), model.draw(None, 2, seed=3)(grid), *model.tensors().values()]

    alike(make)


@pytest.mark.parametrize("guide", GUIDES)
def test_every_guide(guide):
    def make():
        model = nfd.load("latent_field", "discs2d", device="cpu").using(guide=guide, num_particles=16, rounds=2)
        return [model.draw(observed("discs2d"), 2, seed=3, steps=4)(nfd.cell_centres(GRID[2]))]

    alike(make)


def test_scores_and_rendered_values():
    def make():
        problem = problems.get("gp1d")
        table = nfd.score(nfd.load("score_field", "gp1d", device="cpu"), problem, counts=(3,), tasks=1, draws=4)
        return [torch.tensor(table.rows.drop(columns="contestant").to_numpy(), dtype=torch.float64),
                nfd.render(problem.draw(2, seed=1), (9,))]

    alike(make)


@pytest.mark.parametrize("name", approaches.names())
def test_a_few_steps_of_training(name):
    grid = nfd.cell_centres(GRID[1])

    def make():
        fitted = nfd.train(name, "gp1d", budget=nfd.Budget(steps=3, name="smoke"), device="cpu")
        return [fitted.draw(None, 2, seed=1)(grid), *fitted.tensors().values()]

    alike(make)
