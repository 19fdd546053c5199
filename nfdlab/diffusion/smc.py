"""Annealed sequential Monte Carlo in the noise space of a deterministic sampler: prior noise -> posterior particles.

A deterministic sampler is a map x = push(u) from standard normal noise to data, so the posterior of u is a standard
normal times the likelihood of push(u). Each round raises the likelihood's inverse temperature, resamples the particles
and moves them by MCMC. No linearisation, no gradient, any number of modes; exact, as the number of particles grows, for
the prior that the sampler really draws from. It needs data of few effective dimensions.

Del Moral, Doucet & Jasra 2006, sec. 3 (tempering); Cotter et al. 2013, sec. 4 (the first move: preconditioned
Crank-Nicolson); ter Braak 2006 (the second: differential evolution).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core import single
from ..core.checks import require, require_count
from ..core.rng import stream
from ..exact.normal import effective_sample_size
from .samplers import SamplerStep

KEEP = 0.5               # effective share of the particles after each rise of the inverse temperature
ACCEPTED = 0.25          # target acceptance rate: the stride grows above it, shrinks below
FINAL = 0.3              # share of the rounds at temperature one, which only move
MOVES = 2                # rounds of moves after draws were reweighted


@dataclass(frozen=True, eq=False)
class SMCStep(SamplerStep):
    """A round of `annealed_smc`: also the noise (n, …) of its particles."""

    noise: Tensor


@torch.no_grad()
def annealed_smc(push: Callable[[Tensor], Tensor], log_likelihood: Callable[[Tensor], Tensor], noise: Tensor, *,
              seed: int, rounds: int = 24, count: int = 512, pushed: Tensor | None = None,
                 already: Callable[[Tensor], Tensor] | None = None) -> Iterator[SMCStep]:
    """Standard normals `noise` (N, …) -> `count` posterior particles: an SMCStep each round, x the particles.

    `push` (n, …) -> x (n, …), each row by itself; `log_likelihood` x (n, …) -> (n,). `pushed` is push(noise), if it is
    known. SMCStep.sigma is sqrt(1/heat − 1), heat the inverse temperature: 0 at the full likelihood. `already` is the
    log likelihood of earlier observations: `noise` are then draws of that posterior, and moves keep it as well.
    """
    require_count(rounds, "rounds", 2), require_count(count, "count", 8)
    require(len(noise) >= count, must=f"noise: at least {count} rows, the number of particles.", came=noise,
            why="The particles are resampled from them.", do="Pass a few thousand.")
    rng = stream(seed, "particles")
    u, x = noise, push(noise) if pushed is None else pushed
    logs, heat, stride = log_likelihood(x).double(), 0.0, 0.5
    known = torch.zeros_like(logs) if already is None else already(x).double()
    warm = max(1, rounds - max(1, round(FINAL * rounds)))
    for i in range(rounds):
        if heat < 1:
            hotter = 1.0 if i + 1 >= warm else _next_heat(logs, heat, KEEP * count)
            if heat > 0:                                         # at least even steps of log heat up to round `warm`
                hotter = max(hotter, heat ** (1 - 1 / max(1, warm - i)))
            chosen = resampled((hotter - heat) * logs, count, rng)
            u, x, logs, known, heat = u[chosen], x[chosen], logs[chosen], known[chosen], hotter
        for mine, other in _halves(count, rng, u.device):
            there, odds = _moved(u[mine], u[other], stride, rng)
            arrived = push(there)
            likely = log_likelihood(arrived).double()
            knew = torch.zeros_like(likely) if already is None else already(arrived).double()
            ratio = heat * (likely - logs[mine]) + (knew - known[mine]) + odds
            taken = mine[single.rand(len(mine), generator=rng).log().to(ratio) < ratio]
            new = (torch.isin(mine, taken)).nonzero()[:, 0]
            u, x, logs, known = (t.index_copy(0, taken, v[new]) for t, v in
                                 ((u, there), (x, arrived), (logs, likely), (known, knew)))
            stride = min(max(stride * math.exp(len(taken) / len(mine) - ACCEPTED), 0.005), 0.9)
        yield SMCStep(i, rounds, x.new_tensor(math.sqrt(1 / heat - 1)), x, x, u)


@torch.no_grad()
def reweighted(push: Callable[[Tensor], Tensor], log_likelihood: Callable[[Tensor], Tensor], noise: Tensor, *,
               seed: int, count: int, pushed: Tensor | None = None) -> tuple[SMCStep, float]:
    """Standard normals `noise` (N, …), pushed to draws -> `count` particles of their distribution times the likelihood
    to the power of `heat`, as the last SMCStep, and `heat`.

    `heat` is the highest power, up to one, at which N weighted draws are worth half of `count`: so much of a likelihood
    as these draws can carry (adaptive tempering: Jasra et al. 2011). They are resampled and moved by `MOVES` rounds of
    MCMC, after which hardly two are alike.
    """
    pushed = push(noise) if pushed is None else pushed
    heat = _next_heat(log_likelihood(pushed).double(), 0.0, count / 2)
    rounds = annealed_smc(push, lambda x: heat * log_likelihood(x), noise, seed=seed, rounds=MOVES, count=count,
                          pushed=pushed)
    return list(rounds)[-1], heat


def _next_heat(logs: Tensor, heat: float, least: float) -> float:
    """The highest inverse temperature at which weights exp((new − heat) logs) have an effective size of `least`."""
    def enough(new: float) -> bool:
        return effective_sample_size((new - heat) * logs) >= least

    if enough(1.0):
        return 1.0
    a, b = math.log(max(heat, 1e-9)), 0.0
    for _ in range(40):
        middle = 0.5 * (a + b)
        a, b = (middle, b) if enough(math.exp(middle)) else (a, middle)
    return math.exp(b)


def resampled(log_weights: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """Systematic resampling: indices (count,), each as often as its weight says to within one."""
    sums = (log_weights - log_weights.max()).exp().cumsum(0)
    even = (torch.arange(count) + single.rand(1, generator=rng).double()) / count
    return torch.searchsorted(sums, even.to(sums) * sums[-1]).clamp_max(len(sums) - 1)


def _halves(count: int, rng: torch.Generator, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Each half of the particles beside the other, which stands still while the first moves: indices on the device."""
    mixed = torch.randperm(count, generator=rng).to(device)
    one, two = mixed[:count // 2], mixed[count // 2:]
    return iter(((one, two), (two, one)))


def _moved(u: Tensor, others: Tensor, stride: float, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Proposals for rows of u (n, …) and their log density ratio under the standard normal (n,): half shrink and add
    fresh noise, which keeps the normal as it is (ratio 0); half go along the difference of two other particles."""
    n = len(u)
    s = stride * torch.exp(0.7 * single.randn(n, generator=rng)).clamp(0.1, 1 / stride).to(u)
    s = s.reshape(-1, *[1] * (u.ndim - 1))
    fresh = single.randn(u.shape, generator=rng).to(u)
    a = torch.randint(len(others), (n,), generator=rng)
    b = (a + torch.randint(1, len(others), (n,), generator=rng)) % len(others)
    length = torch.where(single.rand(n, generator=rng) < 0.1, 1.0, 1.2 * single.rand(n, generator=rng)).to(s)
    along = u + length.reshape(s.shape) * (others[a] - others[b]) + 0.01 * s * fresh
    shrink = (single.rand(n, generator=rng) < 0.5).reshape(s.shape).to(u.device)
    there = torch.where(shrink, (1 - s**2).clamp_min(0).sqrt() * u + s * fresh, along)
    odds = 0.5 * (u.flatten(1).square().sum(1) - there.flatten(1).square().sum(1)).double()
    return there, torch.where(shrink.flatten(), 0.0, odds)
