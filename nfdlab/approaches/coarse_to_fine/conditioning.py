"""Observations said to a diffusion over fine values, and to the rest of a function once those are drawn."""

import torch
from torch import Tensor

from ...diffusion.denoiser import DenoiseFn
from ...diffusion.gaussian_prior import GaussianPrior
from .lattices import LEAST, ConditionedPoints
from .spectral_prior import SpectralPrior


def guided(denoise: DenoiseFn, spectrum: GaussianPrior, rows: Tensor, rest: Tensor, target: Tensor) -> DenoiseFn:
    """D told that target = rows x + rest·ε, by the covariance that the Gaussian leaves open: D + C Jᵀ (J C Jᵀ + R)⁻¹
    (target − J D), the update of `guidance.gauss_newton` where every draw has a target of its own.

    x (n, c, N), rows (m, N), rest (c, m, m) lower triangular, R = rest restᵀ, target (n, c, m).
    """
    turned = (rows @ spectrum.Q.double()).contiguous()                                               # (m, N)
    lam, R = spectrum.lam.double(), rest @ rest.mT

    def D(x: Tensor, sigma) -> Tensor:
        clean, s = denoise(x, sigma), float(sigma)
        miss = (target - clean.double().cpu() @ rows.T).transpose(0, 1)                              # (c, n, m)
        open_ = turned * (lam / (1 + lam / s**2))
        root = torch.linalg.cholesky(open_ @ turned.T + R)
        pull = torch.cholesky_solve(miss.mT, root).mT.transpose(0, 1)                                # (n, c, m)
        return clean + (pull @ open_).to(clean) @ spectrum.Q.T.to(clean)

    return D


def rest_of(waves: SpectralPrior, weights: Tensor, fine: Tensor, tick: Tensor, inverse: Tensor, told: ConditionedPoints | None, a: float,
            dots: Tensor | None, noise: Tensor | None) -> Tensor:
    """Weights (n, c, *[2K − 1]*d) of whole functions that have the values `fine` (n, c, N) on the lattice, and are like
    `observations` (n, c, m), from those of the prior: w + Φᵀ K⁻¹ (values − Φ w − ε), Matheron's rule (Wilson et al. 2020,
    eq. 13), first for the lattice, then for the observations. `noise` (n, c, m) are their normals."""
    shape = (round(fine.shape[-1] ** (1 / waves.d)),) * waves.d
    out, root = weights, waves.root
    prior = root * weights.double()                                                                  # K⁻¹ is steep
    for _ in range(waves.d):
        prior = torch.tensordot(prior, tick, dims=([2], [1]))                                        # (n, c, side, …)
    pull = (fine.double() - prior.flatten(2)) @ inverse
    if told is not None and told.m:
        moved = (out + waves.back_grid(tick, pull.unflatten(-1, shape)).to(out)).double()
        first, *others = told.axes
        here = torch.tensordot(first, root * moved, dims=([1], [2])).movedim(0, 2)          # (n, c, m, …)
        for axis in others:
            here = (here * axis.reshape(1, 1, *axis.shape, *[1] * (here.ndim - 4))).sum(3)
        std = (told.noise / a).clamp_min(LEAST)[:, None]
        miss = (dots - here - std * noise).transpose(0, 1)                                           # (c, n, m)
        late = torch.cholesky_solve(miss.mT, told.rest(a)).mT.transpose(0, 1)
        pull = pull - late @ told.rows
        out = out + waves.back(told.axes, late).to(out)
    return out + waves.back_grid(tick, pull.unflatten(-1, shape)).to(out)          # steep pulls, most of which cancel
