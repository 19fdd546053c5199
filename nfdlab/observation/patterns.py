"""Patterns: where a function is observed. Frozen dataclasses, sized by `count=` or by `share=`.

`count` points lie anywhere in the box; `share` keeps that share of the cells of a base grid, `of` a side, as cell
centres. Every pattern gives exactly that many points, all distinct, inside the box. In space-time the first coordinate
is time; the base grid of `Frames` and `Sensors` is `frames` by `cells` a side, and `Frames` may be sized by `every=`.
Only `Outline` depends on the field.

`BlockAverage`, `Blur` and `Projections` measure linearly: each value is a weighted sum over many points.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import ClassVar

import torch
from torch import Tensor

from ..core import single
from ..core.checks import MOST, require, require_count, require_number, require_room, require_seed
from ..core.grid import cell_centres
from ..core.rng import stream
from ..core.types import Fields

TRIES, ROUNDS, HALVINGS = 4096, 400, 30              # of the search for an outline
FINEST = 100_000                                     # cells a side, lines, clusters or tracks at most
CATEGORIES = 2**24                                   # that torch can choose among
DIMENSIONS = 16
THINNED = 5000                                       # rounds of the search for places where a pattern is


@dataclass(frozen=True)
class Sized:
    """Base of all patterns: exactly one size, whole numbers of one or more, a positive width."""

    in_time: ClassVar[bool] = False                  # whether the first coordinate must be time
    sizes: ClassVar[tuple[str, ...]] = ("count", "share")
    widest: ClassVar[float] = 1.0
    count: int | None = None
    share: float | None = None

    def __post_init__(self):
        sizes, name = {key: getattr(self, key) for key in self.sizes}, type(self).__name__
        require(sum(size is not None for size in sizes.values()) == 1, why="A pattern has one size.",
                must=f"{name}: {', '.join(f'{key}=' for key in sizes)}: one of them.",
                came=", ".join(f"{key}={size}" for key, size in sizes.items()),
                do=f"patterns.{name}(count=8) or patterns.{name}(share=0.05).")
        for field in fields(self):
            key, value = field.name, getattr(self, field.name)
            if key == "width":
                require_number(value, key, 0.0, self.widest, open_low=True)
            elif key == "share" and value is not None:
                require_number(value, key, 0.0, 1.0)
            elif key in ("count", "every") and value is not None or field.type is int:
                require_count(value, key, at_least=0 if key == "count" else 1,
                              at_most=MOST if key == "count" else FINEST)

    def size(self, d: int) -> int:
        """Number of points in d dimensions, time included."""
        return self.count if self.share is None else round(self.share * self._cells(d))


@dataclass(frozen=True)
class Random(Sized):
    """Uniformly at random."""

    _parts: ClassVar[int] = 1                        # clusters or lines that each place is compared with
    of: int = 64

    def _cells(self, d: int) -> int:
        return self.of**d

    def coords(self, d: int, *, seed: int) -> Tensor:
        """Places (m, d) in [-1, 1]^d."""
        require_count(d, "d", at_most=DIMENSIONS)
        rng, m = stream(require_seed(seed), type(self).__name__), self.size(d)
        if self.share is None:
            require_room(8 * (m + 8) * d * self._parts, type(self).__name__)
            return self._scatter(m, d, rng)
        require(self.of**d <= CATEGORIES, came=self.of,
                must=f"of: at most {int(CATEGORIES ** (1 / d))} cells a side in {d} dimensions.",
                why="Cells are chosen at random among all of them.", do="A smaller of=, or count=.")
        require_room(self.of**d * d * self._parts, type(self).__name__)
        cells = cell_centres((self.of,) * d)
        return cells[self._weights(cells, rng).add(1e-12).multinomial(m, generator=rng)] if m else cells[:0]

    def _scatter(self, m: int, d: int, rng: torch.Generator) -> Tensor:
        """m places anywhere: uniform ones, thinned by the pattern's density."""
        keep = single.empty(0, d)
        for _ in range(THINNED):
            if len(keep) >= m:
                return keep[:m]
            if not len(keep):
                state = self._shape(d, rng)
            tries = 2 * single.rand(max(64, 8 * m), d, generator=rng) - 1
            chance = single.rand(len(tries), generator=rng)
            keep = torch.cat([keep, tries[chance < self._density(tries, state)]])
        require(len(keep) >= m, must=f"{type(self).__name__}: a pattern wide enough to be hit by chance.",
                came=f"{self}, {len(keep)} of {m} places found in {THINNED} rounds",
                why="Places are drawn anywhere in the box, and kept where the pattern is.",
                do="A larger width=, or share= in place of count=.")
        return keep[:m]

    def _weights(self, cells: Tensor, rng: torch.Generator) -> Tensor:
        return self._density(cells, self._shape(cells.shape[1], rng)).double()

    def _shape(self, d: int, rng: torch.Generator):
        """Random parameters of the pattern beside the places."""
        return None

    def _density(self, places: Tensor, shape) -> Tensor:
        """Relative density (p,) in [0, 1]."""
        return single.ones(len(places))


