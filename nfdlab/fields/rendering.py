"""Ask fields on a large grid, a piece at a time, straight into an array or a file."""

import numpy as np
import torch

from ..core.checks import require, require_count
from ..core.grid import cell_centres
from ..core.types import Fields


def render(fields: Fields, shape: tuple[int, ...], out=None, *, chunk: int = 65_536):
    """Values of every draw on the cell centres of `shape`: (n, *shape, c).

    `out` may be a numpy array or memmap of that shape (any float type) and is filled and returned; without it a tensor
    is made. At most `chunk` values are computed at a time, so memory beside the output stays bounded.
    """
    require(isinstance(shape, (tuple, list)) and len(shape) == fields.d, must=f"shape: a tuple of {fields.d} sizes.",
            came=shape, why="A grid has one size for each coordinate.", do=f"render(fields, {(256,) * fields.d}).")
    require_count(chunk, "chunk")
    shape = tuple(shape)
    centres = [cell_centres((s,))[:, 0] for s in shape]
    full = (fields.n, *shape, fields.c)
    if out is None:
        out = torch.empty(full)
    require(tuple(out.shape) == full, must=f"out: shape {full}.", came=out,
            why="One value for each draw, cell and channel.",
            do="np.lib.format.open_memmap('picture.npy', 'w+', np.float32, shape).")
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
