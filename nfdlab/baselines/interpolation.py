"""Interpolation by scipy: one function through the observations, without uncertainty.

A point forecast is a `Fitted` whose n draws are the same function, so its CRPS is its absolute error and its intervals
have no width. Noise is ignored; values at equal places are averaged. Without observations the answer is zero, the mean
of standardised data.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.interpolate import CloughTocher2DInterpolator, CubicSpline, LinearNDInterpolator, RBFInterpolator
from scipy.spatial import QhullError, cKDTree
from torch import Tensor

from ..core import single
from ..core.checks import four_parts, require_count, require_number, require_seed
from ..core.fields import EvaluatedFields
from ..core.types import LARGEST, Observations, require_seen

Curve = Callable[[np.ndarray], np.ndarray]           # (p, d) -> (p, c)


@dataclass(frozen=True)
class Nearest:
    """The value of the nearest observation (`cKDTree`)."""

    def curve(self, x: np.ndarray, y: np.ndarray) -> Curve:
        """The interpolant of values y (m, c) at distinct places x (m, d), m >= 1; overridden by the others."""
        tree = cKDTree(x)
        return lambda q: y[tree.query(q)[1]]

    def draw(self, seen: Observations | None, n: int, *, seed: int, steps: int | None = None) -> EvaluatedFields:
        """n identical draws; `seed` and `steps` have no effect."""
        require_count(n), require_seed(seed), require_seen(seen)
        if seen is None or seen.m == 0:
            d, c = (None, 1) if seen is None else (seen.coords.shape[1], seen.values.shape[1])       # None: any d
            zero = single.zeros(n, 1, c)
            return EvaluatedFields(lambda coords, part: zero[part].to(coords).expand(-1, coords.shape[-2], -1), n, d, c)
        x, y = _distinct(seen)
        curve, d, c = self.curve(x, y), x.shape[1], y.shape[1]

        def rule(coords: Tensor, part: slice) -> Tensor:
            found = curve(coords.detach().cpu().double().reshape(-1, d).numpy())
            found = torch.as_tensor(np.asarray(found), dtype=coords.dtype, device=coords.device)
            k = part.stop - part.start
            return found.expand(k, -1, -1) if coords.ndim == 2 else found.reshape(k, -1, c)

        return EvaluatedFields(rule, n, d, c)


def _distinct(seen: Observations) -> tuple[np.ndarray, np.ndarray]:
    """Places and values in float64, sorted by place, values at equal places, to 1e-6, averaged."""
    x, y = seen.coords.double().cpu().numpy(), seen.values.double().cpu().numpy()
    places, which, times = np.unique(x.round(6), axis=0, return_inverse=True, return_counts=True)
    sums = np.zeros((len(places), y.shape[1]))
    np.add.at(sums, which.reshape(-1), y)
    return places, sums / times[:, None]


@dataclass(frozen=True)
class Linear(Nearest):
    """Piecewise linear (`np.interp`, `LinearNDInterpolator`); outside the hull the nearest."""

    def curve(self, x, y):
        if x.shape[1] == 1:
            return lambda q: np.stack([np.interp(q[:, 0], x[:, 0], channel) for channel in y.T], -1)
        return _inside_hull(LinearNDInterpolator, x, y, super().curve(x, y))


@dataclass(frozen=True)
class Cubic(Nearest):
    """Not-a-knot cubic spline in 1D, Clough-Tocher in 2D, linear in 3D; outside the hull the nearest."""

    def curve(self, x, y):
        if x.shape[1] == 1:
            if len(x) == 1:
                return super().curve(x, y)
            spline = CubicSpline(x[:, 0], y)
            return lambda q: spline(q[:, 0].clip(x[0, 0], x[-1, 0]))
        kind = CloughTocher2DInterpolator if x.shape[1] == 2 else LinearNDInterpolator
        return _inside_hull(kind, x, y, super().curve(x, y))


@dataclass(frozen=True)
class RBF(Nearest):
    """Radial basis functions with a linear trend (`RBFInterpolator`): r³ in 1D (the natural cubic spline), thin-plate
    splines beyond. With too few points for a trend, a constant. `smoothing` in scipy's units."""

    smoothing: float = 0.0

    def __post_init__(self):
        require_number(self.smoothing, "smoothing", 0.0, LARGEST)

    def curve(self, x, y):
        d = x.shape[1]
        degree = 1 if np.linalg.matrix_rank(x - x[:1]) == d else 0
        kernel = "linear" if degree == 0 else "cubic" if d == 1 else "thin_plate_spline"
        try:
            return RBFInterpolator(x, y, smoothing=self.smoothing, kernel=kernel, degree=degree)
        except np.linalg.LinAlgError as error:
            raise ValueError(four_parts("Places that determine one function.", f"{len(x)} places", str(error),
                                        "Leave out what lies too close together, or pass smoothing=0.01.")) from error


@dataclass(frozen=True)
class LinearInTime(Nearest):
    """Linear in time, the first coordinate, between the two frames around a moment; each frame linear in space.

    Before the first frame and after the last it is that frame. In 1D it is `Linear`.
    """

    def curve(self, x, y):
        if x.shape[1] == 1:
            return Linear().curve(x, y)
        times, which = np.unique(x[:, 0], return_inverse=True)
        frames = [Linear().curve(x[which == k][:, 1:], y[which == k]) for k in range(len(times))]

        def curve(q: np.ndarray) -> np.ndarray:
            at, found = np.interp(q[:, 0], times, np.arange(len(times))), np.zeros((len(q), y.shape[1]))
            for k, frame in enumerate(frames):
                weight = (1 - np.abs(at - k)).clip(0)[:, None]
                near = weight[:, 0] > 0
                found[near] += weight[near] * frame(q[near, 1:])
            return found

        return curve


def _inside_hull(kind, x: np.ndarray, y: np.ndarray, nearest: Curve) -> Curve:
    """`kind` inside the hull of the points, nearest outside, and everywhere if they do not span the space."""
    if len(x) <= x.shape[1]:
        return nearest
    try:
        inside = kind(x, y)
    except QhullError:                               # all on a line or plane: there is no inside
        return nearest

    def curve(q: np.ndarray) -> np.ndarray:
        found = inside(q)
        outside = np.isnan(found).any(-1)
        found[outside] = nearest(q[outside])
        return found

    return curve


BASELINES = {"nearest": Nearest, "linear": Linear, "linear_in_time": LinearInTime, "cubic": Cubic, "rbf": RBF}
