"""SIREN: a neural field of sine layers, initialised so that activations keep their scale through depth."""

import math

import torch
from torch import Tensor, nn


class Sine(nn.Module):
    """sin(omega (W x + b + shift)). Sitzmann et al. 2020, sec. 3.2 and their supplement 1.5.

    Initialisation: W ~ U(±1/fan_in) in the first layer, U(±sqrt(6/fan_in)/omega) after it, so that the input
    of the second sine has std 1 and that of each later one s'² = 1 − exp(−2s²), which converges to 0.893. Biases start
    at zero after the first layer, where they are random phases.
    """

    def __init__(self, fan_in: int, fan_out: int, omega: float, first: bool = False):
        super().__init__()
        self.linear, self.omega = nn.Linear(fan_in, fan_out), omega
        bound = 1 / fan_in if first else math.sqrt(6 / fan_in) / omega
        nn.init.uniform_(self.linear.weight, -bound, bound)
        if not first:
            nn.init.zeros_(self.linear.bias)

    def before(self, x: Tensor) -> Tensor:
        """Input of the sine, without modulation."""
        return self.omega * self.linear(x)

    def forward(self, x: Tensor, shift: Tensor | float = 0.0) -> Tensor:
        return torch.sin(self.before(x) + shift)


class Siren(nn.Module):
    """Field (…, d) -> (…, c): `depth` sine layers of `width`, then a linear one.

    omega is the highest frequency of the first layer, in radians per unit of the box; 30 suits images, 10–15
    functions with at most ten periods across [-1, 1].
    """

    def __init__(self, d: int, c: int = 1, width: int = 64, depth: int = 3, omega: float = 15.0):
        super().__init__()
        sizes = [d] + [width] * depth
        self.sines = nn.ModuleList(Sine(a, b, omega, first=i == 0)
                                   for i, (a, b) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)))
        self.output = nn.Linear(width, c)
        bound = math.sqrt(6 / width) / omega
        nn.init.uniform_(self.output.weight, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        for sine in self.sines:
            x = sine(x)
        return self.output(x)
