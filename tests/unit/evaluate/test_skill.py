"""Skill: what it is by hand, that the ends of its scale are the rival and the exact posterior, and its interval."""

import numpy as np
import pandas as pd
import pytest

from nfdlab import baselines, problems
from nfdlab.core.rng import child
from nfdlab.evaluate.results import Table
from nfdlab.evaluate.skill import skill
from nfdlab.evaluate.table import compare


def table_of(scores: dict, reference: str = "exact", seed: int = 0) -> Table:
    """A table of one metric: {contestant: {m: scores task by task}}."""
    rows = [{"contestant": name, "m": m, "task": i, "crps": value}
            for name, cases in scores.items() for m, values in cases.items() for i, value in enumerate(values)]
    return Table(pd.DataFrame(rows), "made", reference, 8, seed)


def simulated(seed: int, tasks: int = 60) -> Table:
    """Scores whose means are exact 1 and 2, rivals 1.5 and 1.9 times that, model 1.2: skill (0.5 − 0.2)/0.5 = 0.6."""
    rng = np.random.default_rng(child(seed, "simulated"))
    luck = {m: m * rng.lognormal(-0.125, 0.5, tasks) for m in (1, 2)}             # of the task, shared, of mean m
    own = {name: {m: factor * luck[m] * rng.lognormal(-0.02, 0.2, tasks) for m in luck} for name, factor in
           {"model": 1.2, "kriging": 1.9, "optimal_interpolation": 1.5, "exact": 1.0}.items()}
    return table_of(own, seed=seed)


def test_skill_by_hand():
    """Ratios are averaged over m, then divided once; the rival is the best on average, not at each m."""
    table = table_of({"model": {1: [1.0, 1.2], 2: [2.0, 4.0]}, "kriging": {1: [1.0, 1.0], 2: [9.0, 9.0]},
                      "optimal_interpolation": {1: [2.0, 2.0], 2: [3.0, 5.0]}, "exact": {1: [1.0, 1.0], 2: [2.0, 2.0]}})
    found = skill(table)
    assert (found.model, found.rival) == ("model", "optimal_interpolation")
    assert found.rival_ratio == pytest.approx(2.0)                      # (2 + 2) / 2
    assert found.value == pytest.approx((2.0 - 1.3) / (2.0 - 1.0))      # the model's (1.1 + 1.5) / 2
    assert str(found).startswith("0.70 [") and "optimal_interpolation (0) to exact (1)" in str(found)


def test_the_rival_has_skill_nought_and_the_exact_posterior_one():
    table = simulated(0)
    for model, value in (("optimal_interpolation", 0.0), ("exact", 1.0)):
        found = skill(table, model)
        assert (found.value, found.low, found.high) == (value, value, value)
    assert skill(table, "kriging").value < 0


def test_exact_draws_of_another_seed_have_skill_one():
    problem = problems.get("step1d")
    oracle = problem.oracle()
    contestants = {"exact_again": oracle, "optimal_interpolation": baselines.get("linear")}
    found = skill(compare(contestants, problem, counts=(4, 8), tasks=40, draws=32, seed=1))
    assert found.low < 1 < found.high and found.high - found.low < 0.5


def test_the_interval_holds_the_truth_nineteen_times_in_twenty():
    held = [found.low < 0.6 < found.high for found in (skill(simulated(seed)) for seed in range(100))]
    assert abs(np.mean(held) - 0.95) < 4 * (0.95 * 0.05 / 100) ** 0.5


def test_where_the_rival_is_exact_there_is_nothing_to_gain():
    scores = {"model": {1: [1.5, 1.5]}, "optimal_interpolation": {1: [1.01, 1.02]}, "exact": {1: [1.0, 1.0]}}
    found = skill(table_of(scores))
    assert found.nothing_to_gain and np.isnan([found.value, found.low, found.high]).all()
    assert str(found) == "nothing to gain: optimal_interpolation is within 2% of exact"
    scores["optimal_interpolation"] = {1: [1.03, 1.03]}
    assert not skill(table_of(scores)).nothing_to_gain


def test_without_an_exact_posterior_it_is_the_ratio_to_the_best_rival():
    table = table_of({"model": {1: [1.0, 2.0], 2: [6.0, 6.0]}, "optimal_interpolation": {1: [3.0, 3.0], 2: [4.0, 4.0]},
                      "kriging": {1: [3.0, 3.0], 2: [8.0, 8.0]}}, reference="kriging")
    found = skill(table)
    assert found.is_ratio and found.rival == "optimal_interpolation"
    assert found.value == pytest.approx((0.5 + 1.5) / 2) and found.low < 1.0 < found.high
    assert str(found).startswith("1.00 [") and str(found).endswith("× optimal_interpolation")


def test_what_has_no_skill_is_refused():
    table = table_of({"model": {1: [1.0]}, "kriging": {1: [2.0]}, "exact": {1: [1.0]}})
    with pytest.raises(ValueError) as error:
        skill(table)
    assert "optimal_interpolation among its contestants" in str(error.value) and "\n  do:   " in str(error.value)
    with pytest.raises(KeyError, match="score of skill"):
        skill(simulated(0), metric="coverage90")
    with pytest.raises(KeyError, match="contestant"):
        skill(simulated(0), "nobody")
