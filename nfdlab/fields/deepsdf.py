"""A field of place and latent together: one network whose first layer hears both, so a shape that moves is learned once.

Where a latent says how far a shape is moved, W x + V z is W (x − shift): every place that the shape can be at shares the
same weights, which a grid of cells has to learn cell by cell. The price is that nothing is local: fields of many
details need a wide network. Park et al. 2019 (DeepSDF), sec. 4.
"""

import torch
from torch import Tensor, nn


class DeepSDF(nn.Module):
    """Field of (coords, latent (b, k)) -> values (b, p, c); coords (p, d) shared or (b, p, d).

    `depth` hidden layers; the first is drawn `sharp` times wider than usual, so that edges are within its reach.
    """

    def __init__(self, d: int, k: int, c: int = 1, width: int = 64, depth: int = 3, sharp: float = 4.0):
        super().__init__()
        self.place, self.condition = nn.Linear(d, width), nn.Linear(k, width, bias=False)
        with torch.no_grad():
            for weight in (self.place.weight, self.place.bias, self.condition.weight):
                weight.uniform_(-sharp / (d + k) ** 0.5, sharp / (d + k) ** 0.5)
        hidden = [layer for _ in range(depth - 1) for layer in (nn.SiLU(), nn.Linear(width, width))]
        self.answer = nn.Sequential(*hidden, nn.SiLU(), nn.Linear(width, c))

    def forward(self, coords: Tensor, latent: Tensor) -> Tensor:
        return self.read(coords, self.condition(latent))

    def read(self, coords: Tensor, heard: Tensor) -> Tensor:
        """Values at coords, of what was heard of a latent (b, width), once."""
        return self.answer(self.place(coords) + heard[:, None])
