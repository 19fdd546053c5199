"""Posterior draws by weighing and moving, in the space of the noise that a sampler starts from.

A deterministic sampler is a map x = push(u) from standard normal noise to data, so the posterior of x is that of u: a
standard normal, times the likelihood of push(u). A cloud of prior draws hears the data a little louder each round;
those that explain them well are doubled, others die, and each then moves, by steps that keep the posterior of u.
Nothing is linearised, no gradient is asked for, humps may be many; the result is exact for the prior that the sampler
really draws from, as the cloud grows. It needs data of few true dimensions, for a cloud cannot fill many.

Del Moral, Doucet & Jasra 2006, sec. 3 (tempering); Cotter et al. 2013, sec. 4 (the first move); ter Braak 2006 (the
second).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.checks import require, require_count
from ..core.rng import stream
from .samplers import SamplerStep

KEEP = 0.5               # share of the cloud that a louder hearing leaves effective
ACCEPTED = 0.25          # share of moves that should be taken: steps lengthen above it, shorten below
SETTLING = 0.3           # share of the rounds that hear the data in full, and only move


@dataclass(frozen=True, eq=False)
class SMCStep(SamplerStep):
    """A round of `particles`: also the noise (n, …) that the cloud comes from."""

    noise: Tensor


@torch.no_grad()
def annealed_smc(push: Callable[[Tensor], Tensor], log_likelihood: Callable[[Tensor], Tensor], noise: Tensor, *,
              seed: int, rounds: int = 24, count: int = 512, pushed: Tensor | None = None,
              already: Callable[[Tensor], Tensor] | None = None) -> Iterator["SMCStep"]:
    """From standard normals `noise` (N, …) to a cloud of `count` posterior draws: a Visit a round, x the cloud.

    `push` (n, …) -> x (n, …), each row by itself; `log_likelihood` x (n, …) -> (n,). `pushed` is push(noise), if it is
    known. Visit.sigma is how much louder than now the data may become, sqrt(1/heat − 1): 0 when they are heard in full.
    With `already`, the log likelihood of what the cloud has heard before, `noise` are no normals but such a posterior's
    draws, and moves keep to that as well.
    """
    require_count(rounds, "rounds", 2), require_count(count, "count", 8)
    require(len(noise) >= count, must=f"noise: at least {count} rows, the size of the cloud.", came=noise,
            why="The cloud is chosen among them.", do="Pass a few thousand.")
    rng = stream(seed, "particles")
    u, x = noise, push(noise) if pushed is None else pushed
    logs, heat, stride = log_likelihood(x).double(), 0.0, 0.5
    known = torch.zeros_like(logs) if already is None else already(x).double()
    warm = max(1, rounds - max(1, round(SETTLING * rounds)))
    for i in range(rounds):
        if heat < 1:
            louder = 1.0 if i + 1 >= warm else _louder(logs, heat, KEEP * count)
            if heat > 0:                                         # time runs out: even steps of log heat to the end
                louder = max(louder, heat ** (1 - 1 / max(1, warm - i)))
            chosen = resampled((louder - heat) * logs, count, rng)
            u, x, logs, known, heat = u[chosen], x[chosen], logs[chosen], known[chosen], louder
        for mine, other in _halves(count, rng):
            there, odds = _moved(u[mine], u[other], stride, rng)
            arrived = push(there)
            heard = log_likelihood(arrived).double()
            knew = torch.zeros_like(heard) if already is None else already(arrived).double()
            ratio = heat * (heard - logs[mine]) + (knew - known[mine]) + odds
            taken = mine[torch.rand(len(mine), generator=rng).log().to(ratio) < ratio]
            new = (torch.isin(mine, taken)).nonzero()[:, 0]
            u, x, logs, known = (t.index_copy(0, taken, v[new]) for t, v in
                                 ((u, there), (x, arrived), (logs, heard), (known, knew)))
            stride = min(max(stride * math.exp(len(taken) / len(mine) - ACCEPTED), 0.005), 0.9)
        yield SMCStep(i, rounds, x.new_tensor(math.sqrt(1 / heat - 1)), x, x, u)


def effective(log_weights: Tensor) -> float:
    """How many draws of equal weight those weighed so are worth (Kong 1992)."""
    w = (log_weights - log_weights.max()).exp()
    return float(w.sum() ** 2 / w.square().sum())


def _louder(logs: Tensor, heat: float, least: float) -> float:
    """The highest inverse temperature at which weights exp((new − heat) logs) still count as `least` equal ones."""
    def enough(new: float) -> bool:
        return effective((new - heat) * logs) >= least

    if enough(1.0):
        return 1.0
    a, b = math.log(max(heat, 1e-9)), 0.0
    for _ in range(40):
        middle = 0.5 * (a + b)
        a, b = (middle, b) if enough(math.exp(middle)) else (a, middle)
    return math.exp(b)


def resampled(log_weights: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """Indices (count,), each as often as its weight says, to within one (systematic resampling)."""
    sums = (log_weights - log_weights.max()).exp().cumsum(0)
    even = (torch.arange(count) + torch.rand(1, generator=rng).double()) / count
    return torch.searchsorted(sums, even.to(sums) * sums[-1]).clamp_max(len(sums) - 1)


def _halves(count: int, rng: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Each half of the cloud beside the other: moves that look at others look at ones that stand still."""
    mixed = torch.randperm(count, generator=rng)
    one, two = mixed[:count // 2], mixed[count // 2:]
    return iter(((one, two), (two, one)))


def _moved(u: Tensor, others: Tensor, stride: float, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Where rows of u (n, …) might go, and the log odds of it under the standard normal (n,): by a coin, shrink and add
    fresh noise, which keeps the normal as it is; or go along the difference of two others, along which the cloud lies.
    """
    n = len(u)
    s = stride * torch.exp(0.7 * torch.randn(n, generator=rng)).clamp(0.1, 1 / stride).to(u)
    s = s.reshape(-1, *[1] * (u.ndim - 1))
    fresh = torch.randn(u.shape, generator=rng).to(u)
    a = torch.randint(len(others), (n,), generator=rng)
    b = (a + torch.randint(1, len(others), (n,), generator=rng)) % len(others)
    length = torch.where(torch.rand(n, generator=rng) < 0.1, 1.0, 1.2 * torch.rand(n, generator=rng)).to(s)
    along = u + length.reshape(s.shape) * (others[a] - others[b]) + 0.01 * s * fresh
    shrink = (torch.rand(n, generator=rng) < 0.5).reshape(s.shape)
    there = torch.where(shrink, (1 - s**2).clamp_min(0).sqrt() * u + s * fresh, along)
    odds = 0.5 * (u.flatten(1).square().sum(1) - there.flatten(1).square().sum(1)).double()
    return there, torch.where(shrink.flatten(), 0.0, odds)
