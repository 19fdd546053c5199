"""Steps against scores: the fewest that cost at most a hundredth."""

import numpy as np
import pytest

import nfdlab as nfd
from nfdlab.evaluate.steps import METRICS, step_curve, summary, with_fewest_steps

STEPS = (2, 4, 8, 16)


def scores(*by_steps):
    """(metrics, 2 cases, 5 tasks, steps) from the mean of each metric at each number of steps; tasks differ."""
    means = np.broadcast_to(np.array(by_steps, dtype=float), (len(METRICS), len(STEPS)))
    return means[:, None, None, :] * np.array([1.0, 3.0])[:, None, None] * np.linspace(0.5, 1.5, 5)[:, None]


@pytest.mark.parametrize("means,fewest", [
    ([[1.5, 1.2, 1.009, 1.0]], 8), ([[1.5, 1.2, 1.011, 1.0]], 16), ([[1.005, 0.99, 1.0, 1.0]], 4),
    ([[1.009] * 4, [1.0] * 4, [1.2, 1.0, 1.0, 1.0]], 4)])          # the slowest of the three metrics decides
def test_the_fewest_steps_within_a_hundredth_of_the_best_in_all_three(means, fewest):
    found = summary(scores(*means), STEPS)
    assert found["fewest"] == fewest and found["crps"][-1] == 1.0
    assert all(low <= value + 1e-4 and value <= high + 1e-4 for value, (low, high)
               in zip(found["crps"], found["crps_95"], strict=True))


def test_one_case_counts_as_much_as_another_whatever_its_size():
    """A ratio for each number of observations, then their mean: 1.2 and 1.0 make 1.1, though one case is 9 x larger."""
    found = np.ones((len(METRICS), 2, 4, 2)) * np.array([9.0, 1.0])[:, None, None]
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
