"""Averages of fields over boxes: what a field that is given its pixel learns from (LIIF's cells, Chen et al. 2021)."""

import torch
from torch import Tensor

from ..core import single
from ..core.types import Fields


def box_averages(fields: Fields, coords: Tensor, size: Tensor, rng: torch.Generator) -> Tensor:
    """Averages of b fields over boxes of widths (b,) centred at coords (b, q, d): (b, q, c). Each is the mean of one
    random point in each of the box's 2^d parts; where the width is 0 it is the value at the point."""
    b, q, d = coords.shape
    corners = torch.cartesian_prod(*[single.tensor([-0.5, 0.0])] * d).reshape(-1, 1, d)
    inside = corners + 0.5 * single.rand(b, 2**d, q, d, generator=rng)
    places = (coords[:, None] + size[:, None, None, None] * inside).clamp(-1, 1)
    return fields(places.flatten(1, 2)).unflatten(1, (2**d, q)).mean(1)
