"""Grids of cell centres of the box [-1, 1]^d, first axis slowest, values channels-last."""

from itertools import product
from math import prod

import torch
from torch import Tensor, nn

from .checks import MOST, is_whole, require
from .device import resolve_device


def cell_centres(shape: tuple[int, ...], *, dtype=torch.float32, device="cpu") -> Tensor:
    """Centres of a regular grid of cells over [-1, 1]^d: shape (s_1, …, s_d) -> coords (prod s, d).

    >>> cell_centres((4,)).flatten().tolist()
    [-0.75, -0.25, 0.25, 0.75]
    """
    ok = isinstance(shape, (tuple, list, torch.Size)) and len(shape) > 0
    ok = ok and all(is_whole(s) and s > 0 for s in shape) and prod(map(int, shape)) <= MOST
    require(ok, must=f"shape: a tuple of positive whole numbers, one for each axis; at most {MOST:,} cells.",
            came=shape, why="A grid has a number of cells along each axis, and all of them are held in memory.",
            do="cell_centres((256,)) or cell_centres((64, 64)).")
    require(isinstance(dtype, torch.dtype) and dtype.is_floating_point, kind=TypeError, came=dtype,
            must="dtype: a floating point type of torch.", why="Centres are real numbers.", do="dtype=torch.float32.")
    axes = [((2 * torch.arange(s, dtype=torch.float64) + 1) / s - 1) for s in map(int, shape)]
    grids = torch.meshgrid(*axes, indexing="ij")
    return torch.stack([g.flatten() for g in grids], dim=-1).to(dtype).to(resolve_device(device))


def farthest_first(places: Tensor, count: int | None = None) -> Tensor:
    """`count` of places (p, d), or all, in farthest-point order, the central one first: every beginning of it covers
    the box evenly. Gonzalez 1985."""
    chosen = [int(places.square().sum(1).argmin())]
    gap = torch.cdist(places, places[chosen]).min(1).values
    while len(chosen) < (len(places) if count is None else count):
        chosen.append(int(gap.argmax()))
        gap = torch.minimum(gap, torch.cdist(places, places[chosen[-1:]])[:, 0])
    return places[chosen]


def to_grid(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """(…, p, c) on the cell centres of `shape` -> (…, *shape, c)."""
    return values.reshape(*values.shape[:-2], *shape, values.shape[-1])


def grid_values(fields, side: int) -> Tensor:
    """Fields at the centres of `side` cells an axis: (n, c, *[side]*d)."""
    shape = (side,) * fields.d
    return to_grid(fields(cell_centres(shape)), shape).movedim(-1, 1)


def take(memory: Tensor, index: Tensor) -> Tensor:
    """Rows of memory (b, k, w) at indices (p, q) shared by all b, or (b, p, q) of each: (b, p, q, w)."""
    if index.ndim == 2:
        return memory.index_select(1, index.flatten()).unflatten(1, index.shape)
    return memory.gather(1, index.flatten(1)[..., None].expand(-1, -1, memory.shape[2])).unflatten(1, index.shape[1:])


def interpolate(grid: Tensor, coords: Tensor, cubic: bool = False) -> Tensor:
    """Linear interpolation of a grid (b, c, *[side]*d) at coords (p, d) or (b, p, d): (b, p, c).

    `cubic`, in up to two dimensions: the bicubic of picture programs (Keys 1981, a = −3/4), once differentiable.
    """
    d = grid.ndim - 2
    if d > 3:                                                        # more axes than grid_sample knows
        return _multilinear(grid, coords)
    place = coords.expand(len(grid), *coords.shape[-2:]).flip(-1)    # grid_sample names the last axis first
    if d == 1:
        grid, place = grid[:, :, None], torch.cat([place, torch.zeros_like(place)], -1)
    place = place.reshape(len(grid), *[1] * (max(d, 2) - 1), *place.shape[1:])
    found = nn.functional.grid_sample(grid, place, "bicubic" if cubic else "bilinear", "border", align_corners=False)
    return found.flatten(2).mT


def between_points(coords: Tensor, side: int | tuple[int, ...]) -> Tensor:
    """How far coords (…, d) are from a point of a grid of `side` cells, one number or one an axis: 0 there, 1 halfway
    to the next along any axis: (…, 1)."""
    share = ((coords + 1) * (torch.as_tensor(side).to(coords) / 2) - 0.5) % 1
    return 1 - (1 - 4 * share * (1 - share)).prod(-1, keepdim=True)


def blend(grid: Tensor, coords: Tensor) -> Tensor:
    """`interpolate` by the 2^d corners round each place: (b, p, c), with second derivatives with respect to the grid,
    which `interpolate` has none of."""
    index, share = _corners(grid.shape[2:], coords)
    return (share[..., None] * take(grid.flatten(2).mT, index)).sum(-2)


def _multilinear(grid: Tensor, coords: Tensor) -> Tensor:
    """`interpolate` by the 2^d corners round each place, for any d."""
    if coords.ndim == 3:
        return torch.cat([_multilinear(one[None], places) for one, places in zip(grid, coords, strict=True)])
    index, share = _corners(grid.shape[2:], coords)
    table = grid.flatten(2).flatten(0, 1).T.contiguous()                                    # (cells, b c)
    found = nn.functional.embedding_bag(index, table, mode="sum", per_sample_weights=share.to(table))
    return found.unflatten(1, grid.shape[:2]).transpose(0, 1)


def _corners(shape: torch.Size, coords: Tensor) -> tuple[Tensor, Tensor]:
    """The corners round each of coords (…, d) of a grid: their indices in the flat grid and shares, (…, 2^d)."""
    sides = torch.tensor(shape, device=coords.device)
    place = torch.minimum(((coords + 1) / 2 * sides - 0.5).clamp_min(0), sides - 1)
    low = place.floor()
    index, share = [], []
    for corner in product((0, 1), repeat=len(sides)):
        at = torch.minimum(low + torch.tensor(corner).to(low), sides - 1).long()
        flat = at[..., 0]
        for axis in range(1, len(sides)):
            flat = flat * sides[axis] + at[..., axis]
        away = place - low
        index.append(flat), share.append(torch.where(torch.tensor(corner).to(low) > 0, away, 1 - away).prod(-1))
    return torch.stack(index, -1), torch.stack(share, -1)
