"""Gaussian-process channels against the textbook's formulas."""

import pytest
import torch

import nfdlab as nfd
from nfdlab.core.types import ObservationBatch, Observations
from nfdlab.encoders.grid_channels import GPChannels, matern


@pytest.mark.parametrize("d", [1, 2])
def test_gp_channels_are_kriging_and_ignore_order_and_padding(d, rng):
    """Means and stds of the textbook's formula at each lengthscale; without observations 0 and 1."""
    net = GPChannels(d, 1, 5, ((2.5, 0.3), (2.5, 0.8)))
    seen = Observations(2 * torch.rand(6, d, generator=rng) - 1, torch.randn(6, 1, generator=rng), 0.2)
    turned = Observations(seen.coords.flip(0), seen.values.flip(0), 0.2)
    more = Observations(2 * torch.rand(9, d, generator=rng) - 1, torch.randn(9, 1, generator=rng), 0.05)
    out = net(ObservationBatch.of([seen, turned, Observations(torch.zeros(0, d), torch.zeros(0, 1)), more]))
    assert out.shape == (4, net.channels, *[5] * d)
    grid = nfd.cell_centres((5,) * d)
    for j, lengthscale in enumerate((0.3, 0.8)):
        K = matern(torch.cdist(seen.coords, seen.coords), lengthscale).double() + 0.2**2 * torch.eye(6)
        across = matern(torch.cdist(grid, seen.coords), lengthscale).double()
        gain = torch.linalg.solve(K, across.T).T
        torch.testing.assert_close(out[0, 2 * j].flatten().double(), (gain @ seen.values.double())[:, 0],
                                   atol=1e-4, rtol=1e-3)
        std = (1 - (gain * across).sum(1)).sqrt()
        torch.testing.assert_close(out[0, 2 * j + 1].flatten().double(), std, atol=1e-3, rtol=1e-3)
        assert (out[2, 2 * j] == 0).all() and (out[2, 2 * j + 1] == 1).all()
    torch.testing.assert_close(out[0], out[1], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(net(ObservationBatch.of([seen]))[0], out[0], atol=1e-5, rtol=1e-4)
