"""Tables of measured points -> `Observations` in the box and in standard deviations, and the way back."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..core.capabilities import record_of
from ..core.checks import describe, require, require_count, require_name, require_number
from ..core.types import Observations, require_agreement
from .files import read

MOST = 4                 # coordinates: three of space and one of time
LARGEST = 1e150          # of a number's size: its square is finite
ROUNDING = 1e-12         # of a number's size: what arithmetic in float64 may add to it


@dataclass(frozen=True)
class Scaling:
    """Linear map between physical and standardised units: `low` and `high` of each axis become -1 and 1, values become
    (value - mean) / std. `axes` and `channels` are names, for labels.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    axes: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()

    @classmethod
    def of(cls, fitted) -> "Scaling":
        """The scaling of the data that a trained approach learned from, kept with its weights."""
        kept = record_of(fitted).get("scaling")
        require(kept is not None, must="fitted: an approach trained on own data.", came=fitted,
                why="Other problems have no units but the box's.", do="nfdlab.train(approach, Arrays(data)).")
        return cls(**{name: tuple(value) for name, value in kept.items()})

    def to_box(self, places) -> Tensor:
        """Physical places (…, d) -> coordinates (…, d) in [-1, 1]."""
        places, low, high = _doubles(places, self.low, self.high)
        return (2 * (places - low) / (high - low) - 1).float()

    def from_box(self, coords) -> Tensor:
        """Coordinates (…, d) -> physical places, in float64."""
        coords, low, high = _doubles(coords, self.low, self.high)
        return low + (coords + 1) / 2 * (high - low)

    def standardise(self, values) -> Tensor:
        """Physical values (…, c) -> in standard deviations."""
        values, mean, std = _doubles(values, self.mean, self.std)
        return ((values - mean) / std).float()

    def restore(self, values) -> Tensor:
        """Values (…, c) in standard deviations, a model's draws say, -> physical values, in float64."""
        values, mean, std = _doubles(values, self.mean, self.std)
        return mean + std * values


@dataclass(frozen=True, eq=False)
class Measured(Observations):
    """Observations with the scaling to their units. `noise_given`: whether `noise_std` was said, or is a guess."""

    scaling: Scaling | None = None
    noise_given: bool = True


def observations(source, *, d: int | None = None, box=None, noise_std: float | None = None,
                 scaling: Scaling | None = None, key: str | None = None, columns=None) -> Measured:
    """Observations from a table of points: an array (m, d + c), a DataFrame or a file, the d coordinates first, then
    the c values. `columns`: the names or numbers (from 0) of those that count, in this order; by default all.

    `d`: by default all columns but the last. `box`: (low, high) of each axis in physical units; by default the smallest
    that holds the points. `noise_std` in units of the values; by default 0.05 of their standard deviation, and with
    several channels the largest in standard deviations. `scaling`: that of a problem or of earlier observations (then
    no `box`).
    """
    names, table = _table(source, key, columns)
    wide = table.shape[1]
    d = wide - 1 if d is None else require_count(d, "d")
    require(d < wide, must="d: fewer than the table's columns.", came=f"d={d}, {wide} columns",
            why="Coordinates come first, and at least one column of values after them.", do=f"d={max(1, wide - 1)}.")
    require(d <= MOST, must=f"d: at most {MOST} coordinates.", came=f"{d} of {wide} columns",
            why="All columns but the last are taken for coordinates, of space and time.",
            do='columns=["x", "y", "value"] picks those that count; or d=, with several channels after them.')
    places, values = table[:, :d], table[:, d:]
    if scaling is None:
        low, high = _box(places, box)
        scaling = Scaling(low, high, tuple(values.mean(0).tolist()), tuple(spread(values).tolist()),
                          tuple(names[:d]), tuple(names[d:]))
    else:
        fits = isinstance(scaling, Scaling) and len(scaling.low) == d and len(scaling.mean) == wide - d and box is None
        require(fits, must=f"scaling: a Scaling of {d} axes and {wide - d} channels, and then no box.", came=scaling,
                why="It says where each column goes.", do="scaling=problem.scaling, or leave it out.")
    slack = ROUNDING * np.maximum(np.abs(scaling.low), np.abs(scaling.high))        # 0.1 * 3 is not outside 0.3
    outside = np.flatnonzero(((places < scaling.low - slack) | (places > scaling.high + slack)).any(1))
    require(len(outside) == 0, must=f"Points inside the box {scaling.low} to {scaling.high}.",
            came=f"{len(outside)} outside, the first in row {outside[0] + 1 if len(outside) else 0}: "
                 f"{places[outside[:1]].tolist()}", why="Fields are defined in the box only.",
            do="Widen box=, or leave those points out.")
    noise = 0.05 if noise_std is None else require_number(noise_std, "noise_std", 0.0) / min(scaling.std)
    coords, values, unit = scaling.to_box(places).clamp(-1, 1), scaling.standardise(values), min(scaling.std)
    require_agreement(coords, values, noise, unit)
    return Measured(coords, values, noise, scaling, noise_std is not None)


