"""RePaint: replacement with each step repeated, so that observed and other entries can agree."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from ...core.checks import require_count
from ..denoiser import DenoiseFn
from ..samplers import SamplerStep, ancestral
from .measurement import Measurement
from .replacement import require_points, write_over


@torch.no_grad()
def repaint(denoise: DenoiseFn, measurement: Measurement, x: Tensor, sigmas: Tensor, *, noise,
            times: int = 10) -> Iterator[SamplerStep]:
    """Sample from x (n, …), distributed as data + sigmas[0]·noise; yields a SamplerStep after each level.

    From each level: write over, an ancestral step down, noise back up to the level, `times` times in all but the noise
    after the last. `noise(i, x)` as samplers.fresh_noise(seed) gives it. A step costs `times` evaluations.

    Lugmayr et al. 2022, alg. 1 with jump length 1. Bias: the noise of y is ignored, so draws fit it too well.
    """
    require_points(measurement), require_count(times, "times")
    total, sigmas, index = len(sigmas) - 1, sigmas.to(x), measurement.index.to(x.device)
    for i, (s, t) in enumerate(pairwise(sigmas)):
        for j in range(times):
            key = 3 * (i * times + j)                               # three fresh noises a pass
            x = write_over(measurement, x, s, noise(key, x).flatten(1)[:, index])
            denoised = denoise(x, s)
            x = ancestral(denoise, x, denoised, s, t, None, lambda key=key, x=x: noise(key + 1, x))
            if j < times - 1 and t > 0:
                x = x + (s**2 - t**2).sqrt() * noise(key + 2, x)
        yield SamplerStep(i, total, t, x, denoised)
