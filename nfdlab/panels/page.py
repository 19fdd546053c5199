"""Where a window of coordinates lies on a page, and which points to ask to fill it."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Page:
    """How a window of two coordinates lies on a page: which runs across, which up, and the values at the four edges.

    The first coordinate runs across and the second up. Where the first is named as a map's or picture's rows are, they
    run downwards instead, as on the map.
    """

    across: int
    up: int
    left: float
    right: float
    bottom: float
    top: float

    @classmethod
    def of(cls, window: tuple[tuple[float, float], ...], names: tuple[str, ...]) -> "Page":
        down = names[0].startswith(("north", "row", "top"))
        across, up = (1, 0) if down else (0, 1)
        bottom, top = window[up][::-1] if down else window[up]
        return cls(across, up, *window[across], bottom, top)

    def points(self, side: int) -> Tensor:
        """Cell centres (side², 2), by rows from the top."""
        middles = (torch.arange(side, dtype=torch.float64) + 0.5) / side
        rows, cols = torch.meshgrid(torch.lerp(*_ends(self.top, self.bottom), middles),
                                    torch.lerp(*_ends(self.left, self.right), middles), indexing="ij")
        pair = (cols, rows) if self.across == 0 else (rows, cols)
        return torch.stack([axis.flatten() for axis in pair], -1).float()


def _ends(a: float, b: float) -> tuple[Tensor, Tensor]:
    return torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)


def window_points(window: tuple[tuple[float, float], ...], side: int, names: tuple[str, ...]) -> Tensor:
    """Points of a window: (side, 1) end to end in 1D; cell centres (side², 2) by rows from the top in 2D."""
    if len(window) == 2:
        return Page.of(window, names).points(side)
    return torch.linspace(*window[0], side, dtype=torch.float64).float()[:, None].clamp(-1, 1)
