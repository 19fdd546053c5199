"""A field as a latent: values on a fine grid -> a coarse grid of cells, a few numbers each -> a field again."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..core.fields import EvaluatedFields
from ..fields.liif import LIIF
from ..nn.networks import CONV, Block
from .standardise import Standardise

CHUNK = 32_768                      # values decoded at a time


class GridEncoder(nn.Module):
    """(b, c, *[side]*d) -> (b, k, *[cells]*d) by convolutions of stride 2; side = cells·2^j.

    `beside` channels, given on the coarse grid, join where the fine ones arrive there.
    """

    def __init__(self, d: int, c: int, side: int, cells: int, k: int, width: int, dilations: tuple[int, ...] = (1, 1),
                 beside: int = 0):
        super().__init__()
        self.down = _halving(d, c, side, cells, width, nn.SiLU)
        self.join = CONV[d](beside, width, 3, padding=1) if beside else None
        self.blocks = nn.Sequential(*[Block(d, width, r) for r in dilations])
        self.output = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), CONV[d](width, k, 1))

    def forward(self, grid: Tensor, beside: Tensor | None = None) -> Tensor:
        h = self.down(grid)
        return self.output(self.blocks(h if self.join is None else h + self.join(beside)))


class LinearEncoder(nn.Sequential):
    """As GridEncoder, but linear: what a mean over functions is, is then also the mean of their latents."""

    def __init__(self, d: int, c: int, side: int, cells: int, k: int, width: int):
        super().__init__(_halving(d, c, side, cells, width, nn.Identity), CONV[d](width, k, 3, padding=1))


def _halving(d: int, c: int, side: int, cells: int, width: int, activation: type[nn.Module]) -> nn.Sequential:
    """Convolutions from a grid of `side` to one of `cells`, thin where the grid is fine."""
    halvings = round(math.log2(side / cells))
    widths = [max(8, width // 2 // 8 * 8)] + [width] * halvings if halvings else [width]
    layers = [CONV[d](c, widths[0], 3, padding=1)]
    for a, b in pairwise(widths):
        layers += [activation(), CONV[d](a, b, 4, stride=2, padding=1)]
    return nn.Sequential(*layers)


class VectorEncoder(nn.Sequential):
    """As GridEncoder, but the cells are read together: a flat latent (b, k)."""

    def __init__(self, d: int, c: int, side: int, cells: int, k: int, width: int):
        super().__init__(GridEncoder(d, c, side, cells, 16, width), nn.Flatten(), nn.Linear(16 * cells**d, k))


class Spread(nn.Sequential):
    """A flat latent (b, k) -> features of cells (b, width, *[cells]*d)."""

    def __init__(self, d: int, k: int, cells: int, width: int):
        hidden = 4 * width
        super().__init__(nn.Linear(k, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(),
                         nn.Linear(hidden, width * cells**d), nn.Unflatten(1, (width, *[cells] * d)))


class FieldDecoder(nn.Module):
    """(latent (b, k, *cells), features (b, w, *cells)) -> memory of a LIIF, and the field itself.

    `features` 0: there are none. `flat`: latents are (b, k), spread over so many cells a side by layers in place of
    convolutions. `sized`: the field is told how wide a query is.
    """

    def __init__(self, d: int, k: int, features: int, width: int, c: int, octaves: int = 3, flat: int = 0,
                 sized: bool = False):
        super().__init__()
        self.input = Spread(d, k, flat, width) if flat else CONV[d](k, width, 3, padding=1)
        self.condition = CONV[d](features, width, 1, bias=False) if features else None
        if features:
            nn.init.zeros_(self.condition.weight)
        self.blocks = nn.ModuleList([] if flat else [Block(d, width), Block(d, width)])
        self.field = LIIF(d, width, c, width, octaves, sized)

    def memory(self, latent: Tensor, features: Tensor | None = None) -> Tensor:
        """Everything the field remembers, once a draw: (b, width, *cells)."""
        h = self.input(latent)
        if features is not None:
            h = h + self.condition(features)
        for block in self.blocks:
            h = block(h)
        return h

    def forward(self, coords: Tensor, latent: Tensor, features: Tensor | None = None,
                size: Tensor | float = 0.0) -> Tensor:
        return self.field(coords, self.memory(latent, features), size)


class Autoencoder(nn.Module):
    """Encoder, unit-scale latent, decoder. `features` are what the decoder may also hear; training it starts without.

    `flat` 0: k numbers on each cell; else so many in one vector. `linear`, `sized`: see the encoders and FieldDecoder.
    """

    def __init__(self, d: int, c: int, side: int, cells: int, k: int, features: int, width: int, octaves: int,
                 linear: bool, flat: int = 0, sized: bool = False):
        super().__init__()
        self.c, k = c, flat or k
        self.encoder = (VectorEncoder if flat else LinearEncoder if linear else GridEncoder)(d, c, side, cells, k, width)
        self.unit = Standardise(k)
        self.decoder = FieldDecoder(d, k, features, width, c, octaves, cells if flat else 0, sized)

    def encode(self, grid: Tensor) -> Tensor:
        """Values on the fine grid (b, c, *side) -> latents of unit scale (b, k, *cells)."""
        return self.unit(self.encoder(grid))

    def points(self, latent: Tensor) -> Tensor | None:
        """Values of the fine grid that the latent states outright, to which the field adds: none, here."""
        return None

    def forward(self, coords: Tensor, latent: Tensor, features: Tensor | None = None,
                size: Tensor | float = 0.0) -> Tensor:
        """The field that latents stand for, at coords (p, d) or (b, p, d): (b, p, c); of queries `size` wide."""
        return self.decoder(coords, latent, features, size)

    @torch.no_grad()
    def fields(self, latent: Tensor, features: Tensor | None = None, size: float = 0.0) -> EvaluatedFields:
        """The same as Fields, a part at a time; what needs no coordinates is done once."""
        field, memory = self.decoder.field, self.decoder.memory(latent, features)
        projected, grid, cells = field.project(memory), self.points(latent), memory.shape[2:]

        def rule(coords: Tensor, part: slice | Tensor) -> Tensor:
            own = projected[part]
            step = max(1, CHUNK // len(own))
            places = [piece.to(own) for piece in coords.split(step, dim=-2)]
            pieces = [field.read(x, own, cells, size) + (0 if grid is None else self.between(grid[part], x))
                      for x in places]
            return torch.cat(pieces, 1).to(coords) if pieces else coords.new_zeros(len(own), 0, self.c)

        return EvaluatedFields(rule, len(latent), len(cells), self.c)