@dataclass(frozen=True)
class Block(Random):
    """Random, except inside a block at a random place that covers a share `missing` of the box."""

    missing: float = 0.5

    def __post_init__(self):
        super().__post_init__()
        require_number(self.missing, "missing", 0.0, 0.95)
        require(self.share is None or self.share <= 1 - self.missing, must="share: at most what the block leaves.",
                came=f"share={self.share}, missing={self.missing}", why="No point lies inside the missing block.",
                do=f"Keep at most share={1 - self.missing:g}, or shrink the block.")

    def _shape(self, d, rng):
        side = 2 * self.missing ** (1 / d)
        return (single.rand(d, generator=rng) * (2 - side) - 1), side

    def _density(self, places, shape):
        low, side = shape
        return 1.0 - ((places >= low) & (places <= low + side)).all(-1).float()


@dataclass(frozen=True)
class Clusters(Random):
    """A few Gaussian clusters of the given width, anywhere."""

    widest: ClassVar[float] = 2.0
    clusters: int = 3
    width: float = 0.1
    _parts = property(lambda self: self.clusters)

    def _shape(self, d, rng):
        return 2 * single.rand(self.clusters, d, generator=rng) - 1

    def _density(self, places, centres):
        r2 = (places[:, None] - centres).square().sum(-1)
        return torch.exp(-r2 / (2 * self.width**2)).amax(1)


@dataclass(frozen=True)
class Lines(Random):
    """A few straight scan lines along the last axis; in 1D, a few short runs."""

    lines: int = 3
    width: float = 0.02
    _parts = property(lambda self: self.lines)

    def _shape(self, d, rng):
        return 2 * single.rand(self.lines, max(1, d - 1), generator=rng) - 1

    def _density(self, places, across):
        d = places.shape[1]
        away = (places[:, None, :max(1, d - 1)] - across).abs().amax(-1).amin(1)
        return torch.exp(-0.5 * (away / (self.width if d > 1 else 2 * self.width)) ** 2)


@dataclass(frozen=True)
class Grid(Random):
    """A regular grid of cell centres: the finest with at most `count` points, and the rest at random between them."""

    def _scatter(self, m, d, rng):
        side = int((m + 1e-9) ** (1 / d))
        regular = cell_centres((side,) * d) if side else single.empty(0, d)
        return torch.cat([regular, super()._scatter(m - len(regular), d, rng)])

    def _weights(self, cells, rng):
        m = self.size(cells.shape[1])
        side = max(1, int((m + 1e-9) ** (1 / cells.shape[1])))
        wanted = cell_centres((side,) * cells.shape[1])
        strides = torch.tensor([self.of**i for i in reversed(range(cells.shape[1]))])
        index = ((wanted + 1) / 2 * self.of).long().clamp(0, self.of - 1)
        weights = torch.full((len(cells),), 1e-6, dtype=torch.float64)
        weights[(index * strides).sum(-1)] = 1e6
        return weights


@dataclass(frozen=True)
class Border(Random):
    """Within `width` of the walls of the box."""

    width: float = 0.1

    def _density(self, places, shape):
        return (places.abs().amax(-1) >= 1 - self.width).float()

    def _weights(self, cells, rng):
        inside = self._density(cells, None).double()
        m, room = self.size(cells.shape[1]), int(inside.sum())
        require(m <= room, must=f"share: at most the border's own, {room / len(cells):.3g}.",
                came=f"share={self.share}, which is {m} of {len(cells)} cells; {room} have their centre in the border",
                why=f"No point lies further than width={self.width:g} from a wall.",
                do="A smaller share, or a wider border.")
        return inside


