"""Where a stochastic field gets its chance from: a seeded noise function w(x), standard normal at every place.

What differs between kinds is which places share their luck. All are functions: asked finer, they are the same noise.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...core.checks import require_name
from ...core.grid import interpolate
from ...core.rng import child, normals
from ...gaussian.karhunen_loeve import KarhunenLoeve, WeightPosterior

NOISES = ("belief", "prior", "white", "shared")
CELLS = {1: 1024, 2: 128, 3: 24}            # of white noise: no finer than this, or it would be no function


@dataclass(frozen=True, eq=False)
class NoiseFunction:
    """n noise functions w (n, p, c) of unit variance, given by `numbers(n)`, a few of them each.

    "belief": correlated as what the observations leave open, (a draw of the belief − its mean) / its spread. "prior": as fields
    of which nothing is seen. "white": independent from one cell of a fine grid to the next. "shared": one number, the
    same at every place. `belief` is of one function.
    """

    kind: str
    modes: KarhunenLoeve
    belief: WeightPosterior

    def __post_init__(self):
        require_name(self.kind, NOISES, "noise")

    @property
    def _source(self) -> WeightPosterior:
        return self.modes.prior() if self.kind == "prior" else self.belief

    @property
    def _grid(self) -> tuple[int, ...]:
        """Of the white part: what no direction holds, at the resolution of the directions, or everything."""
        cells = CELLS[self.modes.d] if self.kind == "white" else self.modes.side
        return (self.modes.c, *[cells + 1] * self.modes.d)

    def numbers(self, n: int, *, seed: int) -> Tensor:
        """(n, k), row i from its own stream; its entries are what a whole noise function is."""
        device = self.modes.centre.device
        if self.kind == "shared":
            return normals(seed, n, (1,), "shared").to(device)
        white = normals(seed, n, self._grid, "white").flatten(1).to(device)
        return white if self.kind == "white" else torch.cat(
            [self._source.draw(n, seed=child(seed, "noise")), white], 1)

    @property
    def size(self) -> int:
        """k, how many numbers make one function."""
        if self.kind == "shared":
            return 1
        white = int(torch.tensor(self._grid).prod())
        return white if self.kind == "white" else self.modes.rank + white

    def __call__(self, numbers: Tensor, coords: Tensor) -> Tensor:
        """Numbers (n, k) at coords (p, d) or (n, p, d) -> w (n, p, c)."""
        n, c, p = len(numbers), self.modes.c, coords.shape[-2]
        if self.kind == "shared":
            return numbers[..., None].expand(n, p, c)
        grid = numbers[:, -int(torch.tensor(self._grid).prod()):].unflatten(1, self._grid)
        white = _white(grid, coords)
        if self.kind == "white":
            return white
        rows, rest = self.modes.rows(coords), self.modes.residual_variance(coords)
        a = numbers[:, :self.modes.rank]
        smooth = a @ rows.T if rows.ndim == 2 else (rows @ a[..., None])[..., 0]
        known = self._source.predict(rows)[1].unflatten(-1, (p, c))
        return (smooth.unflatten(-1, (p, c)) + rest.sqrt() * white) / (known + rest).sqrt()


def _white(corners: Tensor, coords: Tensor) -> Tensor:
    """White noise at the corners (n, c, *[cells + 1]*d), linear between them, scaled to unit variance everywhere."""
    cells = corners.shape[-1] - 1
    t = (coords + 1) / 2 * cells
    t = t - t.floor()
    power = (t.square() + (1 - t).square()).prod(-1, keepdim=True)
    return interpolate(corners, coords * (cells / (cells + 1))) / power.sqrt()
