"""Noise at a lattice: its covariance, its inverse, and that it is a function where the lattice grows finer."""

import pytest
import torch

from nfdlab.core.grid import cell_centres
from nfdlab.core.rng import normals
from nfdlab.diffusion.noise import LatticeNoise


@pytest.mark.parametrize("d", [1, 2])
def test_its_covariance_is_the_product_of_exponentials(d):
    """Unit vectors through L give L Lᵀ = exp(−Σ|Δ|/ℓ), and `whiten` undoes it."""
    side, noise = 6, LatticeNoise(6, 0.3)
    k = side**d
    L = noise.colour(torch.eye(k).reshape(k, 1, *[side] * d)).reshape(k, k).T
    at = cell_centres((side,) * d)
    expected = torch.exp(-(at[:, None] - at).abs().sum(-1) / 0.3)
    torch.testing.assert_close(L @ L.T, expected, atol=1e-5, rtol=1e-5)
    z = normals(0, 3, (2, *[side] * d))
    torch.testing.assert_close(noise.whiten(noise.colour(z)), z, atol=1e-5, rtol=1e-5)


def test_without_a_lengthscale_it_is_white():
    z = normals(0, 3, (1, 8))
    assert LatticeNoise(8).white and torch.equal(LatticeNoise(8).colour(z), z)
    assert torch.equal(LatticeNoise(8).whiten(z), z)


def test_on_finer_lattices_it_tends_to_a_function():
    """The mean square of its steps falls with the lattice's own step, 2(1 − exp(−h/ℓ)), where that of white noise stays
    at 2: to 4.5 standard errors of 4,000 draws."""
    for side in (16, 64):
        for lengthscale in (0.0, 0.5):
            x = LatticeNoise(side, lengthscale).colour(normals(1, 4000, (1, side)))
            steps = x.diff(dim=-1).square().mean(-1)
            expected = 2 * (1 - torch.exp(torch.tensor(-2 / side / lengthscale))) if lengthscale else 2.0
            assert abs(float(steps.mean() - expected)) < 4.5 * float(steps.std()) / 4000**0.5
