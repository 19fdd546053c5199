"""Neural field with local tokens at fixed anchors: (coords, tokens) -> values.

A query attends to its k nearest anchors. Weights fall with distance and reach zero where the k-th nearest anchor
changes, so the field is continuous. Distance-weighted latents: Zhang et al. 2022 (3DILG), sec. 3.2.
"""

import torch
from torch import Tensor, nn

from ..core import single
from ..core.grid import take
from ..nn.networks import Fourier
from .pieces import SiLU, in_pieces, in_place


class AnchoredField(nn.Module):
    """Field of (coords (p, d) or (b, p, d), memory (b, many, width)) -> (b, p, c), with fixed anchors (many, d)."""

    def __init__(self, anchors: Tensor, near: int, c: int = 1, width: int = 48, octaves: int = 2):
        super().__init__()
        many, d = anchors.shape
        self.near = min(near, many)
        self.reach = many ** (-1 / d)                                   # half the usual distance between anchors
        self.register_buffer("anchors", anchors, persistent=False)
        self.encode = Fourier(d, octaves)
        self.place = nn.Linear(self.encode.out, width)
        self.sharpness = nn.Parameter(single.zeros(()))
        self.answer = nn.Sequential(nn.Linear(width, width), SiLU(), nn.Linear(width, c))
        nn.init.zeros_(self.answer[-1].weight), nn.init.zeros_(self.answer[-1].bias)

    def attend(self, coords: Tensor) -> tuple[Tensor, Tensor]:
        """Attention to the nearest anchors at coords (…, d): indices and weights (…, near) that sum to one."""
        away = (coords[..., None, :] - self.anchors).square().sum(-1)
        if self.near == len(self.anchors):
            squares, index = away.sort(-1)
            taper = torch.ones_like(squares)
        else:
            squares, index = away.topk(self.near + 1, largest=False)
            taper = 1 - squares[..., :-1] / squares[..., -1:].clamp_min(1e-12) + 1e-6      # many may be as near
            squares, index = squares[..., :-1], index[..., :-1]
        weights = taper * torch.exp(-self.sharpness.exp() * (squares - squares[..., :1]) / (2 * self.reach**2))
        return index, weights / weights.sum(-1, keepdim=True)

    def forward(self, coords: Tensor, memory: Tensor) -> Tensor:
        return in_pieces(self._around, self._read, coords, (memory,), self.near * memory.shape[2])

    def _around(self, coords: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of coords (b, p, d) the offsets to the nearest anchors, embedded (b, near, p, width), their indices (b, near,
        p) and their weights (b, near, p, 1)."""
        index, weights = (t.mT for t in self.attend(coords))
        offset = (coords[:, None] - self.anchors[index]) / (4 * self.reach)
        return self.place(self.encode(offset)), index, weights.contiguous()[..., None]

    def _read(self, around: tuple[Tensor, Tensor, Tensor], prepared: tuple[Tensor, ...]) -> Tensor:
        near, index, weights = around
        tokens = SiLU()(take(prepared[0], index[0] if len(index) == 1 else index).add_(near))
        return self.answer(in_place(torch.mul, tokens, weights).sum(1))
