"""Diffusion posterior sampling: a gradient step of fixed size on the norm of the misfit."""

import torch
from torch import Tensor

from ...core.checks import require_number
from ..denoiser import DenoiseFn, like
from .measurement import Measurement, traced
from .naive import naive


def dps(denoise: DenoiseFn, measurement: Measurement, *, zeta: float = 1.0, sigmas: Tensor | None = None,
        squared: bool = False) -> DenoiseFn:
    """D − zeta ∇‖y − A(D(x))‖: the gradient of the norm, not of its square, as in the authors' code.

    zeta is the step size while sigma falls by a factor of e. With `sigmas`, the levels of an ancestral sampler, it is
    that of each step, as in the paper: the best zeta then depends on the number of steps. `squared` uses the
    likelihood N(y; A(D(x)), s²) to the power zeta: see `naive`.

    Chung et al. 2023, alg. 1. Bias: the gradient of a norm has no scale, so zeta, not the noise s, sets the spread of
    the draws and how well they fit.
    """
    require_number(zeta, "zeta", 0.0)
    if squared:
        return naive(denoise, measurement, strength=zeta)

    def D(x: Tensor, sigma) -> Tensor:
        with traced(denoise, x, sigma) as (x, sigma, clean):
            gradient = torch.autograd.grad(measurement.miss(clean).norm(dim=-1).sum(), x)[0]
        push = zeta if sigmas is None else zeta / like(passed_on(sigmas, sigma), gradient)
        return clean.detach() - push * gradient

    return D


def passed_on(sigmas: Tensor, sigma: Tensor) -> Tensor:
    """Share of a change of D that an ancestral step from sigma passes on to x: 1 − (t/s)², t the next level."""
    levels, s = sigmas.to(sigma), sigma.reshape(-1, 1)
    t = torch.where(levels < s * (1 - 1e-6), levels, 0.0).amax(-1)              # sigma may be rounded otherwise
    return (1 - (t / s[:, 0]) ** 2).reshape(sigma.shape)
