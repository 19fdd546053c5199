"""Decoding in pieces: fields at many points, some points and some draws at a time, so that what lies between two layers
stays in the cache of a core."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

PIECE = 262_144                      # numbers of one intermediate that are held at a time: 1 MB in float32


def in_pieces(place: Callable, read: Callable, coords: Tensor, prepared: tuple[Tensor, ...], each: int) -> Tensor:
    """Values (b, p, c) at coords (p, d) or (b, p, d): read(place(coords), prepared), differentiable.

    `place` maps coords (1 or b, p, d) to a tuple of tensors (1 or b, p, …): what all draws share is computed once.
    `prepared` are tensors (b, …), and `each` is how many numbers `read` holds for one point of one draw. Pieces need a
    CPU and no gradients; else it is all one piece.
    """
    at = coords if coords.ndim == 3 else coords[None]
    if torch.is_grad_enabled() or at.device.type != "cpu":
        return read(place(at), prepared)
    many = max(1, min(at.shape[1], PIECE // each))
    step, found = max(1, PIECE // (each * many)), []
    for piece in at.split(many, 1):
        placed = place(piece)
        found.append(torch.cat([read(tuple(t if len(t) == 1 else t[i:i + step] for t in placed),
                                     tuple(t[i:i + step] for t in prepared))
                                for i in range(0, len(prepared[0]), step)]))
    return torch.cat(found, 1)


def in_place(function: Callable, fresh: Tensor, *more) -> Tensor:
    """function(fresh, *more) of a tensor that nothing else needs, such as torch.sin: in its place where no gradients
    are taken."""
    return function(fresh, *more) if torch.is_grad_enabled() else function(fresh, *more, out=fresh)


class SiLU(nn.Module):
    """SiLU of a tensor that nothing else needs."""

    def forward(self, x: Tensor) -> Tensor:
        return in_place(torch.ops.aten.silu, x)
