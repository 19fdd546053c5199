"""LIIF: a neural field with features on a grid of cells, (coords, grid features) -> values at any resolution.

Each of the 2^d cells around a query gives an answer from its features and the offset to its centre; the answers are
blended linearly, so the field is continuous. Chen, Liu & Wang 2021 (LIIF), eq. 3 and 4.
"""

import torch
from torch import Tensor, nn

from ..core.grid import take
from ..nn.networks import Fourier
from .pieces import SiLU, in_pieces


class LIIF(nn.Module):
    """Field of (coords, memory (b, w, *cells)) -> values (b, p, c); coords (p, d) shared or (b, p, d).

    With `sized` the width of each query, in units of the box, is an input too: trained on averages over boxes of that
    width the field gives averages, 0 being the value at a point (cell decoding, LIIF, eq. 4).
    """

    def __init__(self, d: int, features: int, c: int = 1, width: int = 64, octaves: int = 3, sized: bool = False):
        super().__init__()
        self.d = d
        self.size = nn.Sequential(nn.Linear(1, width), nn.SiLU(), nn.Linear(width, width)) if sized else None
        self.encode = Fourier(d, octaves)
        self.prepare = nn.Linear(features, width)
        self.place = nn.Linear(self.encode.out, width, bias=False)
        self.answer = nn.Sequential(SiLU(), nn.Linear(width, width), SiLU(), nn.Linear(width, c))

    def project(self, memory: Tensor) -> Tensor:
        """The part of the first layer that needs no coordinates: (b, w, *cells) -> (b, prod cells, width)."""
        return self.prepare(memory.flatten(2).transpose(1, 2))

    def forward(self, coords: Tensor, memory: Tensor, size: Tensor | float = 0.0) -> Tensor:
        return self.read(coords, self.project(memory), memory.shape[2:], size)

    def read(self, coords: Tensor, projected: Tensor, cells: tuple[int, ...], size: Tensor | float = 0.0) -> Tensor:
        """Values at coords from a projected memory (b, prod cells, width); size (b,) or a number, of all queries."""
        if self.size is not None:                                          # in cells
            wide = torch.as_tensor(size, dtype=projected.dtype, device=projected.device).reshape(-1, 1) * cells[0] / 2
            projected = projected + self.size(wide)[:, None]
        return in_pieces(lambda at: self._around(at, cells), self._blended, coords, (projected,),
                         2**self.d * projected.shape[2])

    def _around(self, coords: Tensor, cells: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
        """Of coords (b, p, d) the 2^d cells around each: the first layer's part of the offsets to their centres, (b, p,
        2^d, width), their indices and their weights (b, p, 2^d)."""
        sizes = torch.tensor(cells, device=coords.device)
        place = (coords.clamp(-1, 1) + 1) / 2 * sizes - 0.5                # 0 at the first centre, in cells
        low = torch.minimum(place.floor().clamp_min(0), (sizes - 2).clamp_min(0).to(place))
        corners = torch.cartesian_prod(*[torch.tensor([0, 1], device=coords.device)] * self.d).reshape(-1, self.d)
        corner = torch.minimum(low.unsqueeze(-2) + corners, (sizes - 1).to(place))        # (…, p, 2^d, d)
        offset = place.unsqueeze(-2) - corner                              # in cells, (-1.5, 1.5)
        share = (place - low).unsqueeze(-2).clamp(0, 1)
        blend = torch.where(corners.bool(), share, 1 - share).prod(-1)     # (…, p, 2^d), sums to one
        index = torch.zeros(corner.shape[:-1], dtype=torch.long, device=coords.device)
        for axis in range(self.d):
            index = index * cells[axis] + corner[..., axis].long()
        return self.place(self.encode(offset / 1.5)), index, blend

    def _blended(self, around: tuple[Tensor, Tensor, Tensor], prepared: tuple[Tensor, ...]) -> Tensor:
        near, index, blend = around
        features = take(prepared[0], index[0] if len(index) == 1 else index)
        return (blend[..., None] * self.answer(features.add_(near))).sum(-2)
