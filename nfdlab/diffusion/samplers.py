"""Samplers of the probability-flow ODE dx/dsigma = (x − D(x, sigma))/sigma, and of its SDE: a denoiser -> data."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from ..core.checks import require, require_name
from ..core.rng import normals
from .denoiser import DenoiseFn


@dataclass(frozen=True)
class SamplerStep:
    """Step `index` of `total`: the noise level `sigma` after it, x after it, and the denoiser's output in it."""

    index: int
    total: int
    sigma: Tensor
    x: Tensor
    denoised: Tensor


def euler(denoise, x, denoised, s, t, last, noise):
    """First order. On these sigmas it is DDIM.

    Song et al. 2021, eq. 12; Karras et al. 2022, alg. 1 without lines 6–8.
    """
    return torch.lerp(denoised, x, float(t) / float(s))


def heun(denoise, x, denoised, s, t, last, noise):
    """Second order; Euler on the last step, where the slope is singular. Karras et al. 2022, alg. 1."""
    guess = euler(denoise, x, denoised, s, t, last, noise)
    if t == 0:
        return guess
    slope = (x - denoised) / s
    return x + (t - s) * 0.5 * (slope + (guess - denoise(guess, t)) / t)


def dpmpp(denoise, x, denoised, s, t, last, noise):
    """Second order with one evaluation a step: DPM-Solver++(2M), steps even in log sigma. Lu et al. 2022, alg. 2."""
    s, t = float(s), float(t)                                        # numbers: tensors of one entry are slow
    if t == 0:
        return denoised
    if last is not None:
        before, s_before = last
        r = math.log(float(s_before) / s) / math.log(s / t)
        denoised = torch.lerp(before, denoised, 1 + 1 / (2 * r))
    return torch.lerp(denoised, x, t / s)                            # h = ln(s/t): e^(-h) x + (1 − e^(-h)) denoised


def ancestral(denoise, x, denoised, s, t, last, noise):
    """Euler to a lower level, then fresh noise up to t: the DDPM step. Song et al. 2021, eq. 16 with eta = 1."""
    up = torch.minimum(t, (t**2 * (s**2 - t**2) / s**2).clamp_min(0).sqrt())
    down = (t**2 - up**2).clamp_min(0).sqrt()
    return x + (down - s) * (x - denoised) / s + up * noise()


METHODS = {"euler": euler, "heun": heun, "dpmpp": dpmpp, "ancestral": ancestral}


def fresh_noise(seed: int) -> Callable[[int, Tensor], Tensor]:
    """Noise for step i shaped as x, each draw from its own stream, drawn on the CPU and moved."""
    return lambda i, x: normals(seed, len(x), x.shape[1:], "step", i).to(x)


@torch.no_grad()
def path(denoise: DenoiseFn, x: Tensor, sigmas: Tensor, *, method: str = "heun", noise=None) -> Iterator[SamplerStep]:
    """Integrate x (n, …), distributed as data + sigmas[0]·noise, down the levels; yields a SamplerStep after each.

    `noise(i, x)`: the fresh noise that `ancestral` needs (see fresh_noise). Start at mean + sigmas[0]·noise where
    the data's mean is not zero.
    """
    step = METHODS[require_name(method, METHODS, "sampler")]
    require(method != "ancestral" or noise is not None, must="noise: given when method='ancestral'.", came="None",
            why="The ancestral step adds fresh noise, and noise has a seed.", do="path(..., noise=fresh_noise(seed)).")
    require(len(sigmas) >= 2 and bool((sigmas[:-1] > sigmas[1:]).all()), must="sigmas: falling, at least two of them.",
            came=sigmas, why="A sampler goes from more noise to less.", do="karras(18, 0.01, 40.0).")
    last, total, sigmas = None, len(sigmas) - 1, sigmas.to(x)
    for i, (s, t) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, s)
        x = step(denoise, x, denoised, s, t, last, None if noise is None else lambda i=i, x=x: noise(i, x))
        last = denoised, s
        yield SamplerStep(i, total, t, x, denoised)


def sample(denoise: DenoiseFn, x: Tensor, sigmas: Tensor, *, method: str = "heun", noise=None) -> Tensor:
    """The end of the path: (n, …)."""
    for step in path(denoise, x, sigmas, method=method, noise=noise):
        x = step.x
    return x
