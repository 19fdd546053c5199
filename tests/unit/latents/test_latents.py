"""Codes at unit scale, what observations say of them, and the kriging that the reader of observations is helped by."""

import math

import pytest
import torch
from nfdlab.latents.grid_latent import GatedEnsemble, GridLatent
from nfdlab.latents.standardise import AmortisedGaussian, Standardise
from nfdlab.nn.space_to_depth import depth_to_space, space_to_depth

import nfdlab as nfd
from nfdlab.approaches.sparse_conditional import SparseConditional
from nfdlab.core.grid import interpolate
from nfdlab.core.rng import seeded
from nfdlab.core.types import Budget, ObservationBatch, Observations
from nfdlab.encoders.grid_channels import FAR, NEAR, GPChannels, GPEnsemble, matern, mixture, standardised
from nfdlab.latents.autoencoder import Autoencoder, GridEncoder
from nfdlab.nn.networks import CONV
from nfdlab.observation.training_views import TrainingViews


@pytest.fixture
def latents(rng):
    """Raw latents (b, k, cells) of three channels, far from unit scale."""
    return torch.tensor([5.0, 0.01, 1.0])[:, None] * torch.randn(200, 3, 16, generator=rng) + torch.tensor(
        [2.0, -3.0, 0.0])[:, None]


