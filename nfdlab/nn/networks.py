"""Network parts with no idea of their own: convolutional and residual networks, encodings, standardisation."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..core import single


class Conv1d(nn.Conv1d):
    """nn.Conv1d by way of the 2D kernel with channels last, which is two to three times faster on CPUs."""

    def forward(self, x: Tensor) -> Tensor:
        x = x.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        weight = self.weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        stride, padding, dilation = (1, *self.stride), (0, *self.padding), (1, *self.dilation)
        return nn.functional.conv2d(x, weight, self.bias, stride, padding, dilation).squeeze(2)


class Conv2d(nn.Conv2d):
    """nn.Conv2d with channels last, twice as fast on CPUs."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.contiguous(memory_format=torch.channels_last)
        return self._conv_forward(x.contiguous(memory_format=torch.channels_last), weight, self.bias)


class Pointwise(nn.Linear):
    """The convolution of what has no axes: a linear layer, whatever the size of the kernel."""

    def __init__(self, a: int, b: int, *size: int, **more: int):
        super().__init__(a, b)


CONV = {0: Pointwise, 1: Conv1d, 2: Conv2d, 3: nn.Conv3d}


def zeroed(layer: nn.Module) -> nn.Module:
    """The layer, weights and bias set to zero: what it ends adds nothing at first."""
    nn.init.zeros_(layer.weight), nn.init.zeros_(layer.bias)
    return layer


class Level(nn.Module):
    """Features of the noise level: sines and cosines of c_noise, then two layers. (b,) -> (b, width)."""

    def __init__(self, width: int, frequencies: int = 16):
        super().__init__()
        self.register_buffer("omega", torch.exp(single.linspace(-1.0, 3.5, frequencies)), persistent=False)
        self.mix = nn.Sequential(nn.Linear(2 * frequencies, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())

    def forward(self, level: Tensor) -> Tensor:
        angle = level[:, None] * self.omega
        return self.mix(torch.cat([angle.cos(), angle.sin()], -1))


class ConvBlock(nn.Module):
    """A residual block: two convolutions, the first dilated, with scale and shift by FiLM (Perez et al. 2018).

    The last convolution starts at zero, so a fresh network is the identity.
    """

    def __init__(self, d: int, width: int, dilation: int = 1, given: int = 0):
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.one = CONV[d](width, width, 3, padding=dilation, dilation=dilation)
        self.two = zeroed(CONV[d](width, width, 3, padding=1))
        self.film = nn.Linear(given, 2 * width) if given else None

    def forward(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        h = self.one(nn.functional.silu(self.norm(x)))
        if self.film is not None:
            scale, shift = self.film(given).reshape(len(given), -1, *[1] * (h.ndim - 2)).chunk(2, 1)
            h = h * (1 + scale) + shift
        return x + self.two(nn.functional.silu(h))


class ConvNet(nn.Module):
    """F(x (b, k, *cells), level (b or 1,), features (b, w, *cells) if there are any) -> (b, k, *cells)."""

    def __init__(self, d: int, channels: int, features: int, width: int, dilations: tuple[int, ...]):
        super().__init__()
        self.level = Level(width)
        self.input = CONV[d](channels + features, width, 3, padding=1)
        self.blocks = nn.ModuleList(ConvBlock(d, width, r, given=width) for r in dilations)
        self.output = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), zeroed(CONV[d](width, channels, 1)))

    def forward(self, x: Tensor, level: Tensor, features: Tensor | None = None) -> Tensor:
        given = self.level(level)
        h = self.input(x if features is None else torch.cat([x, features.expand(len(x), *features.shape[1:])], 1))
        for block in self.blocks:
            h = block(h, given)
        return self.output(h)


class MLP(nn.Module):
    """F(x (b, k), level (b or 1,), features (b or 1, w) if there are any) -> (b, k).

    `depth` residual blocks of two layers. Level and features set the scale and shift inside each block. Blocks and
    exit start at zero.
    """

    def __init__(self, channels: int, width: int = 256, depth: int = 3, features: int = 0):
        super().__init__()
        self.level = Level(width)
        self.condition = nn.Linear(features, width) if features else None
        self.input = nn.Linear(channels, width)
        self.blocks = nn.ModuleList(MLPBlock(width, width) for _ in range(depth))
        self.output = nn.Sequential(nn.LayerNorm(width), nn.SiLU(), zeroed(nn.Linear(width, channels)))

    def forward(self, x: Tensor, level: Tensor, features: Tensor | None = None) -> Tensor:
        given = self.level(level)
        if self.condition is not None:
            given = nn.functional.silu(given + self.condition(features))
        h = self.input(x)
        for block in self.blocks:
            h = block(h, given)
        return self.output(h)


