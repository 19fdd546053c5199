"""A window of coordinates: where it lies, how it is drawn on a page, and the query points that fill it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Window = tuple[tuple[float, float], ...]         # (low, high) on each axis
BOX = ((-1.0, 1.0), (-1.0, 1.0))


def window_around(centre: Sequence[float], scale: float) -> Window:
    """The window of 1/scale of the box around a centre of d numbers, moved inwards where it would leave the box."""
    half = 1.0 / scale
    middles = [min(max(x, half - 1.0), 1.0 - half) for x in centre]
    return tuple((x - half, x + half) for x in middles)


def shown(d: int) -> slice:
    """The coordinates that a picture of d of them shows: all of one or two, else the second and the third."""
    return slice(0, d) if d < 3 else slice(1, 3)


def slice_of(points: Tensor, d: int, first: float) -> Tensor:
    """Points of a picture (p, 1 or 2) as points of the box (p, d): of more than two coordinates the first is held at
    `first`, any after the third at 0, the middle."""
    if d < 3:
        return points
    pad = torch.nn.functional.pad
    return pad(pad(points, (1, 0), value=first), (0, d - 3))


@dataclass(frozen=True)
class Page:
    """The layout of a 2D window on a page: which coordinate runs across, which up, and the values at the four edges.

    The first coordinate runs across and the second up. Where the first is named as the rows of a map or picture are, it
    runs downwards instead, as on the map.
    """

    across: int
    up: int
    left: float
    right: float
    bottom: float
    top: float

    @classmethod
    def of(cls, window: Window, names: tuple[str, ...]) -> "Page":
        """The page of a window whose axes have these names."""
        down = names[0].startswith(("north", "row", "top"))
        across, up = (1, 0) if down else (0, 1)
        bottom, top = window[up][::-1] if down else window[up]
        return cls(across, up, *window[across], bottom, top)

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top, as matplotlib takes them."""
        return self.left, self.right, self.bottom, self.top

    def points(self, side: int) -> Tensor:
        """Cell centres (side², 2), by rows from the top."""
        middles = (torch.arange(side, dtype=torch.float64) + 0.5) / side
        rows, cols = torch.meshgrid(torch.lerp(*_ends(self.top, self.bottom), middles),
                                    torch.lerp(*_ends(self.left, self.right), middles), indexing="ij")
        pair = (cols, rows) if self.across == 0 else (rows, cols)
        return torch.stack([axis.flatten() for axis in pair], -1).float()


def _ends(a: float, b: float) -> tuple[Tensor, Tensor]:
    return torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)


def window_points(window: Window, side: int, names: tuple[str, ...]) -> Tensor:
    """Query points of a window: (side, 1) end to end in 1D; cell centres (side², 2) by rows from the top in 2D."""
    if len(window) == 2:
        return Page.of(window, names).points(side)
    return torch.linspace(*window[0], side, dtype=torch.float64).float()[:, None].clamp(-1, 1)
