"""Modulated SIREN: one shared network, a latent shifts the phase of every sine."""

import torch
from torch import Tensor, nn

from ..core.grid import interpolate
from .siren import Siren


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

    def shifts(self, latent: Tensor) -> Tensor:
        """(…, k) -> (…, depth, width): the shift of each layer, in radians; with `scales` (…, depth, 2 width)."""
        shift = self.shift(latent).unflatten(-1, (-1, self.width))
        if self.scale is None:
            return shift
        return torch.cat([shift, self.scale(latent).unflatten(-1, (-1, self.width))], -1)

    def forward(self, coords: Tensor, latent: Tensor) -> Tensor:
        return self.with_shifts(coords, self.local(coords, latent))

    def local(self, coords: Tensor, latent: Tensor) -> Tensor:
        """The shifts at coords: (b, depth, width) of a flat latent, (b, p, depth, width) of a latent on a grid."""
        return self.shifts(interpolate(latent, coords) if latent.ndim > 2 else latent)

    def with_shifts(self, coords: Tensor, shifts: Tensor) -> Tensor:
        """The field with given shifts (b, depth, width), or (b, p, depth, width) for each place: values (b, p, c)."""
        x = coords.expand(len(shifts), *coords.shape[-2:])
        if shifts.ndim == 3:
            shifts = shifts[:, None]
        for sine, shift in zip(self.siren.sines, shifts.unbind(-2), strict=True):
            if self.scale is None:
                x = sine(x, shift)
            else:
                shift, stretch = shift.chunk(2, -1)
                x = torch.sin(sine.before(x) * (1 + stretch) + shift)
        return self.siren.output(x)
