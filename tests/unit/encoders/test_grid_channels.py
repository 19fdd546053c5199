"""Gaussian-process channels against the textbook's formulas."""

import pytest
import torch

import nfdlab as nfd
from nfdlab.core.types import ObservationBatch, Observations
from nfdlab.encoders.grid_channels import FAR, NEAR, GPChannels, GPEnsemble, matern, mixture, standardised


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


@pytest.mark.parametrize("smoothness", [1.5, 2.5])
def test_a_mixture_of_gaussians_is_nearly_matern(smoothness):
    """Within 2 %: what a ladder of widths 1.8 apart leaves of the integral."""
    widths, r = 0.07 * 1.8 ** torch.arange(7.0), torch.linspace(0, 2, 50)
    found = mixture(widths, smoothness, 0.3) @ torch.exp(-r.square() / (2 * widths.square()[:, None]))
    assert (found - matern(r, 0.3, smoothness)).abs().max() < 0.02


@pytest.mark.parametrize("d,c", [(1, 1), (2, 1), (2, 2), (3, 1)])
def test_a_gp_ensemble_is_kriging_weighted_by_leave_one_out_errors(d, c, rng):
    """Means, stds and log weights against the textbook's solve, leaving out one observation after another."""
    net = GPEnsemble(d, 8, 4, ((1.5, 0.3), (2.5, 0.6)))
    seen = ObservationBatch.of([Observations(2 * torch.rand(7, d, generator=rng) - 1,
                                             1 + torch.randn(7, c, generator=rng), 0.2)])
    unit, found = net(seen)
    x, y, noise = unit.coords[0].double(), unit.values[0].double(), unit.noise_std[0].double()
    grid, cells = nfd.cell_centres((8,) * d).double(), nfd.cell_centres((4,) * d).double()
    near = FAR + (1 - FAR) * torch.exp(-torch.cdist(x, cells).square() / (2 * NEAR**2))
    votes = []
    for j, share in enumerate(net.shares.double()):
        def k(a, b, share=share):
            apart = torch.cdist(a, b)[..., None].square()
            return 1 + (share * torch.exp(-apart / (2 * net.widths.double()**2))).sum(-1)

        def kriged(x, y, at, k=k):
            gain = torch.linalg.solve(k(x, x) + noise**2 * torch.eye(len(x)), k(x, at)).mT
            return gain @ y, 2 - (gain * k(at, x)).sum(1)

        mean = found.means[0, j].flatten(1).mT.double()
        torch.testing.assert_close(mean, kriged(x, y, grid)[0], atol=1e-4, rtol=1e-3)
        left = [kriged(x[keep], y[keep], x[~keep]) for keep in ~torch.eye(7).bool()]
        away = y - torch.cat([mean for mean, _ in left])
        variance = torch.cat([variance for _, variance in left]) + noise**2
        miss = away.square().mean(1) / variance
        votes.append((-c / 2 * (miss + variance.log())) @ near)
        mended = (1 + miss @ near) / (1 + near.sum(0))
        torch.testing.assert_close(found.stds[0, j].flatten().double().square(), kriged(x, y, cells)[1] * mended,
                                   atol=1e-3, rtol=1e-2)
    votes = torch.stack(votes)
    torch.testing.assert_close(found.log_weights[0].flatten(1).double(), votes - votes.amax(0), atol=1e-3, rtol=1e-3)


def test_a_gp_ensemble_ignores_order_padding_other_views_and_units(rng):
    net = GPEnsemble(2, 8, 4, ((1.5, 0.3), (1.0, 0.6)))
    views = [Observations(2 * torch.rand(m, 2, generator=rng) - 1, torch.randn(m, 1, generator=rng), 0.1)
             for m in (40, 0, 3, 90, 12, 1)]
    _, together = net(ObservationBatch.of(views))
    for i, view in enumerate(views):
        _, alone = net(ObservationBatch.of([Observations(view.coords.flip(0), view.values.flip(0), 0.1)]))
        for a, b in zip(together, alone, strict=True):
            torch.testing.assert_close(a[i:i + 1], b, atol=1e-3, rtol=1e-3)
    assert (together.means[1] == 0).all() and together.shift[1] == 0 and together.scale[1] == 1
    high = Observations(views[3].coords, 50 + 10 * views[3].values, 1.0)
    unit, shift, scale = standardised(ObservationBatch.of([high]))
    torch.testing.assert_close(unit.values[0] * scale + shift, high.values, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(unit.noise_std * scale, torch.ones(1))
