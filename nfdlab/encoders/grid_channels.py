"""Observations as channels on a grid: SetConv. Nothing here is learned."""

import torch
from torch import Tensor, nn

from ..core.grid import cell_centres
from ..core.types import ObservationBatch


class SetConv(nn.Module):
    """ObservationBatch -> (b, channels, *[side]*d). Widths are in units of the box, narrow to wide.

    Channels: for each width the density n/(1 + n) and, for each value channel, the average (smaller at low density);
    and the log noise level, constant over the grid.
    """

    def __init__(self, d: int, c: int, side: int, widths: tuple[float, ...]):
        super().__init__()
        self.d, self.side, self.widths = d, side, tuple(widths)
        self.channels = len(widths) * (c + 1) + 1
        self.register_buffer("ticks", cell_centres((side,))[:, 0], persistent=False)

    def forward(self, seen: ObservationBatch) -> Tensor:
        b, m, _ = seen.coords.shape
        away = (seen.coords[:, :, :, None] - self.ticks).square()          # (b, m, d, side)
        channels = []
        values = torch.cat([torch.ones_like(seen.values[..., :1]), seen.values], -1) * seen.mask[..., None]
        for width in self.widths:
            near = torch.exp(-away / (2 * width**2))                       # separable: one factor an axis
            total = values.transpose(1, 2)                                 # (b, 1 + c, m)
            if self.d == 1:
                total = total @ near[:, :, 0]
            elif self.d == 2:
                total = torch.einsum("bkm,bmi,bmj->bkij", total, near[:, :, 0], near[:, :, 1])
            else:
                total = torch.einsum("bkm,bmi,bmj,bml->bkijl", total, near[:, :, 0], near[:, :, 1], near[:, :, 2])
            density, amount = total[:, :1], total[:, 1:]
            channels += [density / (1 + density), amount / (density + 0.1)]
        level = (seen.noise_std.clamp_min(1e-4).log() / 3 + 1).reshape(b, *[1] * (self.d + 1))
        channels.append(level.expand(b, 1, *[self.side] * self.d).to(channels[0]))
        return torch.cat(channels, 1)
