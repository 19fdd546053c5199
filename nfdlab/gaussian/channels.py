"""A Gaussian measured on draws as channels of an encoder: its posterior mean and standard deviation on a grid."""

import torch
from torch import Tensor

from ..core.grid import cell_centres, to_grid
from ..core.types import ObservationBatch
from .karhunen_loeve import KarhunenLoeve


class GaussianChannels(KarhunenLoeve):
    """ObservationBatch -> posterior means and log standard deviations (b, 2 c, *shape) at the points of a grid, by
    default the `side` points an axis that the Gaussian is measured on.

    The best linear answer and its error bar, in closed form from mean and covariance of draws: what an encoder need
    not learn to compute. Nothing in it is chosen but the number of directions, `rank`.
    """

    def __init__(self, d: int, c: int, side: int, rank: int, shape: tuple[int, ...] | None = None):
        super().__init__(d, c, side, rank)
        self.shape, self.channels = (side,) * d if shape is None else shape, 2 * c
        self.register_buffer("grid", cell_centres(self.shape), persistent=False)

    @torch.no_grad()
    def forward(self, seen: ObservationBatch) -> Tensor:
        mean, variance = self.predict(self.condition(seen), self.grid)
        parts = torch.cat([mean, variance.expand_as(mean).log() / 2], -1)
        return to_grid(parts, self.shape).movedim(-1, 1)
