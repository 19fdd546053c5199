"""Kernels as finite bases: Φ(x)Φ(x')ᵀ = K(x, x') to a stated error over the box."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from ..core import single

REACH = 5.4        # lengthscales of wrap-around distance: exp(−5.4²/2) = 5e-7
CUT = 4.7          # highest frequency kept, in units of 1/lengthscale

Basis = Callable[[Tensor], Tensor]                       # coords (…, p, d) -> (…, p, k)


def cosines(omega: Tensor, power: Tensor) -> tuple[Basis, int]:
    """A basis of Σ power[i, j, …] cos(ω_i Δ₁) cos(ω_j Δ₂) …, and its size; omega (K,), ω₀ = 0, power (K,)*d ≥ 0.

    By cos ω(x − x') = cos ωx cos ωx' + sin ωx sin ωx' on each axis; power is scaled to a variance of one.
    """
    both = torch.cat([torch.arange(len(omega)), torch.arange(1, len(omega))])          # a cosine and a sine, but for 0
    root = (power / power.sum()).sqrt()
    for i in range(power.ndim):
        root = root.index_select(i, both)
    root = root.flatten()
    return partial(_products, omega, root, power.ndim), len(root)


def _products(omega: Tensor, root: Tensor, d: int, coords: Tensor) -> Tensor:
    """Products over the axes of cosines and sines at coords (…, p, d), times root (k,): (…, p, k)."""
    def axis(x: Tensor) -> Tensor:                       # (…,) -> (…, 2K − 1)
        angle = x[..., None] * omega.to(x)
        return torch.cat([angle.cos(), angle[..., 1:].sin()], -1)

    out = axis(coords[..., 0])
    for i in range(1, d):
        out = (out[..., :, None] * axis(coords[..., i])[..., None, :]).flatten(-2)
    return out * root.to(coords)


def squared_exponential(lengthscale: float, d: int) -> tuple[Basis, int]:
    """A basis of exp(−r²/2ℓ²) on [-1, 1]^d and its size.

    The kernel is made periodic with period 2 + 5.4ℓ, so no two points of the box meet a wrapped image, and its Fourier
    series is cut where the spectrum has fallen below 2e-5. Error of the covariance below 1e-5 (a test measures it).
    """
    period = 2 + REACH * lengthscale
    omega = 2 * math.pi / period * torch.arange(math.ceil(CUT * period / (2 * math.pi * lengthscale)) + 1).double()
    line = torch.exp(-0.5 * (omega * lengthscale) ** 2)
    line[1:] *= 2
    power = line
    for _ in range(1, d):
        power = power[..., None] * line
    return cosines(omega, power)


def power_law(slope: float, top: int = 24) -> tuple[Basis, int]:
    """A basis of Σ_k (1 + ‖k‖²)^−slope cos(π/2 k·Δ) over integer k, ‖k‖∞ ≤ top, in 2D: exact, no cut. And its size."""
    k = torch.arange(top + 1, dtype=torch.float64)
    times = torch.where(k > 0, 2.0, 1.0)                 # k and −k
    power = (1 + k[:, None] ** 2 + k**2) ** -slope * times[:, None] * times
    return cosines(math.pi / 2 * k, power)


def striped(basis: Basis, wavenumber: float) -> Basis:
    """A basis of K(x, x')·cos(wavenumber·Δ) along the first axis, from one of K."""
    return partial(_stripes, basis, wavenumber)


def _stripes(basis: Basis, wavenumber: float, coords: Tensor) -> Tensor:
    here, angle = basis(coords), wavenumber * coords[..., :1]
    return torch.cat([here * angle.cos(), here * angle.sin()], -1)


def fading(rate: float, span: float, step: float) -> Basis:
    """A basis of (1 + λ|Δ|) e^(−λ|Δ|), Matérn-3/2, on [0, span]: s (…, 1) -> (…, k).

    Spanned by the kernel's own sections at knots no further than `step` apart, where it is exact; between them its
    variance lacks about (λ step)³/24 (a cubic spline's error).
    """
    knots = torch.linspace(0, span, max(2, math.ceil(span / step) + 1), dtype=torch.float64)
    L = torch.linalg.cholesky(_matern(rate, knots[:, None], knots))
    return partial(_sections, rate, knots, torch.linalg.inv(L).T)


def _matern(rate: float, a: Tensor, b: Tensor) -> Tensor:
    r = rate * (a - b).abs()
    return (1 + r) * torch.exp(-r)


def _sections(rate: float, knots: Tensor, mix: Tensor, s: Tensor) -> Tensor:
    return _matern(rate, s, knots) @ mix


def drifting(weights: Tensor, rates: Tensor, speed: float, error: float = 7e-6) -> tuple[Basis, int]:
    """A basis, over (t, x) in [-1, 1]², of Σ_k w_k (1 + λ_k|Δs|) e^(−λ_k|Δs|) cos(kΔφ − speed·kΔs), and its size.

    s = 1.6(t + 1), φ = πx; weights and rates (K,), k from 0. Waves round a circle that fade, Matérn-3/2 in time, and
    drift. Each k may lack an equal share of `error` in variance.
    """
    weights, span = weights / weights.sum(), 3.2
    steps = (24 * error / len(weights) / weights) ** (1 / 3) / rates
    times = [fading(float(rate), span, float(step)) for rate, step in zip(rates, steps, strict=True)]
    basis = partial(_drifting, weights.sqrt(), times, speed)
    return basis, basis(single.zeros(1, 2)).shape[-1]


def _drifting(roots: Tensor, times: list[Basis], speed: float, coords: Tensor) -> Tensor:
    s, phi = 1.6 * (coords[..., :1].double() + 1), math.pi * coords[..., 1:].double()
    out = []
    for k, (root, time) in enumerate(zip(roots, times, strict=True)):
        faded, angle = root * time(s), k * (phi - speed * s)
        out += [faded * angle.cos(), faded * angle.sin()] if k else [faded]
    return torch.cat(out, -1).to(coords)
