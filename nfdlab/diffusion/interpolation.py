"""Three ways from one latent to another: along the line, along the sphere, and by way of the noise."""

import torch
from torch import Tensor

from ..core.checks import require, require_name
from .denoiser import DenoiseFn
from .samplers import sample


def straight(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """(1 − t) a + t b for each t (n,): latents (k, …) -> (n, k, …). Halfway it is shorter than either, so, in many
    dimensions, unlike any latent that was ever seen."""
    t = t.to(a).reshape(-1, *[1] * a.ndim)
    return (1 - t) * a + t * b


def spherical(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """sin((1 − t)θ)/sin θ a + sin(tθ)/sin θ b, θ the angle between a and b: as straight, but of the length of latents.

    Shoemake 1985; right for normals in many dimensions, which all have nearly the same length.
    """
    cosine = (a * b).sum() / (a.norm() * b.norm()).clamp_min(1e-12)
    angle = torch.arccos(cosine.clamp(-1, 1))
    if float(angle.sin()) < 1e-4:
        return straight(a, b, t)
    t = t.to(a).reshape(-1, *[1] * a.ndim)
    return torch.sin((1 - t) * angle) / angle.sin() * a + torch.sin(t * angle) / angle.sin() * b


def noised(denoise: DenoiseFn, x: Tensor, sigmas: Tensor) -> Tensor:
    """The sampler walked backwards: clean x (n, …) up the levels, by Heun's rule, to the noise that it would come from.

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
    """Both latents up to noise, along the sphere there, and down again: every stop is a latent that the prior might draw.

    Its ends are a and b, to the accuracy of the walk: more levels, closer. Su et al. 2023 (dual diffusion bridges).
    """
    high = noised(denoise, torch.stack([a, b]), sigmas)
    return sample(denoise, spherical(*high, t), sigmas, method="heun")


WAYS = ("straight", "spherical", "bridge")


def cross(way: str, a: Tensor, b: Tensor, t: Tensor, denoise: DenoiseFn, sigmas: Tensor) -> Tensor:
    """The latents at t (n,) on the way from a to b, each (k, …): (n, k, …)."""
    require_name(way, WAYS, "way")
    require(a.shape == b.shape, must="Two codes of one shape.", came=f"{tuple(a.shape)} and {tuple(b.shape)}",
            why="A way leads from one to the other.", do="Take both from the same model's code().")
    if way == "bridge":
        return bridge(denoise, a, b, t, sigmas)
    return (straight if way == "straight" else spherical)(a, b, t)
