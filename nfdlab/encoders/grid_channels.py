"""Observations as channels on a grid: SetConv, means of cells, box averages enlarged. Nothing here is learned."""

from math import prod

import torch
from torch import Tensor, nn

from ..core.grid import cell_centres
from ..core.types import ObservationBatch


class SetConv(nn.Module):
    """ObservationBatch -> (b, channels, *shape), on a grid of a side, or one a coordinate. Widths, narrow to wide, are
    in points of the grid.

    Channels: for each width the density n/(1 + n) and, for each value channel, the average (smaller at low density);
    and the log noise level, constant over the grid. Gordon et al. 2020, sec. 4.
    """

    def __init__(self, d: int, c: int, shape: int | tuple[int, ...], widths: tuple[float, ...]):
        super().__init__()
        self.shape, self.widths = (shape,) * d if isinstance(shape, int) else tuple(shape), tuple(widths)
        self.channels = len(widths) * (c + 1) + 1
        for axis, side in enumerate(self.shape):
            self.register_buffer(f"ticks{axis}", cell_centres((side,))[:, 0], persistent=False)

    def forward(self, seen: ObservationBatch) -> Tensor:
        away = [((seen.coords[:, :, axis, None] - getattr(self, f"ticks{axis}")) * (side / 2)).square()
                for axis, side in enumerate(self.shape)]                   # (b, m, side) an axis, in points
        values = torch.cat([torch.ones_like(seen.values[..., :1]), seen.values], -1) * seen.mask[..., None]
        channels = []
        for width in self.widths:
            total = spread(values, [torch.exp(-square / (2 * width**2)) for square in away])
            density, amount = total[:, :1], total[:, 1:]
            channels += [density / (1 + density), amount / (density + 0.1)]
        level = (seen.noise_std.clamp_min(1e-4).log() / 3 + 1).reshape(-1, *[1] * (1 + len(self.shape)))
        channels.append(level.expand(-1, 1, *self.shape).to(channels[0]))
        return torch.cat(channels, 1)


class CellMeans(nn.Module):
    """ObservationBatch -> (b, channels, *shape): each observation counts in its own cell of a grid, one side an axis.

    Channels: the number n of observations as n/(1 + n), their mean value and mean offset from the cell's centre, in
    cells, all 0 where there are none; and the log noise level, constant over the grid. Thousands of points cost next to
    nothing, and of a point alone in its cell nothing is lost.
    """

    def __init__(self, d: int, c: int, shape: tuple[int, ...]):
        super().__init__()
        self.shape, self.channels = tuple(shape), c + d + 2

    def forward(self, seen: ObservationBatch) -> Tensor:
        sides = torch.tensor(self.shape, device=seen.coords.device)
        place = (seen.coords + 1) / 2 * sides
        cell = torch.minimum(place.long(), sides - 1)
        held = torch.cat([torch.ones_like(seen.values[..., :1]), seen.values, place - cell - 0.5], -1)
        index = cell[..., 0]
        for axis, side in enumerate(self.shape[1:], 1):
            index = index * side + cell[..., axis]
        held = held * seen.mask[..., None]
        total = held.new_zeros(len(held), prod(self.shape), held.shape[2]).scatter_add_(
            1, index[..., None].expand(held.shape), held).mT.unflatten(2, self.shape)
        count = total[:, :1]
        level = (seen.noise_std.clamp_min(1e-4).log() / 3 + 1).reshape(-1, *[1] * (1 + len(self.shape)))
        return torch.cat([count / (1 + count), total[:, 1:] / count.clamp_min(1), level.expand_as(count).to(total)], 1)


class BoxAverages(nn.Module):
    """Averages over boxes -> (b, c + 2, *[side]*d): a coarse picture enlarged, each average filling its box.

    Channels: the value, the box's width and 1 where some box covers a point of the grid, 0 elsewhere; where several do,
    their mean. What comes in is an ObservationBatch of the boxes' middles whose values are the c averages and, last,
    the width of the box, in units of the coordinates. A box covers a cell of the grid at least.
    """

    def __init__(self, d: int, c: int, side: int):
        super().__init__()
        self.channels, self.least = c + 2, 2 / side
        self.register_buffer("ticks", cell_centres((side,))[:, 0], persistent=False)

    def forward(self, averages: ObservationBatch) -> Tensor:
        values = torch.cat([averages.values, torch.ones_like(averages.values[..., :1])], -1) * averages.mask[..., None]
        half = averages.values[..., -1:].clamp_min(self.least) / 2 * (1 + 1e-4)
        inside = (averages.coords[..., None] - self.ticks).abs() <= half[..., None]        # (b, m, d, side)
        total = spread(values, list(inside.to(values).unbind(2)))
        return total / total[:, -1:].clamp_min(1)


def spread(values: Tensor, near: list[Tensor]) -> Tensor:
    """Σ_m values (b, m, k) Π_a near_a (b, m, side_a): (b, k, *sides), up to four axes."""
    axes = "ijln"[:len(near)]
    return torch.einsum(f"bkm,{','.join('bm' + axis for axis in axes)}->bk{axes}", values.transpose(1, 2), *near)
