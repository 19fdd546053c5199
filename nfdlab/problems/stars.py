"""`stars2d`: shapes with a wavy outline, as signed distance."""

from dataclasses import dataclass
from math import pi
from typing import ClassVar

import torch
from torch import Tensor

from ..core.checks import require_count, require_seed
from ..core.fields import EvaluatedFields
from ..core.rng import normals
from ..core.types import ProblemCard
from .base import NoPosterior

CORNERS = 192                # of the polygon that stands for the outline: off by less than 0.0005 of a box length
WAVES = 6


def outlines(n: int, *, seed: int) -> tuple[Tensor, Tensor]:
    """n outlines: centres (n, 2) and corners (n, CORNERS, 2), counter-clockwise.

    Radius 0.42·exp(Σ_k 0.25 k^-1.1 (a_k cos kθ + b_k sin kθ)), k = 1…6, a and b standard normal, centre N(0, 0.08² I).
    """
    u = normals(seed, n, (2 * WAVES + 2,), "outline", dtype=torch.float64)
    k, theta = torch.arange(1.0, WAVES + 1).double(), torch.arange(CORNERS).double() * (2 * pi / CORNERS)
    height, angle = 0.25 * k**-1.1, k[:, None] * theta
    waves = torch.cat([angle.cos(), angle.sin()]) * height.repeat(2)[:, None]
    radius = 0.42 * torch.exp(u[:, :2 * WAVES] @ waves)
    middle = 0.08 * u[:, 2 * WAVES:]
    ray = torch.stack([theta.cos(), theta.sin()], -1)
    return middle, middle[:, None] + radius[..., None] * ray


def signed_distance(corners: Tensor, coords: Tensor) -> Tensor:
    """Distance of coords (p, 2) to a closed polygon (v, 2), positive inside: (p,).

    Inside by the crossing rule: a ray to the right meets the outline an odd number of times.
    """
    a, edge = corners.T, (corners.roll(-1, 0) - corners).T                             # (2, v) each
    x, y = coords[:, :1] - a[0], coords[:, 1:] - a[1]                                  # (p, v), one axis at a time
    along = edge / edge.square().sum(0)
    share = (x * along[0]).add_(y * along[1]).clamp_(0, 1)
    below = y < 0
    spans = below != below.roll(-1, 1)
    meets = x < edge[0] / edge[1] * y
    squares = (x - share * edge[0]).square_().add_(y.sub_(share.mul_(edge[1])).square_())
    distance = squares.amin(1).sqrt()
    return torch.where((spans & meets).sum(1) % 2 == 1, distance, -distance)


@dataclass(frozen=True)
class Stars2D(NoPosterior):
    """Star-shaped regions of six waves; no knobs. Inside is where the field is positive."""

    card: ClassVar[ProblemCard] = ProblemCard(
        name="stars2d", title="Shapes with a wavy outline, as signed distance",
        equation="distance to the outline, positive inside; radius 0.42 exp(sum_k 0.25 k^-1.1 (a_k cos k th + "
                 "b_k sin k th)), k = 1..6, a, b ~ N(0, 1), round a middle ~ N(0, 0.08^2 I)",
        domain="[-1, 1]^2", units="halves of the box's side", axes=("x", "y"),
        hard="Thirteen numbers, folded by a nearest-point rule: the medial axis is a crease no smooth kernel knows.",
        source="star-shaped random sets; signed distance as in Park et al. 2019",
        exact="none: outlines can be drawn, not weighed")
    d: ClassVar[int] = 2
    c: ClassVar[int] = 1

    def draw(self, n: int, *, seed: int) -> EvaluatedFields:
        """n fresh shapes."""
        corners = outlines(require_count(n), seed=require_seed(seed))[1]

        def rule(coords: Tensor, part: slice | Tensor) -> Tensor:
            shapes = corners[part].to(coords)
            own = coords if coords.ndim == 3 else coords.expand(len(shapes), -1, -1)
            found = [signed_distance(shape, places) for shape, places in zip(shapes, own, strict=True)]
            return torch.stack(found)[..., None]

        return EvaluatedFields(rule, n, 2, 1, width=8 * CORNERS)


PROBLEMS = {"stars2d": Stars2D}
