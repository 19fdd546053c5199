"""A field of place and code together: one network whose first layer hears both, so a shape that moves is learned once.

Where a code says how far a shape is moved, W x + V z is W (x − shift): every place that the shape can be at shares the
same weights, which a grid of cells has to learn cell by cell. The price is that nothing is local: fields of many
details need a wide network. Park et al. 2019 (DeepSDF), sec. 4.
"""

import torch
from torch import Tensor, nn


class JointField(nn.Module):
    """Field of (coords, code (b, k)) -> values (b, p, c); coords (p, d) shared or (b, p, d).

    `depth` hidden layers; the first is drawn `sharp` times wider than usual, so that edges are within its reach.
    """

    def __init__(self, d: int, k: int, c: int = 1, width: int = 64, depth: int = 3, sharp: float = 4.0):
        super().__init__()
        self.place, self.hear = nn.Linear(d, width), nn.Linear(k, width, bias=False)
        with torch.no_grad():
            for weight in (self.place.weight, self.place.bias, self.hear.weight):
                weight.uniform_(-sharp / (d + k) ** 0.5, sharp / (d + k) ** 0.5)
        hidden = [layer for _ in range(depth - 1) for layer in (nn.SiLU(), nn.Linear(width, width))]
        self.answer = nn.Sequential(*hidden, nn.SiLU(), nn.Linear(width, c))

    def forward(self, coords: Tensor, code: Tensor) -> Tensor:
        return self.read(coords, self.hear(code))

    def read(self, coords: Tensor, heard: Tensor) -> Tensor:
        """Values at coords, of what was heard of a code (b, width), once."""
        return self.answer(self.place(coords) + heard[:, None])
