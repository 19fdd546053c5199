"""Codes at unit scale, what observations say of them, and the kriging that the reader of observations is helped by."""

import math

import pytest
import torch

import nfdlab as nfd
from nfdlab.approaches.sparse_conditional import SparseConditional
from nfdlab.codes.autoencoder import Autoencoder, GridEncoder
from nfdlab.codes.normalise import Given, Standardise
from nfdlab.core.rng import seeded
from nfdlab.core.types import Budget, ObservationBatch, Observations
from nfdlab.diffusion.nets import CONV
from nfdlab.encoders.kernel import KernelChannels, matern
from nfdlab.sparsity.views import Views


@pytest.fixture
def codes(rng):
    """Raw codes (b, k, cells) of three channels, far from unit scale."""
    return torch.tensor([5.0, 0.01, 1.0])[:, None] * torch.randn(200, 3, 16, generator=rng) + torch.tensor(
        [2.0, -3.0, 0.0])[:, None]


def test_codes_have_unit_scale_by_batch_and_then_for_good(codes):
    unit = Standardise(3)
    for found in (unit(codes), (unit.calibrate(codes), unit.eval()(codes))[1]):
        flat = found.transpose(0, 1).flatten(1)
        torch.testing.assert_close(flat.mean(1), torch.zeros(3), atol=1e-3, rtol=0)
        torch.testing.assert_close(flat.std(1), torch.ones(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(unit(codes[:1]), unit(codes)[:1])          # one code alone is what it is among others


def test_residuals_have_unit_scale_and_lead_back(rng):
    mean, spread = torch.randn(1, 2, 8, generator=rng), 0.1 + torch.rand(1, 2, 8, generator=rng)
    code = mean + spread * torch.randn(4000, 2, 8, generator=rng)
    residual = Given.residual(code, mean, spread)
    assert abs(residual.var() - 1) < 4.5 * math.sqrt(2 / residual.numel()) and abs(residual.mean()) < 0.02
    torch.testing.assert_close(Given.restore(residual, mean, spread), code)


def test_given_asks_for_the_right_mean_and_spread(rng):
    """The loss is flat at the truth, within 4.5 standard errors, and falls towards it from either side; an element's
    pull on the mean grows as its spread shrinks, by one over spread (beta-NLL, beta = 1/2), not one over its square."""
    truth, n = torch.tensor([0.1, 1.5]), 40_000
    code = truth * torch.randn(n, 2, generator=rng)

    def slopes(mean, spread):
        mean, log = mean.clone().requires_grad_(), spread.log().requires_grad_()
        Given.loss(code, mean, log.exp()).backward()
        return 2 * mean.grad, 2 * log.grad / spread          # the loss is a mean over two elements

    flat = slopes(torch.zeros(2), truth)
    assert flat[0].abs().max() < 4.5 / math.sqrt(n) and flat[1].abs().max() < 4.5 * math.sqrt(2 / n)
    assert (slopes(torch.zeros(2), 2 * truth)[1] > 0.5).all() and (slopes(torch.zeros(2), 0.5 * truth)[1] < -2).all()
    torch.testing.assert_close(slopes(truth, truth)[0], torch.ones(2), atol=0.05, rtol=0)


@pytest.mark.parametrize("d", [1, 2])
def test_given_starts_as_the_prior_and_keeps_its_bounds(d):
    with seeded(2):
        head = Given(CONV[d], 8, 3)
    mean, spread = head(torch.randn(2, 8, *[4] * d, generator=torch.Generator().manual_seed(0)))
    assert mean.shape == (2, 3, *[4] * d) and (mean == 0).all() and (spread == 1).all()
    with torch.no_grad():
        head.head.bias[3:] = 50.0
    assert (head(torch.zeros(1, 8, *[4] * d))[1] == Given.MOST).all()


def test_estimates_that_speak_directly_are_heard_linearly(rng):
    """The mean moves by linear maps of the estimates; what the features set is how much, never what."""
    with seeded(3):
        head = Given(CONV[1], 8, 3, direct=4)
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
    code = auto.encode(grid)
    assert code.shape == (5, 3, *[cells] * d) and auto.decoder(coords, code).shape == (5, 11, 2)
    heard = auto.decoder(coords, code, torch.randn(5, 16, *[cells] * d, generator=rng))
    torch.testing.assert_close(heard, auto.decoder(coords, code))
    assert reader(grid, torch.zeros(5, 4, *[cells] * d)).shape == code.shape


@pytest.mark.parametrize("d", [1, 2])
def test_kernel_channels_are_kriging_and_blind_to_order_and_padding(d, rng):
    """Means and spreads of the textbook's formula at each lengthscale; of nothing, nought and one."""
    net = KernelChannels(d, 1, 5, (0.3, 0.8))
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


def test_a_resumed_fit_is_as_if_nothing_had_happened(tmp_path):
    """Killed in the second stage and resumed: the noise range is measured again, and the draws are the same."""
    def fit(checkpoint, stop=None):
        approach = SparseConditional(width=16, batch=8, queries=16, reader=(1,), denoiser=(1,), kernels=(0.3,))
        budget = Budget(steps=20, checkpoint=checkpoint)
        return approach.fit(nfd.problems.get("gp1d"), views=Views(tail=0.0), budget=budget, seed=0,
                            watch=lambda step: step.index == stop and step.stage == "diffuse")

    whole = fit(None)
    file = tmp_path / "fit.checkpoint"
    fit(file, stop=9)
    resumed = fit(file)
    assert resumed.about["range"] == whole.about["range"]
    coords = nfd.cell_centres((16,))
    torch.testing.assert_close(resumed.draw(None, 2, seed=0)(coords), whole.draw(None, 2, seed=0)(coords))
