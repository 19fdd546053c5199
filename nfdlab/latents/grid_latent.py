"""The training grid itself as a latent: its points folded into the cells, so that nothing is lost on the way.

Where fields are rough, a few numbers a cell leave out more than the observations do. Here a cell holds every point of the fine
grid that lies in it. The field reads the grid between its points, and a local field adds what that misses.
"""

import torch
from torch import Tensor, nn

from ..core.grid import interpolate
from ..encoders.gp_ensemble import GPEstimates
from ..nn.space_to_depth import depth_to_space, space_to_depth
from .autoencoder import Autoencoder, FieldDecoder
from .standardise import AmortisedGaussian, Standardise


class GridLatent(Autoencoder):
    """An Autoencoder with nothing to learn but what lies between the points: the local field starts at zero."""

    def __init__(self, d: int, c: int, side: int, cells: int, features: int, width: int, octaves: int,
                 sized: bool = False, cubic: bool = False):
        nn.Module.__init__(self)
        self.c, self.cells, self.per_cell, self.cubic = c, cells, side // cells, cubic
        k = c * self.per_cell**d
        self.unit = Standardise(k)
        self.decoder = FieldDecoder(d, k, features, width, c, octaves, sized=sized)
        last = self.decoder.field.answer[-1]
        nn.init.zeros_(last.weight), nn.init.zeros_(last.bias)

    def encoder(self, grid: Tensor) -> Tensor:
        """Raw latents (b, k, *[cells]*d) of values on the fine grid (b, c, *[side]*d)."""
        return space_to_depth(grid, self.cells)

    def points(self, latent: Tensor) -> Tensor:
        """The fine grid (b, c, *[side]*d) that latents of unit scale hold."""
        return depth_to_space(self.unit.restore(latent), self.c, self.per_cell)

    def between(self, grid: Tensor, coords: Tensor) -> Tensor:
        """The grid at coords, linear between its points, or cubic."""
        return interpolate(grid, coords, self.cubic)

    def forward(self, coords: Tensor, latent: Tensor, features: Tensor | None = None,
                size: Tensor | float = 0.0) -> Tensor:
        return super().forward(coords, latent, features, size) + self.between(self.points(latent), coords)


class GatedEnsemble(AmortisedGaussian):
    """Mean and spread of a folded latent from several krigings: votes weigh them, features have the last word.

    Fresh, it is the krigings' own average, in which each weighs what it earned near here. `head` then moves the weights
    and the mean point by point, and stretches the spread. Jacobs et al. 1991 (a gate that chooses among experts).
    """

    def __init__(self, conv: type[nn.Module], features: int, k: int, kernels: int):
        nn.Module.__init__(self)
        self.head = conv(features, k * (kernels + 2), 1)
        nn.init.zeros_(self.head.weight), nn.init.zeros_(self.head.bias)

    def forward(self, features: Tensor, kriged: GPEstimates, unit: Standardise) -> tuple[Tensor, Tensor]:
        """Mean and spread of the latent (b, k, *cells), at unit scale."""
        cells, K = features.shape[2], kriged.votes.shape[1]
        means = torch.stack([space_to_depth(kriged.means[:, j], cells) for j in range(K)], 1)                 # (b, K, k, *cells)
        moved, stretched, *favoured = self.head(features).chunk(K + 2, 1)
        weights = torch.softmax(kriged.votes[:, :, None] + torch.stack(favoured, 1), 1)
        mean = (weights * means).sum(1)
        variance = (weights * (kriged.spreads[:, :, None].square() + (means - mean[:, None]).square())).sum(1)
        scale, like = kriged.scale.reshape(-1, *[1] * (mean.ndim - 1)), (1, -1, *[1] * (mean.ndim - 2))
        shift = kriged.shift.repeat_interleave(mean.shape[1] // kriged.shift.shape[1], 1)
        raw = shift.reshape(*shift.shape, *[1] * (mean.ndim - 2)) + scale * (mean + moved)
        spread = scale * variance.sqrt() * stretched.exp() / unit.std.reshape(like)
        return unit(raw), spread.clamp(self.LEAST, self.MOST)

    @staticmethod
    def loss(latent: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
        """As Given's, but each view counts alike: points that are left open in one would else drown the next view."""
        score = 0.5 * ((latent - mean) / spread).square() + spread.log()
        weight = spread.detach()
        return (weight / weight.mean(tuple(range(1, latent.ndim)), keepdim=True) * score).mean()
