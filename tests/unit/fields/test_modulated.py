"""Modulated SIREN: latents on grids and in vectors, shifts and scales."""

import pytest
import torch

import nfdlab as nfd
from nfdlab.core.grid import interpolate
from nfdlab.core.rng import normals, seeded
from nfdlab.fields.siren import ModulatedSiren


def siren(d: int, scales: bool) -> ModulatedSiren:
    with seeded(2):
        field = ModulatedSiren(d, 4, width=16, depth=3, scales=scales)
    if scales:
        torch.nn.init.normal_(field.scale.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    return field


@pytest.mark.parametrize("scales", [False, True])
@pytest.mark.parametrize("d", [1, 2])
def test_a_grid_of_equal_latents_is_one_vector(d, scales):
    field, coords, latent = siren(d, scales), nfd.cell_centres((7,) * d), normals(0, 3, (4,), "latent")
    everywhere = latent.reshape(3, 4, *[1] * d).expand(3, 4, *[5] * d)
    torch.testing.assert_close(field(coords, everywhere), field(coords, latent), atol=1e-5, rtol=1e-5)
    own = torch.stack([coords.roll(k, 0) for k in range(3)])
    for which in (latent, normals(1, 3, (4, *[5] * d), "grid")):
        torch.testing.assert_close(field(own, which), torch.stack(
            [field(coords, which)[k].roll(k, 0) for k in range(3)]), atol=1e-5, rtol=1e-5)


def test_at_its_centre_a_latent_acts_alone():
    """And halfway between two centres their mean."""
    field, grid = siren(1, False), normals(0, 2, (4, 6), "grid")
    centres = nfd.cell_centres((6,))
    torch.testing.assert_close(interpolate(grid, centres), grid.mT, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(interpolate(grid, centres[2:3] + 1 / 6)[:, 0], (grid[..., 2] + grid[..., 3]) / 2,
                               atol=1e-6, rtol=1e-5)
    for i in (1, 4):
        torch.testing.assert_close(field(centres, grid)[:, i:i + 1], field(centres[i:i + 1], grid[..., i]), atol=1e-5,
                                   rtol=1e-5)


def test_a_scale_is_a_frequency_and_a_shift_is_a_phase():
    """One sine, no bias: sin(ω w x (1 + s) + φ)."""
    with seeded(3):
        field = ModulatedSiren(1, 2, width=1, depth=1, omega=5.0, scales=True)
    w, out = field.siren.sines[0].linear, field.siren.output
    with torch.no_grad():
        w.weight.fill_(1.0), w.bias.zero_(), out.weight.fill_(1.0), out.bias.zero_()
        field.shift.weight.copy_(torch.tensor([[1.0, 0.0]])), field.scale.weight.copy_(torch.tensor([[0.0, 1.0]]))
    x = nfd.cell_centres((31,))
    torch.testing.assert_close(field(x, torch.tensor([[0.7, 0.4]]))[0], torch.sin(5 * 1.4 * x + 0.7))
    torch.testing.assert_close(field(x, torch.zeros(1, 2))[0], torch.sin(5 * x))
