"""Optimal interpolation: the best linear answer, with mean and covariance measured on training draws of a problem.

A problem's draws on a grid give a mean and a covariance of low rank (`gaussian/karhunen_loeve.py`); Bayes' rule for
that Gaussian gives the answer of least squared error among all that are linear in the observations. On a Gaussian
problem it is the exact posterior. Source: Gandin 1963; Rasmussen & Williams 2006, sec. 2.1.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ..core.capabilities import HasTrainingParts
from ..core.checks import require, require_coords, require_count, require_seed
from ..core.fields import EvaluatedFields
from ..core.grid import interpolate
from ..core.rng import child, normals, uniforms
from ..core.types import LinearObservations, ObservationBatch, Problem, Seen, Source, require_seen
from ..gaussian.karhunen_loeve import LEAST_NOISE, OVERSAMPLED, KarhunenLoeve, WeightPosterior
from .climatology import require_training_side

SIDES = {1: (128, 256, 512), 2: (32, 48, 64), 3: (16, 24), 4: (8, 12)}       # points a side, by dimension
RANK = {1: 256, 2: 384, 3: 1000, 4: 384}       # in three dimensions frames are seen whole: many observations
DRAWS = {1: 8192, 2: 4096, 3: 4096, 4: 2048}
TOLERANCE = 0.01                     # of interpolating between points of the grid, in standard deviations of the draws
FITTED = 0.7                         # share of finite training data that candidates are measured on; the rest chooses
SEED = child(0, "optimal interpolation")             # of the draws that are measured
CHUNK = 8192                         # places whose variances are computed at a time


@dataclass(frozen=True)
class OptimalInterpolation:
    """Bayes' rule for the Gaussian of a `problem`'s training draws.

    `side` points an axis of the grid (by default the fewest between which draws are interpolated to one percent, within
    a limit), `rank` of the covariance, `draws` to measure from. What the rank leaves is white noise. Where training
    data are finite, rank and augmentation are chosen by the CRPS on a part of the training data kept for that.
    Measured at the first draw, once a process for equal problems and knobs.
    """

    problem: Problem
    side: int | None = None
    rank: int | None = None
    draws: int | None = None

    def __post_init__(self):
        require_training_side(self.problem, "Mean and covariance are measured on its training draws.")
        for name in ("side", "rank", "draws"):
            if getattr(self, name) is not None:
                require_count(getattr(self, name), name, 2)

    @property
    def expansion(self) -> KarhunenLoeve:
        """The Gaussian, measured."""
        return _measured(self)

    def draw(self, seen: Seen | None, n: int, *, seed: int, steps: int | None = None) -> EvaluatedFields:
        """n posterior draws; `steps` has no effect."""
        require_count(n), require_seed(seed)
        kl, posterior = self.expansion, self._condition(seen)
        values = kl.grid_values(posterior.mean + posterior.draw(n, seed=seed)).float()
        white = normals(seed, n, tuple(values.shape[1:]), "residual")

        def rule(coords: Tensor, part: slice) -> Tensor:
            where = coords.cpu().float()
            shrunk = where * ((kl.side - 1) / kl.side)                       # the walls are points of the grid
            left = (kl.residual_variance(where.double()) - LEAST_NOISE**2).sqrt().float()
            place = (where + 1) / 2 * (kl.side - 1)
            share = place - place.floor()                                    # white noise, of unit variance everywhere
            unit = (share.square() + (1 - share).square()).prod(-1).rsqrt()[..., None]
            return (interpolate(values[part], shrunk, kl.d < 3)
                    + left * unit * interpolate(white[part], shrunk)).to(coords)

        return EvaluatedFields(rule, n, kl.d, kl.c)

    def moments(self, seen: Seen | None, coords: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior mean and standard deviation at coords (p, d): (p, c), (p, c)."""
        kl, posterior = self.expansion, self._condition(seen)
        require_coords(coords, kl.d)
        parts = [kl.predict(posterior, some) for some in coords.cpu().double().split(CHUNK)]
        return (torch.cat([mean[0] for mean, _ in parts]).to(coords),
                torch.cat([(variance[0] - LEAST_NOISE**2).sqrt() for _, variance in parts]).to(coords))

    def _condition(self, seen: Seen | None) -> WeightPosterior:
        kl = self.expansion
        if require_seen(seen, kl.d, kl.c, linear=True) is None or seen.m == 0:
            return kl.prior()
        seen = seen.sorted()
        if isinstance(seen, LinearObservations):
            return kl.condition(seen)
        noise = torch.tensor([seen.noise_std], dtype=torch.float64)
        return kl.condition(ObservationBatch(seen.coords.cpu().double()[None], seen.values.cpu().double()[None],
                                             torch.ones(1, seen.m, dtype=torch.bool), noise))


