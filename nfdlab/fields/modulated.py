"""One shared SIREN, many functions: a code shifts the phase of every sine."""

import torch
from torch import Tensor, nn

from .interpolate import read
from .siren import Siren


class ModulatedSiren(nn.Module):
    """Field of (coords (b, p, d), code (b, k)) -> (b, p, c): the code becomes one shift a sine by a linear map.

    A code (b, k, *cells) on a grid is read at the query first, so that each place is shifted by what is near. With
    `scales` the code also stretches what goes into each sine (FiLM): a frequency may then depend on the function, which
    shifts alone spell out slowly. Both start small, the scales at one.

    Dupont et al. 2022, sec. 3 (shifts, by one linear map); Bauer et al. 2023, sec. 3 (codes on a grid); Perez et al.
    2018 (scales).
    """

    def __init__(self, d: int, code: int, c: int = 1, width: int = 64, depth: int = 3, omega: float = 15.0,
                 scales: bool = False):
        super().__init__()
        self.siren = Siren(d, c, width, depth, omega)
        self.shift = nn.Linear(code, width * depth, bias=False)
        self.scale = nn.Linear(code, width * depth, bias=False) if scales else None
        self.width = width
        nn.init.normal_(self.shift.weight, std=0.3 / code**0.5)
        if scales:
            nn.init.zeros_(self.scale.weight)

    def shifts(self, code: Tensor) -> Tensor:
        """(…, k) -> (…, depth, width): the shift of each layer, in radians; with `scales` (…, depth, 2 width)."""
        shift = self.shift(code).unflatten(-1, (-1, self.width))
        return shift if self.scale is None else torch.cat([shift, self.scale(code).unflatten(-1, (-1, self.width))], -1)

    def forward(self, coords: Tensor, code: Tensor) -> Tensor:
        return self.with_shifts(coords, self.local(coords, code))

    def local(self, coords: Tensor, code: Tensor) -> Tensor:
        """The shifts at coords: (b, depth, width) of a flat code, (b, p, depth, width) of a code on a grid."""
        return self.shifts(read(code, coords) if code.ndim > 2 else code)

    def with_shifts(self, coords: Tensor, shifts: Tensor) -> Tensor:
        """The field under given shifts (b, depth, width), or (b, p, depth, width) of each place: shallow layers of one
        code, deep layers of another, say."""
        x = coords.expand(len(shifts), *coords.shape[-2:])
        if shifts.ndim == 3:
            shifts = shifts[:, None]
        for sine, shift in zip(self.siren.sines, shifts.unbind(-2), strict=True):
            if self.scale is None:
                x = sine(x, shift)
            else:
                shift, stretch = shift.chunk(2, -1)
                x = torch.sin(sine.before(x) * (1 + stretch) + shift)
        return self.siren.leave(x)


def zero_code(b: int, code: int) -> Tensor:
    """The code of the shared field itself, no modulation: (b, code)."""
    return torch.zeros(b, code)
