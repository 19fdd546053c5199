"""Fourier features of coordinates: x -> sines and cosines."""

import math

import torch
from torch import Tensor, nn

from ..core.rng import stream
from ..nn.networks import Fourier

__all__ = ["Fourier", "RandomFourier"]


class RandomFourier(nn.Module):
    """sin(2π B x), cos(2π B x) with B ~ N(0, scale²): (…, d) -> (…, 2 features). Tancik et al. 2020, sec. 5."""

    def __init__(self, d: int, features: int, scale: float, *, seed: int):
        super().__init__()
        self.register_buffer("B", scale * torch.randn(d, features, generator=stream(seed, "fourier")))
        self.out = 2 * features

    def forward(self, x: Tensor) -> Tensor:
        angle = 2 * math.pi * x @ self.B
        return torch.cat([angle.sin(), angle.cos()], -1)
