"""Four stationary kernels for kriging: value, derivative by log lengthscale, and spectral samples.

All are functions of u = r / lengthscale with unit variance: squared exponential and Matérn 1/2, 3/2, 5/2 in the order
of their smoothness. Source: Rasmussen & Williams 2006, sec. 4.2.1.
"""

from math import sqrt

import numpy as np
import torch
from scipy.special import gammaincinv
from scipy.stats import qmc
from torch import Tensor

from ..core.rng import uniforms

SMOOTHNESS = {"matern12": 0.5, "matern32": 1.5, "matern52": 2.5, "se": None}       # None: infinitely smooth


def kernel(name: str, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """k(u) and its derivative by log lengthscale, -u k'(u): two arrays like u."""
    if name == "se":
        k = np.exp(-0.5 * u * u)
        return k, u * u * k
    a = sqrt(2 * SMOOTHNESS[name]) * u
    e = np.exp(-a)
    if name == "matern12":
        return e, a * e
    if name == "matern32":
        return (1 + a) * e, a * a * e
    return (1 + a + a * a / 3) * e, a * a / 3 * (1 + a) * e


def frequencies(name: str, n: int, count: int, d: int, *, seed: int) -> Tensor:
    """Angular frequencies (n, count, d) in float64 drawn from the kernel's spectrum at lengthscale 1.

    A Gaussian for se, a multivariate t with 2 nu degrees of freedom for Matérn nu. Each draw has a Sobol' set with a
    random shift of its own, so the covariance of a sum of such waves is the kernel in expectation and near it for
    each draw.
    """
    nu = SMOOTHNESS[name]
    axes = d if nu is None else d + 1
    base = torch.from_numpy(qmc.Sobol(axes, scramble=False).random(count))
    u = (base + uniforms(seed, n, (1, axes), "frequencies")).frac().clamp(1e-12, 1 - 1e-12)
    waves = torch.special.ndtri(u[..., :d])
    if nu is None:
        return waves
    chi2 = 2 * torch.from_numpy(gammaincinv(nu, u[..., d:].numpy()))
    return waves * (2 * nu / chi2.clamp_min(1e-12)).sqrt()
