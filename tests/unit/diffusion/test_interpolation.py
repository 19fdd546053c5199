"""Interpolation between latents: ends, norms, and the bridge through the noise."""

import pytest
import torch

from nfdlab.core.rng import normals
from nfdlab.diffusion.interpolation import WAYS, bridge, cross, noised, spherical, straight
from nfdlab.diffusion.schedule import karras


def white_denoiser(x, sigma):
    """Of N(0, I)."""
    return x / (1 + torch.as_tensor(sigma) ** 2)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shape", [(5,), (3, 4, 4)])
def test_a_way_starts_at_one_latent_and_ends_at_the_other(way, shape):
    a, b = normals(0, 2, shape, "ends")
    found = cross(way, a, b, torch.tensor([0.0, 0.5, 1.0]), white_denoiser, karras(60, 0.002, 40.0))
    assert found.shape == (3, *shape)
    torch.testing.assert_close(found[0], a, atol=5e-3, rtol=5e-3)
    torch.testing.assert_close(found[2], b, atol=5e-3, rtol=5e-3)


def test_on_the_sphere_the_norm_stays_and_on_the_line_it_falls():
    a, b = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 3.0])
    torch.testing.assert_close(spherical(a, b, torch.linspace(0, 1, 9)).norm(dim=1), torch.full((9,), 3.0))
    torch.testing.assert_close(spherical(a, b, torch.tensor([1 / 3]))[0], 3 * torch.tensor([0.75**0.5, 0.5]))
    torch.testing.assert_close(straight(a, b, torch.tensor([0.5]))[0], torch.tensor([1.5, 1.5]))
    torch.testing.assert_close(spherical(a, a, torch.tensor([0.3]))[0], a)


def test_the_bridge_of_a_white_gaussian_is_the_sphere():
    """Inversion only scales: clean x becomes x·sqrt((1 + high²)/(1 + low²)), and back."""
    a, b = normals(1, 2, (6,), "ends")
    sigmas, t = karras(80, 0.01, 30.0), torch.linspace(0, 1, 5)
    stretch = ((1 + 30.0**2) / (1 + 0.01**2)) ** 0.5
    torch.testing.assert_close(noised(white_denoiser, a[None], sigmas)[0], a * stretch, rtol=5e-3, atol=1e-2)
    torch.testing.assert_close(bridge(white_denoiser, a, b, t, sigmas), spherical(a, b, t), rtol=5e-3, atol=5e-3)
