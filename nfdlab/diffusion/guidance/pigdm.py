"""Pseudo-inverse guidance: x0 given x is taken to have covariance r² I."""

import torch
from torch import Tensor

from ...core.checks import require_number
from ..denoiser import DenoiseFn, like
from .measurement import Measurement, isotropic, jacobian, traced, update


def pigdm(denoise: DenoiseFn, measurement: Measurement, *, sigma_data: float = 1.0) -> DenoiseFn:
    """D + sigma² (∂D/∂x)ᵀ Jᵀ (r² J Jᵀ + s²)⁻¹ (y − A(D)), r² = sigma² sd²/(sigma² + sd²), J = ∂A/∂x0 at D.

    Song et al. 2023, sec. 3. Exact where the clean x is N(mean, sd² I) and A linear. Bias elsewhere: correlated entries
    of x are treated as independent, so guidance is too weak in some directions and too strong in others.
    """
    require_number(sigma_data, "sigma_data", 0.0, open_low=True)

    def D(x: Tensor, sigma) -> Tensor:
        with traced(denoise, x, sigma) as (x, sigma, clean):
            miss, rows = jacobian(measurement, clean)
            r2 = isotropic(like(sigma, clean), sigma_data)
            # update gives r² Jᵀ(…)⁻¹ miss; r² is taken out again, for here the spread of x0 comes from D
            pull = update(rows, r2 * rows, miss, measurement.variance) / r2
            through = torch.autograd.grad(clean, x, pull)[0]
        return clean.detach() + like(sigma, through) ** 2 * through

    return D
