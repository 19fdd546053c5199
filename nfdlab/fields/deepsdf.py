"""DeepSDF: a neural field of coordinates and one latent vector, (coords, latent) -> values.

If a latent is the shift of a shape, W x + V z is W (x − shift): all places share the same weights, which a grid of
cells has to learn cell by cell. Nothing is local, so fields with many details need a wide network.
Park et al. 2019 (DeepSDF), sec. 4.
"""

import torch
from torch import Tensor, nn

from .pieces import SiLU, in_pieces


class DeepSDF(nn.Module):
    """Field of (coords, latent (b, k)) -> values (b, p, c); coords (p, d) shared or (b, p, d).

    `depth` hidden layers; the weights of the first are `sharp` times larger than usual, for sharp edges.
    """

    def __init__(self, d: int, k: int, c: int = 1, width: int = 64, depth: int = 3, sharp: float = 4.0):
        super().__init__()
        self.place, self.condition = nn.Linear(d, width), nn.Linear(k, width, bias=False)
        with torch.no_grad():
            for weight in (self.place.weight, self.place.bias, self.condition.weight):
                weight.uniform_(-sharp / (d + k) ** 0.5, sharp / (d + k) ** 0.5)
        hidden = [layer for _ in range(depth - 1) for layer in (SiLU(), nn.Linear(width, width))]
        self.answer = nn.Sequential(*hidden, SiLU(), nn.Linear(width, c))

    def forward(self, coords: Tensor, latent: Tensor) -> Tensor:
        return self.read(coords, self.condition(latent))

    def read(self, coords: Tensor, projected: Tensor) -> Tensor:
        """Values at coords of a projected latent `self.condition(latent)` (b, width)."""
        return in_pieces(lambda at: (self.place(at),), lambda placed, of: self.answer(placed[0] + of[0][:, None]),
                         coords, (projected,), projected.shape[1])
