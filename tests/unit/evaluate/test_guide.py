"""The decision guide: each answer follows from the table, and changes with it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from nfdlab import problems, recipes, store
from nfdlab.core.types import Budget, ObservationBatch
from nfdlab.evaluate import bake_off, guide
from nfdlab.evaluate.bake_off import BakeOff
from nfdlab.evaluate.ranking import Benchmark

NAMES = ["score_field", "sparse_conditional", "modulated_field"]
# mean CRPS of each on random 4, random 12, clusters 4, clusters 12 of the sawtooth, and of the single jump
ERRORS = {"score_field": [(2, 2, 2, 2), (1.5, 3, 1.5, 3)], "sparse_conditional": [(1, 1.5, 3, 3), (3, 2, 3, 2)],
          "modulated_field": [(4, 4, 4, 4), (4, 4, 4, 4)], "kriging": [(3, 3, 3, 3), (1.2, 1.2, 1.2, 1.2)],
          "optimal_interpolation": [(3, 3, 3, 3), (2, 2, 2, 2)], "exact": [(1, 1, 1, 1), (1, 1, 1, 1)]}


def made(scale=1.0, coverage=None) -> BakeOff:
    """A bake-off whose scores are known; contestants' errors differ from task to task by the same factors."""
    rows, rng = [], np.random.default_rng(0)
    tasks = 1 + 0.1 * rng.random(12)
    for problem, at in (("sawtooth1d", 0), ("step1d", 1)):
        for name, errors in ERRORS.items():
            for (pattern, size), error in zip([("random", 4), ("random", 12), ("clusters", 4), ("clusters", 12)],
                                              errors[at], strict=True):
                rows += [dict(problem=problem, pattern=pattern, size=str(size), contestant=name, seed=0, task=i, m=size,
                              crps=scale * error * t, energy=error * t, variogram=1 / error * t,
                              coverage90=(coverage or {}).get(name, 0.5)) for i, t in enumerate(tasks)]
    costs = pd.DataFrame([dict(problem=p, contestant=name, steps=1, seconds=1, ms_draw=ms, us_point=1.0, mb_peak=1.0,
                               mb_weights=1.0) for p in ("sawtooth1d", "step1d")
                          for name, ms in zip(NAMES, (3.0, 30.0, 0.3), strict=True)])
    return BakeOff(Benchmark(pd.DataFrame(rows), 32), costs, {}, "by hand")


def test_regret_is_the_ratio_to_the_best_on_each_problem_and_its_geometric_mean():
    found = guide.regrets(made())
    saw = {"score_field": 2.0, "sparse_conditional": 2.125, "modulated_field": 4.0}
    step = {"score_field": 2.25, "sparse_conditional": 2.5, "modulated_field": 4.0}
    for name in NAMES:
        assert found.loc[name, "sawtooth1d"] == pytest.approx(saw[name] / 2.0)
        assert found.loc[name, "step1d"] == pytest.approx(step[name] / 2.25)
        assert found.loc[name, "all"] == pytest.approx(np.sqrt(saw[name] / 2.0 * step[name] / 2.25))
    assert np.allclose(guide.regrets(made(scale=7.0)), found)              # a ratio knows no unit


def test_a_kind_of_data_names_the_best_approach_or_the_rival_that_is_better():
    jump, step = guide.by_kind(made(), "curves that jump"), guide.by_kind(made(), "one jump")
    assert jump.take == "score_field" and "2.00" in jump.because and "kriging" in jump.because
    assert step.take == "kriging" and step.also[0] == "score_field" and "no approach" in step.because


def test_those_that_cannot_be_told_from_the_best_are_named():
    found = made()
    rows = found.bench.rows.copy()
    rng = np.random.default_rng(1)
    noisy = (rows["contestant"] == "sparse_conditional") & (rows["problem"] == "sawtooth1d")
    rows.loc[noisy, "crps"] *= rng.lognormal(0, 1, noisy.sum())
    assert guide.by_kind(found, "curves that jump").also == ()
    unsure = guide.by_kind(replace(found, bench=Benchmark(rows, 32)), "curves that jump")
    assert len(unsure.also) == 1 and {unsure.take, *unsure.also} == {"score_field", "sparse_conditional"}


def test_each_need_has_the_answer_that_the_table_gives():
    took = {branch.need.split(" (")[0].split(",")[0]: branch.take for branch in guide.by_need(
        made(coverage={"modulated_field": 0.88, "score_field": 0.7}))}
    assert took == {"few observations": "score_field",                     # 2·1.5 against 2·3, with clumps
                    "many observations": "sparse_conditional",
                    "observations in clumps": "score_field",
                    "whole functions that look right": "modulated_field",
                    "bands that hold what they say": "modulated_field",
                    "speed": "score_field",                                # the fastest is too far from the best
                    "no whole functions to train on": "score_field"}


def test_best_and_worst_problems():
    found = guide.extremes(made())
    assert found.loc["sparse_conditional"].tolist() == ["sawtooth1d", pytest.approx(2.125 / 2), "step1d",
                                                        pytest.approx(2.5 / 2.25)]


class Points:
    """A problem's functions, known by 24 scattered points each and never whole."""

    def __init__(self, problem):
        self.problem, self.d, self.c = problem, problem.d, problem.c

    def points(self, n: int, *, seed: int) -> ObservationBatch:
        fields = self.problem.draw(n, seed=seed)
        x = 2 * torch.rand(n, 24, self.d, generator=torch.Generator().manual_seed(seed % 2**31)) - 1
        return ObservationBatch.exact(x, fields(x))


@pytest.mark.parametrize("name", [*guide.FROM_POINTS, "sparse_conditional", "latent_field"])
def test_who_trains_from_scattered_points(name):
    problem, budget = problems.get("gp1d"), Budget(name="smoke", steps=4)
    approach = recipes.approach_for(name, problem, budget)
    approach = replace(approach, prior="white") if hasattr(approach, "prior") else approach

    def fit():
        return approach.fit(Points(problem), views=recipes.views_for(problem), budget=budget, seed=0, device="cpu")

    if name in guide.FROM_POINTS:
        assert fit().draw(None, 2, seed=0).n == 2
    else:
        with pytest.raises(TypeError):
            fit()


def test_what_is_kept_has_all_approaches_on_all_problems_and_says_by_which_command():
    found = bake_off.kept()
    assert found.bench.problems == list(bake_off.PROBLEMS.values()) and len(guide.entrants(found)) == 10
    assert "nfdlab bake-off --seconds 60" in found.said and "commit" in found.said
    for problem in found.bench.problems:
        table = found.bench.table(problem)
        shipped = {f"{name}--{where}" for name, where in store.shipped() if where == problem}
        assert {*guide.entrants(found), *bake_off.RIVALS, *shipped} <= set(table.contestants)
        assert len(table.counts) == 4 and {len(v) for v in table.values("crps", "kriging").values()} == {bake_off.TASKS}
    assert len(found.costs) >= 60 and (found.costs[["ms_draw", "us_point", "mb_peak"]] > 0).all(axis=None)
