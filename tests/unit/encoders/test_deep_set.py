"""The deep set: what does not matter of the observations, and what does."""

import torch

from nfdlab.core.rng import normals, seeded
from nfdlab.core.types import ObservationBatch, Observations
from nfdlab.encoders.deep_set import DeepSet


def test_a_deep_set_knows_no_order_and_no_padding():
    with seeded(1):
        encoder = DeepSet(1, 1, 32).eval()

    def encoded(*seen):
        return encoder(ObservationBatch.of(list(seen)))

    x, y = normals(0, 7, (1,), "x").clamp(-1, 1), normals(1, 7, (1,), "y")
    thrice, plain = Observations(x.repeat(3, 1), y.repeat(3, 1), 0.05), encoded(Observations(x, y, 0.05))
    turned, padded = encoded(Observations(x.flip(0), y.flip(0), 0.05)), encoded(Observations(x, y, 0.05), thrice)
    for same in (turned, padded[:1]):
        torch.testing.assert_close(same, plain, atol=1e-5, rtol=1e-4)
    assert (encoded(thrice) - plain).abs().max() > 1e-3, "three times the same evidence is more evidence"