@dataclass(frozen=True)
class OnFrames(Sized):
    """Points of `frames` cell-centred times. `share` is of the base grid, `frames` by `cells` a side in space."""

    in_time: ClassVar[bool] = True
    frames: int = 16
    cells: int = 16

    def _cells(self, d: int) -> int:
        return self.frames * self.cells ** (d - 1)

    def coords(self, d: int, *, seed: int) -> Tensor:
        """Places (m, d) in [-1, 1]^d, time first."""
        m = self.size(require_count(d, "d", at_most=DIMENSIONS))
        require_room((m + self.frames * self.cells ** (d - 1)) * d, type(self).__name__)
        places = self._places(m, d, stream(require_seed(seed), type(self).__name__))
        require(m <= len(places), came=f"{m} points",
                must=f"{type(self).__name__}: at most {len(places)} points in {d} dimensions.",
                why=f"There are {self.frames} frames; with time alone each is one point.",
                do=f"Ask for count={len(places)} or fewer.")
        return places[:m]

    def _space(self, d: int) -> Tensor:
        """Cell centres (cells^(d - 1), d - 1): the places of a frame. Without space, one place of no coordinates."""
        return cell_centres((self.cells,) * (d - 1)) if d > 1 else single.empty(1, 0)


@dataclass(frozen=True)
class Frames(OnFrames):
    """Some frames are seen whole, `cells` a side, the others not at all.

    `every=g` keeps frames 0, g, 2g, …; `count` or `share` take random frames, the last one in part. With time alone
    (d = 1) a frame is one point.
    """

    sizes: ClassVar[tuple[str, ...]] = ("count", "share", "every")
    every: int | None = None

    def size(self, d: int) -> int:
        """Number of points in d dimensions, time included."""
        return super().size(d) if self.every is None else math.ceil(self.frames / self.every) * len(self._space(d))

    def _places(self, m: int, d: int, rng: torch.Generator) -> Tensor:
        which = torch.randperm(self.frames, generator=rng) if self.every is None else torch.arange(
            0, self.frames, self.every)
        times, space = cell_centres((self.frames,))[which], self._space(d)
        return torch.cat([times.repeat_interleave(len(space), 0), space.repeat(len(times), 1)], -1)


@dataclass(frozen=True)
class Sensors(OnFrames):
    """A few fixed places, each seen in all frames; the last one only until the points are used up.

    By `count` anywhere, by `share` at cell centres. Without space (d = 1) there is one place.
    """

    def _places(self, m: int, d: int, rng: torch.Generator) -> Tensor:
        many, times = math.ceil(m / self.frames) if d > 1 else 1, cell_centres((self.frames,))
        if self.share is None:
            places = 2 * single.rand(many, d - 1, generator=rng) - 1
        else:
            places = self._space(d)
            places = places[torch.randperm(len(places), generator=rng)[:many]]
        return torch.cat([times.repeat(len(places), 1), places.repeat_interleave(len(times), 0)], -1)


@dataclass(frozen=True)
class Tracks(Random):
    """Moving sensors on straight courses that bounce off the walls and report in turns at even times.

    At `speed` 1 a course crosses the box about once. By `share` the cells nearest to the courses are kept, within about
    `width`.
    """

    in_time: ClassVar[bool] = True
    tracks: int = 2
    speed: float = 1.0
    width: float = 0.02
    _parts = property(lambda self: self.tracks)

    def __post_init__(self):
        super().__post_init__()
        require_number(self.speed, "speed", 0.0)

    def at(self, times: Tensor, courses) -> Tensor:
        """Position of each track: times (p, 1) -> places (p, tracks, d - 1)."""
        start, velocity = courses
        return fold(start + velocity * (times[:, None] + 1))

    def _shape(self, d, rng):
        start = 2 * single.rand(self.tracks, d - 1, generator=rng) - 1
        heading = torch.nn.functional.normalize(single.randn(self.tracks, d - 1, generator=rng), dim=-1)
        return start, heading * self.speed * (0.5 + single.rand(self.tracks, 1, generator=rng))

    def _density(self, places, courses):
        away = (places[:, None, 1:] - self.at(places[:, :1], courses)).square().sum(-1).amin(1)
        return torch.exp(-away / (2 * self.width**2))

    def _scatter(self, m, d, rng):
        times, reporting = cell_centres((m,)) if m else single.empty(0, 1), torch.arange(m) % self.tracks
        return torch.cat([times, self.at(times, self._shape(d, rng))[torch.arange(m), reporting]], -1)


