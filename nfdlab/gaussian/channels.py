"""A Gaussian measured on draws as channels of an encoder: its posterior mean and standard deviation on a grid."""

import torch
from torch import Tensor

from ..core.grid import cell_centres, to_grid
from ..core.types import ObservationBatch
from .karhunen_loeve import KarhunenLoeve


class GaussianChannels(KarhunenLoeve):
    """ObservationBatch -> posterior means and log standard deviations (b, 2 c, *[side]*d) at the points of a grid.

    The best linear answer and its error bar, in closed form from mean and covariance of draws: what an encoder need
    not learn to compute. Nothing in it is chosen but the number of directions, `rank`.
    """

    def __init__(self, d: int, c: int, side: int, rank: int):
        super().__init__(d, c, side, rank)
        self.register_buffer("grid", cell_centres((side,) * d), persistent=False)

    @torch.no_grad()
    def forward(self, seen: ObservationBatch) -> Tensor:
        mean, variance = self.predict(self.condition(seen), self.grid)
        parts = torch.cat([mean, variance.expand_as(mean).log() / 2], -1)
        return to_grid(parts, (self.side,) * self.d).movedim(-1, 1)
