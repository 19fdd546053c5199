"""Ways to guide, compared: the kept table is that of the shipped weights, and the command says how it was made."""

import pytest

import nfdlab as nfd
from nfdlab.evaluate import kept as tables
from nfdlab.evaluate.guides import GUIDES, STEPS, compare_guides
from nfdlab.evaluate.kept import kept


def test_the_kept_guides_are_those_of_the_shipped_weights(monkeypatch):
    """Forty digits by each guide and number of steps; the first, completed again, within a twentieth of its CRPS; with
    the key of other weights they are refused."""
    rows = kept("guides", "latent_field", "digits2d")
    assert rows.groupby(["guide", "steps"]).size().to_dict() == {(g, steps): 40 for g in GUIDES for steps in STEPS}
    again = compare_guides(nfd.load("latent_field", "digits2d", device="cpu"), nfd.problems.get("digits2d"),
                           count=int(rows["count"].iloc[0]), tasks=1, steps=STEPS[0])
    first = rows[(rows["task"] == 0) & (rows["steps"] == STEPS[0])].set_index("guide")["crps"]
    assert again.set_index("guide")["crps"].to_dict() == pytest.approx(first.to_dict(), rel=0.05)
    assert (again["seconds"] > 0).all()
    monkeypatch.setattr(tables, "key", lambda *setting, seed: "other")
    with pytest.raises(KeyError, match="keep_guides"):
        kept("guides", "latent_field", "digits2d")
