"""Fourier features of coordinates: x -> sines and cosines."""

import math

import torch
from torch import Tensor, nn


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
