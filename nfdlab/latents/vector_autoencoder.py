"""An autoencoder whose field hears place and latent together: for shapes of few numbers, small and quick to ask."""

import torch
from torch import Tensor, nn

from ..core.fields import EvaluatedFields
from ..fields.deepsdf import DeepSDF
from ..nn.networks import Standardise

CHUNK = 32_768                      # values decoded at a time


class VectorAutoencoder(nn.Module):
    """Values on a grid (b, c, *[side]*d) -> unit-scale latent (b, k) by dense layers -> a DeepSDF."""

    def __init__(self, d: int, c: int, side: int, k: int, width: int, depth: int, sharp: float):
        super().__init__()
        self.d, self.c, hidden = d, c, 2 * width
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(c * side**d, hidden), nn.SiLU(),
                                     nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, k))
        self.unit = Standardise(k)
        self.field = DeepSDF(d, k, c, width, depth, sharp)

    def encode(self, grid: Tensor) -> Tensor:
        """Values on the grid -> latents of unit scale (b, k)."""
        return self.unit(self.encoder(grid))

    @torch.no_grad()
    def rescale(self, raw: Tensor) -> None:
        """Make the latents of raw ones (b, k) unit scale, and the field hear the new latent as it heard the old.

        The statistics of a batch of 32 are off by a sixth of a standard deviation, which a latent that says where a thing
        is cannot afford; so the scale stands still while the field learns, and is set right afterwards, exactly.
        """
        mean, std = self.unit.mean.clone(), self.unit.std.clone()
        self.unit.calibrate(raw)
        weight = self.field.condition.weight
        self.field.place.bias += weight @ ((self.unit.mean - mean) / std)
        weight *= self.unit.std / std

    def forward(self, coords: Tensor, latent: Tensor, features: Tensor | None = None,
                size: Tensor | float = 0.0) -> Tensor:
        """The field that latents stand for, at coords (p, d) or (b, p, d): (b, p, c), at points whatever their size."""
        return self.field(coords, latent)

    @torch.no_grad()
    def fields(self, latent: Tensor, features: Tensor | None = None, size: float = 0.0) -> EvaluatedFields:
        """The same as Fields, a part at a time."""
        heard = self.field.condition(latent)

        def rule(coords: Tensor, part: slice | Tensor) -> Tensor:
            own = heard[part]
            step = max(1, CHUNK // len(own))
            pieces = [self.field.read(x.to(own), own) for x in coords.split(step, dim=-2)]
            return torch.cat(pieces, 1).to(coords) if pieces else coords.new_zeros(len(own), 0, self.c)

        return EvaluatedFields(rule, len(latent), self.d, self.c)
