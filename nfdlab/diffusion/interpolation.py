"""Interpolation between two latents: linear, spherical, or through the noise (DDIM inversion)."""

import torch
from torch import Tensor

from ..core.checks import require, require_name
from .denoiser import DenoiseFn
from .samplers import sample


def straight(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Linear: (1 − t) a + t b for each t (n,): latents (k, …) -> (n, k, …). Halfway the norm is smaller than
    that of a or b, so in many dimensions the latent is unlike any training latent."""
    t = t.to(a).reshape(-1, *[1] * a.ndim)
    return (1 - t) * a + t * b


def spherical(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Spherical: sin((1 − t)θ)/sin θ a + sin(tθ)/sin θ b, θ the angle between a and b; shapes as in `straight`.

    Shoemake 1985; right for normals in many dimensions, which all have nearly the same norm.
    """
    cosine = (a * b).sum() / (a.norm() * b.norm()).clamp_min(1e-12)
    angle = torch.arccos(cosine.clamp(-1, 1))
    if float(angle.sin()) < 1e-4:
        return straight(a, b, t)
    t = t.to(a).reshape(-1, *[1] * a.ndim)
    return torch.sin((1 - t) * angle) / angle.sin() * a + torch.sin(t * angle) / angle.sin() * b


def noised(denoise: DenoiseFn, x: Tensor, sigmas: Tensor) -> Tensor:
    """DDIM inversion: clean x (n, …) -> the noise that the deterministic sampler maps to it, by Heun's rule.

    `sigmas` as for a sampler, highest first, 0 at the end. Song et al. 2021 (DDIM), sec. 4.3.
    """
    up = sigmas[:-1].flip(0).to(x)
    with torch.no_grad():
        for s, t in zip(up[:-1], up[1:], strict=True):
            slope = (x - denoise(x, s)) / s
            guess = x + (t - s) * slope
            x = x + (t - s) * 0.5 * (slope + (guess - denoise(guess, t)) / t)
    return x


def bridge(denoise: DenoiseFn, a: Tensor, b: Tensor, t: Tensor, sigmas: Tensor) -> Tensor:
    """Invert both latents to noise, interpolate spherically there, sample back: every result is a draw of the prior.

    The ends are a and b up to the integration error. Su et al. 2023 (dual diffusion implicit bridges).
    """
    high = noised(denoise, torch.stack([a, b]), sigmas)
    return sample(denoise, spherical(*high, t), sigmas, method="heun")


WAYS = ("straight", "spherical", "bridge")


def cross(way: str, a: Tensor, b: Tensor, t: Tensor, denoise: DenoiseFn, sigmas: Tensor) -> Tensor:
    """Latents at t (n,) between a and b (k, …), by one of `WAYS`: (n, k, …)."""
    require_name(way, WAYS, "way")
    require(a.shape == b.shape, must="Two latents of one shape.", came=f"{tuple(a.shape)} and {tuple(b.shape)}",
            why="Interpolation needs both in one space.", do="Take both from the same model's encode().")
    if way == "bridge":
        return bridge(denoise, a, b, t, sigmas)
    return (straight if way == "straight" else spherical)(a, b, t)
