"""Observations as channels on a grid: SetConv, and closed-form estimates of a few Gaussian processes beside it.

SetConv smooths; it does not invert. Where many observations pin a function down the answer is the solution of a linear
system, which convolutions learn slowly and a Cholesky factor gives at once: GPChannels gives it for fixed kernels.
Nothing here is learned.
"""

import math

import torch
from torch import Tensor, nn

from ..core.checks import require
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


LEAST_NOISE = 0.02           # keeps the system well conditioned in clumps of observations


def matern(r: Tensor, lengthscale: float, smoothness: float = 2.5) -> Tensor:
    """Matérn correlation at distance r, smoothness 5/2 or 3/2. Rasmussen & Williams 2006, eq. 4.17."""
    if smoothness == 1.5:
        s = math.sqrt(3) * r / lengthscale
        return (1 + s) * torch.exp(-s)
    s = math.sqrt(5) * r / lengthscale
    return (1 + s + s.square() / 3) * torch.exp(-s)


class GPChannels(nn.Module):
    """ObservationBatch -> channels (b, channels, *[side]*d): for each kernel, c posterior means and one posterior std.

    `kernels` are Matérn kernels, pairs (smoothness, lengthscale). `offset_std` is the standard deviation of an unknown
    constant that is added to each field; 0 where there is none.
    """

    def __init__(self, d: int, c: int, side: int, kernels: tuple[tuple[float, float], ...], offset_std: float = 0.0):
        super().__init__()
        for smoothness, _ in kernels:
            require(smoothness in (1.5, 2.5), must="smoothness: 1.5 or 2.5.", came=smoothness, why="These Matérn "
                    "kernels have a short formula.", do="2.5 for smooth fields, 1.5 for rough ones.")
        self.kernels, self.offset_std = tuple(kernels), offset_std
        self.channels, self.shape = len(kernels) * (c + 1), (side,) * d
        self.register_buffer("grid", cell_centres(self.shape), persistent=False)

    @torch.no_grad()
    def forward(self, seen: ObservationBatch) -> Tensor:
        b, m, _ = seen.coords.shape
        real = seen.mask.to(seen.values)
        between, to_grid = torch.cdist(seen.coords, seen.coords), torch.cdist(seen.coords, self.grid.expand(b, -1, -1))
        pairs = real[:, :, None] * real[:, None]
        noise = seen.noise_std.clamp_min(LEAST_NOISE).square()[:, None]
        # a padded row has no neighbours and a value of zero, so it has no effect
        diagonal = torch.diag_embed((noise + (1 - real)).expand(b, m)).double()
        channels = []
        for smoothness, lengthscale in self.kernels:
            K, k = (matern(r, lengthscale, smoothness) + self.offset_std**2 for r in (between, to_grid))
            L = torch.linalg.cholesky((K * pairs).double() + diagonal).float()
            across, values = k * real[..., None], seen.values * real[..., None]
            half = torch.linalg.solve_triangular(L, across, upper=False)                           # (b, m, p)
            data = torch.linalg.solve_triangular(L, values, upper=False)                           # (b, m, c)
            std = (1 + self.offset_std**2 - half.square().sum(1)).clamp_min(1e-4).sqrt()
            channels += [data.transpose(1, 2) @ half, std[:, None]]
        return torch.cat(channels, 1).unflatten(2, self.shape)
