"""Autoencoders of fields: values on a fine grid -> a latent, on a coarse grid of cells or one vector -> a field."""

import torch
from torch import Tensor, nn

from ..core.grid import between_points, interpolate
from ..fields.deepsdf import DeepSDF
from ..fields.liif import LIIF
from ..nn.networks import CONV, ConvBlock, GridEncoder, Standardise, depth_to_space, halving, space_to_depth, zeroed


def field_encoder(kind: str, d: int, c: int, side: int, cells: int, k: int, width: int) -> nn.Module:
    """Encoder of values on a grid (b, c, *[side]*d): to (b, k, *[cells]*d), or if `kind` is "vector" to (b, k).

    "linear" is linear, so what is a mean over functions is also the mean of their latents.
    """
    if kind == "linear":
        return nn.Sequential(halving(d, c, side, cells, width, nn.Identity), CONV[d](width, k, 3, padding=1))
    if kind == "vector":
        return nn.Sequential(GridEncoder(d, c, side, cells, 16, width), nn.Flatten(), nn.Linear(16 * cells**d, k))
    return GridEncoder(d, c, side, cells, k, width)


class FieldDecoder(nn.Module):
    """Decoder: latent (b, k, *cells) -> a LIIF field, told the width of a query's pixel if it is `sized`.

    `vector`: latents are (b, k), spread over that many cells a side by linear layers in place of convolutions.
    """

    def __init__(self, d: int, k: int, width: int, c: int, octaves: int = 3, vector: int = 0, sized: bool = False):
        super().__init__()
        hidden = 4 * width
        self.input = nn.Sequential(
            nn.Linear(k, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(),
            nn.Linear(hidden, width * vector**d), nn.Unflatten(1, (width, *[vector] * d))
        ) if vector else CONV[d](k, width, 3, padding=1)
        self.blocks = nn.ModuleList([] if vector else [ConvBlock(d, width), ConvBlock(d, width)])
        self.field = LIIF(d, width, c, width, octaves, sized)

    def forward(self, latent: Tensor) -> Tensor:
        """The field's features on its grid of cells: (b, width, *cells)."""
        h = self.input(latent)
        for block in self.blocks:
            h = block(h)
        return h


class Autoencoder(nn.Module):
    """Autoencoder of fields: values on a fine grid -> latent of unit scale -> a field, asked at any place and width.

    `vector` 0: k numbers on each cell of a grid; else that many numbers in one vector. `linear`: a linear encoder.
    """

    def __init__(self, d: int, c: int, side: int, cells: int, k: int, width: int, octaves: int, linear: bool,
                 vector: int = 0):
        super().__init__()
        self.c, self.grid_shape, k = c, (cells,) * d, vector or k
        kind = "vector" if vector else "linear" if linear else "convolutional"
        self.encoder = field_encoder(kind, d, c, side, cells, k, width)
        self.unit = Standardise(k)
        self.decoder = FieldDecoder(d, k, width, c, octaves, cells if vector else 0, sized=True)

    def encode(self, grid: Tensor, by_batch: bool = False) -> Tensor:
        """Values on the fine grid (b, c, *side) -> latents of unit scale (b, k, *cells) or (b, k); `by_batch`, while
        the autoencoder learns: scaled by the batch's own statistics."""
        return (self.unit.by_batch if by_batch else self.unit)(self.encoder(grid))

    def rescale(self, raw: Tensor) -> None:
        """Set the scale to that of raw latents (b, k, …)."""
        self.unit.calibrate(raw)

    def prepare(self, latent: Tensor) -> tuple[Tensor, ...]:
        """What the field computes once for latents, before any query."""
        return (self.decoder.field.project(self.decoder(latent)),)

    def evaluate(self, coords: Tensor, prepared: tuple[Tensor, ...], size: Tensor | float = 0.0) -> Tensor:
        """The fields at coords (p, d) or (b, p, d), averaged over boxes `size` wide: (b, p, c)."""
        return self.decoder.field.read(coords, prepared[0], self.grid_shape, size)

    def forward(self, coords: Tensor, latent: Tensor, size: Tensor | float = 0.0) -> Tensor:
        """The fields of latents at coords (p, d) or (b, p, d): (b, p, c)."""
        return self.evaluate(coords, self.prepare(latent), size)


class NodalLatent(Autoencoder):
    """Autoencoder whose latent is the fine grid: interpolation, to which a LIIF adds what fades towards the points, so
    that the field passes through the values on the grid. At first it adds nothing."""

    def __init__(self, d: int, c: int, side: int, cells: int, width: int, octaves: int):
        nn.Module.__init__(self)
        self.c, self.cells, self.per_cell, self.grid_shape = c, cells, side // cells, (cells,) * d
        k = c * self.per_cell**d
        self.unit = Standardise(k)
        self.decoder = FieldDecoder(d, k, width, c, octaves)
        self.silence("field")

    def encoder(self, grid: Tensor) -> Tensor:
        """Raw latents (b, k, *[cells]*d) of values on the fine grid (b, c, *[side]*d)."""
        return space_to_depth(grid, self.cells)

    def points(self, latent: Tensor) -> Tensor:
        """The fine grid (b, c, *[side]*d) that latents of unit scale hold."""
        return depth_to_space(self.unit.restore(latent), self.c, self.per_cell)

    def prepare(self, latent: Tensor) -> tuple[Tensor, ...]:
        return (*super().prepare(latent), self.points(latent))

    def away(self, coords: Tensor) -> Tensor:
        """How far coords (…, d) are from a point of the grid, from 0 to 1: (…, 1)."""
        return between_points(coords, self.cells * self.per_cell)

    def evaluate(self, coords: Tensor, prepared: tuple[Tensor, ...], size: float = 0.0) -> Tensor:
        """The fields at coords (p, d) or (b, p, d): (b, p, c); `size` must be 0."""
        return interpolate(prepared[1], coords) + self.away(coords) * super().evaluate(coords, prepared)

    def silence(self, part: str) -> bool:
        """Interpolation alone from now on, if the part is "field"."""
        if part == "field":
            zeroed(self.decoder.field.answer[-1])
        return part == "field"


class VectorAutoencoder(Autoencoder):
    """Values on a grid (b, c, *[side]*d) -> latent of unit scale (b, k), by dense layers -> a DeepSDF, `depth` layers.

    The scale of the latent is fixed while the network learns: the statistics of a batch of 32 are off by a sixth of a
    standard deviation, too much for a latent of few numbers. `rescale` sets it exactly, before and after.
    """

    def __init__(self, d: int, c: int, side: int, k: int, width: int, depth: int, sharpness: float):
        nn.Module.__init__(self)
        hidden = 2 * width
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(c * side**d, hidden), nn.SiLU(),
                                     nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, k))
        self.unit = Standardise(k)
        self.field = DeepSDF(d, k, c, width, depth, sharpness)

    @torch.no_grad()
    def rescale(self, raw: Tensor) -> None:
        """Set the scale to that of raw latents (b, k), and adapt the decoder so that it decodes them as before."""
        mean, std = self.unit.mean.clone(), self.unit.std.clone()
        self.unit.calibrate(raw)
        weight = self.field.condition.weight
        self.field.place.bias += weight @ ((self.unit.mean - mean) / std)
        weight *= self.unit.std / std

    def prepare(self, latent: Tensor) -> tuple[Tensor, ...]:
        return (self.field.condition(latent),)

    def evaluate(self, coords: Tensor, prepared: tuple[Tensor, ...], size: float = 0.0) -> Tensor:
        """The fields at coords (p, d) or (b, p, d): (b, p, c); `size` must be 0."""
        return self.field.read(coords, prepared[0])
