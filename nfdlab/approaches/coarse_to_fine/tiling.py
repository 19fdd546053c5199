"""Domains wider than the box that a cascade knows, by overlapping tiles at both levels."""

import torch

from ...core.checks import require_count, require_seed
from ...core.fields import EvaluatedFields
from ...core.grid import cell_centres, to_grid
from ...core.rng import normals
from ...inference.tiling import Tiles, require_boxes
from . import CascadePosterior, CascadeState


@torch.no_grad()
def wide(model: CascadePosterior, n: int, boxes: tuple[int, ...], *, seed: int, steps: int | None = None,
         blended: bool = True) -> EvaluatedFields:
    """n functions of the prior on a domain `boxes` boxes wide, as Fields over [-1, 1]^d that stands for all of it.

    Without `blended`, each tile is drawn by itself and laid beside the next: what the blending is for. Far apart, tiles
    know of one another only through those between them.
    """
    require_count(n), require_seed(seed)
    net, device, steps, context = model.net, model.device, steps or model.steps, model.context(None)
    boxes, level = require_boxes(boxes, net.d), model.augmentation()
    side, fine = (Tiles(shape, boxes) for shape in (net.shape[1:], net.detail.shape[1:]))
    many, grid = len(side.starts) * n, net.detail.shape[1:]

    coarse = side.sampled(net.coarse.given(context.coarse), n, net.c, net.coarse.noise_levels.sigmas(steps).to(device),
                          seed=seed, use="wide coarse", blended=blended)                 # (tiles n, c, *coarse)
    noise = side.cut(normals(seed, n, (net.c, *side.shape), "wide augment").to(device))
    state = CascadeState(coarse + level * noise, coarse.new_zeros(many, *net.detail.shape),
                         coarse.new_full((many,), level))
    memory, conditioning = model.detail_conditioning(context, state)
    mean = net.mean(cell_centres(grid).to(coarse), state.coarse, net.average.field.project(memory))
    mean, D = net.detail.unit(to_grid(mean, grid).movedim(-1, 1)), net.detail.denoiser.given(conditioning)
    values = fine.sampled(lambda x, sigma: mean + D(x - mean, sigma), n, net.c,         # values agree, not their rest
                          net.detail.denoiser.noise_levels.sigmas(steps).to(device), seed=seed, use="wide fine",
                          blended=blended, mean=mean)
    return side.joined(model.fields(None, state._replace(rest=values - mean).pack(), "all"), n, blended)
