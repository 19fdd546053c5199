"""Patterns in space-time, where the first coordinate is time: whole frames, fixed sensors, moving tracks."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..core.checks import require, require_count, require_number, require_seed
from ..core.grid import cell_centres
from ..core.rng import stream
from .scattered import Random, require_one_size


@dataclass(frozen=True)
class _OnFrames:
    """Points of `frames` cell-centred times. `share` is of the base grid, `frames` by `cells` a side in space."""

    in_time: ClassVar[bool] = True
    count: int | None = None
    share: float | None = None
    frames: int = 16
    cells: int = 16

    def __post_init__(self):
        require_one_size(self, **self._sizes())
        require_count(self.frames, "frames"), require_count(self.cells, "cells")

    def _sizes(self) -> dict:
        return {"count": self.count, "share": self.share}

    def size(self, d: int) -> int:
        """Number of points in d dimensions, time included."""
        return self.count if self.share is None else round(self.share * self.frames * self.cells ** (d - 1))

    def coords(self, d: int, *, seed: int) -> Tensor:
        """Places (m, d) in [-1, 1]^d, time first."""
        m, room = self.size(require_count(d, "d")), self._room(d)
        require(m <= room, must=f"{type(self).__name__}: at most {room} points in {d} dimensions.", came=f"{m} points",
                why=self._why(d), do=f"Ask for count={room:g} or fewer.")
        return self._pairs(m, d, stream(require_seed(seed), type(self).__name__))[:m]

    def _room(self, d: int) -> float:
        return self.frames * self.cells ** (d - 1)

    def _why(self, d: int) -> str:
        return f"{self.frames} frames of {self.cells}^{d - 1} cells are all there are."

    def _space(self, d: int) -> Tensor:
        """Cell centres (cells^(d - 1), d - 1): the places of a frame. Without space, one place of no coordinates."""
        return cell_centres((self.cells,) * (d - 1)) if d > 1 else torch.empty(1, 0)


@dataclass(frozen=True)
class Frames(_OnFrames):
    """Some frames are seen whole, `cells` a side, the others not at all.

    `every=g` keeps frames 0, g, 2g, …; `count` or `share` take random frames, the last one in part. With time alone
    (d = 1) a frame is one point.
    """

    every: int | None = None

    def _sizes(self) -> dict:
        return super()._sizes() | {"every": self.every}

    def size(self, d: int) -> int:
        """Number of points in d dimensions, time included."""
        return super().size(d) if self.every is None else math.ceil(self.frames / self.every) * len(self._space(d))

    def _pairs(self, m: int, d: int, rng: torch.Generator) -> Tensor:
        which = torch.randperm(self.frames, generator=rng) if self.every is None else torch.arange(
            0, self.frames, self.every)
        times, space = cell_centres((self.frames,))[which], self._space(d)
        return torch.cat([times.repeat_interleave(len(space), 0), space.repeat(len(times), 1)], -1)


@dataclass(frozen=True)
class Sensors(_OnFrames):
    """A few fixed places, each seen in all frames; the last one only until the points are used up.

    By `count` anywhere, by `share` at cell centres. Without space (d = 1) there is one place.
    """

    def _room(self, d: int) -> float:
        if d == 1:
            return self.frames
        return super()._room(d) if self.count is None else math.inf

    def _why(self, d: int) -> str:
        return super()._why(d) if d > 1 else "With time alone there is one place, seen once in each frame."

    def _pairs(self, m: int, d: int, rng: torch.Generator) -> Tensor:
        many, times = math.ceil(m / self.frames), cell_centres((self.frames,))
        if self.share is None:
            places = 2 * torch.rand(many, d - 1, generator=rng) - 1
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

    def __post_init__(self):
        super().__post_init__()
        require_count(self.tracks, "tracks")
        require_number(self.speed, "speed", 0.0)
        require_number(self.width, "width", 0.0, 1.0, open_low=True)

    def at(self, times: Tensor, courses) -> Tensor:
        """Position of each track: times (p, 1) -> places (p, tracks, d - 1)."""
        start, velocity = courses
        return fold(start + velocity * (times[:, None] + 1))

    def _shape(self, d, rng):
        start = 2 * torch.rand(self.tracks, d - 1, generator=rng) - 1
        heading = torch.nn.functional.normalize(torch.randn(self.tracks, d - 1, generator=rng), dim=-1)
        return start, heading * self.speed * (0.5 + torch.rand(self.tracks, 1, generator=rng))

    def _density(self, places, courses):
        away = (places[:, None, 1:] - self.at(places[:, :1], courses)).square().sum(-1).amin(1)
        return torch.exp(-away / (2 * self.width**2))

    def _scatter(self, m, d, rng):
        times, reporting = cell_centres((m,)) if m else torch.empty(0, 1), torch.arange(m) % self.tracks
        return torch.cat([times, self.at(times, self._shape(d, rng))[torch.arange(m), reporting]], -1)


def fold(places: Tensor) -> Tensor:
    """Places reflected into the box at its walls: [1, 2] -> [1, 0]."""
    return 1 - (torch.remainder(places + 1, 4) - 2).abs()
