"""A transport map T(x, w) as a table: at places of a grid and at knots of w, linear between them in both.

The map is what draws share; a draw only looks it up at its own w(x). So a thousand draws cost what one costs, and a
million places what a grid of them does.
"""

import torch
from torch import Tensor, nn

from ...core.grid import cell_centres, interpolate

STRETCH = 1.5               # knots are quantiles of a normal this wide: close where w is likely, and some far out


class Table(nn.Module):
    """Knots (K,) of w and places (side^d, d) of the box, walls included."""

    def __init__(self, d: int, c: int, side: int, knots: int):
        super().__init__()
        self.d, self.c, self.side = d, c, side
        share = (torch.arange(knots, dtype=torch.float64) + 0.5) / knots
        self.register_buffer("knots", (STRETCH * torch.special.ndtri(share)).float(), persistent=False)
        self.register_buffer("places", cell_centres((side,) * d) * (side / (side - 1)), persistent=False)

    def fan(self) -> Tensor:
        """Every knot at every place: (K, side^d, c), what a map is made from."""
        return self.knots[:, None, None].expand(-1, len(self.places), self.c)

    def forward(self, values: Tensor, w: Tensor, coords: Tensor) -> Tensor:
        """T at w (n, p, c) and coords (p, d) or (n, p, d): (n, p, c).

        `values` (K, side^d, c): one map for all draws; or (n, 1, side^d, c): each draw's own, whatever w.
        """
        grid = coords * ((self.side - 1) / self.side)
        shape = (self.side,) * self.d
        if values.ndim == 4:
            return interpolate(values[:, 0].mT.unflatten(2, shape), grid)
        rising = values.sort(0).values                                   # the flow never crosses; its steps may, a hair
        table = rising.permute(2, 0, 1).reshape(1, -1, *shape)           # (1, c K, *side)
        own = coords.ndim == 3
        found = interpolate(table, grid.flatten(0, -2) if own else grid)[0].unflatten(-1, (self.c, -1))       # (p, c, K)
        found = (found.unflatten(0, coords.shape[:2]) if own else found[None].expand(len(w), -1, -1, -1))
        low = torch.bucketize(w.contiguous(), self.knots).clamp(1, len(self.knots) - 1) - 1
        left, right = self.knots[low], self.knots[low + 1]
        a, b = found.gather(-1, low[..., None])[..., 0], found.gather(-1, low[..., None] + 1)[..., 0]
        return a + (b - a) * (w - left) / (right - left)                 # beyond the last knots, straight on
