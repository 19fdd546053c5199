"""Shared by the methods: D with its graph, rows of Jacobians, and the Kalman update of a Gaussian."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ..denoiser import DenoiseFn
from .measurement import Measurement


@contextmanager
def traced(denoise: DenoiseFn, x: Tensor, sigma, through: bool = True) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """x, sigma and D(x, sigma) with gradients enabled in any mode of the sampler; `through`: gradients of D too."""
    with torch.inference_mode(False), torch.enable_grad():
        # copies: a tensor born under inference_mode can never be part of a graph
        x = x.clone().detach().requires_grad_(through)
        sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).clone()
        with torch.set_grad_enabled(through):
            clean = denoise(x, sigma)
        yield x, sigma, clean


def rows_through(out: Tensor, x: Tensor, rows: Tensor) -> Tensor:
    """(∂out/∂x)ᵀ row, draw by draw, for rows (m, n, …) shaped as out (n, …): (m, n, …) shaped as x."""
    return torch.stack([torch.autograd.grad(out, x, row.expand_as(out), retain_graph=True)[0] for row in rows])


def jacobian(measurement: Measurement, at: Tensor) -> tuple[Tensor, Tensor]:
    """y − A(at) (n, m), and the rows of ∂A/∂x0 there (m, n, …), or (m, 1, …) where they are known to be all alike."""
    if measurement.matrix is not None:
        with torch.no_grad():
            return measurement.miss(at), measurement.matrix.to(at).reshape(-1, 1, *at.shape[1:])
    at = at.detach().requires_grad_()
    miss = measurement.miss(at)
    m = len(measurement.y)
    unit = torch.eye(m, dtype=miss.dtype, device=miss.device)[:, None].expand(m, *miss.shape)
    return miss.detach(), rows_through(-miss, at, unit)


def update(rows: Tensor, spread: Tensor, miss: Tensor, variance: float) -> Tensor:
    """C Jᵀ (J C Jᵀ + s²)⁻¹ miss: rows of J and of J C, both (m, n or 1, …), miss (n, m) -> (n, …).

    Directions of y in which J C Jᵀ is not positive are left unchanged: the Jacobian of a trained network need not be a
    covariance, and a negative eigenvalue would push x away from y.
    """
    inner = torch.einsum("ink,jnk->nij", rows.flatten(2), spread.flatten(2))
    lam, Q = torch.linalg.eigh((inner + inner.mT) / 2)
    # below this an eigenvalue is rounding, as in a pseudo-inverse
    least = lam.amax(-1, keepdim=True) * lam.shape[-1] * torch.finfo(lam.dtype).eps
    weight = torch.where(lam > least.clamp_min(0), 1 / (lam.clamp_min(0) + variance), 0.0)
    pull = torch.einsum("nij,nj,nlj,nl->ni", Q, weight, Q, miss)
    return torch.einsum("ni,in...->n...", pull, spread)


def isotropic(s: Tensor, sigma_data: float) -> Tensor:
    """r²: the variance of each entry of x0 given x where x0 is N(mean, sigma_data² I)."""
    return s**2 * sigma_data**2 / (s**2 + sigma_data**2)
