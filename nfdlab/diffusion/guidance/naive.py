"""Likelihood guidance at D(x), as if D(x) were the clean x: the variance of x0 given x is ignored."""

import torch
from torch import Tensor

from ..denoiser import DenoiseFn, like
from .measurement import Measurement, traced


def naive(denoise: DenoiseFn, measurement: Measurement, *, strength: float = 1.0) -> DenoiseFn:
    """D + sigma² ∇ log N(y; A(D(x)), s²): DPS before its step is rescaled.

    Chung et al. 2023, sec. 3.1. Bias: the clean x differs from D(x) by up to the prior's std while s may be small, so
    the gradient is far too strong at high noise. Draws lie too close together and overshoot where s is large, and
    diverge where it is small.
    """

    def D(x: Tensor, sigma) -> Tensor:
        with traced(denoise, x, sigma) as (x, sigma, clean):
            loss = measurement.miss(clean).square().sum() / (2 * measurement.variance)
            gradient = torch.autograd.grad(loss, x)[0]
        return clean.detach() - strength * like(sigma, gradient) ** 2 * gradient

    return D
