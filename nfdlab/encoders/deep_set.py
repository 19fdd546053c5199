"""Deep set: any number of observations -> one vector."""

import torch
from torch import Tensor, nn

from ..core.types import ObservationBatch
from ..nn.networks import Fourier


class DeepSet(nn.Module):
    """ObservationBatch -> a summary (b, features): a network of the sum, over observations, of a network of each.

    Sums add up as the log likelihood of a family of functions does. Zaheer et al. 2017, thm. 2.
    """

    def __init__(self, d: int, c: int, features: int, octaves: int = 5):
        super().__init__()
        self.place = Fourier(d, octaves)
        self.point = nn.Sequential(nn.Linear(self.place.out + c + 1, features), nn.SiLU(),
                                   nn.Linear(features, features), nn.SiLU(), nn.Linear(features, features, bias=False))
        self.mix = nn.Sequential(nn.SiLU(), nn.Linear(features, features), nn.SiLU(), nn.Linear(features, features))

    def total(self, seen: ObservationBatch) -> Tensor:
        """The sum alone, (b, features)."""
        level = seen.noise_std.clamp_min(1e-2).log()[:, None, None].expand(*seen.mask.shape, 1)
        each = self.point(torch.cat([self.place(seen.coords), seen.values, level], -1)) * seen.mask[..., None]
        return each.sum(1) / 4

    def forward(self, seen: ObservationBatch) -> Tensor:
        return self.mix(self.total(seen))
