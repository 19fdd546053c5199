"""Differential-evolution Markov chain Monte Carlo (ter Braak 2006): points and a log density -> posterior samples."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..core import single
from ..core.rng import stream


def differential_evolution(points: Tensor, log_density: Callable[[Tensor], Tensor], moves: int, *, seed: int) -> Tensor:
    """Metropolis moves of points (h, q) in the unit box towards log_density (h, q) -> (h,): (h, q) after `moves` each.

    A proposal is a multiple of the difference of two other points, so it has the shape of the target; every tenth is
    the whole difference, which crosses from one mode to another (ter Braak 2006, eq. 2). Each half moves by differences
    within the other half, so that proposals are symmetric.
    """
    rng, (h, q) = stream(seed, "settle"), points.shape
    points, logs = points.clone(), log_density(points)
    halves = torch.arange(0, h, 2), torch.arange(1, h, 2)
    for i in range(moves):
        stride = 1.0 if i % 10 == 9 else 2.38 / (2 * q) ** 0.5
        for mine, others in (halves, halves[::-1]):
            a, b = others[torch.randint(len(others), (2, len(mine)), generator=rng)]
            step = stride * (points[a] - points[b]) + 1e-4 * single.randn(len(mine), q, generator=rng)
            there = points[mine] + step
            found = log_density(there.clamp(0, 1))
            accept = single.rand(len(mine), generator=rng).log() < found - logs[mine]
            accept &= ((there >= 0) & (there <= 1)).all(-1)
            points[mine[accept]], logs[mine[accept]] = there[accept], found[accept]
    return points
