"""Learning curves of active learning: paired tasks, and the factor a measurement leaves."""

import pandas as pd
import pytest

import nfdlab as nfd
from nfdlab import problems
from nfdlab.evaluate import active_learning
from nfdlab.evaluate import kept as tables
from nfdlab.evaluate.active_learning import LOOKS, kept_looks, learning_curves, shrinkage, ways_to_look


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


def test_rows_are_made_after_the_looks_that_are_named():
    step = problems.get("step1d")
    setting = {"looks": 3, "tasks": 1, "seed": 0, "draws": 4}
    named, all_ = (learning_curves({"a": {"fitted": step.oracle()}}, step, every=every, **setting)
                   for every in ([1, 3], 1))
    assert named["looks"].tolist() == [1, 3] and all_["looks"].tolist() == [0, 1, 2, 3]
    assert named["crps"].tolist() == all_["crps"][[1, 3]].tolist() and (named["crps"] > 0).all()


def test_the_kept_looks_are_those_of_the_shipped_weights(monkeypatch):
    """Forty digits, four ways, four numbers of looks; two of its cells, measured again, within a twentieth; with the
    key of other weights they are refused."""
    kept = kept_looks()
    assert kept.groupby(["rival", "looks"]).size().to_dict() == {
        (name, m): 40 for name in ("where draws disagree", "planned", "grid", "random") for m in LOOKS["digits2d"]}
    digits, model = problems.get("digits2d"), nfd.load("adaptive_sampling", "digits2d", device="cpu")
    monkeypatch.setattr(active_learning, "PLANNED", 4)
    way = ways_to_look(model, digits, 5, seed=0)["random"]
    again = learning_curves({"random": way}, digits, looks=5, tasks=2, seed=0, draws=32, every=[5])
    cells = kept[(kept["rival"] == "random") & (kept["looks"] == 5)]["crps"].tolist()[:2]
    assert again["crps"].tolist() == pytest.approx(cells, rel=0.05)
    monkeypatch.setattr(tables, "key", lambda *setting, seed: "other")
    with pytest.raises(KeyError, match="why:"):
        kept_looks()


def test_the_kept_searches_of_a_hill_are_those_of_the_shipped_weights():
    """Forty hills, five ways, four numbers of looks; two of its cells, measured again, within a twentieth."""
    kept, bump = kept_looks("adaptive_sampling", "bump2d"), problems.get("bump2d")
    ways = ways_to_look(nfd.load("adaptive_sampling", "bump2d", device="cpu"), bump, 8, seed=0)
    assert kept.groupby(["rival", "looks"]).size().to_dict() == {(name, m): 40 for name in ways
                                                                 for m in LOOKS["bump2d"]}
    again = learning_curves({"model": ways["model"]}, bump, looks=16, tasks=2, seed=0, draws=32, every=[8])
    cells = kept[(kept["rival"] == "model") & (kept["looks"] == 8)]["crps"].tolist()[:2]
    assert again["crps"].tolist() == pytest.approx(cells, rel=0.05)
