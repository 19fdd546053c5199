"""A grid read between its points, linearly or by cubic convolution, anywhere in the box."""

import torch
from torch import Tensor, nn


def read(grid: Tensor, coords: Tensor, cubic: bool = False) -> Tensor:
    """A grid (b, c, *[side]*d) at coords (p, d) or (b, p, d), linear between its points: (b, p, c).

    `cubic`, in up to two dimensions: the bicubic of picture programs (Keys 1981, a = −3/4), once differentiable.
    """
    d = grid.ndim - 2
    place = coords.expand(len(grid), *coords.shape[-2:]).flip(-1)    # grid_sample names the last axis first
    if d == 1:
        grid, place = grid[:, :, None], torch.cat([place, torch.zeros_like(place)], -1)
    place = place.reshape(len(grid), *[1] * (max(d, 2) - 1), *place.shape[1:])
    found = nn.functional.grid_sample(grid, place, "bicubic" if cubic else "bilinear", "border", align_corners=False)
    return found.flatten(2).mT
