"""The training grid itself as a code: its points folded into the cells, so that nothing is lost on the way.

Where fields are rough, a few numbers a cell leave out more than the dots do. Here a cell holds every point of the fine
grid that lies in it. The field reads the grid between its points, and a local field adds what that misses.
"""

import torch
from torch import Tensor, nn

from ..encoders.kriged import Kriged
from ..fields.interpolate import read
from .autoencoder import Autoencoder, FieldDecoder
from .normalise import Given, Standardise


def fold(grid: Tensor, cells: int) -> Tensor:
    """(b, c, *[side]*d) -> (b, c (side/cells)^d, *[cells]*d)."""
    d = grid.ndim - 2
    for axis in range(2, 2 + 2 * d, 2):
        grid = grid.unflatten(axis, (cells, -1))                     # cells and, inside them, points: axis by axis
    return grid.permute(0, 1, *range(3, 2 + 2 * d, 2), *range(2, 2 + 2 * d, 2)).flatten(1, 1 + d)


def unfold(code: Tensor, c: int, per_cell: int) -> Tensor:
    """The inverse of `fold`, with `per_cell` points of the grid per cell and axis."""
    d = code.ndim - 2
    parts = code.unflatten(1, (c, *[per_cell] * d))
    parts = parts.permute(0, 1, *[axis for k in range(d) for axis in (2 + d + k, 2 + k)])
    for axis in range(2, 2 + d):
        parts = parts.flatten(axis, axis + 1)
    return parts


class Folded(Autoencoder):
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
        """Raw codes (b, k, *[cells]*d) of values on the fine grid (b, c, *[side]*d)."""
        return fold(grid, self.cells)

    def points(self, code: Tensor) -> Tensor:
        """The fine grid (b, c, *[side]*d) that codes of unit scale hold."""
        return unfold(self.unit.restore(code), self.c, self.per_cell)

    def between(self, grid: Tensor, coords: Tensor) -> Tensor:
        """The grid at coords, linear between its points, or cubic."""
        return read(grid, coords, self.cubic)

    def forward(self, coords: Tensor, code: Tensor, features: Tensor | None = None,
                size: Tensor | float = 0.0) -> Tensor:
        return super().forward(coords, code, features, size) + self.between(self.points(code), coords)


class Pooled(Given):
    """Mean and spread of a folded code from several krigings: votes weigh them, features have the last word.

    Fresh, it is the krigings' own average, in which each weighs what it earned near here. `head` then moves the weights
    and the mean point by point, and stretches the spread. Jacobs et al. 1991 (a gate that chooses among experts).
    """

    def __init__(self, conv: type[nn.Module], features: int, k: int, kernels: int):
        nn.Module.__init__(self)
        self.head = conv(features, k * (kernels + 2), 1)
        nn.init.zeros_(self.head.weight), nn.init.zeros_(self.head.bias)

    def forward(self, features: Tensor, kriged: Kriged, unit: Standardise) -> tuple[Tensor, Tensor]:
        """Mean and spread of the code (b, k, *cells), at unit scale."""
        cells, K = features.shape[2], kriged.votes.shape[1]
        means = torch.stack([fold(kriged.means[:, j], cells) for j in range(K)], 1)                 # (b, K, k, *cells)
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
    def loss(code: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
        """As Given's, but each view counts alike: points that are left open in one would else drown the next view."""
        score = 0.5 * ((code - mean) / spread).square() + spread.log()
        weight = spread.detach()
        return (weight / weight.mean(tuple(range(1, code.ndim)), keepdim=True) * score).mean()
