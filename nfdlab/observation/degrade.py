"""What instruments do to what was seen: noise, rounding, losses. Each gives new observations that own up to it."""

import math
from dataclasses import replace

import torch

from ..core.checks import require, require_number, require_seed
from ..core.rng import stream
from ..core.types import Observations


def with_noise(seen: Observations, noise_std: float, *, seed: int) -> Observations:
    """More noise on every value: noise_std·ε. Independent noises add in variance."""
    _require_some(seen), require_number(noise_std, "noise_std", 0.0)
    noise = torch.randn(seen.values.shape, generator=stream(require_seed(seed), "with_noise"))
    return replace(seen, values=seen.values + noise_std * noise.to(seen.values),
                   noise_std=math.hypot(seen.noise_std, noise_std))


def quantise(seen: Observations, step: float) -> Observations:
    """Values rounded to multiples of `step`, as by a coarse instrument.

    The error of rounding is even on ±step/2, with variance step²/12 (Bennett 1948), as long as step is small beside
    what the values span. The noise grows by that.
    """
    _require_some(seen), require_number(step, "step", 0.0, open_low=True)
    return replace(seen, values=(seen.values / step).round() * step,
                   noise_std=math.hypot(seen.noise_std, step / math.sqrt(12)))


def drop(seen: Observations, share: float, *, seed: int) -> Observations:
    """A share of the points lost at random, to the nearest whole point. A larger share loses the same ones and more."""
    _require_some(seen), require_number(share, "share", 0.0, 1.0)
    order = torch.randperm(seen.m, generator=stream(require_seed(seed), "drop"))
    kept = order[round(share * seen.m):].sort().values
    return replace(seen, coords=seen.coords[kept], values=seen.values[kept])


def _require_some(seen) -> None:
    require(isinstance(seen, Observations), kind=TypeError, must="seen: Observations.", came=seen,
            why="What was seen gets worse; nothing seen cannot.", do="nfdlab.observe(truth, pattern, seed=1).")
