"""A grid read between its points, linearly, anywhere in the box."""

import torch
from torch import Tensor, nn


def read(grid: Tensor, coords: Tensor) -> Tensor:
    """A grid (b, c, *[side]*d) at coords (p, d) or (b, p, d), linear between its points: (b, p, c)."""
    d = grid.ndim - 2
    place = coords.expand(len(grid), *coords.shape[-2:]).flip(-1)    # grid_sample names the last axis first
    if d == 1:
        grid, place = grid[:, :, None], torch.cat([place, torch.zeros_like(place)], -1)
    place = place.reshape(len(grid), *[1] * (max(d, 2) - 1), *place.shape[1:])
    found = nn.functional.grid_sample(grid, place, padding_mode="border", align_corners=False)
    return found.flatten(2).mT
