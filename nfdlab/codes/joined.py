"""An autoencoder whose field hears place and code together: for shapes of few numbers, small and quick to ask."""

import torch
from torch import Tensor, nn

from ..core.fields import Evaluated
from ..fields.joint import JointField
from .normalise import Standardise

CHUNK = 32_768                      # values decoded at a time


class Joined(nn.Module):
    """Values on a grid (b, c, *[side]*d) -> unit-scale code (b, k) by dense layers -> a JointField."""

    def __init__(self, d: int, c: int, side: int, k: int, width: int, depth: int, sharp: float):
        super().__init__()
        self.d, self.c, hidden = d, c, 2 * width
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(c * side**d, hidden), nn.SiLU(),
                                     nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, k))
        self.unit = Standardise(k)
        self.field = JointField(d, k, c, width, depth, sharp)

    def encode(self, grid: Tensor) -> Tensor:
        """Values on the grid -> codes of unit scale (b, k)."""
        return self.unit(self.encoder(grid))

    @torch.no_grad()
    def rescale(self, raw: Tensor) -> None:
        """Make the codes of raw ones (b, k) unit scale, and the field hear the new code as it heard the old.

        The statistics of a batch of 32 are off by a sixth of a standard deviation, which a code that says where a thing
        is cannot afford; so the scale stands still while the field learns, and is set right afterwards, exactly.
        """
        mean, std = self.unit.mean.clone(), self.unit.std.clone()
        self.unit.calibrate(raw)
        weight = self.field.hear.weight
        self.field.place.bias += weight @ ((self.unit.mean - mean) / std)
        weight *= self.unit.std / std

    def forward(self, coords: Tensor, code: Tensor, features: Tensor | None = None,
                size: Tensor | float = 0.0) -> Tensor:
        """The field that codes stand for, at coords (p, d) or (b, p, d): (b, p, c), at points whatever their size."""
        return self.field(coords, code)

    @torch.no_grad()
    def fields(self, code: Tensor, features: Tensor | None = None, size: float = 0.0) -> Evaluated:
        """The same as Fields, a part at a time."""
        heard = self.field.hear(code)

        def rule(coords: Tensor, part: slice | Tensor) -> Tensor:
            own = heard[part]
            step = max(1, CHUNK // len(own))
            pieces = [self.field.read(x.to(own), own) for x in coords.split(step, dim=-2)]
            return torch.cat(pieces, 1).to(coords) if pieces else coords.new_zeros(len(own), 0, self.c)

        return Evaluated(rule, len(code), self.d, self.c)
