"""Observation encoders: order of observations and padding do not matter, evidence adds up."""

import torch

from nfdlab.core.rng import normals, seeded
from nfdlab.core.types import ObservationBatch, Observations
from nfdlab.latents.observation_encoder import VectorObservationEncoder


def test_a_vector_encoder_knows_no_order_and_no_padding():
    with seeded(1):
        encoder = VectorObservationEncoder(1, 1, cells=8, side=128, latent_channels=5, width=16,
                                           setconv_widths=(0.7, 2.0, 6.0), dilations=(1,), features=32).eval()

    def encoded(*seen):
        found = encoder(ObservationBatch.of(list(seen)))
        return (*found.features, found.mean, found.std)

    x, y = normals(0, 7, (1,), "x").clamp(-1, 1), normals(1, 7, (1,), "y")
    thrice = Observations(x.repeat(3, 1), y.repeat(3, 1), 0.05)
    plain = encoded(Observations(x, y, 0.05))
    turned = encoded(Observations(x.flip(0), y.flip(0), 0.05))
    padded = encoded(Observations(x, y, 0.05), thrice)
    for a, b, c in zip(plain, turned, padded, strict=True):
        for same in (b, c[:1]):
            torch.testing.assert_close(same, a, atol=1e-5, rtol=1e-4)
    assert (encoded(thrice)[0] - plain[0]).abs().max() > 1e-3, "three times the same evidence is more evidence"