def test_codes_have_unit_scale_by_batch_and_then_for_good(latents):
    unit = Standardise(3)
    for found in (unit(latents), (unit.calibrate(latents), unit.eval()(latents))[1]):
        flat = found.transpose(0, 1).flatten(1)
        torch.testing.assert_close(flat.mean(1), torch.zeros(3), atol=1e-3, rtol=0)
        torch.testing.assert_close(flat.std(1), torch.ones(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(unit(latents[:1]), unit(latents)[:1])          # one latent alone is what it is among others


def test_residuals_have_unit_scale_and_lead_back(rng):
    mean, spread = torch.randn(1, 2, 8, generator=rng), 0.1 + torch.rand(1, 2, 8, generator=rng)
    latent = mean + spread * torch.randn(4000, 2, 8, generator=rng)
    residual = AmortisedGaussian.residual(latent, mean, spread)
    assert abs(residual.var() - 1) < 4.5 * math.sqrt(2 / residual.numel()) and abs(residual.mean()) < 0.02
    torch.testing.assert_close(AmortisedGaussian.restore(residual, mean, spread), latent)


def test_given_asks_for_the_right_mean_and_spread(rng):
    """The loss is flat at the truth, within 4.5 standard errors, and falls towards it from either side; an element's
    pull on the mean grows as its spread shrinks, by one over spread (beta-NLL, beta = 1/2), not one over its square."""
    truth, n = torch.tensor([0.1, 1.5]), 40_000
    latent = truth * torch.randn(n, 2, generator=rng)

    def slopes(mean, spread):
        mean, log = mean.clone().requires_grad_(), spread.log().requires_grad_()
        AmortisedGaussian.loss(latent, mean, log.exp()).backward()
        return 2 * mean.grad, 2 * log.grad / spread          # the loss is a mean over two elements

    flat = slopes(torch.zeros(2), truth)
    assert flat[0].abs().max() < 4.5 / math.sqrt(n) and flat[1].abs().max() < 4.5 * math.sqrt(2 / n)
    assert (slopes(torch.zeros(2), 2 * truth)[1] > 0.5).all() and (slopes(torch.zeros(2), 0.5 * truth)[1] < -2).all()
    torch.testing.assert_close(slopes(truth, truth)[0], torch.ones(2), atol=0.05, rtol=0)


@pytest.mark.parametrize("d", [1, 2])
def test_given_starts_as_the_prior_and_keeps_its_bounds(d):
    with seeded(2):
        head = AmortisedGaussian(CONV[d], 8, 3)
    mean, spread = head(torch.randn(2, 8, *[4] * d, generator=torch.Generator().manual_seed(0)))
    assert mean.shape == (2, 3, *[4] * d) and (mean == 0).all() and (spread == 1).all()
    with torch.no_grad():
        head.head.bias[3:] = 50.0
    assert (head(torch.zeros(1, 8, *[4] * d))[1] == AmortisedGaussian.MOST).all()


def test_estimates_that_speak_directly_are_heard_linearly(rng):
    """The mean moves by linear maps of the estimates; what the features set is how much, never what."""
    with seeded(3):
        head = AmortisedGaussian(CONV[1], 8, 3, direct=4)
    features, a, b = torch.randn(2, 8, 6, generator=rng), *torch.randn(2, 2, 4, 6, generator=rng)
    means = [head(features, x)[0] for x in (a, b, 0.3 * a + 0.7 * b)]
    torch.testing.assert_close(means[2], 0.3 * means[0] + 0.7 * means[1])
    assert (means[0] - means[1]).abs().max() > 1e-2 and torch.equal(head(features, a)[1], head(features, b)[1])


@pytest.mark.parametrize("linear", [True, False])
def test_the_code_of_a_mean_is_the_mean_of_codes_where_the_encoder_is_linear(linear, rng):
    with seeded(4):
        auto = Autoencoder(1, 1, 32, 8, 3, 16, 16, 2, linear)
    a, b = torch.randn(2, 50, 1, 32, generator=rng)
    auto.unit.calibrate(auto.encoder(a))
    auto.eval()
    away = (auto.encode((a + b) / 2) - (auto.encode(a) + auto.encode(b)) / 2).abs().max()
    assert away < 1e-4 if linear else away > 1e-2


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("d,side,cells", [(1, 32, 8), (2, 8, 4), (3, 4, 4)])
def test_an_autoencoder_has_the_shapes_it_says_and_begins_without_features(d, side, cells, linear, rng):
    with seeded(1):
        auto = Autoencoder(d, 2, side, cells, 3, 16, 16, 2, linear)
        reader = GridEncoder(d, 2, side, cells, 3, 16, beside=4)
    grid, coords = torch.randn(5, 2, *[side] * d, generator=rng), 2 * torch.rand(5, 11, d, generator=rng) - 1
    latent = auto.encode(grid)
    assert latent.shape == (5, 3, *[cells] * d) and auto.decoder(coords, latent).shape == (5, 11, 2)
    heard = auto.decoder(coords, latent, torch.randn(5, 16, *[cells] * d, generator=rng))
    torch.testing.assert_close(heard, auto.decoder(coords, latent))
    assert reader(grid, torch.zeros(5, 4, *[cells] * d)).shape == latent.shape


@pytest.mark.parametrize("d", [1, 2])
def test_kernel_channels_are_kriging_and_blind_to_order_and_padding(d, rng):
    """Means and spreads of the textbook's formula at each lengthscale; of nothing, nought and one."""
    net = GPChannels(d, 1, 5, (0.3, 0.8))
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
        spread = (1 - (gain * across).sum(1)).sqrt()
        torch.testing.assert_close(out[0, 2 * j + 1].flatten().double(), spread, atol=1e-3, rtol=1e-3)
        assert (out[2, 2 * j] == 0).all() and (out[2, 2 * j + 1] == 1).all()
    torch.testing.assert_close(out[0], out[1], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(net(ObservationBatch.of([seen]))[0], out[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_folded_grid_unfolds_and_is_read_at_its_points(d, rng):
    """Each cell holds the points that lie in it; between points the grid is read linearly, first axis first."""
    grid = torch.randn(2, 2, *[8] * d, generator=rng)
    latent = space_to_depth(grid, 4)
    assert latent.shape == (2, 2 * 2**d, *[4] * d) and torch.equal(depth_to_space(latent, 2, 2), grid)
    torch.testing.assert_close(latent[0, :2**d][(slice(None), *[1] * d)], grid[0, 0][(slice(2, 4),) * d].flatten())
    torch.testing.assert_close(interpolate(grid, nfd.cell_centres((8,) * d)), grid.flatten(2).mT, atol=1e-5, rtol=0)
    slope = torch.arange(1.0, d + 1)                                     # a plane is linear, so it is read exactly
    plane = (nfd.cell_centres((8,) * d) @ slope).reshape(1, 1, *[8] * d)
    inside = 1.7 * torch.rand(1, 9, d, generator=rng) - 0.85
    torch.testing.assert_close(read(plane, inside)[..., 0], inside @ slope, atol=1e-5, rtol=0)


@pytest.mark.parametrize("d", [1, 2])
def test_a_folded_code_loses_nothing_and_begins_as_the_grid_between_its_points(d, rng):
    with seeded(5):
        auto = GridLatent(d, 1, 16, 4, 16, 16, 2)
    grid = 3 + 2 * torch.randn(6, 1, *[16] * d, generator=rng)
    auto.unit.calibrate(auto.encoder(grid))
    auto.eval()
    latent = auto.encode(grid)
    assert abs(latent.std() - 1) < 0.05 and latent.shape[1] == 4**d
    torch.testing.assert_close(auto.points(latent), grid, atol=1e-5, rtol=0)
    coords = 2 * torch.rand(6, 9, d, generator=rng) - 1
    found = auto(coords, latent, torch.randn(6, 16, *[4] * d, generator=rng))
    torch.testing.assert_close(found, interpolate(grid, coords), atol=1e-5, rtol=0)


@pytest.mark.parametrize("smoothness", [1.5, 2.5])
def test_a_mixture_of_gaussians_is_nearly_matern(smoothness):
    """Within 2 %: what a ladder of widths 1.8 apart leaves of the integral."""
    widths, r = 0.07 * 1.8 ** torch.arange(7.0), torch.linspace(0, 2, 50)
    found = mixture(widths, smoothness, 0.3) @ torch.exp(-r.square() / (2 * widths.square()[:, None]))
    assert (found - matern(r, 0.3, smoothness)).abs().max() < 0.02


@pytest.mark.parametrize("d,c", [(1, 1), (2, 1), (2, 2), (3, 1)])
def test_krigings_foretell_each_dot_from_the_others(d, c, rng):
    """Means, spreads and votes against the textbook's solve, leaving out one observation after another."""
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
        torch.testing.assert_close(found.spreads[0, j].flatten().double().square(), kriged(x, y, cells)[1] * mended,
                                   atol=1e-3, rtol=1e-2)
    votes = torch.stack(votes)
    torch.testing.assert_close(found.votes[0].flatten(1).double(), votes - votes.amax(0), atol=1e-3, rtol=1e-3)


def test_krigings_are_blind_to_order_company_and_padding_and_to_the_units_of_many_dots(rng):
    net = GPEnsemble(2, 8, 4, ((1.5, 0.3), (1.0, 0.6)))
    views = [Observations(2 * torch.rand(m, 2, generator=rng) - 1, torch.randn(m, 1, generator=rng), 0.1)
             for m in (40, 0, 3, 90, 12, 1)]
    _, together = net(ObservationBatch.of(views))
    for i, view in enumerate(views):
        _, unconditional_share = net(ObservationBatch.of([Observations(view.coords.flip(0), view.values.flip(0), 0.1)]))
        for a, b in zip(together, unconditional_share, strict=True):
            torch.testing.assert_close(a[i:i + 1], b, atol=1e-3, rtol=1e-3)
    assert (together.means[1] == 0).all() and together.shift[1] == 0 and together.scale[1] == 1
    high = Observations(views[3].coords, 50 + 10 * views[3].values, 1.0)
    unit, shift, scale = standardised(ObservationBatch.of([high]))
    torch.testing.assert_close(unit.values[0] * scale + shift, high.values, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(unit.noise_std * scale, torch.ones(1))


def test_pooled_begins_as_the_krigings_average_and_counts_every_view_alike(rng):
    net = GPEnsemble(2, 8, 4, ((1.5, 0.3), (1.0, 0.6)))
    seen = ObservationBatch.of([Observations(2 * torch.rand(m, 2, generator=rng) - 1,
                                             5 + 2 * torch.randn(m, 1, generator=rng), 0.1) for m in (30, 4)])
    _, kriged = net(seen)
    with seeded(6):
        pooled, unit = GatedEnsemble(CONV[2], 8, 4, 2), Standardise(4)
    unit.calibrate(5 + 3 * torch.randn(50, 4, 4, 4, generator=rng))
    mean, spread = pooled(torch.randn(2, 8, 4, 4, generator=rng), kriged, unit.eval())
    weights = kriged.votes.softmax(1).repeat_interleave(2, 2).repeat_interleave(2, 3)
    raw = kriged.scale.reshape(2, 1, 1) * (weights * kriged.means[:, :, 0]).sum(1) + kriged.shift[:, :, None]
    torch.testing.assert_close(depth_to_space(unit.restore(mean), 1, 2)[:, 0], raw)
    least = (kriged.scale.reshape(2, 1, 1) * kriged.spreads.amin(1) / unit.std.max()).clamp_max(GatedEnsemble.MOST)
    assert (spread.amin(1) >= least - 1e-5).all() and (spread <= GatedEnsemble.MOST).all()
    wide, narrow = torch.ones(1, 4, 4, 4), torch.full((1, 4, 4, 4), 0.1)
    mean = torch.zeros(2, 4, 4, 4, requires_grad=True)
    spread = torch.cat([wide, narrow])
    GatedEnsemble.loss(spread, mean, spread).backward()                         # each off by its own spread
    torch.testing.assert_close(mean.grad[1] * 0.1, mean.grad[0])


def test_a_fit_that_pools_krigings_is_one_function_and_comes_back_from_its_file(tmp_path):
    approach = SparseConditional(width=16, batch=4, queries=8, reader=(1,), denoiser=(1,), krigings=((1.5, 0.3),))
    fitted = approach.fit(nfd.problems.get("gp1d"), views=TrainingViews(tail=0.0), budget=Budget(steps=8), seed=0)
    coords = nfd.cell_centres((16,))
    draws = fitted.draw(None, 3, seed=1, steps=4)
    torch.testing.assert_close(draws(coords)[:, 5:7], draws(coords[5:7]), atol=1e-5, rtol=0)
    again = nfd.load(nfd.save(fitted, tmp_path / "pooled.safetensors")).draw(None, 3, seed=1, steps=4)
    assert torch.equal(again(coords), draws(coords))


def test_a_resumed_fit_is_as_if_nothing_had_happened(tmp_path):
    """Killed in the second stage and resumed: the noise range is measured again, and the draws are the same."""
    def fit(checkpoint, stop=None):
        approach = SparseConditional(width=16, batch=8, queries=16, reader=(1,), denoiser=(1,), kernels=(0.3,))
        budget = Budget(steps=20, checkpoint=checkpoint)
        return approach.fit(nfd.problems.get("gp1d"), views=TrainingViews(tail=0.0), budget=budget, seed=0,
                            watch=lambda step: step.index == stop and step.stage == "diffuse")

    whole = fit(None)
    file = tmp_path / "fit.checkpoint"
    fit(file, stop=9)
    resumed = fit(file)
    assert resumed.about["noise_levels"] == whole.about["noise_levels"]
    coords = nfd.cell_centres((16,))
    torch.testing.assert_close(resumed.draw(None, 2, seed=0)(coords), whole.draw(None, 2, seed=0)(coords))