def _measured(fitted: OptimalInterpolation) -> KarhunenLoeve:
    try:
        return _cached(fitted)
    except TypeError:                                    # a problem that cannot be hashed
        return _measure(fitted)


@torch.no_grad()
def _measure(fitted: OptimalInterpolation) -> KarhunenLoeve:
    """The expansion of a problem: its grid, its rank, and whether with augmentation."""
    problem, d = fitted.problem, fitted.problem.draw(1, seed=0).d
    require(d in SIDES, must="a problem of one to four coordinates.", came=f"d = {d}",
            why="Its draws are put on a grid.", do='baselines.get("kriging") works in any dimension.')
    side = fitted.side or _side(problem, d)
    rank, draws = fitted.rank or RANK[d], fitted.draws or DRAWS[d]
    if not isinstance(problem, HasTrainingParts):
        return _expansion(problem, side, rank, draws)
    ranks = [rank] if fitted.rank else [rank // k for k in (8, 4, 2, 1)]
    kept = problem.training_part(FITTED, 1.0, augmented=False)
    found = []
    for augmented in (True, False):
        whole = _expansion(problem.training_part(0.0, FITTED, augmented=augmented), side, rank, draws // 2)
        found += [(_crps(whole.truncated(min(r, whole.rank)), kept), augmented, r) for r in ranks]
    _, augmented, rank = min(found)
    return _expansion(problem.training_part(0.0, 1.0, augmented=augmented), side, rank, draws)


_cached = lru_cache(maxsize=8)(_measure)


def _side(problem: Source, d: int, functions: int = 64, points: int = 512) -> int:
    """The fewest points a side between which draws are interpolated well enough."""
    some = problem.draw(functions, seed=child(0, "optimal interpolation", "side"))
    places = (2 * uniforms(0, points, (d,), "optimal interpolation") - 1).float()
    values = some(places)
    for side in SIDES[d]:
        kl = KarhunenLoeve(d, some.c, side, 1)
        grid = some(kl.places).mT.unflatten(-1, (side,) * d)
        off = interpolate(grid, places * ((side - 1) / side), d < 3) - values
        if off.square().mean() < TOLERANCE**2 * values.var():
            break
    return side


def _expansion(source: Source, side: int, rank: int, draws: int) -> KarhunenLoeve:
    fields = source.draw(draws, seed=SEED)
    most = min(fields.c * side**fields.d - OVERSAMPLED, draws // 2) - 1
    kl = KarhunenLoeve(fields.d, fields.c, side, min(rank, most)).double()
    kl.calibrate(fields(kl.places.float()), seed=0, iterations=2)
    return kl


def _crps(kl: KarhunenLoeve, source: Source, functions: int = 64, points: int = 64) -> float:
    """Mean CRPS of the answer at places of functions of a source, each seen at as many other points of its own.

    Of a Gaussian it is std·(z(2Φ(z) − 1) + 2φ(z) − 1/√π), z = (truth − mean)/std. Gneiting & Raftery 2007, eq. 21.
    """
    fields = source.draw(functions, seed=child(0, "optimal interpolation", "validation"))
    coords = 2 * uniforms(1, functions, (2 * points, fields.d), "optimal interpolation") - 1
    values = fields(coords)
    noisy = values + 0.05 * normals(2, functions, (2 * points, fields.c), "optimal interpolation")
    seen = ObservationBatch(coords[:, :points], noisy[:, :points], torch.ones(functions, points, dtype=torch.bool),
                            torch.full((functions,), 0.05, dtype=torch.float64))
    mean, variance = kl.predict(kl.condition(seen), coords[:, points:])
    std = variance.sqrt()
    z = (values[:, points:] - mean) / std
    density = torch.exp(-z.square() / 2) / (2 * torch.pi) ** 0.5
    return float((std * (z * (2 * torch.special.ndtr(z) - 1) + 2 * density - torch.pi**-0.5)).mean())


BASELINES = {"optimal_interpolation": OptimalInterpolation}
