"""Observations as channels on a grid: SetConv, and closed-form estimates of a few Gaussian processes beside it.

SetConv smooths; it does not invert. Where many observations pin a function down the answer is the solution of a linear
system, which convolutions learn slowly and a Cholesky factor gives at once: GPChannels gives it for fixed kernels,
GPEnsemble for several, with local leave-one-out scores that say which of them to trust where. Nothing here is learned.
"""

import math
from typing import NamedTuple

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


NEAR, FAR = 0.3, 0.01        # width of a neighbourhood in units of the box; weight of distant observations
GROUP = 4                    # views solved together, of similar counts, since all are padded to the longest


class GPEstimates(NamedTuple):
    """Estimates of K kernels for b views of c channels; all but `shift`, `scale` in units of the observations."""

    means: Tensor            # (b, K, c, *[side]*d)
    log_weights: Tensor            # (b, K, *[cells]*d): log weight of each kernel, the largest 0
    stds: Tensor          # (b, K, *[cells]*d): std of each kernel, corrected by its local error
    shift: Tensor            # (b, c), in units of the values: what was subtracted
    scale: Tensor            # (b,), what was divided by

    def beside(self) -> Tensor:
        """Coarse channels (log weights, log stds, log scale): (b, 2K + 1, *[cells]*d)."""
        log_weights, stds = self.log_weights.clamp_min(-10) / 3, self.stds.log()
        scale = self.scale.log().reshape(-1, *[1] * (log_weights.ndim - 1)).expand_as(log_weights[:, :1])
        return torch.cat([log_weights, stds, scale], 1)


