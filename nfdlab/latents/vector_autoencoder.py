"""Autoencoder of fields to a vector latent: values on a grid -> a few numbers -> a DeepSDF, quick to evaluate."""

import torch
from torch import Tensor, nn

from ..fields.deepsdf import DeepSDF
from ..nn.networks import Standardise


class VectorAutoencoder(nn.Module):
    """Values on a grid (b, c, *[side]*d) -> latent of unit scale (b, k), by dense layers -> a DeepSDF, `depth` layers.

    The scale of the latent is fixed while the network learns: the statistics of a batch of 32 are off by a sixth of a
    standard deviation, too much for a latent of few numbers. `rescale` sets it exactly, before and after.
    """

    def __init__(self, d: int, c: int, side: int, k: int, width: int, depth: int, sharpness: float):
        super().__init__()
        hidden = 2 * width
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(c * side**d, hidden), nn.SiLU(),
                                     nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, k))
        self.unit = Standardise(k)
        self.field = DeepSDF(d, k, c, width, depth, sharpness)

    def encode(self, grid: Tensor) -> Tensor:
        """Values on the grid (b, c, *side) -> latents of unit scale (b, k)."""
        return self.unit(self.encoder(grid))

    @torch.no_grad()
    def rescale(self, raw: Tensor) -> None:
        """Set the scale to that of raw latents (b, k), and adapt the decoder so that it decodes them as before."""
        mean, std = self.unit.mean.clone(), self.unit.std.clone()
        self.unit.calibrate(raw)
        weight = self.field.condition.weight
        self.field.place.bias += weight @ ((self.unit.mean - mean) / std)
        weight *= self.unit.std / std

    def prepare(self, latent: Tensor) -> tuple[Tensor, ...]:
        """What the field computes once for latents, before any query."""
        return (self.field.condition(latent),)

    def evaluate(self, coords: Tensor, prepared: tuple[Tensor, ...]) -> Tensor:
        """The fields at coords (p, d) or (b, p, d): (b, p, c)."""
        return self.field.read(coords, prepared[0])

    def forward(self, coords: Tensor, latent: Tensor) -> Tensor:
        """The fields of latents at coords (p, d) or (b, p, d): (b, p, c)."""
        return self.evaluate(coords, self.prepare(latent))