class MLPBlock(nn.Module):
    """A residual block of two linear layers, as `ConvBlock` is of convolutions."""

    def __init__(self, width: int, given: int = 0):
        super().__init__()
        self.norm, self.one, self.two = nn.LayerNorm(width), nn.Linear(width, width), zeroed(nn.Linear(width, width))
        self.film = nn.Linear(given, 2 * width) if given else None

    def forward(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        h = self.one(nn.functional.silu(self.norm(x)))
        if self.film is not None:
            scale, shift = self.film(given).chunk(2, -1)
            h = h * (1 + scale) + shift
        return x + self.two(nn.functional.silu(h))


class GridEncoder(nn.Module):
    """(b, c, *[side]*d) -> (b, k, *[cells]*d) by convolutions of stride 2; side = cells·2^j.

    `beside` channels, given on the coarse grid, join where the fine ones arrive there.
    """

    def __init__(self, d: int, c: int, side: int, cells: int, k: int, width: int, dilations: tuple[int, ...] = (1, 1),
                 beside: int = 0):
        super().__init__()
        self.down = halving(d, c, side, cells, width, nn.SiLU)
        self.join = CONV[d](beside, width, 3, padding=1) if beside else None
        self.blocks = nn.Sequential(*[ConvBlock(d, width, r) for r in dilations])
        self.output = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), CONV[d](width, k, 1))

    def forward(self, grid: Tensor, beside: Tensor | None = None) -> Tensor:
        h = self.down(grid)
        return self.output(self.blocks(h if self.join is None else h + self.join(beside)))


def halving(d: int, c: int, side: int, cells: int, width: int, activation: type[nn.Module]) -> nn.Sequential:
    """Convolutions from a grid of `side` to one of `cells`, thin where the grid is fine."""
    halvings = round(math.log2(side / cells))
    widths = [max(8, width // 2 // 8 * 8)] + [width] * halvings if halvings else [width]
    layers = [CONV[d](c, widths[0], 3, padding=1)]
    for a, b in pairwise(widths):
        layers += [activation(), CONV[d](a, b, 4, stride=2, padding=1)]
    return nn.Sequential(*layers)


class Fourier(nn.Module):
    """Octaves: x, sin(2^j π x), cos(2^j π x) for j < octaves: (…, d) -> (…, d (1 + 2 octaves)).

    Mildenhall et al. 2020, eq. 4.
    """

    def __init__(self, d: int, octaves: int):
        super().__init__()
        self.register_buffer("omega", math.pi * 2.0 ** single.arange(octaves), persistent=False)
        self.out = d * (1 + 2 * octaves)

    def forward(self, x: Tensor) -> Tensor:
        angle = (x[..., None] * self.omega).flatten(-2)
        return torch.cat([x, angle.sin(), angle.cos()], -1)


class Standardise(nn.Module):
    """Standardisation of each channel: latents (b, k, …) -> (latents − mean)/std, by statistics that `calibrate` fixes.

    A decoder is trained before there are statistics to fix: `by_batch` uses those of the batch.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.register_buffer("mean", single.zeros(channels))
        self.register_buffer("std", single.ones(channels))

    @staticmethod
    def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each channel: (k,), (k,)."""
        flat = x.transpose(0, 1).flatten(1)
        return flat.mean(1), flat.std(1).clamp_min(1e-6)

    @torch.no_grad()
    def calibrate(self, x: Tensor) -> None:
        """Fix the statistics to those of raw latents x (b, k, …)."""
        mean, std = self.statistics(x)
        self.mean.copy_(mean), self.std.copy_(std)

    def by_batch(self, x: Tensor) -> Tensor:
        """Raw latents (b, k, …) -> standardised by their own statistics."""
        return self._scaled(x, *self.statistics(x))

    def forward(self, x: Tensor) -> Tensor:
        return self._scaled(x, self.mean, self.std)

    def restore(self, x: Tensor) -> Tensor:
        """The inverse of the call: latents of unit scale -> raw latents."""
        shape = (1, -1, *[1] * (x.ndim - 2))
        return x * self.std.reshape(shape) + self.mean.reshape(shape)

    @staticmethod
    def _scaled(x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        shape = (1, -1, *[1] * (x.ndim - 2))
        return (x - mean.reshape(shape)) / std.reshape(shape)


def space_to_depth(grid: Tensor, cells: int) -> Tensor:
    """(b, c, *[side]*d) -> (b, c (side/cells)^d, *[cells]*d)."""
    d = grid.ndim - 2
    for axis in range(2, 2 + 2 * d, 2):
        grid = grid.unflatten(axis, (cells, -1))                     # cells and, inside them, points: axis by axis
    return grid.permute(0, 1, *range(3, 2 + 2 * d, 2), *range(2, 2 + 2 * d, 2)).flatten(1, 1 + d)


def depth_to_space(latent: Tensor, c: int, per_cell: int) -> Tensor:
    """The inverse of `space_to_depth`, with `per_cell` points of the grid per cell and axis."""
    d = latent.ndim - 2
    parts = latent.unflatten(1, (c, *[per_cell] * d))
    parts = parts.permute(0, 1, *[axis for k in range(d) for axis in (2 + d + k, 2 + k)])
    for axis in range(2, 2 + d):
        parts = parts.flatten(axis, axis + 1)
    return parts
