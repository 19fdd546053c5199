"""Grids are cell centres of the box [-1, 1]^d, first axis slowest, values channels-last. One convention only."""

import torch
from torch import Tensor

from .checks import require


def cell_centres(shape: tuple[int, ...], *, dtype=torch.float32, device="cpu") -> Tensor:
    """Centres of a regular grid of cells over [-1, 1]^d: shape (s_1, …, s_d) -> coords (prod s, d).

    >>> cell_centres((4,)).flatten().tolist()
    [-0.75, -0.25, 0.25, 0.75]
    """
    ok = isinstance(shape, (tuple, list, torch.Size)) and len(shape) > 0
    ok = ok and all(isinstance(s, int) and not isinstance(s, bool) and s > 0 for s in shape)
    require(ok, must="shape: a tuple of positive whole numbers, one for each axis.", came=shape,
            why="A grid has a number of cells along each axis.", do="cell_centres((256,)) or cell_centres((64, 64)).")
    axes = [((2 * torch.arange(s, dtype=torch.float64) + 1) / s - 1) for s in shape]
    grids = torch.meshgrid(*axes, indexing="ij")
    return torch.stack([g.flatten() for g in grids], dim=-1).to(dtype).to(device)


def to_grid(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """(…, p, c) on the cell centres of `shape` -> (…, *shape, c)."""
    return values.reshape(*values.shape[:-2], *shape, values.shape[-1])


def from_grid(values: Tensor, d: int) -> Tensor:
    """(…, *shape, c) with d grid axes -> (…, p, c): the inverse of to_grid."""
    return values.flatten(-d - 1, -2)
