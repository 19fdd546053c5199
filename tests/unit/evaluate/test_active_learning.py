"""Learning curves of active learning: paired tasks, and the factor a measurement leaves."""

import pandas as pd
import pytest

from nfdlab import problems
from nfdlab.evaluate.active_learning import learning_curves, shrinkage


def test_learning_curves_are_paired_and_shrinkage_is_a_factor_per_measurement():
    step = problems.get("step1d")
    rivals = {"a": {"fitted": step.oracle()}, "b": {"fitted": step.oracle(), "policy": "random"}}
    found = learning_curves(rivals, step, looks=2, tasks=3, seed=0, draws=8)
    assert len(found) == 2 * 3 * 3
    start = found[found["looks"] == 0].pivot(index="task", columns="rival", values="rmse")
    assert (start["a"] == start["b"]).all() and (found[found["looks"] == 0]["width"] == 2).all()
    made = pd.DataFrame({"rival": "x", "task": [0, 1], "looks": 5, "width": [2 * 0.5**5, 2 * 0.7**5], "rmse": 0.0})
    row = shrinkage(made).loc["x"]
    assert row["each"] == pytest.approx(0.6) and row["whole"] == pytest.approx(((0.5**5 + 0.7**5) / 2) ** 0.2)
