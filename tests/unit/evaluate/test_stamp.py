"""Scores kept with weights: a row for each number of observations, with the setting they were measured in."""

from types import SimpleNamespace

from nfdlab.evaluate.stamp import kept_scores


def test_kept_scores_name_their_setting_and_say_when_nothing_was_measured():
    kept = {"crps": {"0": 1.01, "8": 1.05, "mean": 1.03, "worst": 1.05}, "spread": {"0": 0.99, "8": 1.0},
            "coverage90": {"0": 0.9, "8": 0.88}, "tasks": 40, "to": "kriging"}
    shipped = SimpleNamespace(about={"scores": kept, "budget": {"seconds": 600.0, "steps": None}})
    here = SimpleNamespace(about={"scores": {}, "budget": {"seconds": None, "steps": 24}})
    found = kept_scores({"shipped": shipped, "here": here})
    assert list(found.index) == [("shipped", "0"), ("shipped", "8"), ("here", "trained here: not measured")]
    assert found.loc[("shipped", "8"), "CRPS"] == 1.05 and found.loc[("shipped", "8"), "minutes of training"] == 10
    assert set(found.loc["shipped", "tasks"]) == {40} and set(found.loc["shipped", "ratio to"]) == {"kriging"}
    assert found.loc["here", "tasks"].iloc[0] == 0
