"""Load what ships, or train: which of the two, and with what."""

import torch

import nfdlab as nfd


def test_what_ships_is_loaded_and_what_does_not_is_trained():
    shipped = nfd.load_or_train("sparse_conditional", "gp1d", device="cpu")
    assert shipped.about["scores"] and shipped.about["budget"]["name"] != "smoke"
    live = nfd.load_or_train("sparse_conditional", "gp1d", budget="smoke", seed=3, device="cpu")
    assert live.about["budget"]["name"] == "smoke" and live.about["seed"] == 3 and not live.about["scores"]


def test_other_knobs_than_those_of_the_weights_are_trained():
    """At the lesson's budget; cancelled at once, since nothing else is asked of it here."""
    other = nfd.problems.get("gp1d", lengthscale=0.31)
    model = nfd.load_or_train("sparse_conditional", other, device="cpu", watch=lambda step: True)
    assert model.about["knobs"] == {"lengthscale": 0.31} and model.about["budget"]["name"] == "lesson"
    assert torch.isfinite(model.draw(None, 2, seed=0, steps=2)(nfd.cell_centres((5,)))).all()
