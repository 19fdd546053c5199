"""Adaptive rendering: Fields -> values on a large grid, with queries only where there is detail.

A block is evaluated at 3^d nodes: its corners and the midpoints between. Where linear interpolation of the corners
predicts the midpoints, the block is filled in from its nodes; else it and its neighbours are divided in 2^d. The
smallest blocks are evaluated pixel by pixel. Detail that falls between all nodes of the coarsest blocks is missed.
"""

from itertools import product

import numpy as np
import torch
from torch import Tensor

from ..core import single
from ..core.checks import require, require_count, require_name, require_number
from ..core.types import Fields
from .rendering import require_grid

BLOCKS = 32                          # a side at least, to start with
AT_ONCE = 4_000_000                  # pixels filled in at a time
TENT = single.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])          # three nodes by linear interpolation of two ends


def render_adaptive(fields: Fields, shape: tuple[int, ...], out=None, *, tolerance: float, by: str = "bend",
                    leaf: int = 8, margin: int = 1, chunk: int = 65_536):
    """Values of every draw on the cell centres of `shape`, (n, *shape, c), and the number of evaluated places.

    `by` "bend": blocks are refined where a midpoint lies `tolerance` or more off the mean of its ends, in any draw and
    channel; elsewhere pixels are read from a parabola through the nodes. By "spread" (n ≥ 2): where the standard
    deviation of the draws is `tolerance` or more. 0 evaluates every pixel. Blocks within `margin` of a refined one
    are refined too; blocks of `leaf` pixels a side are evaluated in full. `out` and `chunk` as in `render`.
    """
    shape, out = require_grid(fields, shape, out)
    require_number(tolerance, "tolerance", 0.0), require_name(by, ("bend", "spread"), "by")
    require_count(leaf, "leaf", 2), require_count(margin, "margin", 0), require_count(chunk, "chunk")
    require(by == "bend" or fields.n > 1, must="by spread: two draws or more.", came=f"n = {fields.n}",
            why="Variance needs at least two draws.", do='by="bend".')
    d, sizes = fields.d, torch.tensor(shape)
    pixels = out.numpy() if isinstance(out, Tensor) else out
    step, asked, side = max(1, chunk // (fields.n * fields.c)), 0, leaf
    while 2 * side * BLOCKS <= min(shape):
        side *= 2
    active = torch.ones([-(-s // side) for s in shape], dtype=torch.bool)
    while side > leaf:
        blocks = active.nonzero()
        low, high = blocks * side, torch.minimum((blocks + 1) * side, sizes)
        nodes, places = _nodes(fields, low, high, sizes, step)
        asked += places
        refined = torch.zeros_like(active)
        refined[tuple(blocks.T)] = _detailed(nodes, tolerance, by)
        refined = _grown(refined, margin) & active
        plain = ~refined[tuple(blocks.T)]
        _fill(pixels, nodes[:, plain], low[plain], high[plain])
        side //= 2
        active = refined
        for axis in range(d):
            active = active.repeat_interleave(2, axis).narrow(axis, 0, -(-shape[axis] // side))
    return out, asked + _evaluate_all(fields, pixels, active.nonzero(), side, sizes, step)


def _nodes(fields: Fields, low: Tensor, high: Tensor, sizes: Tensor, step: int) -> tuple[Tensor, int]:
    """Values (n, B, 3, …, c) at the nodes of blocks [low, high) (B, d), and the number of different nodes."""
    d = len(sizes)
    halves = torch.stack([2 * low, low + high, 2 * high], -1)                       # (B, d, 3), in half pixels
    places = torch.stack([halves[:, range(d), corner] for corner in product(range(3), repeat=d)], 1)
    unique, where = torch.unique(places.flatten(0, 1), dim=0, return_inverse=True)
    found = torch.cat([fields(at / sizes - 1).cpu() for at in unique.float().split(step)], 1)
    return found[:, where].reshape(fields.n, len(low), *[3] * d, fields.c), len(unique)


def _detailed(nodes: Tensor, tolerance: float, by: str) -> Tensor:
    """Blocks with nodes (n, B, 3, …, c) that need refinement: (B,)."""
    if by == "spread":
        return (nodes.std(0) >= tolerance).flatten(1).any(1)
    predicted = nodes
    for axis in range(2, nodes.ndim - 1):
        ends = predicted.index_select(axis, torch.tensor([0, 2]))
        predicted = torch.movedim(torch.tensordot(ends, TENT.to(ends), dims=([axis], [1])), -1, axis)
    return ((nodes - predicted).abs() >= tolerance).transpose(0, 1).flatten(1).any(1)


def _grown(blocks: Tensor, margin: int) -> Tensor:
    """Blocks, and those within `margin` of them."""
    d, kernel = blocks.ndim, 2 * margin + 1
    pool = {1: torch.nn.functional.max_pool1d, 2: torch.nn.functional.max_pool2d, 3: torch.nn.functional.max_pool3d}[d]
    return pool(blocks[None, None].float(), kernel, stride=1, padding=margin)[0, 0] > 0


def _fill(pixels: np.ndarray, nodes: Tensor, low: Tensor, high: Tensor) -> None:
    """Fill blocks [low, high) from parabolas through their nodes (n, B, 3, …, c)."""
    d = low.shape[1]
    for size in torch.unique(high - low, dim=0) if len(low) else ():                # the last of a row may be cut short
        mine = ((high - low) == size).all(1).nonzero()[:, 0]
        for part in mine.split(max(1, AT_ONCE // (int(size.prod()) * nodes.shape[0] * nodes.shape[-1]))):
            values = nodes[:, part]
            for axis in range(d):
                t = (single.arange(int(size[axis])) + 0.5) / int(size[axis])
                weights = torch.stack([(2 * t - 1) * (t - 1), 4 * t * (1 - t), t * (2 * t - 1)], 1).to(values)
                values = torch.movedim(torch.tensordot(values, weights, dims=([2 + axis], [1])), -1, 2 + axis)
            pixels[(slice(None), *_inside(low[part], size))] = values.numpy()


def _inside(low: Tensor, size: Tensor) -> tuple[np.ndarray, ...]:
    """Indices of the pixels of blocks from `low` (B, d) on, one array for each axis, broadcast over the others."""
    d, found = low.shape[1], []
    for axis in range(d):
        along = low[:, axis, None] + torch.arange(int(size[axis]))
        found.append(along.reshape(len(low), *[-1 if a == axis else 1 for a in range(d)]).numpy())
    return tuple(found)


def _evaluate_all(fields: Fields, pixels: np.ndarray, blocks: Tensor, side: int, sizes: Tensor, step: int) -> int:
    """Evaluate every pixel of these blocks; the number of pixels."""
    d, asked = len(sizes), 0
    inside = torch.cartesian_prod(*[torch.arange(side)] * d).reshape(-1, d)
    for part in blocks.split(max(1, step // side**d)):
        index = (part[:, None] * side + inside).flatten(0, 1)
        index = index[(index < sizes).all(1)]
        values = fields((((2 * index + 1).double() / sizes) - 1).float()).cpu()
        pixels[(slice(None), *index.T.numpy())] = values.numpy()
        asked += len(index)
    return asked
