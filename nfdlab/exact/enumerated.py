"""Posterior of a family of functions with a few parameters, by enumeration of the parameter box.

The box is divided into cells; a cell's weight is the likelihood at its centre; a draw chooses a cell by weight and a
place in it uniformly. The best cells are divided again until many share the weight, so that cells are small beside the
posterior however many points are observed.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..core import single
from ..core.fields import CHUNK, EvaluatedFields
from ..core.rng import choose, uniforms
from ..core.types import Seen
from .finite import Finite
from .mcmc import differential_evolution
from .normal import Conditional, effective_sample_size

CELLS = 10_000, 100_000      # cells evaluated at once, for many and for few observations
WORK = 1_500_000             # cells times observations of one pass, between those two
FIRST = 64                   # observations used in the first pass; each later pass uses twice as many
SHARED = 1000                # divide again until this effective number of cells shares the weight
CUTS = 10                    # passes at most
FEW = 3                      # parameters that cells suffice for; with more they start Markov chains
POINTS, MOVES = 2000, (8, 16)
SLACK = 400.0                # cells e^-400 less likely than the best are dropped
SUMMED = 500, 20_000_000     # cells at least, and cells times places at most, that moments sum over
LEAST_NOISE = 1e-3           # below this noise the cells are wider than the likelihood


@dataclass(frozen=True, eq=False)
class Enumerated(Conditional):
    """Functions family(params (h, q), coords (p, d) or (h, p, d)) -> (h, p, c) with parameters uniform in unit cells.

    `family` takes parameters in [0, 1)^q (it scales them itself). `centres` (h, q) and `widths` (q,) are the cells.
    """

    family: Callable[[Tensor, Tensor], Tensor]
    d: int
    c: int
    centres: Tensor = field(repr=False)
    widths: Tensor = field(repr=False)
    log_weights: Tensor = field(repr=False)
    longer: int = 1              # factor on the length of Markov chains, for families that mix slowly

    @classmethod
    def uniform(cls, family, d: int, c: int, shape: tuple[int, ...], longer: int = 1) -> "Enumerated":
        """All cells of a grid over the unit box, equally likely."""
        axes = [(single.arange(s) + 0.5) / s for s in shape]
        centres = torch.stack([g.flatten() for g in torch.meshgrid(*axes, indexing="ij")], -1)
        return cls(family, d, c, centres, 1 / single.tensor(shape), single.zeros(len(centres)), longer)

    def draw(self, n: int, *, seed: int) -> EvaluatedFields:
        """n functions: a cell by weight, then a uniform place in it."""
        which = choose(self.log_weights, n, seed=seed)
        jitter = uniforms(seed, n, (len(self.widths),), "cell", dtype=torch.float32) - 0.5
        return member(self.family, self.centres[which] + jitter * self.widths, self.d, self.c)

    def _logs(self, params: Tensor, seen: Seen, noise_std: float) -> Tensor:
        """Log likelihood of parameters (h, q), less its constant: (h,)."""
        step = max(1, CHUNK // (8 * max(1, len(seen.points) * self.c)))
        misfit = [(seen.measure(self.family(part, seen.points)) - seen.values).square().sum((1, 2))
                  for part in params.split(step)]
        return -torch.cat(misfit).double() / (2 * noise_std**2)

    def _cut(self, logs: Tensor, cells: int) -> "Enumerated":
        """The best cells, each divided in 2^q, `cells` in all. The prior is uniform, so only kept cells count."""
        q = len(self.widths)
        best = logs.topk(min(len(logs), cells // 2**q))
        kept = best.indices[best.values > best.values[0] - SLACK].sort().values
        corners = torch.cartesian_prod(*[single.tensor([-0.25, 0.25])] * q).reshape(-1, q)
        centres = (self.centres[kept, None] + corners * self.widths).reshape(-1, q)
        return replace(self, centres=centres, widths=self.widths / 2)

    def update(self, seen: Seen) -> tuple["Enumerated", Tensor]:
        """Posterior given `seen`, and the log marginal likelihood (log of the mean likelihood over the prior).

        Cells are chosen by rank, not by weight: the centre of a cell may misfit by a whole jump though its inside fits.
        Few observations suffice to rule out large cells.
        """
        noise_std, used = max(seen.noise_std, LEAST_NOISE), FIRST
        seen = seen.to("cpu", torch.float32).take(even(seen.m, 1)[:, 0].argsort())
        now, some = self, seen.take(slice(0, used))
        logs = self._logs(self.centres, some, noise_std)
        for _ in range(CUTS):
            if used >= seen.m and effective_sample_size(logs) >= SHARED:
                break
            used *= 2
            some = seen.take(slice(0, used))
            cells = min(max(WORK // max(1, len(some.points) * self.c), CELLS[0]), CELLS[1])
            now = now._cut(logs, cells)
            logs = self._logs(now.centres, some, noise_std)
        constant = 0.5 * seen.values.numel() * math.log(2 * math.pi * noise_std**2)
        log_marginal = logs.logsumexp(0) + now.widths.double().log().sum() - constant
        kept = (logs > logs.max() - 21).nonzero()[:, 0]              # e^-21 = 1e-9
        now = replace(now, centres=now.centres[kept], log_weights=logs[kept] - logs.max())
        if len(now.widths) > FEW:
            now = now._sampled(lambda params: self._logs(params, seen, noise_std), len(seen.points) * self.c)
        return now, log_marginal

    def _sampled(self, log_density: Callable[[Tensor], Tensor], m: int) -> "Enumerated":
        """MCMC samples in place of cells, which with many parameters are too few and too wide to be summed over."""
        params = self._thinned(POINTS)[0]
        params = params + self.widths * (even(*params.shape) - 0.5)
        begin = params.repeat(-(-POINTS // len(params)), 1)[:POINTS].clamp(0, 1)
        moves = self.longer * min(max(WORK // (POINTS * max(1, m)), MOVES[0]), MOVES[1])
        points = differential_evolution(begin, log_density, moves, seed=0)
        return replace(self, centres=points, widths=0 * self.widths, log_weights=single.zeros(POINTS))

    def at(self, coords: Tensor) -> Finite:
        """Joint distribution of the values at coords (p, d): a finite set of vectors (h, p·c), one for each cell."""
        return Finite(self.family(self.centres.to(coords), coords).flatten(1), self.log_weights.to(coords))

    def moments(self, coords: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation at coords: (p, c), (p, c). At very many places, of a subset of the cells."""
        centres, w = self._thinned(max(SUMMED[0], SUMMED[1] // max(1, len(coords) * self.c)))
        out = []
        for piece in coords.split(max(1, CHUNK // 64)):
            step = max(1, CHUNK // (4 * max(1, len(piece)) * self.c))
            mean, square = 0, 0
            for part, share in zip(centres.to(coords).split(step), w.to(coords).split(step), strict=True):
                values = self.family(part, piece)
                mean = mean + torch.einsum("h,hpc->pc", share, values)
                square = square + torch.einsum("h,hpc->pc", share, values.square_())
            out.append((mean, (square - mean.square()).clamp_min(0).sqrt()))
        means, stds = zip(*out, strict=True)
        return torch.cat(means), torch.cat(stds)

    def _thinned(self, most: int) -> tuple[Tensor, Tensor]:
        """Cells and weights; if more than `most`, so many of equal weight by systematic resampling."""
        w = self.log_weights.softmax(0)
        if len(w) <= most:
            return self.centres, w
        sums = w.double().cumsum(0)
        which = torch.searchsorted(sums, sums[-1] * (torch.arange(most).double() + 0.5) / most)
        return self.centres[which.clamp_max(len(w) - 1)], single.full((most,), 1 / most)


def member(family, params: Tensor, d: int, c: int) -> EvaluatedFields:
    """The functions of a family with these parameters (n, q), as Fields."""
    return EvaluatedFields(lambda coords, part: family(params[part].to(coords), coords), len(params), d, c, width=c)


def even(n: int, q: int) -> Tensor:
    """Low-discrepancy sequence of n points in [0, 1)^q: (n, q). The R sequence of Roberts 2018."""
    root = 2.0
    for _ in range(40):                                  # the real root of x^(q+1) = x + 1, golden for q = 1
        root = (1 + root) ** (1 / (q + 1))
    return (torch.arange(1, n + 1).double()[:, None] * root ** -torch.arange(1, q + 1).double()).frac().float()