@dataclass(frozen=True)
class Outline(Random):
    """Points where the field's first channel crosses `level`, then moved by a normal jitter of `width` along each axis.

    `level` None is halfway between the lowest and the highest value. `share` sets the number of points only; they are
    not cell centres. The places themselves carry information about the field, which a posterior that takes them as
    given (the exact one too) does not use.
    """

    level: float | None = None
    width: float = 0.02

    def __post_init__(self):
        super().__post_init__()
        if self.level is not None:
            require_number(self.level, "level")

    def coords(self, d: int, *, seed: int) -> Tensor:
        """Refused: without a field there is no outline."""
        require(False, must="Outline: the field whose outline it is.", came=f"d={d} and no field",
                why="Other patterns do not depend on the field; this one follows its shape.",
                do="nfdlab.observe(fields, pattern, seed=0), or pattern.places(fields, seed=0).")

    def places(self, fields: Fields, *, seed: int) -> Tensor:
        """Places (m, d) in [-1, 1]^d on and near the outline of one function, uniform along its length; in
        three dimensions on and near its surface, uniform over its area.

        Needles two cells of the base grid long are thrown at random; they cross the outline in proportion to its length
        or area (Buffon 1777). Bisection then finds where.
        """
        rng, d, m = stream(require_seed(seed), "Outline"), fields.d, self.size(fields.d)

        def values(places: Tensor) -> Tensor:
            return fields(places)[0, :, 0].cpu()

        first = values(2 * single.rand(TRIES, d, generator=rng) - 1)
        low, high = float(first.min()), float(first.max())
        level = (low + high) / 2 if self.level is None else self.level
        inner, outer = single.empty(0, d), single.empty(0, d)
        for _ in range(ROUNDS if low <= level < high else 0):
            if len(inner) >= m:
                break
            one, other = needles((TRIES, d), 4 / self.of, rng)
            above, too = values(one) > level, values(other) > level
            inner = torch.cat([inner, one[above & ~too], other[too & ~above]])
            outer = torch.cat([outer, other[above & ~too], one[too & ~above]])
        require(len(inner) >= m, must=f"Outline: a field that crosses level={level:g}.",
                came=f"values from {low:g} to {high:g}, {len(inner)} crossings found",
                why="The outline lies where the field crosses the level.",
                do="Another level; level=None is halfway between the lowest and the highest value.")
        inner = bisected(inner[:m], outer[:m], lambda at: values(at) > level, HALVINGS if m else 0)
        return fold(inner + self.width * single.randn(m, d, generator=rng))


@dataclass(frozen=True)
class BlockAverage:
    """Averages over the blocks of a coarse grid of `cells` a side: super-resolution.

    A block's average is that of the centres of its `parts` parts along each axis, so a picture of cells · parts pixels
    a side, made `parts` times coarser, is measured as it is. `cells` and `parts` are one number or one an axis: parts 1
    in time sees moments, not spans.
    """

    cells: int | tuple[int, ...] = 8
    parts: int | tuple[int, ...] = 4

    def __post_init__(self):
        for name in ("cells", "parts"):
            value = getattr(self, name)
            for each in value if isinstance(value, tuple) else (value,):
                require_count(each, name)

    def size(self, d: int) -> int:
        """Number of blocks in d dimensions."""
        return math.prod(self._each("cells", d))

    def _each(self, name: str, d: int) -> tuple[int, ...]:
        value = getattr(self, name)
        value = value if isinstance(value, tuple) else (value,) * d
        require(len(value) == d, must=f"{name}: one number, or {d}, one an axis.", came=value,
                why=f"The field has {d} coordinates.", do=f"{name}={value[0]}.")
        return value

    def rows(self, d: int, *, seed: int) -> tuple[Tensor, Tensor]:
        """Points (q, d), block by block, and their weights (m, q); nothing is random."""
        require_count(d, "d", at_most=DIMENSIONS), require_seed(seed)
        cells, parts = self._each("cells", d), self._each("parts", d)
        require_room(math.prod(cells) ** 2 * math.prod(parts), type(self).__name__)
        inside = cell_centres(parts) / single.tensor(cells)
        points = cell_centres(cells)[:, None] + inside
        return points.flatten(0, 1), _blocks(single.full(points.shape[:2], 1 / len(inside)))


