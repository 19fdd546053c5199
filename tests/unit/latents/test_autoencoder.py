"""Autoencoders: shapes, linear encoders, the grid itself as the latent, and a vector whose scale may change."""

import pytest
import torch

import nfdlab as nfd
from nfdlab.core.grid import interpolate
from nfdlab.core.rng import normals, seeded
from nfdlab.latents.autoencoder import Autoencoder, NodalLatent, VectorAutoencoder
from nfdlab.nn.networks import GridEncoder


@pytest.mark.parametrize("linear", [True, False])
def test_the_latent_of_a_mean_is_the_mean_of_latents_where_the_encoder_is_linear(linear, rng):
    with seeded(4):
        auto = Autoencoder(1, 1, 32, 8, 3, 16, 2, linear)
    a, b = torch.randn(2, 50, 1, 32, generator=rng)
    auto.unit.calibrate(auto.encoder(a))
    away = (auto.encode((a + b) / 2) - (auto.encode(a) + auto.encode(b)) / 2).abs().max()
    assert away < 1e-4 if linear else away > 1e-2


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("d,side,cells", [(1, 32, 8), (2, 8, 4), (3, 4, 4)])
def test_an_autoencoder_has_the_shapes_it_says(d, side, cells, linear, rng):
    with seeded(1):
        auto = Autoencoder(d, 2, side, cells, 3, 16, 2, linear)
        reader = GridEncoder(d, 2, side, cells, 3, 16, beside=4)
    grid, coords = torch.randn(5, 2, *[side] * d, generator=rng), 2 * torch.rand(5, 11, d, generator=rng) - 1
    latent = auto.encode(grid)
    assert latent.shape == (5, 3, *[cells] * d) and auto(coords, latent).shape == (5, 11, 2)
    assert reader(grid, torch.zeros(5, 4, *[cells] * d)).shape == latent.shape


@pytest.mark.parametrize("d", [1, 2])
def test_a_nodal_latent_loses_nothing_and_starts_as_interpolation(d, rng):
    with seeded(5):
        auto = NodalLatent(d, 1, 16, 4, 16, 2)
    grid = 3 + 2 * torch.randn(6, 1, *[16] * d, generator=rng)
    auto.unit.calibrate(auto.encoder(grid))
    latent = auto.encode(grid)
    assert abs(latent.std() - 1) < 0.05 and latent.shape[1] == 4**d
    torch.testing.assert_close(auto.points(latent), grid, atol=1e-5, rtol=0)
    coords = 2 * torch.rand(6, 9, d, generator=rng) - 1
    torch.testing.assert_close(auto(coords, latent), interpolate(grid, coords), atol=1e-5, rtol=0)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_nodal_latent_is_the_field_at_its_points_and_the_field_is_continuous(d, rng):
    """With a local network that adds a lot: the points keep their values, and what lies 1e-4 beside them is near."""
    with seeded(5):
        auto = NodalLatent(d, 2, 8, 4, 8, 2)
        torch.nn.init.normal_(auto.decoder.field.answer[-1].weight)
    grid = torch.randn(3, 2, *[8] * d, generator=rng)
    auto.unit.calibrate(auto.encoder(grid))
    points, latent = nfd.cell_centres((8,) * d), auto.encode(grid)
    values = grid.flatten(2).mT
    torch.testing.assert_close(auto(points, latent), values, atol=1e-5, rtol=1e-4)
    for step in (1e-4, -1e-4):
        assert (auto(points + step, latent) - values).abs().max() < 0.05
    halfway = points + 1 / 8
    assert (auto(halfway, latent) - interpolate(grid, halfway)).abs().mean() > 0.05


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
