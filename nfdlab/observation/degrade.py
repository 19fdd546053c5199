"""Degraded observations: more noise, rounding, losses. The noise level follows."""

import math
from dataclasses import replace

import torch

from ..core.checks import require, require_number, require_seed
from ..core.rng import stream
from ..core.types import Observations


def with_noise(seen: Observations, noise_std: float, *, seed: int) -> Observations:
    """Observations with noise_std·ε added to the values; variances add."""
    _require_some(seen), require_number(noise_std, "noise_std", 0.0)
    noise = torch.randn(seen.values.shape, generator=stream(require_seed(seed), "with_noise"))
    return replace(seen, values=seen.values + noise_std * noise.to(seen.values),
                   noise_std=math.hypot(seen.noise_std, noise_std))


def quantise(seen: Observations, step: float) -> Observations:
    """Observations with values rounded to multiples of `step`.

    The rounding error is uniform on ±step/2 with variance step²/12 (Bennett 1948), for a step that is small beside the
    range of the values; it is added to the noise.
    """
    _require_some(seen), require_number(step, "step", 0.0, open_low=True)
    return replace(seen, values=(seen.values / step).round() * step,
                   noise_std=math.hypot(seen.noise_std, step / math.sqrt(12)))


def drop(seen: Observations, share: float, *, seed: int) -> Observations:
    """Observations with a share of the points removed at random; a larger share removes the same ones and more."""
    _require_some(seen), require_number(share, "share", 0.0, 1.0)
    order = torch.randperm(seen.m, generator=stream(require_seed(seed), "drop"))
    kept = order[round(share * seen.m):].sort().values
    return replace(seen, coords=seen.coords[kept], values=seen.values[kept])


def _require_some(seen) -> None:
    require(isinstance(seen, Observations), kind=TypeError, must="seen: Observations.", came=seen,
            why="There must be something to degrade.", do="nfdlab.observe(truth, pattern, seed=1).")
