"""Render a large picture and ask only where there is something to see: from coarse to fine, block by block.

A block is asked at 3^d nodes: its corners, and the middles between. Where the corners foretell the middles, the block
is filled in from its nodes; where they do not, it is cut in 2^d, and so are its neighbours; the smallest blocks are
asked pixel by pixel. So a picture costs about as many queries as it has pixels in its detailed parts. What slips
between all nodes of the coarsest blocks is not seen, as between the pixels of any picture.
"""

from itertools import product

import numpy as np
import torch
from torch import Tensor

from ..core.checks import require, require_count, require_name, require_number
from ..core.types import Fields

BLOCKS = 32                          # a side at least, to start with
AT_ONCE = 4_000_000                  # pixels filled in at a time
TENT = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])          # three nodes foretold by two ends


def render_adaptive(fields: Fields, shape: tuple[int, ...], out=None, *, tolerance: float, by: str = "bend",
                    leaf: int = 8, margin: int = 1, chunk: int = 65_536):
    """Values of every draw on the cell centres of `shape`, (n, *shape, c), and how many places were asked.

    `by` "bend": blocks are refined where a middle lies `tolerance` or more off the mean of its ends, in any draw and
    channel; there pixels are exact, elsewhere a parabola through nodes that lie closer than that to straight lines. By
    "spread" (n ≥ 2): where draws differ by a standard deviation of `tolerance` or more, and nowhere else. 0 asks every
    pixel, as `render` does. Blocks within `margin` of a refined one are refined too; `leaf` pixels a side are asked
    outright. `out` is as in `render`; `chunk` values are asked at a time.
    """
    d = fields.d
    require(isinstance(shape, (tuple, list)) and len(shape) == d, must=f"shape: a tuple of {d} sizes.", came=shape,
            why="A grid has one size for each coordinate.", do=f"shape={(256,) * d}.")
    require_number(tolerance, "tolerance", 0.0), require_name(by, ("bend", "spread"), "by")
    require_count(leaf, "leaf", 2), require_count(margin, "margin", 0), require_count(chunk, "chunk")
    require(by == "bend" or fields.n > 1, must="by spread: two draws or more.", came=f"n = {fields.n}",
            why="One draw does not disagree with itself.", do='by="bend".')
    sizes, full = torch.tensor(shape), (fields.n, *shape, fields.c)
    out = torch.empty(full) if out is None else out
    require(tuple(out.shape) == full, must=f"out: shape {full}.", came=out, why="One value for each draw, cell and "
            "channel.", do="np.lib.format.open_memmap('picture.npy', 'w+', np.float32, shape).")
    pixels = out.numpy() if isinstance(out, Tensor) else out
    step, asked, side = max(1, chunk // (fields.n * fields.c)), 0, leaf
    while 2 * side * BLOCKS <= min(shape):
        side *= 2
    active = torch.ones([-(-s // side) for s in shape], dtype=torch.bool)
    while side > leaf:
        blocks = active.nonzero()
        low, high = blocks * side, torch.minimum((blocks + 1) * side, sizes)
        halves = torch.stack([2 * low, low + high, 2 * high], -1)                   # (B, d, 3), in half pixels
        places = torch.stack([halves[:, range(d), corner] for corner in product(range(3), repeat=d)], 1)
        unique, where = torch.unique(places.flatten(0, 1), dim=0, return_inverse=True)
        found = torch.cat([fields(at / sizes - 1).cpu() for at in unique.float().split(step)], 1)
        asked += len(unique)
        nodes = found[:, where].reshape(fields.n, len(blocks), *[3] * d, fields.c)
        refined = torch.zeros_like(active)
        refined[tuple(blocks.T)] = _wrong(nodes, tolerance, by)
        refined = _grown(refined, margin) & active
        settled = ~refined[tuple(blocks.T)]
        _fill(pixels, nodes[:, settled], low[settled], high[settled])
        side //= 2
        active = refined
        for axis in range(d):
            active = active.repeat_interleave(2, axis).narrow(axis, 0, -(-shape[axis] // side))
    return out, asked + _outright(fields, pixels, active.nonzero(), side, sizes, step)


def _wrong(nodes: Tensor, tolerance: float, by: str) -> Tensor:
    """Which blocks, of nodes (n, B, 3, …, c), need a closer look: (B,)."""
    if by == "spread":
        return (nodes.std(0) >= tolerance).flatten(1).any(1)
    foretold = nodes
    for axis in range(2, nodes.ndim - 1):
        ends = foretold.index_select(axis, torch.tensor([0, 2]))
        foretold = torch.movedim(torch.tensordot(ends, TENT.to(ends), dims=([axis], [1])), -1, axis)
    return ((nodes - foretold).abs() >= tolerance).transpose(0, 1).flatten(1).any(1)


def _grown(blocks: Tensor, margin: int) -> Tensor:
    """Blocks, and those within `margin` of them."""
    d, kernel = blocks.ndim, 2 * margin + 1
    pool = {1: torch.nn.functional.max_pool1d, 2: torch.nn.functional.max_pool2d, 3: torch.nn.functional.max_pool3d}[d]
    return pool(blocks[None, None].float(), kernel, stride=1, padding=margin)[0, 0] > 0


def _fill(pixels: np.ndarray, nodes: Tensor, low: Tensor, high: Tensor) -> None:
    """Parabolas through the nodes (n, B, 3, …, c) of blocks [low, high), read at the pixels' centres."""
    d = low.shape[1]
    for size in torch.unique(high - low, dim=0) if len(low) else ():                # the last of a row may be cut short
        mine = ((high - low) == size).all(1).nonzero()[:, 0]
        for part in mine.split(max(1, AT_ONCE // (int(size.prod()) * nodes.shape[0] * nodes.shape[-1]))):
            values = nodes[:, part]
            for axis in range(d):
                t = (torch.arange(int(size[axis])) + 0.5) / int(size[axis])
                weights = torch.stack([(2 * t - 1) * (t - 1), 4 * t * (1 - t), t * (2 * t - 1)], 1).to(values)
                values = torch.movedim(torch.tensordot(values, weights, dims=([2 + axis], [1])), -1, 2 + axis)
            pixels[(slice(None), *_inside(low[part], size))] = values.numpy()


def _inside(low: Tensor, size: Tensor) -> tuple[np.ndarray, ...]:
    """Indices of the pixels of blocks from `low` (B, d) on: on each axis, shaped to be spread over the others."""
    d, found = low.shape[1], []
    for axis in range(d):
        along = low[:, axis, None] + torch.arange(int(size[axis]))
        found.append(along.reshape(len(low), *[-1 if a == axis else 1 for a in range(d)]).numpy())
    return tuple(found)


def _outright(fields: Fields, pixels: np.ndarray, blocks: Tensor, side: int, sizes: Tensor, step: int) -> int:
    """Ask every pixel of these blocks; how many that were."""
    d, asked = len(sizes), 0
    inside = torch.cartesian_prod(*[torch.arange(side)] * d).reshape(-1, d)
    for part in blocks.split(max(1, step // side**d)):
        index = (part[:, None] * side + inside).flatten(0, 1)
        index = index[(index < sizes).all(1)]
        values = fields((((2 * index + 1).double() / sizes) - 1).float()).cpu()
        pixels[(slice(None), *index.T.numpy())] = values.numpy()
        asked += len(index)
    return asked
