"""Pseudo-inverse guidance: x0 given x is taken to have covariance r² I."""

import torch
from torch import Tensor

from ...core.checks import require_number
from ..denoiser import DenoiseFn, GaussianPrior, like
from .measurement import Measurement, isotropic, jacobian, traced, update


def pigdm(denoise: DenoiseFn, measurement: Measurement, *, sigma_data: float = 1.0,
          covariance: GaussianPrior | None = None) -> DenoiseFn:
    """D + sigma² (∂D/∂x)ᵀ Jᵀ (J C Jᵀ + s²)⁻¹ (y − A(D)), C = r² I, r² = sigma² sd²/(sigma² + sd²), J = ∂A/∂x0 at D.

    Song et al. 2023, sec. 3. Exact where the clean x is N(mean, sd² I) and A linear. Bias elsewhere: correlated entries
    of x are treated as independent, so guidance is too weak in some directions and too strong in others. A measured
    `covariance` of the clean x takes the place of sd² I: exact for a Gaussian.
    """
    require_number(sigma_data, "sigma_data", 0.0, open_low=True)

    def D(x: Tensor, sigma) -> Tensor:
        with traced(denoise, x, sigma) as (x, sigma, clean):
            miss, rows = jacobian(measurement, clean)
            spread = isotropic(like(sigma, clean), sigma_data) * rows if covariance is None else \
                covariance.left(rows, sigma)
            pull = update(rows, spread, miss, measurement.variance, through=rows)
            through = torch.autograd.grad(clean, x, pull)[0]
        return clean.detach() + like(sigma, through) ** 2 * through

    return D
