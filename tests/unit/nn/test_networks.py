"""Network parts: standardisation, and the cells of a grid as channels."""

import pytest
import torch

import nfdlab as nfd
from nfdlab.core.grid import interpolate
from nfdlab.nn.networks import Standardise, depth_to_space, space_to_depth


@pytest.fixture
def latents(rng):
    """Raw latents (b, k, cells) of three channels, far from unit scale."""
    return torch.tensor([5.0, 0.01, 1.0])[:, None] * torch.randn(200, 3, 16, generator=rng) + torch.tensor(
        [2.0, -3.0, 0.0])[:, None]


def test_latents_have_unit_scale_by_batch_and_after_calibration(latents):
    unit = Standardise(3)
    for found in (unit.by_batch(latents), (unit.calibrate(latents), unit(latents))[1]):
        flat = found.transpose(0, 1).flatten(1)
        torch.testing.assert_close(flat.mean(1), torch.zeros(3), atol=1e-3, rtol=0)
        torch.testing.assert_close(flat.std(1), torch.ones(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(unit(latents[:1]), unit(latents)[:1])          # no latent depends on others


@pytest.mark.parametrize("d", [1, 2, 3])
def test_space_to_depth_keeps_points_in_their_cells_and_is_inverted(d, rng):
    """Each cell holds the points that lie in it; between points the grid is read linearly, first axis first."""
    grid = torch.randn(2, 2, *[8] * d, generator=rng)
    latent = space_to_depth(grid, 4)
    assert latent.shape == (2, 2 * 2**d, *[4] * d) and torch.equal(depth_to_space(latent, 2, 2), grid)
    torch.testing.assert_close(latent[0, :2**d][(slice(None), *[1] * d)], grid[0, 0][(slice(2, 4),) * d].flatten())
    torch.testing.assert_close(interpolate(grid, nfd.cell_centres((8,) * d)), grid.flatten(2).mT, atol=1e-5, rtol=0)
    slope = torch.arange(1.0, d + 1)                                     # a plane is linear, so it is read exactly
    plane = (nfd.cell_centres((8,) * d) @ slope).reshape(1, 1, *[8] * d)
    inside = 1.7 * torch.rand(1, 9, d, generator=rng) - 0.85
    torch.testing.assert_close(interpolate(plane, inside)[..., 0], inside @ slope, atol=1e-5, rtol=0)


def test_a_grid_of_four_axes_is_read_as_its_slices_are(rng):
    """Linear along the first axis between what the three others give; beyond the last centres the value stays."""
    grid = torch.randn(2, 3, 4, 5, 6, 3, generator=rng)
    coords = 2 * torch.rand(40, 4, generator=rng) - 1
    slices = torch.stack([interpolate(grid[:, :, i], coords[:, 1:]) for i in range(4)])          # (4, 2, 40, 3)
    place = ((coords[:, 0] + 1) * 2 - 0.5).clamp(0, 3)
    low = place.long().clamp_max(2)
    share, points = (place - low)[:, None], torch.arange(40)
    want = (1 - share) * slices[low, :, points].movedim(1, 0) + share * slices[low + 1, :, points].movedim(1, 0)
    torch.testing.assert_close(interpolate(grid, coords), want, atol=1e-5, rtol=1e-5)
    own = torch.stack([coords, coords.flip(0)])
    torch.testing.assert_close(interpolate(grid, own)[1], want[1].flip(0), atol=1e-5, rtol=1e-5)
