"""Observation encoders: their Gaussian over the latent, its loss, and what does not matter of the observations."""

import math

import pytest
import torch

from nfdlab.core.rng import normals, seeded
from nfdlab.core.types import ObservationBatch, Observations
from nfdlab.diffusion.denoiser import Conditioning
from nfdlab.latents.observation_encoder import AmortisedGaussian, VectorObservationEncoder, gaussian_loss
from nfdlab.nn.networks import CONV


def test_a_vector_encoder_knows_no_order_and_no_padding():
    with seeded(1):
        encoder = VectorObservationEncoder(1, 1, cells=8, side=128, latent_channels=5, width=16,
                                           setconv_widths=(0.7, 2.0, 6.0), dilations=(1,), features=32).eval()

    def encoded(*seen):
        found = encoder(ObservationBatch.of(list(seen)))
        return (*found.features, found.mean, found.std)

    x, y = normals(0, 7, (1,), "x").clamp(-1, 1), normals(1, 7, (1,), "y")
    thrice = Observations(x.repeat(3, 1), y.repeat(3, 1), 0.05)
    plain = encoded(Observations(x, y, 0.05))
    turned = encoded(Observations(x.flip(0), y.flip(0), 0.05))
    padded = encoded(Observations(x, y, 0.05), thrice)
    for a, b, c in zip(plain, turned, padded, strict=True):
        for same in (b, c[:1]):
            torch.testing.assert_close(same, a, atol=1e-5, rtol=1e-4)
    assert (encoded(thrice)[0] - plain[0]).abs().max() > 1e-3, "three times the same evidence is more evidence"


def test_residuals_have_unit_scale_and_lead_back(rng):
    given = Conditioning(mean=torch.randn(1, 2, 8, generator=rng), std=0.1 + torch.rand(1, 2, 8, generator=rng))
    latent = given.mean + given.std * torch.randn(4000, 2, 8, generator=rng)
    residual = given.residual(latent)
    assert abs(residual.var() - 1) < 4.5 * math.sqrt(2 / residual.numel()) and abs(residual.mean()) < 0.02
    torch.testing.assert_close(given.latent(residual), latent)


def test_the_gaussian_loss_is_least_at_the_right_mean_and_std(rng):
    """The loss is flat at the truth, within 4.5 standard errors, and falls towards it from either side; the gradient
    of an element's mean grows as its std shrinks, by one over std (beta-NLL, beta = 1/2), not one over its square."""
    truth, n = torch.tensor([0.1, 1.5]), 40_000
    latent = truth * torch.randn(n, 2, generator=rng)

    def slopes(mean, std):
        mean, log = mean.clone().requires_grad_(), std.log().requires_grad_()
        gaussian_loss(latent, Conditioning(mean=mean, std=log.exp())).backward()
        return 2 * mean.grad, 2 * log.grad / std             # the loss is a mean over two elements

    flat = slopes(torch.zeros(2), truth)
    assert flat[0].abs().max() < 4.5 / math.sqrt(n) and flat[1].abs().max() < 4.5 * math.sqrt(2 / n)
    assert (slopes(torch.zeros(2), 2 * truth)[1] > 0.5).all() and (slopes(torch.zeros(2), 0.5 * truth)[1] < -2).all()
    torch.testing.assert_close(slopes(truth, truth)[0], torch.ones(2), atol=0.05, rtol=0)


@pytest.mark.parametrize("d", [1, 2])
def test_the_amortised_gaussian_starts_as_the_prior_and_keeps_its_bounds(d):
    with seeded(2):
        head = AmortisedGaussian(CONV[d], 8, 3)
    mean, std = head(torch.randn(2, 8, *[4] * d, generator=torch.Generator().manual_seed(0)))
    assert mean.shape == (2, 3, *[4] * d) and (mean == 0).all() and (std == 1).all()
    with torch.no_grad():
        head.head.bias[3:] = 50.0
    assert (head(torch.zeros(1, 8, *[4] * d))[1] == AmortisedGaussian.MOST).all()


def test_direct_estimates_move_the_mean_linearly(rng):
    """The mean moves by linear maps of the estimates; what the features set is how much, never what."""
    with seeded(3):
        head = AmortisedGaussian(CONV[1], 8, 3, direct=4)
    features, a, b = torch.randn(2, 8, 6, generator=rng), *torch.randn(2, 2, 4, 6, generator=rng)
    means = [head(features, x)[0] for x in (a, b, 0.3 * a + 0.7 * b)]
    torch.testing.assert_close(means[2], 0.3 * means[0] + 0.7 * means[1])
    assert (means[0] - means[1]).abs().max() > 1e-2 and torch.equal(head(features, a)[1], head(features, b)[1])
