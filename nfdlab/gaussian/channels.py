"""A Gaussian measured on draws as channels of an encoder: its posterior mean and standard deviation on a grid.

The best linear answer and its error bar, in closed form from mean and covariance of draws: what an encoder need not
learn to compute. Nothing in it is chosen but the number of directions, `rank`.
"""

import torch
from torch import Tensor

from ..core.grid import cell_centres, to_grid
from ..core.types import ObservationBatch
from .cosines import FINEST, CosineGaussian
from .karhunen_loeve import KarhunenLoeve


class GaussianChannels(KarhunenLoeve):
    """ObservationBatch -> posterior means and log standard deviations (b, 2 c, *[side]*d) at `side` points an axis."""

    def __init__(self, d: int, c: int, side: int, rank: int):
        super().__init__(d, c, side, rank)
        self.channels = 2 * c
        self.register_buffer("grid", cell_centres((side,) * d), persistent=False)

    @torch.no_grad()
    def forward(self, seen: ObservationBatch) -> Tensor:
        mean, variance = self.predict(self.condition(seen), self.grid)
        parts = torch.cat([mean, variance.expand_as(mean).log() / 2], -1)
        return to_grid(parts, (self.side,) * self.d).movedim(-1, 1)


class CosineChannels(CosineGaussian):
    """ObservationBatch of films -> posterior means and log standard deviations (b, 2 c, *shape) at the points of a grid
    whose first axis is time, and the means again on a finer grid, (b, c, *fine).

    The standard deviations, which are smooth in space, are those of boxes of 2 points a side.
    """

    def __init__(self, d: int, c: int, rank: int, shape: tuple[int, ...], fine: tuple[int, ...]):
        super().__init__(d, c, (shape[0], *[FINEST[d]] * (d - 1)), rank)
        self.shape, self.fine, self.channels = shape, fine, 2 * c
        self.boxes = (shape[0], *[max(1, side // 2) for side in shape[1:]])

    @torch.no_grad()
    def forward(self, seen: ObservationBatch) -> tuple[Tensor, Tensor]:
        posterior = self.condition(seen)
        means, fine = (self.on_grid(posterior.mean, shape) for shape in (self.shape, self.fine))
        _, variance = self.predict(posterior, cell_centres(self.boxes).to(self.root))
        log_std = to_grid(variance.expand(len(means), -1, -1).log() / 2, self.boxes).movedim(-1, 1)
        for axis, (side, boxes) in enumerate(zip(self.shape, self.boxes, strict=True), 2):
            log_std = log_std.repeat_interleave(side // boxes, axis)
        return torch.cat([means, log_std], 1), fine
