"""Replacement: observed entries of x are overwritten with y plus noise of the current level."""

import torch
from torch import Tensor

from ...core.checks import require, require_seed
from ...core.rng import normals
from ..denoiser import DenoiseFn, like
from .measurement import Measurement


def write_over(measurement: Measurement, x: Tensor, sigma, noise: Tensor) -> Tensor:
    """x (n, …) with y + sigma·noise, noise (n, m), at the observed entries."""
    flat, index = x.flatten(1), measurement.index.to(x.device)
    seen = measurement.y.to(x) + like(sigma, flat) * noise.to(x)
    return flat.index_copy(1, index, seen).reshape(x.shape)


def require_points(measurement: Measurement) -> Measurement:
    """A measurement of single entries, each seen once."""
    index = measurement.index
    require(index is not None, must="measurement: of entries of x itself, Measurement.points(index, y, s).",
            came=measurement, why="Only an entry can be written over; a blur or an average has no place of its own.",
            do="METHODS['pigdm'] or METHODS['tweedie'] take any A.")
    require(len(index.unique()) == len(index), must="measurement: each entry seen once.", came=index,
            why="Two values cannot be written in one place.", do="Average them first.")
    return measurement


def replacement(denoise: DenoiseFn, measurement: Measurement, *, seed: int) -> DenoiseFn:
    """D at x with the observed entries replaced by y + sigma·noise; fresh noise at each level and draw.

    Song et al. 2021, app. I.2 (imputation). Bias: the other entries of x do not know what the next levels will
    write, so the two disagree with any number of steps; and the noise of y is ignored.
    """
    require_points(measurement), require_seed(seed)

    def D(x: Tensor, sigma) -> Tensor:
        level = float(torch.as_tensor(sigma).reshape(-1)[0])
        noise = normals(seed, len(x), (len(measurement.y),), "context", level, dtype=x.dtype)
        return denoise(write_over(measurement, x, sigma, noise), sigma)

    return D
