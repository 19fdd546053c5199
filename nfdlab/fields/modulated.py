"""One shared SIREN, many functions: a code shifts the phase of every sine."""

import torch
from torch import Tensor, nn

from .siren import Siren


class ModulatedSiren(nn.Module):
    """Field of (coords (b, p, d), code (b, k)) -> (b, p, c): the code becomes one shift a sine by a linear map.

    Shifts only, and only a linear map: deeper maps and scales destabilise. Dupont et al. 2022, sec. 3.
    """

    def __init__(self, d: int, code: int, c: int = 1, width: int = 64, depth: int = 3, omega: float = 15.0):
        super().__init__()
        self.siren = Siren(d, c, width, depth, omega)
        self.shift = nn.Linear(code, width * depth, bias=False)
        self.width = width
        nn.init.normal_(self.shift.weight, std=0.3 / code**0.5)

    def shifts(self, code: Tensor) -> Tensor:
        """(b, k) -> (b, depth, width): the shift of each layer, in radians."""
        return self.shift(code).unflatten(-1, (-1, self.width))

    def forward(self, coords: Tensor, code: Tensor) -> Tensor:
        return self.with_shifts(coords, self.shifts(code))

    def with_shifts(self, coords: Tensor, shifts: Tensor) -> Tensor:
        """The field under given shifts (b, depth, width): shallow layers of one code, deep layers of another, say."""
        x = coords.expand(len(shifts), *coords.shape[-2:])
        for sine, shift in zip(self.siren.sines, shifts.unbind(1), strict=True):
            x = sine(x, shift[:, None])
        return self.siren.leave(x)


def zero_code(b: int, code: int) -> Tensor:
    """The code of the shared field itself, no modulation: (b, code)."""
    return torch.zeros(b, code)