class GPEnsemble(nn.Module):
    """ObservationBatch -> the batch in units of its own observations, and GPEstimates.

    `kernels`: pairs (smoothness, lengthscale) of Matérn kernels, as mixtures of the same few Gaussians; these are
    products over the axes, so a mean on a grid of side^d points is a matrix product. Variance of kernels and level: 1.
    """

    def __init__(self, d: int, side: int, cells: int, kernels):
        super().__init__()
        require(len(kernels) > 0, must="kernels: at least one pair (smoothness, lengthscale).", came=kernels,
                why="An ensemble has at least one kernel.", do="kernels=((1.5, 0.3),).")
        self.d, self.K, self.cells = d, len(kernels), cells
        self.register_buffer("widths", 2.2 / side * 1.8 ** torch.arange(7.0), persistent=False)
        self.register_buffer("shares", torch.stack([mixture(self.widths, *pair) for pair in kernels]), persistent=False)
        self.register_buffer("ticks", cell_centres((side,))[:, 0], persistent=False)
        self.register_buffer("centres", cell_centres((cells,) * d), persistent=False)

    @torch.no_grad()
    def forward(self, seen: ObservationBatch) -> tuple[ObservationBatch, GPEstimates]:
        seen, shift, scale = standardised(seen)
        counts, parts = seen.mask.sum(1), []
        order = counts.argsort()
        x, y, real = (nn.functional.pad(part, (0, 0, 0, 1)) for part in
                      (seen.coords, seen.values, seen.mask[..., None].to(scale)))       # one row at least
        for rows in order.split(GROUP):
            m = max(1, int(counts[rows].max()))
            parts.append(self._krige(x[rows, :m], y[rows, :m], real[rows, :m, 0], seen.noise_std[rows]))
        means, log_weights, stds = (torch.cat(part)[order.argsort()] for part in zip(*parts, strict=True))
        return seen, GPEstimates(means, log_weights, stds, shift, scale)

    def _krige(self, x: Tensor, y: Tensor, real: Tensor, noise_std: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Means, log weights and stds of views x (b, m, d), y (b, m, c); real (b, m) is 0 at padding."""
        b, m, _ = x.shape
        pairs, noise = real[:, :, None] * real[:, None], noise_std.square()[:, None] * real + (1 - real)
        away = torch.cdist(x, self.centres.expand(b, -1, -1)).square()                          # (b, m, p)
        near = (FAR + (1 - FAR) * torch.exp(-away / (2 * NEAR**2))) * real[..., None]
        apart = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")    # the other mode loses small ones
        among, across = self._gaussians(apart.square()), self._gaussians(away)
        axes = self._gaussians((x[..., None] - self.ticks).square())
        means, log_weights, stds = [], [], []
        for share in self.shares:
            K, k = (1 + (share @ gauss).unflatten(1, (m, -1)) for gauss in (among, across))     # 1: the unknown level
            L = torch.linalg.cholesky((K * pairs).double() + torch.diag_embed(noise).double())
            inverse = torch.linalg.solve_triangular(L, torch.eye(m).to(L).expand(b, m, m), upper=False)
            pull, exact = (inverse.mT @ (inverse @ y.double())).float(), inverse.square().sum(1).float()
            inverse = inverse.float()                    # K^-1 y, diag K^-1: differences of large numbers, so in double
            miss = pull.square().mean(2) / exact         # squared leave-one-out error, in variances
            log_weights.append(((exact.log() - miss)[:, None] * y.shape[2] / 2) @ near)
            corrected = (1 + (miss * real)[:, None] @ near) / (1 + near.sum(1, keepdim=True))
            left = 2 - (inverse @ (k * real[..., None])).square().sum(1, keepdim=True)
            stds.append((left.clamp_min(1e-3) * corrected).sqrt())
            means.append(self._means(share, pull, axes))
        log_weights, stds = torch.cat(log_weights, 1), torch.cat(stds, 1)
        grid = (self.cells,) * self.d
        return (torch.stack(means, 1), (log_weights - log_weights.amax(1, keepdim=True)).unflatten(2, grid),
                stds.unflatten(2, grid))

    def _gaussians(self, squares: Tensor) -> Tensor:
        """Squared distances (b, …) -> exp(−r²/2w²) of each width: (b, widths, rest). Bounded, as denormals are slow."""
        flat = squares.flatten(1)[:, None]
        return torch.exp((flat / (-2 * self.widths.square()[:, None])).clamp_min(-60))

    def _means(self, share: Tensor, pull: Tensor, axes: Tensor) -> Tensor:
        """Σ_i k(x, x_i) pull_i on the grid: (b, c, *[side]*d). `axes` (b, widths, m d side)."""
        (b, m, c), d = pull.shape, self.d
        first, *rest = axes.unflatten(2, (m, d, -1)).unbind(3)                                  # (b, widths, m, side)
        rest = [axis.flatten(1, 2)[:, None] for axis in rest]
        held = (pull.mT[:, :, None, :, None] * (share[:, None, None] * first)[:, None]).flatten(2, 3)
        if d == 1:
            grid = held.sum(2)
        elif d == 2:
            grid = held.mT @ rest[0]
        else:
            grid = torch.einsum("bcmi,bzmj,bzml->bcijl", held, *rest)
        return grid + pull.sum(1).reshape(b, c, *[1] * d)


def mixture(widths: Tensor, smoothness: float, lengthscale: float) -> Tensor:
    """Weights of Gaussians of these log-even widths in a Matérn kernel: t^ν e^−t, t = ν w²/ℓ², from
    k(r) = ∫ t^(ν−1) e^(−t) exp(−ν r²/2tℓ²) dt / Γ(ν)."""
    t = smoothness * widths.double().square() / lengthscale**2
    share = t**smoothness * torch.exp(-t)
    return (share / share.sum()).to(widths)


def standardised(seen: ObservationBatch) -> tuple[ObservationBatch, Tensor, Tensor]:
    """Standardise each view by its own observations: the batch, shift (b, c) and scale (b,). One observation of value
    0 ± 1 is added for this, so that few observations change little."""
    real, n = seen.mask[..., None].to(seen.values), 1 + seen.mask.sum(1).to(seen.values)
    shift = (seen.values * real).sum(1) / n[:, None]
    away = (seen.values - shift[:, None]) * real
    scale = ((1 + away.square().mean(2).sum(1)) / n).sqrt()
    noise_std = seen.noise_std.clamp_min(LEAST_NOISE) / scale
    return ObservationBatch(seen.coords, away / scale[:, None, None], seen.mask, noise_std), shift, scale
