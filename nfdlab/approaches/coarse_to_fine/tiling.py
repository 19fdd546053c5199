"""Domains wider than the box a network knows: overlapping tiles inside one sampler, so that there are no seams.

One noisy lattice covers the whole domain. At every step each tile, half a box from the next, denoises its own window,
and the answers are blended by Hann's window before the next step: so all tiles draw one thing, and not each its own
(Bar-Tal et al. 2023, eq. 5). The functions of the tiles, which agree on the lattice, are blended by the same window.
"""

from itertools import product
from math import pi, prod

import torch
from torch import Tensor

from ...core import single
from ...core.checks import require, require_count, require_seed
from ...core.fields import EvaluatedFields
from ...core.grid import cell_centres
from ...core.rng import normals
from ...diffusion.denoiser import DenoiseFn
from ...diffusion.samplers import sample
from . import CascadePosterior, CascadeState

EDGE = 1e-6                          # weight of a tile at its own rim, so that the rim of the domain has one


def window(u: Tensor) -> Tensor:
    """Hann's window over a tile, u in [0, 1]: sin² πu, and next to nothing at the rim."""
    return torch.sin(pi * u) ** 2 + EDGE


class Tiles:
    """Where tiles of `side` points lie on a lattice of `boxes` boxes an axis: each half a box after the last."""

    def __init__(self, side: int, boxes: tuple[int, ...]):
        self.side, self.boxes, self.d = side, boxes, len(boxes)
        self.starts = list(product(*(range(0, side * (b - 1) + 1, side // 2) for b in boxes)))
        self.shape = tuple(side * b for b in boxes)
        self.weight = window((cell_centres((side,) * self.d) + 1) / 2).prod(-1)
        self.total = self._paste(self.weight.expand(len(self.starts), 1, -1))

    def _at(self, start: tuple[int, ...]) -> tuple[slice, ...]:
        return (..., *(slice(i, i + self.side) for i in start))

    def cut(self, x: Tensor) -> Tensor:
        """(n, c, *shape) -> (tiles n, c, side^d), tile by tile."""
        return torch.cat([x[self._at(start)] for start in self.starts]).flatten(2)

    def _paste(self, parts: Tensor) -> Tensor:
        grids = parts.unflatten(2, (self.side,) * self.d).unflatten(0, (len(self.starts), -1))
        out = parts.new_zeros(*grids.shape[1:3], *self.shape)
        for part, start in zip(grids, self.starts, strict=True):
            out[self._at(start)] += part
        return out

    def blend(self, parts: Tensor) -> Tensor:
        """The inverse, where tiles overlap a mean: (tiles n, c, side^d) -> (n, c, *shape)."""
        return self._paste(parts * self.weight.to(parts)) / self.total.to(parts)


def wide(model: CascadePosterior, n: int, boxes: tuple[int, ...], *, seed: int, steps: int | None = None,
         blended: bool = True) -> EvaluatedFields:
    """n functions of the prior on a domain `boxes` boxes wide, as Fields over [-1, 1]^d that stands for all of it.

    Without `blended`, each tile is drawn by itself and laid beside the next: what the blending is for. Far apart, tiles
    know of one another only through those between them.
    """
    require_count(n), require_seed(seed)
    net, d, device = model.net, model.net.d, model.device
    require(len(boxes) == d and all(isinstance(b, int) and b >= 1 for b in boxes), came=f"{boxes}",
            must=f"boxes: {d} whole numbers of at least 1.", why="Every axis is some boxes wide.", do="boxes=(3, 1).")
    steps, detail = steps or model.steps, model.details(model.augmentation())
    sites, points = Tiles(net.side, boxes), model.condition(None)
    many = len(sites.starts)
    a = model.start(points, n, detail.s, seed=seed).amplitude.to(device).repeat(many)

    def walk(side: int, D: DenoiseFn, levels: Tensor, use: str) -> Tensor:
        tiles, levels = Tiles(side, boxes), levels.to(device)
        if not blended:
            x = levels[0] * normals(seed, n, (many, net.c, side**d), use).transpose(0, 1).flatten(0, 1).to(device)
            return sample(D, x, levels, method="dpmpp")
        x = levels[0] * normals(seed, n, (net.c, *tiles.shape), use).to(device)
        return tiles.cut(sample(lambda x, sigma: tiles.blend(D(tiles.cut(x), sigma)), x, levels, method="dpmpp"))

    with torch.no_grad():
        coarse = walk(net.side, model.coarse_denoiser(None, points, a), net.coarse.noise_levels.sigmas(steps),
                      "wide coarse")                                                    # (tiles n, c, N_C)
        coarse = coarse + detail.s * sites.cut(normals(seed, n, (net.c, *sites.shape), "wide augment").to(device))
        mean, features = net.fine_mean(coarse, detail)
        D = net.denoise_detail(detail, net.detail_conditioning(mean, features))
        values = walk(net.fine, lambda x, sigma: mean + D(x - mean, sigma), detail.noise_levels.sigmas(steps),
                      "wide fine")
        modes = normals(seed, n, (many, net.c, net.spectral_prior.root.numel()), "wide waves")
        state = CascadeState(coarse, values - net.linear(coarse, detail), modes.transpose(0, 1).flatten(0, 1),
                             coarse.new_zeros(many * n, net.c, 0), a, single.full((many * n,), detail.s))
        return _joined(model.fields(None, state.pack()), n, sites, blended)


def _joined(tiles: EvaluatedFields, n: int, sites: Tiles, blended: bool) -> EvaluatedFields:
    """Functions of the tiles, tile by tile n of them, as n functions of the whole; at each point a mean by Hann's
    window, or the tile whose middle is nearest."""
    def rule(coords: Tensor, part: slice | Tensor) -> Tensor:
        count = len(range(n)[part]) if isinstance(part, slice) else len(part)
        end = torch.tensor(sites.boxes).to(coords)
        place = (coords + 1) / 2 * end                                                  # in boxes
        out, total = coords.new_zeros(count, coords.shape[-2], tiles.c), 0.0
        for i, start in enumerate(sites.starts):
            u = place - torch.tensor(start).to(coords) / sites.side
            inside = ((u >= 0) & (u <= 1)).all(-1)
            if not blended:
                inside = ((u > 0.25) | (place < 0.25)).all(-1) & ((u <= 0.75) | (place > end - 0.25)).all(-1) & inside
            weight = torch.where(inside, window(u.clamp(0, 1)).prod(-1), 0.0)[..., None]
            index = torch.arange(i * n, (i + 1) * n)[part]
            out = out + weight * tiles.rule((2 * u - 1).clamp(-1, 1), index)
            total = total + weight
        return out / total

    return EvaluatedFields(rule, n, sites.d, tiles.c, width=prod(sites.boxes))

