"""Coordinates as sines and cosines, so that a network sees fine detail. Output size is known before the first call."""

import math

import torch
from torch import Tensor, nn

from ..core.rng import stream


class Fourier(nn.Module):
    """Octaves: x, sin(2^j π x), cos(2^j π x) for j < octaves: (…, d) -> (…, d (1 + 2 octaves)).

    Mildenhall et al. 2020, eq. 4.
    """

    def __init__(self, d: int, octaves: int):
        super().__init__()
        self.register_buffer("omega", math.pi * 2.0 ** torch.arange(octaves), persistent=False)
        self.out = d * (1 + 2 * octaves)

    def forward(self, x: Tensor) -> Tensor:
        angle = (x[..., None] * self.omega).flatten(-2)
        return torch.cat([x, angle.sin(), angle.cos()], -1)


class RandomFourier(nn.Module):
    """sin(2π B x), cos(2π B x) with B ~ N(0, scale²): (…, d) -> (…, 2 features). Tancik et al. 2020, sec. 5."""

    def __init__(self, d: int, features: int, scale: float, *, seed: int):
        super().__init__()
        self.register_buffer("B", scale * torch.randn(d, features, generator=stream(seed, "fourier")))
        self.out = 2 * features

    def forward(self, x: Tensor) -> Tensor:
        angle = 2 * math.pi * x @ self.B
        return torch.cat([angle.sin(), angle.cos()], -1)
