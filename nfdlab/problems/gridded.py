"""Stored grids as Fields: values on cell centres, interpolated at any coordinates.

Smooth is cubic convolution (Keys 1981, a = -1/2), exact for parabolas; the bicubic of
`torch.nn.functional.grid_sample` has a = -3/4, which turns a slope of 1 into one of 0.75 to 1.5.
"""

from itertools import product
from math import prod

import torch
from torch import Tensor

from ..core.checks import require, require_count, require_finite
from ..core.fields import EvaluatedFields

MARGIN = 2           # known neighbours beyond a patch, so that interpolation at its edge is that of the whole picture


def gridded(values: Tensor, smooth: bool = True, *, margin: int = 0) -> EvaluatedFields:
    """n functions from their values on cell centres of the box.

    Shapes: values (n, s_1, …, s_d, c) -> fields with n draws, d coordinates, c channels. `smooth` is cubic (once
    differentiable), else linear. `margin` cells on each side lie beyond the box (neighbours in a larger picture); past
    the outermost centres values are constant.
    """
    require(isinstance(values, Tensor), kind=TypeError, must="values: a torch tensor (n, *shape, c).", came=values,
            why="A grid of values is one array.", do="torch.as_tensor(array).")
    require_count(margin, "margin", 0)
    shape = tuple(values.shape[1:-1])
    right = values.is_floating_point() and values.ndim >= 3 and values.numel() > 0
    right = right and all(s > 2 * margin for s in shape)
    require(right, must=f"values: floats (n, s_1, …, s_d, c) with every s above {2 * margin}.", came=values,
            why="Draws first, channels last, cells of the box between.",
            do="values[None, ..., None] for one picture of one channel.")
    require_finite(values, "values")
    d, c = len(shape), values.shape[-1]
    flat = values.flatten(1, -2)                                       # (n, cells, c)
    strides = [prod(shape[k + 1:]) for k in range(d)]

    def rule(coords: Tensor, draws: slice) -> Tensor:
        part = flat[draws].to(coords)
        taps = [_taps(coords[..., k], s, margin, smooth) for k, s in enumerate(shape)]
        out = part.new_zeros(len(part), coords.shape[-2], c)
        for corner in product(*taps):                                  # 4^d or 2^d corners of the cell around a point
            index = sum(i * stride for (i, _), stride in zip(corner, strides, strict=True))
            weight = torch.stack([w for _, w in corner]).prod(0)
            near = part[:, index] if index.ndim == 1 else part.gather(1, index[..., None].expand(-1, -1, c))
            out.addcmul_(near, weight[..., None])
        return out

    return EvaluatedFields(rule, len(values), d, c)


def _taps(x: Tensor, cells: int, margin: int, smooth: bool) -> list[tuple[Tensor, Tensor]]:
    """Neighbours along one axis: pairs (index, weight), each shaped like x. Weights sum to one."""
    place = (x + 1) / 2 * (cells - 2 * margin) + (margin - 0.5)        # centre of cell i lies at i
    left = place.floor()
    t = place - left
    if smooth:
        weights = [t * (t * (1 - t / 2) - 0.5), t * t * (1.5 * t - 2.5) + 1, t * (t * (2 - 1.5 * t) + 0.5),
                   t * t * (t / 2 - 0.5)]
        first = -1
    else:
        weights, first = [1 - t, t], 0
    return [((left.long() + first + k).clamp(0, cells - 1), w) for k, w in enumerate(weights)]
