"""Random patches of stored pictures as Fields."""

import torch
from torch import Tensor

from ..core.checks import require, require_count, require_seed
from ..core.fields import EvaluatedFields
from ..core.rng import uniforms
from .gridded import gridded

MARGIN = 2           # known neighbours beyond the patch, so that interpolation at its edge is that of the whole picture


def require_cells(cells: int, picture_side: int) -> None:
    """Patches of `cells` a side fit into pictures whose shorter side is `picture_side`."""
    require_count(cells, "cells", 8)
    most = picture_side - 2 * MARGIN
    require(cells <= most, must=f"cells: at most {most}.", came=cells,
            why="A patch must fit into one side of the data.", do=f"cells={min(64, most)}.")


def patches(picture: Tensor, cells: int, n: int, *, seed: int, turned: bool) -> EvaluatedFields:
    """n patches of cells² points from anywhere on a picture (h, w), each from its own stream: fields of one channel.

    `turned`: each is rotated and mirrored in one of the eight ways.
    """
    u = uniforms(require_seed(seed), require_count(n), (3,), "patch")
    whole = cells + 2 * MARGIN
    rows = (u[:, 0] * (picture.shape[0] - whole + 1)).long().tolist()
    columns = (u[:, 1] * (picture.shape[1] - whole + 1)).long().tolist()
    cut = []
    for r, k, turn in zip(rows, columns, (u[:, 2] * 8).long().tolist(), strict=True):
        patch = picture[r:r + whole, k:k + whole]
        if turned:
            patch = torch.rot90(patch.flip(0) if turn >= 4 else patch, turn % 4)
        cut.append(patch)
    return gridded(torch.stack(cut)[..., None], smooth=True, margin=MARGIN)
