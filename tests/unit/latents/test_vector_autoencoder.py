"""Vector autoencoder: the scale of the latent may change, the functions it stands for may not."""

import torch

import nfdlab as nfd
from nfdlab.core.rng import normals, seeded
from nfdlab.latents.vector_autoencoder import VectorAutoencoder


def test_rescaling_latents_leaves_the_fields_as_they_were():
    """Latents have unit scale afterwards and decode to the same functions as before, to rounding."""
    with seeded(0):
        auto = VectorAutoencoder(1, 1, 16, 3, 8, 2, 4.0)
    grids, x = 3 + 2 * normals(0, 500, (1, 16)), nfd.cell_centres((9,))
    with torch.no_grad():
        before = auto(x, auto.eval().encode(grids[:5]))
        auto.rescale(auto.encoder(grids))
        latent = auto.encode(grids)
        torch.testing.assert_close(latent.mean(0), torch.zeros(3), rtol=0, atol=1e-4)
        torch.testing.assert_close(latent.std(0), torch.ones(3), rtol=0, atol=1e-4)
        torch.testing.assert_close(auto(x, latent[:5]), before, rtol=0, atol=1e-4)
