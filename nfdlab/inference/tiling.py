"""Domains wider, and films longer, than the box a network knows: overlapping tiles inside one sampler, without seams.

One noisy grid covers the whole domain. At every step each tile, half a box from the next, denoises its own window, and
the answers are blended by Hann's window before the next step: so all tiles draw one thing, and not each its own
(Bar-Tal et al. 2023, eq. 5). The functions of the tiles are blended by the same window.
"""

from itertools import product
from math import pi, prod

import torch
from torch import Tensor

from ..core.checks import require
from ..core.fields import EvaluatedFields
from ..core.grid import cell_centres
from ..core.rng import normals
from ..diffusion.denoiser import DenoiseFn
from ..diffusion.samplers import sample

EDGE = 1e-6                          # weight of a tile at its own rim, so that the rim of the domain has one
ROUNDING = 1e-4                      # of places, beyond the rim


def window(u: Tensor, boxes: Tensor) -> Tensor:
    """Hann's window over a tile at u (…, d) in [0, 1]: Π sin² πu, next to nothing at the rim; 1 along axes of one box,
    which need no blending."""
    return torch.where(boxes > 1, torch.sin(pi * u) ** 2 + EDGE, 1.0).prod(-1)


def require_boxes(boxes, d: int) -> tuple[int, ...]:
    """`boxes`, if it says how many boxes wide each of d axes is."""
    require(isinstance(boxes, tuple) and len(boxes) == d and all(isinstance(b, int) and b >= 1 for b in boxes),
            must=f"boxes: {d} whole numbers of at least 1.", came=f"{boxes}", why="Every axis is some boxes wide.",
            do=f"boxes={(3, *[1] * (d - 1))}.")
    return boxes


class Tiles:
    """Where tiles of a shape lie on a grid that is `boxes` of them wide: each half a box after the last."""

    def __init__(self, shape: tuple[int, ...], boxes: tuple[int, ...]):
        self.tile, self.boxes = tuple(shape), torch.tensor(boxes)
        sides = list(zip(shape, boxes, strict=True))
        self.starts = list(product(*((*range(0, side * (b - 1), max(1, side // 2)), side * (b - 1))
                                     for side, b in sides)))
        self.shape = tuple(side * b for side, b in sides)
        self.weight = window((cell_centres(self.tile) + 1) / 2, self.boxes).reshape(self.tile)
        self.total = self._paste(self.weight.expand(len(self.starts), 1, *self.tile))

    def _at(self, start: tuple[int, ...]) -> tuple[slice, ...]:
        return (..., *(slice(i, i + side) for i, side in zip(start, self.tile, strict=True)))

    def cut(self, x: Tensor) -> Tensor:
        """(n, c, *shape) -> (tiles n, c, *tile), tile by tile."""
        return torch.cat([x[self._at(start)] for start in self.starts])

    def _paste(self, parts: Tensor) -> Tensor:
        grids = parts.unflatten(0, (len(self.starts), -1))
        out = parts.new_zeros(*grids.shape[1:3], *self.shape)
        for part, start in zip(grids, self.starts, strict=True):
            out[self._at(start)] += part
        return out

    def blend(self, parts: Tensor) -> Tensor:
        """The inverse, where tiles overlap a mean: (tiles n, c, *tile) -> (n, c, *shape)."""
        return self._paste(parts * self.weight.to(parts)) / self.total.to(parts)

    def sampled(self, D: DenoiseFn, n: int, c: int, levels: Tensor, *, seed: int, use: str,
                blended: bool = True, mean: Tensor | None = None) -> Tensor:
        """n draws of a grid of c channels in tiles, (tiles n, c, *tile), from D of (tiles n, c, *tile), walked from
        noise about a `mean` (tiles n, c, *tile), by default 0; not `blended`, each tile is drawn by itself."""
        if not blended:
            x = normals(seed, n, (len(self.starts), c, *self.tile), use).transpose(0, 1).flatten(0, 1).to(levels)
            return sample(D, levels[0] * x + (0 if mean is None else mean), levels, method="dpmpp")
        x = levels[0] * normals(seed, n, (c, *self.shape), use).to(levels)
        x = x + (0 if mean is None else self.blend(mean))
        return self.cut(sample(lambda x, sigma: self.blend(D(self.cut(x), sigma)), x, levels, method="dpmpp"))

    def places(self, coords: Tensor) -> list[Tensor]:
        """coords (…, d) of the whole domain -> of each tile, in its own box [-1, 1]^d; outside beyond 1."""
        place = (coords + 1) / 2 * self.boxes.to(coords)                                    # in boxes
        steps = torch.tensor(self.starts).to(coords) / torch.tensor(self.tile).to(coords)
        return [2 * (place - step) - 1 for step in steps]

    def joined(self, tiles: EvaluatedFields, n: int, blended: bool = True) -> EvaluatedFields:
        """Functions of the tiles, tile by tile n of them, as n functions of the whole; at each point a mean by Hann's
        window, or the tile whose middle is nearest."""
        def rule(coords: Tensor, part: slice | Tensor) -> Tensor:
            boxes, places = self.boxes.to(coords), torch.stack(self.places(coords.clamp(-1, 1)))
            count, nearest = len(torch.arange(n)[part]), places.square().sum(-1).argmin(0)
            out, total = coords.new_zeros(count, coords.shape[-2], tiles.c), 0.0
            for i, at in enumerate(places):
                inside = (at.abs() <= 1 + ROUNDING).all(-1) if blended else nearest == i
                weight = torch.where(inside, window((at.clamp(-1, 1) + 1) / 2, boxes), 0.0)[..., None]
                out = out + weight * tiles.rule(at.clamp(-1, 1), torch.arange(i * n, (i + 1) * n)[part])
                total = total + weight
            return out / total

        return EvaluatedFields(rule, n, len(self.tile), tiles.c, width=prod(self.boxes.tolist()))
