"""Steps against scores: the fewest that cost at most a hundredth."""

import numpy as np
import pytest

import nfdlab as nfd
from nfdlab import recipes, store
from nfdlab.evaluate.steps import MARGIN, METRICS, SPREAD, step_curve, summary, with_fewest_steps

STEPS = (2, 4, 8, 16)


def scores(by_steps, variance=(1.0, 1.0, 1.0, 1.0)):
    """(metrics + 1, 2 cases, 5 tasks, steps) from means of each metric at each number of steps, and the variance of the
    draws; tasks differ."""
    means = np.stack([*np.broadcast_to(np.array(by_steps, dtype=float), (len(METRICS), len(STEPS))), variance])
    return means[:, None, None, :] * np.array([1.0, 3.0])[:, None, None] * np.linspace(0.5, 1.5, 5)[:, None]


@pytest.mark.parametrize("means,fewest", [
    ([[1.5, 1.2, 1.009, 1.0]], 8), ([[1.5, 1.2, 1.011, 1.0]], 16), ([[1.005, 0.99, 1.0, 1.0]], 4),
    ([[1.009] * 4, [1.0] * 4, [1.2, 1.0, 1.0, 1.0]], 4)])          # the slowest of the three metrics decides
def test_the_fewest_steps_within_a_hundredth_of_the_best_in_all_three(means, fewest):
    found = summary(scores(means), STEPS)
    assert found["fewest"] == fewest and found["crps"][-1] == 1.0
    assert all(low <= value + 1e-4 and value <= high + 1e-4 for value, (low, high)
               in zip(found["crps"], found["crps_95"], strict=True))


def test_steps_that_narrow_the_bands_are_too_few():
    """Their scores may be right within a hundredth, but bands of 0.94 of the spread cover less than they say."""
    found = summary(scores([1.0, 1.0, 1.0, 1.0], np.array([0.94, 0.98, 1.0, 1.0]) ** 2), STEPS)
    assert found["fewest"] == 4 and found["spread"] == [0.94, 0.98, 1.0, 1.0]
    assert summary(scores([1.0, 1.0, 1.0, 1.0], np.array([1.07, 1.06, 1.04, 1.0]) ** 2), STEPS)["fewest"] == 8


def test_one_case_counts_as_much_as_another_whatever_its_size():
    """A ratio for each number of observations, then their mean: 1.2 and 1.0 make 1.1, though one case is 9 x larger."""
    found = np.ones((len(METRICS) + 1, 2, 4, 2)) * np.array([9.0, 1.0])[:, None, None]
    found[:, 0, :, 0] *= 1.2
    assert summary(found, (4, 8))["crps"] == [1.1, 1.0]


def test_a_curve_of_a_model_is_repeatable_and_says_its_setting():
    model, problem = nfd.load("score_field", "gp1d", device="cpu"), nfd.problems.get("gp1d")
    one = step_curve(model, problem, steps=(3, 2), tasks=2, draws=4)
    assert one == step_curve(model, problem, steps=(2, 3), tasks=2, draws=4)
    assert one["steps"] == [2, 3] and (one["tasks"], one["draws"]) == (2, 4) and one["crps"][1] == 1.0
    assert one["crps"][0] != 1.0
    quick = with_fewest_steps(model, problem, steps=(3, 2), tasks=2, draws=4)
    assert quick.steps == quick.about["config"]["steps"] == one["fewest"] and quick.about["step_curve"] == one
    assert model.steps == model.about["config"]["steps"], "the model that was given stays as it was"
    with pytest.raises(ValueError, match="at least two numbers of steps"):
        step_curve(model, problem, steps=(4, 4))


MEASURED = [pair for pair, path in store.shipped().items() if "step_curve" in store.about(path)]


@pytest.mark.parametrize("pair", MEASURED, ids="--".join)
def test_shipped_weights_draw_with_the_fewest_steps_of_their_own_curve(pair):
    about = store.about(store.shipped()[pair])
    curve, steps = about["step_curve"], about["config"]["steps"]
    rows, spread = np.array([curve[metric] for metric in METRICS]), np.array(curve["spread"])
    good = (rows <= MARGIN * rows.min(1, keepdims=True)).all(0) & (SPREAD[0] <= spread) & (spread <= SPREAD[1])
    assert steps == curve["fewest"] == curve["steps"][int(good.argmax())]
    assert curve["cases"] * curve["tasks"] >= 24 and recipes.CONFIGS[pair]["steps"] == steps


def test_much_of_what_ships_has_a_curve():
    """The others draw with the steps that they were trained with."""
    assert len(MEASURED) >= 8
