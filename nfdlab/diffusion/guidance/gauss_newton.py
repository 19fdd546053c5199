"""Gauss-Newton guidance through a nonlinear A, such as the decoder of a neural field: linearise, update, repeat."""

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from ...core import single
from ...core.checks import require_count, require_name, require_number
from ..denoiser import DenoiseFn, GaussianPrior, like
from .measurement import Measurement, isotropic, jacobian, rows_through, traced, update

HIGHEST = 1e4                        # a noise level at which x says nothing of an x0 of unit scale


def gauss_newton(denoise: DenoiseFn, measurement: Measurement, *, iterations: int = 1, sigma_data: float = 1.0,
                 covariance: Literal["isotropic", "tweedie"] | GaussianPrior = "isotropic") -> DenoiseFn:
    """The most probable x0 under N(x0; D, C) N(y; A(x0), s²), by steps of Gauss and Newton from D.

    C = r² I as in `pigdm`; sigma² ∂D/∂x as in `tweedie`, the only one that differentiates D; or that of a
    GaussianPrior. A step is x0 <- D + C Jᵀ (J C Jᵀ + s²)⁻¹ (y − A(x0) + J (x0 − D)), J = ∂A/∂x0 at x0: the iterated
    Kalman update (Bell & Cathey 1993). Bias: that of C, and a mode in place of a mean where A bends within the spread
    of x0. There is no line search: where A levels off, further steps may overshoot.
    """
    require_count(iterations, "iterations"), require_number(sigma_data, "sigma_data", 0.0, open_low=True)
    if not isinstance(covariance, GaussianPrior):
        require_name(covariance, ("isotropic", "tweedie"), "covariance")

    def times_C(rows: Tensor, clean: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
        if covariance == "isotropic":
            return isotropic(like(sigma, clean), sigma_data) * rows
        if covariance == "tweedie":
            return like(sigma, clean) ** 2 * rows_through(clean, x, rows)
        return covariance.left(rows, sigma)

    def D(x: Tensor, sigma) -> Tensor:
        with traced(denoise, x, sigma, through=covariance == "tweedie") as (x, sigma, clean):
            mean = best = clean.detach()
            for _ in range(iterations):
                miss, rows = jacobian(measurement, best)
                along = (rows.flatten(2) * (best - mean).flatten(1)).sum(-1).T
                best = mean + update(rows, times_C(rows, clean, x, sigma), miss + along, measurement.variance)
        return best

    return D


def linearised(measurement: Measurement, covariance: GaussianPrior | None, shape: tuple[int, ...],
               iterations: int = 4) -> Measurement:
    """The same measurement with its Jacobian at the most probable x0 (1, *shape) under a Gaussian prior.

    One Jacobian for all draws: m passes back through A are paid once, and little is lost where A is nearly linear over
    the x0 in question. Without a covariance the prior is white.
    """
    mean = measurement.y.new_zeros(1, *shape) if covariance is None else covariance.mean.reshape(1, *shape)
    nearest = gauss_newton(lambda x, sigma: mean.clone(), measurement, iterations=iterations,
                           covariance="isotropic" if covariance is None else covariance)
    best = nearest(mean, single.tensor(HIGHEST))
    with torch.inference_mode(False), torch.enable_grad():
        best = best.clone().requires_grad_()
        out = measurement.A(best)[0]
        rows = [torch.autograd.grad(value, best, retain_graph=True)[0].flatten() for value in out]
    return replace(measurement, matrix=torch.stack(rows))
