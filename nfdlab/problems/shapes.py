"""`bump2d`, `discs2d`, `moving_disc2dt`, `ball3dt`: a shape of unknown place, size and motion, enumerated."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from ..core.types import ProblemCard
from ..exact.enumerated import Enumerated
from .base import ExactProblem

EDGE, BALL_EDGE = 0.05, 0.1  # widths of the soft edges of a disc and of a ball


def _away(coords: Tensor, centre: Tensor) -> Tensor:
    """Distance from coords (p, k) or (h, p, k) to centres (h, 1 or p, k): (h, p)."""
    total, *others = ((coords[..., i] - centre[..., i]).square_() for i in range(coords.shape[-1]))
    for square in others:
        total = total.add_(square)
    return total.sqrt_()


def bump(params: Tensor, coords: Tensor) -> Tensor:
    """exp(−‖x − c‖²/2r²), r = 0.16, c = 2·params − 1: params (h, 2), coords (p, 2) or (h, p, 2) -> (h, p, 1)."""
    return torch.exp(-0.5 * (_away(coords, 2 * params[:, None] - 1) / 0.16).square())[..., None]


def disc(params: Tensor, coords: Tensor) -> Tensor:
    """sigmoid((r − ‖x − c‖)/0.05), c = −0.6 + 1.2·params₀₁, r = 0.15 + 0.3·params₂: params (h, 3) -> (h, p, 1)."""
    centre, r = 1.2 * params[:, None, :2] - 0.6, 0.15 + 0.3 * params[:, 2:]
    return torch.sigmoid((r - _away(coords, centre)) / EDGE)[..., None]


def moving_disc(params: Tensor, coords: Tensor, edge: float = EDGE) -> Tensor:
    """A disc whose centre moves at constant velocity and bounces off the walls: params (h, 5), coords (t, x, y). With
    params (h, 7) and coords (t, x, y, z) it is a ball.

    r = 0.2 + 0.2·(the last parameter). The centre starts, at t = −1, anywhere in [−(1 − r), 1 − r]^k (the first k
    parameters) with velocity −1.2 + 2.4·(the next k) per unit of t, and turns where the disc touches a wall.
    """
    k = coords.shape[-1] - 1
    r = 0.2 + 0.2 * params[:, None, 2 * k:]                                          # (h, 1, 1)
    room = 1 - r
    laps = (coords[..., :1] + 1) * ((2.4 * params[:, None, k:2 * k] - 1.2) / (4 * room))    # there and back: (h, p, k)
    laps = laps.add_(params[:, None, :k] / 2).frac_().abs_()                        # the way back mirrors that there
    centre = laps.mul_(4).sub_(2).abs_().neg_().add_(1).mul_(room)
    return torch.sigmoid((r[..., 0] - _away(coords[..., 1:], centre)) / edge)[..., None]


def moving_ball(params: Tensor, coords: Tensor) -> Tensor:
    """`moving_disc` in three dimensions of space, with a softer edge: params (h, 7), coords (t, x, y, z)."""
    return moving_disc(params, coords, BALL_EDGE)


@dataclass(frozen=True)
class Bump2D(ExactProblem):
    """One small hill, anywhere; no knobs."""

    card: ClassVar[ProblemCard] = ProblemCard(
        name="bump2d", title="A small hill somewhere", equation="exp(-|x - c|^2 / 2 r^2), r = 0.16, c ~ U[-1, 1]^2",
        domain="[-1, 1]^2", units="heights of the hill", axes=("x", "y"),
        hard="Most places show nothing; once one dot has found the slope, the next should be near it.",
        source="the search problem of adaptive sensing", exact="enumerated over c")
    d: ClassVar[int] = 2

    prior = cached_property(lambda self: Enumerated.uniform(bump, 2, 1, (80, 80)))


@dataclass(frozen=True)
class Discs2D(ExactProblem):
    """A disc with a soft edge; no knobs."""

    card: ClassVar[ProblemCard] = ProblemCard(
        name="discs2d", title="A disc of unknown place and size",
        equation="sigmoid((r - |x - c|) / 0.05), c ~ U[-0.6, 0.6]^2, r ~ U[0.15, 0.45]", domain="[-1, 1]^2",
        units="brightness, 0 outside to 1 inside", axes=("x", "y"),
        hard="Three numbers make the picture, but no linear latent of a few holds it: moved shapes are not sums.",
        source="occupancy fields, e.g. Mescheder et al. 2019", exact="enumerated over (c, r)")
    d: ClassVar[int] = 2

    prior = cached_property(lambda self: Enumerated.uniform(disc, 2, 1, (32, 32, 16)))


@dataclass(frozen=True)
class MovingDisc2DT(ExactProblem):
    """A small film: such a disc moves and bounces off the walls; time first; no knobs."""

    card: ClassVar[ProblemCard] = ProblemCard(
        name="moving_disc2dt", title="A disc that moves and bounces",
        equation="sigmoid((r - |x - c(t)|) / 0.05), r ~ U[0.2, 0.4]; c(-1) ~ U where the disc fits, velocity ~ "
                 "U[-1.2, 1.2]^2 per unit of t, mirrored where the disc touches a wall",
        domain="[-1, 1]^3, time first, 16 frames of 32 x 32", units="brightness, 0 outside to 1 inside",
        axes=("t", "x", "y"),
        hard="Few observations in few frames: where was it in between, and did it bounce?",
        source="the bouncing balls of video prediction, e.g. Sutskever et al. 2008",
        exact="enumerated, then 2000 points moved by chains: means within about 0.03 of its spread")
    d: ClassVar[int] = 3

    prior = cached_property(lambda self: Enumerated.uniform(moving_disc, 3, 1, (10, 10, 8, 8, 4)))


@dataclass(frozen=True)
class Ball3DT(ExactProblem):
    """A film of volumes: a ball moves and bounces off the walls; time first; no knobs."""

    card: ClassVar[ProblemCard] = ProblemCard(
        name="ball3dt", title="A ball that moves and bounces",
        equation="sigmoid((r - |x - c(t)|) / 0.1), r ~ U[0.2, 0.4]; c(-1) ~ U where the ball fits, velocity ~ "
                 "U[-1.2, 1.2]^3 per unit of t, mirrored where the ball touches a wall",
        domain="[-1, 1]^4, time first", units="density, 0 outside to 1 inside", axes=("t", "x", "y", "z"),
        hard="Four coordinates: a hundred observations are a few a moment, and most of them see nothing.",
        source="moving_disc2dt in space; the bouncing balls of video prediction, e.g. Sutskever et al. 2008",
        exact="enumerated, then 2000 points moved by chains: means within about 0.05 of its spread")
    d: ClassVar[int] = 4

    prior = cached_property(lambda self: Enumerated.uniform(moving_ball, 4, 1, (7, 7, 7, 6, 6, 6, 3), longer=30))


PROBLEMS = {"bump2d": Bump2D, "discs2d": Discs2D, "moving_disc2dt": MovingDisc2DT, "ball3dt": Ball3DT}