def as_array(data, what: str) -> np.ndarray:
    """Numbers as people have them, a list, a tensor, an array or a DataFrame -> an array; masked ones are refused, and
    lists of different lengths become an object."""
    if isinstance(data, Tensor):
        data = data.detach().cpu().to(torch.float64 if data.is_floating_point() else data.dtype).numpy()
    require(not np.ma.is_masked(data), must=f"{what}: numbers without a mask.", came=describe(data),
            why="What is masked was not measured, and the numbers under the mask are not data.",
            do="Fill the holes, or pass the points you have to `observations`.")
    try:
        return np.asarray(data)
    except ValueError:
        return np.asarray(None)


def spread(values: np.ndarray) -> np.ndarray:
    """Standard deviation of each column (m, c) -> (c,); 1 where it is no more than the rounding of equal numbers."""
    std = values.std(0)
    return np.where(std > ROUNDING * np.abs(values).max(0), std, 1.0)


def _doubles(*numbers) -> tuple[Tensor, ...]:
    return tuple(torch.as_tensor(x, dtype=torch.float64) for x in numbers)


def _table(source, key: str | None, columns) -> tuple[list[str], np.ndarray]:
    """Column names and a finite float table (m, columns)."""
    if isinstance(source, (str, Path)):
        names, table = read(source, key=key)
    else:
        names, table = [str(name) for name in getattr(source, "columns", ())], as_array(source, "source")
    require(columns is None or isinstance(columns, list | tuple), kind=TypeError, must="columns: names or numbers.",
            came=columns, why="They are taken in this order.", do='columns=["x", "y", "value"].')
    if columns is not None and table.ndim == 2:
        known = {str(i): i for i in range(table.shape[1])} | {name: i for i, name in enumerate(names)}
        picked = [known[require_name(str(column), known, "column")] for column in columns]
        names, table = [names[i] for i in picked] if names else [], table[:, picked]
        with suppress(TypeError, ValueError):        # what is not a number is refused below
            table = table.astype(np.float64) if table.dtype.kind == "O" else table
    right = table.ndim == 2 and table.shape[1] >= 2 and len(table) > 0 and table.dtype.kind in "fiub"
    require(right, must="source: a table of numbers (m, d + c), m at least 1.", came=table,
            why="A row is one point: its coordinates, then its values.",
            do="numpy.column_stack([x, y, value]), or a csv file of such columns.")
    bad = np.flatnonzero(~np.isfinite(table).all(1))
    require(len(bad) == 0, must="source: finite numbers.",
            came=f"{len(bad)} rows with NaN or infinity, the first is row {bad[0] + 1 if len(bad) else 0}",
            why="One NaN spreads through every draw.",
            do="table[numpy.isfinite(table).all(1)] leaves them out.")
    require(float(np.abs(table).max()) <= LARGEST, must=f"source: numbers between -{LARGEST:g} and {LARGEST:g}.",
            came=f"{np.abs(table).max():.3g}", why="Squares of larger ones are infinite.", do="Other units.")
    return names or [f"column {i}" for i in range(1, table.shape[1] + 1)], table.astype(np.float64)


def _box(places: np.ndarray, box) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Low and high of each axis, given or found."""
    try:
        pairs = np.stack([places.min(0), places.max(0)], -1) if box is None else np.asarray(box, dtype=np.float64)
    except (TypeError, ValueError):
        pairs = np.empty(0)
    right = pairs.shape == (places.shape[1], 2) and np.isfinite(pairs).all() and (pairs[:, 0] < pairs[:, 1]).all()
    require(right, must=f"box: (low, high) with low < high for each of {places.shape[1]} axes.",
            came=f"{f'found {pairs.tolist()}' if box is None else box}"[:120],
            why="The box becomes [-1, 1] on each axis.", do="box=((0, 100), (0, 50)), in units of your coordinates.")
    return tuple(pairs[:, 0].tolist()), tuple(pairs[:, 1].tolist())
