"""Rendering: Fields -> values on a large grid, a piece at a time, into an array or a file."""

import math

import numpy as np
import torch

from ..core import single
from ..core.checks import MOST, is_whole, require, require_count, require_room
from ..core.grid import cell_centres
from ..core.types import Fields


def render(fields: Fields, shape: tuple[int, ...], out=None, *, chunk: int = 65_536):
    """Values of every draw on the cell centres of `shape`: (n, *shape, c).

    `out`: a numpy array or memmap of that shape (any float type), filled and returned; by default a new tensor. At most
    `chunk` values are computed at a time, so memory beside the output is bounded.
    """
    require(isinstance(fields, Fields), kind=TypeError, must="fields: Fields.", came=fields,
            why="Their values are rendered.", do="problem.draw(1, seed=0), or a posterior's draws.")
    shape, out = require_grid(fields, shape, out)
    require_count(chunk, "chunk")
    centres = [cell_centres((s,))[:, 0] for s in shape]
    flat = out.reshape(fields.n, -1, fields.c)
    require(isinstance(out, torch.Tensor) or np.shares_memory(flat, out), must="out: contiguous in memory.",
            came=out, why="It is filled in place, piece by piece.", do="Pass a fresh array or memmap.")
    step = max(1, chunk // (fields.n * fields.c))
    total = int(np.prod(shape))
    for start in range(0, total, step):
        index = torch.arange(start, min(start + step, total))
        where = torch.unravel_index(index, shape)
        values = fields(torch.stack([c[i] for c, i in zip(centres, where, strict=True)], -1))
        flat[:, start:start + len(index)] = values.cpu() if isinstance(out, torch.Tensor) else values.cpu().numpy()
    return out


def require_grid(fields: Fields, shape, out) -> tuple[tuple[int, ...], object]:
    """A grid with one size for each coordinate, and an array for its values: `out`, or a new tensor."""
    require(isinstance(shape, (tuple, list)) and len(shape) == fields.d, must=f"shape: a tuple of {fields.d} sizes.",
            came=shape, why="A grid has one size for each coordinate.", do=f"shape={(256,) * fields.d}.")
    require(all(is_whole(s) and 1 <= s <= MOST for s in shape), must="shape: positive whole numbers.", came=shape,
            why="A grid has a number of cells along each axis.", do=f"shape={(256,) * fields.d}.")
    full = (fields.n, *map(int, shape), fields.c)
    if out is None:
        require_room(math.prod(full), "shape")
    out = single.empty(full) if out is None else out
    floats = out.is_floating_point() if isinstance(out, torch.Tensor) else (
        isinstance(out, np.ndarray) and out.dtype.kind == "f")
    require(floats, kind=TypeError, must="out: a numpy array or tensor of a floating point type.", came=out,
            why="Values are filled in as they are, and whole numbers would cut them.",
            do="np.empty(shape, np.float32), or leave out= away.")
    require(tuple(out.shape) == full, must=f"out: shape {full}.", came=out,
            why="One value for each draw, cell and channel.",
            do="np.lib.format.open_memmap('picture.npy', 'w+', np.float32, shape).")
    return full[1:-1], out