@dataclass(frozen=True)
class Blur(Sized):
    """Averages under Gaussian weights of standard deviation `width`, around random places.

    By `count` anywhere, by `share` at that share of the cells of a base grid, `of` a side. The weights are those of the
    trapezoidal rule with a point at each whole width, up to three along each axis. Points outside the box do not count,
    and the weights of the others sum to one.
    """

    of: int = 64
    width: float = 0.1

    def _cells(self, d: int) -> int:
        return self.of**d

    def rows(self, d: int, *, seed: int) -> tuple[Tensor, Tensor]:
        """Points (q, d), place by place, and their weights (m, q)."""
        centres = Random(self.count, self.share, self.of).coords(d, seed=seed)
        require_room(len(centres) * max(len(centres), d) * 7**d, type(self).__name__)
        steps = torch.cartesian_prod(*[single.arange(-3.0, 4.0)] * d).reshape(-1, d)
        points = centres[:, None] + self.width * steps
        inside = (points.abs() <= 1).all(-1)
        weights = torch.exp(-0.5 * steps.square().sum(-1)) * inside
        weights = _blocks(weights / weights.sum(-1, keepdim=True))
        return points[inside], weights[:, inside.flatten()]


@dataclass(frozen=True)
class Projections:
    """Integrals of a field of two coordinates along straight lines across the box: parallel-beam tomography.

    `angles` directions, even over half a turn, the first along the last axis, and in each `offsets` lines, even over
    the width of the box. The midpoint rule at `parts` points of the line; weights sum to the line's length in the box.
    Natterer 2001, ch. II.1 (Radon transform).
    """

    angles: int = 8
    offsets: int = 12
    parts: int = 32

    def __post_init__(self):
        for name in ("angles", "offsets", "parts"):
            require_count(getattr(self, name), name)

    def size(self, d: int) -> int:
        """Number of lines."""
        return self.angles * self.offsets

    def rows(self, d: int, *, seed: int) -> tuple[Tensor, Tensor]:
        """Points (q, 2), line by line, and their weights (m, q); nothing is random."""
        require(isinstance(d, int) and d == 2, must="Projections: a field of two coordinates.", came=f"d={d}",
                why="Lines are laid across a plane.", do="patterns.BlockAverage or patterns.Blur.")
        require_seed(seed), require_room(self.size(d) ** 2 * self.parts, type(self).__name__)
        turn = torch.arange(self.angles, dtype=torch.float64) * (math.pi / self.angles)
        normal = torch.stack([turn.cos(), turn.sin()], -1)[:, None]                              # (angles, 1, 2)
        along = torch.stack([-turn.sin(), turn.cos()], -1)[:, None]
        middle = normal.abs().sum(-1, keepdim=True) * cell_centres((self.offsets,)) * normal     # (angles, offsets, 2)
        # the line middle + s·along is in the box where |middle + s·along| ≤ 1 in both coordinates
        ends = torch.stack([(side - middle) / along for side in (-1, 1)]).nan_to_num()
        steep = along.abs() > 1e-9
        first = torch.where(steep, ends.amin(0), -math.inf).amax(-1)
        last = torch.where(steep, ends.amax(0), math.inf).amin(-1)
        at = first[..., None] + (last - first)[..., None] * (torch.arange(self.parts) + 0.5) / self.parts
        points = middle[:, :, None] + at[..., None] * along[:, :, None]
        weights = ((last - first) / self.parts)[..., None].expand(at.shape).flatten(0, 1)
        return points.flatten(0, 2).clamp(-1, 1).float(), _blocks(weights.float())


def _blocks(weights: Tensor) -> Tensor:
    """Weights (m, k) of each measurement's own k points -> of all points (m, m k)."""
    m, k = weights.shape
    return (single.eye(m)[..., None] * weights).reshape(m, m * k)


def fold(places: Tensor) -> Tensor:
    """Places reflected into the box at its walls: [1, 2] -> [1, 0]."""
    return 1 - (torch.remainder(places + 1, 4) - 2).abs()


def needles(shape: tuple[int, ...], length: float, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Both ends (*shape) of needles of a length, at random places and in random directions; shape ends with d."""
    one = 2 * single.rand(shape, generator=rng) - 1
    step = torch.nn.functional.normalize(single.randn(shape, generator=rng), dim=-1)
    return one, fold(one + length * step)


def bisected(inner: Tensor, outer: Tensor, above: Callable[[Tensor], Tensor], halvings: int) -> Tensor:
    """Bisection between places (…, d) above a level and places below it, by `above` (…, d) -> (…,)."""
    for _ in range(halvings):
        middle = (inner + outer) / 2
        inside = above(middle)[..., None]
        inner, outer = torch.where(inside, middle, inner), torch.where(inside, outer, middle)
    return inner


ALL = {kind.__name__.lower(): kind for kind in (Random, Grid, Block, Lines, Clusters, Border, Frames, Sensors, Tracks,
                                                Outline)}
LINEAR = {kind.__name__.lower(): kind for kind in (BlockAverage, Blur, Projections)}
