"""Space to depth: a grid of points folded into the channels of coarser cells, and back. Nothing is lost."""

from torch import Tensor


def space_to_depth(grid: Tensor, cells: int) -> Tensor:
    """(b, c, *[side]*d) -> (b, c (side/cells)^d, *[cells]*d)."""
    d = grid.ndim - 2
    for axis in range(2, 2 + 2 * d, 2):
        grid = grid.unflatten(axis, (cells, -1))                     # cells and, inside them, points: axis by axis
    return grid.permute(0, 1, *range(3, 2 + 2 * d, 2), *range(2, 2 + 2 * d, 2)).flatten(1, 1 + d)


def depth_to_space(latent: Tensor, c: int, per_cell: int) -> Tensor:
    """The inverse of `space_to_depth`, with `per_cell` points of the grid per cell and axis."""
    d = latent.ndim - 2
    parts = latent.unflatten(1, (c, *[per_cell] * d))
    parts = parts.permute(0, 1, *[axis for k in range(d) for axis in (2 + d + k, 2 + k)])
    for axis in range(2, 2 + d):
        parts = parts.flatten(axis, axis + 1)
    return parts
