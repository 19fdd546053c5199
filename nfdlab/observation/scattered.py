"""Patterns of points scattered over the box, uniformly or not."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..core.checks import require, require_count, require_number, require_seed
from ..core.grid import cell_centres
from ..core.rng import stream


def require_one_size(pattern, **sizes) -> None:
    """Check that exactly one of the sizes (count, share, every) is given, and its range."""
    name = type(pattern).__name__
    given = {key: size for key, size in sizes.items() if size is not None}
    require(len(given) == 1, must=f"{name}: {', '.join(f'{key}=' for key in sizes)}: one of them.",
            came=", ".join(f"{key}={size}" for key, size in sizes.items()), why="A pattern has one size.",
            do=f"patterns.{name}(count=8) or patterns.{name}(share=0.05).")
    for key, size in given.items():
        if key == "share":
            require_number(size, key, 0.0, 1.0)
        else:
            require_count(size, key, at_least=0 if key == "count" else 1)


@dataclass(frozen=True)
class Random:
    """Uniformly at random."""

    in_time: ClassVar[bool] = False                                 # whether the first coordinate must be time
    count: int | None = None
    share: float | None = None
    of: int = 64

    def __post_init__(self):
        require_one_size(self, count=self.count, share=self.share)
        require_count(self.of, "of")

    def size(self, d: int) -> int:
        """Number of points in d dimensions."""
        return self.count if self.share is None else round(self.share * self.of**d)

    def coords(self, d: int, *, seed: int) -> Tensor:
        """Places (m, d) in [-1, 1]^d."""
        require_count(d, "d")
        rng, m = stream(require_seed(seed), type(self).__name__), self.size(d)
        if self.share is None:
            return self._scatter(m, d, rng)
        cells = cell_centres((self.of,) * d)
        return cells[self._weights(cells, rng).add(1e-12).multinomial(m, generator=rng)] if m else cells[:0]

    def _scatter(self, m: int, d: int, rng: torch.Generator) -> Tensor:
        """m places anywhere: uniform ones, thinned by the pattern's density."""
        keep = torch.empty(0, d)
        while len(keep) < m:
            if not len(keep):
                state = self._shape(d, rng)
            tries = 2 * torch.rand(max(64, 8 * m), d, generator=rng) - 1
            chance = torch.rand(len(tries), generator=rng)
            keep = torch.cat([keep, tries[chance < self._density(tries, state)]])
        return keep[:m]

    def _weights(self, cells: Tensor, rng: torch.Generator) -> Tensor:
        return self._density(cells, self._shape(cells.shape[1], rng)).double()

    def _shape(self, d: int, rng: torch.Generator):
        """Random parameters of the pattern beside the places."""
        return None

    def _density(self, places: Tensor, shape) -> Tensor:
        """Relative density (p,) in [0, 1]."""
        return torch.ones(len(places))


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
        return (torch.rand(d, generator=rng) * (2 - side) - 1), side

    def _density(self, places, shape):
        low, side = shape
        return 1.0 - ((places >= low) & (places <= low + side)).all(-1).float()


@dataclass(frozen=True)
class Clusters(Random):
    """A few Gaussian clusters of the given width, anywhere."""

    clusters: int = 3
    width: float = 0.1

    def __post_init__(self):
        super().__post_init__()
        require_count(self.clusters, "clusters")
        require_number(self.width, "width", 0.0, 2.0, open_low=True)

    def _shape(self, d, rng):
        return 2 * torch.rand(self.clusters, d, generator=rng) - 1

    def _density(self, places, centres):
        r2 = (places[:, None] - centres).square().sum(-1)
        return torch.exp(-r2 / (2 * self.width**2)).amax(1)


@dataclass(frozen=True)
class Lines(Random):
    """A few straight scan lines along the last axis; in 1D, a few short runs."""

    lines: int = 3
    width: float = 0.02

    def __post_init__(self):
        super().__post_init__()
        require_count(self.lines, "lines")
        require_number(self.width, "width", 0.0, 1.0, open_low=True)

    def _shape(self, d, rng):
        return 2 * torch.rand(self.lines, max(1, d - 1), generator=rng) - 1

    def _density(self, places, across):
        d = places.shape[1]
        away = (places[:, None, :max(1, d - 1)] - across).abs().amax(-1).amin(1)
        return torch.exp(-0.5 * (away / (self.width if d > 1 else 2 * self.width)) ** 2)


@dataclass(frozen=True)
class Grid(Random):
    """A regular grid of cell centres: the finest with at most `count` points, and the rest at random between them."""

    def _scatter(self, m, d, rng):
        side = int((m + 1e-9) ** (1 / d))
        regular = cell_centres((side,) * d) if side else torch.empty(0, d)
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

    def __post_init__(self):
        super().__post_init__()
        require_number(self.width, "width", 0.0, 1.0, open_low=True)

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
