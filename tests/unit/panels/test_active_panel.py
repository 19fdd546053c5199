"""The panel of active learning."""

import pandas as pd
import pytest
import torch

from nfdlab import load, problems
from nfdlab.panels.active_figure import window_round
from nfdlab.panels.active_panel import looking
from nfdlab.panels.sweeps import MIME


def test_pressing_look_takes_one_more_measurement(monkeypatch):
    """Headless it computes in place; the same state is the same picture; the query scale takes no look."""
    monkeypatch.setenv("NFDLAB_HEADLESS", "1")
    step = problems.get("step1d")
    panel = looking(step.oracle(), step, looks=1, draws=8)
    panel.knobs["look"].click()
    assert panel.state.looks == 2 and panel.knobs["looks"].value == 2 and "2 looks" in panel.picture.value
    two, three = panel.seen(), panel.seen(looks=3)
    assert torch.equal(three.model.seen.coords[:2], two.model.seen.coords) and two.model.m == 2
    assert len(two.errors["model"]) == 3 and two.errors["model"] == two.errors["exact"]     # both are exact here
    assert panel.seen(scale=8.0).model is two.model and panel.seen(scale=8.0).draws == two.draws
    ((low, high),) = window_round(two.model, 8.0)
    assert high - low == pytest.approx(0.25) and low <= float(two.model.seen.coords[-1]) <= high
    panel.knobs["policy"].value = "grid"
    assert sorted(panel.seen().model.seen.coords[:, 0].tolist()) == [-0.5, 0.5]
    with pytest.raises((ValueError, KeyError), match="why:"):
        panel.move(policy="luck")
    with pytest.raises((ValueError, KeyError), match="knob"):
        looking(step.oracle(), step, lookks=2)
    panel.knobs["again"].click()
    assert panel.state.looks == 0 and panel.error.value == ""
    for bundle in panel.bundles():
        assert "image/png" in bundle and len(bundle[MIME]["frames"]) == len(bundle[MIME]["values"])
    panel.close()


def test_another_problem_has_its_own_model_truth_and_no_looks(monkeypatch):
    """The problems offered are those with weights of the approach; the race was run on the first one only."""
    monkeypatch.setenv("NFDLAB_HEADLESS", "1")
    step = problems.get("step1d")
    race = pd.DataFrame({"rival": ["random"] * 2, "looks": [0, 1], "rmse": [0.4, 0.3]})
    panel = looking(load("adaptive_sampling", "step1d"), step, race=race, looks=2, draws=4).move()
    assert set(panel.knobs["problem"].options) >= {"step1d", "bump2d"} and "random" in panel.seen().others
    panel.knobs["problem"].value = "bump2d"
    assert panel.error.value == "" and panel.state.looks == panel.knobs["looks"].value == 0
    view = panel.seen(looks=1)
    assert view.problem.card.name == "bump2d" and view.model.d == 2 and view.others == {}
    assert panel.undo().state.problem == "step1d" and panel.state.looks == 2
    panel.close()
