"""Residuals of a Gaussian over a latent, and its loss."""

import math

import torch

from nfdlab.diffusion.denoiser import Conditioning
from nfdlab.latents.gaussian_loss import gaussian_loss


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
