"""SIREN, a network of sines, and a shared SIREN whose sines a latent shifts: one field for many functions."""

import math

import torch
from torch import Tensor, nn

from ..core.grid import blend, interpolate
from .pieces import in_pieces, in_place


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
        return nn.functional.linear(x, self.omega * self.linear.weight, self.omega * self.linear.bias)

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


class ModulatedSiren(nn.Module):
    """Field of (coords (b, p, d), latent (b, k)) -> (b, p, c): the latent becomes one shift a sine by a linear map.

    A latent (b, k, *cells) on a grid is interpolated at the query first. With `scales` the latent also scales the input
    of each sine (FiLM), so that frequencies may depend on the function. Both start small, the scales at one.

    Dupont et al. 2022, sec. 3 (shifts, by one linear map); Bauer et al. 2023, sec. 3 (latents on a grid); Perez et al.
    2018 (scales).
    """

    def __init__(self, d: int, latent: int, c: int = 1, width: int = 64, depth: int = 3, omega: float = 15.0,
                 scales: bool = False):
        super().__init__()
        self.siren = Siren(d, c, width, depth, omega)
        self.shift = nn.Linear(latent, width * depth, bias=False)
        self.scale = nn.Linear(latent, width * depth, bias=False) if scales else None
        self.width = width
        nn.init.normal_(self.shift.weight, std=0.3 / latent**0.5)
        if scales:
            nn.init.zeros_(self.scale.weight)

    def shifts(self, latent: Tensor) -> list[Tensor]:
        """(…, k) -> for each layer the shifts of its sines (…, width), in radians; with `scales` (…, 2 width)."""
        parts = [self.shift.weight] if self.scale is None else [self.shift.weight, self.scale.weight]
        layers = zip(*(weight.split(self.width) for weight in parts), strict=True)
        return [nn.functional.linear(latent, torch.cat(layer)) for layer in layers]

    def forward(self, coords: Tensor, latent: Tensor) -> Tensor:
        if latent.ndim == 2:
            return self.with_shifts(coords, self.shifts(latent))
        return in_pieces(lambda at: (self.siren.sines[0].before(at), at), lambda placed, of: self._modulated(
            placed[0], self.local(placed[1] if len(placed[1]) > 1 else placed[1][0], *of)), coords, (latent,),
            self.shift.out_features)

    def local(self, coords: Tensor, latent: Tensor) -> list[Tensor]:
        """The shifts at coords: for each layer (b, width) of a flat latent, (b, p, width) of a latent on a grid."""
        if latent.ndim > 2:                               # meta-learning differentiates twice
            latent = (blend if torch.is_grad_enabled() else interpolate)(latent, coords)
        return self.shifts(latent)

    def with_shifts(self, coords: Tensor, shifts: list[Tensor]) -> Tensor:
        """The field with given shifts, for each layer (b, width), or (b, p, width) for each place: values (b, p, c)."""
        first = self.siren.sines[0].before
        if shifts[0].ndim == 3:
            return self._modulated(first(coords), shifts)
        return in_pieces(lambda at: (first(at),), lambda placed, of: self._modulated(
            placed[0], [shift[:, None] for shift in of]), coords, tuple(shifts), self.width)

    def _modulated(self, x: Tensor, shifts: list[Tensor]) -> Tensor:
        """The input of the first sine, without modulation, and shifts of each layer (b, p or 1, …) -> (b, p, c)."""
        for i, (sine, shift) in enumerate(zip(self.siren.sines, shifts, strict=True)):
            x = sine.before(x) if i else x
            if self.scale is not None:
                shift, stretch = shift.chunk(2, -1)
                x = x * (1 + stretch)
            x = in_place(torch.sin, x + shift)
        return self.siren.output(x)
