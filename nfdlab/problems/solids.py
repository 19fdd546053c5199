"""`shapes3d`: solid regions of a brain as signed distance in three coordinates of space."""

from dataclasses import dataclass
from functools import cached_property, partial
from math import pi
from typing import ClassVar

import torch
from torch import Tensor

from ..core.checks import require_count, require_seed
from ..core.fields import EvaluatedFields
from ..core.rng import uniforms
from ..core.types import ProblemCard
from .gridded import gridded
from .pictures import PictureProblem
from .shipped import shipped

WIDEST = pi / 6              # angle of a training shape's rotation at most


def rotations(u: Tensor) -> Tensor:
    """Rotation matrices (n, 3, 3) from numbers (n, 3) in [0, 1): about any axis alike, by up to WIDEST.

    Rodrigues' formula, I + sin(a) K + (1 - cos(a)) K², K the cross product with the axis.
    """
    z, around, angle = 2 * u[:, 0] - 1, 2 * pi * u[:, 1], WIDEST * u[:, 2, None, None]
    flat = (1 - z.square()).clamp_min(0).sqrt()
    x, y, o = flat * around.cos(), flat * around.sin(), torch.zeros_like(z)
    K = torch.stack([o, -z, y, z, o, -x, -y, x, o], -1).reshape(-1, 3, 3)
    return torch.eye(3, dtype=u.dtype) + angle.sin() * K + (1 - angle.cos()) * (K @ K)


@dataclass(frozen=True)
class Shapes3D(PictureProblem):
    """Solid regions of a brain, signed distance over its truncation; picked with replacement; no knobs.

    Inside is where the field is positive; it is not centred, so that zero is the surface. A draw of the training side
    is rotated by up to 30 degrees about any axis, and half of the time mirrored, left to right.
    """

    card: ClassVar[ProblemCard] = ProblemCard(
        name="shapes3d", title="Solid regions of a brain, as signed distance",
        equation="distance to the surface, positive inside, divided by 0.25 and cut to [-1, 1]; linear between the "
                 "points of a grid of 32 a side",
        domain="[-1, 1]^3, x left to right, y back to front, z bottom to top; a shape's mean is in the "
               "middle and its farthest point 0.7 away",
        units="truncation lengths of 0.25", axes=("x", "y", "z"),
        hard="Curled sheets, horns and lumps: a few points of a surface, and no rule but what others look like.",
        source="INIA19 NeuroMaps atlas of a macaque brain (Rohlfing et al. 2012, CC-BY, as its file says) in Debian's "
               "mricron-data; regions of at least 150 voxels in one piece that hold a ball of radius 0.08, smoothed by "
               "0.8 voxels, which shortens thin ends; ships with the kit: 73 regions to train on and 14 held out, each "
               "with its left and its right side, which are nearly mirror images; training draws are rotated by up "
               "to 30 degrees about any axis and mirrored half of the time",
        exact="none: real data")
    d: ClassVar[int] = 3
    sides: ClassVar[tuple[str, str]] = ("train", "test")
    read = staticmethod(partial(shipped, "solids"))
    side: str = "train"

    @cached_property
    def _data(self) -> Tensor:
        """The distances of this side, as they are stored: zero is the surface."""
        return self.read()[self.side]

    def draw(self, n: int, *, seed: int) -> EvaluatedFields:
        """n shapes of this side; those of the training side are rotated and mirrored."""
        shapes = self.plain(n, seed=seed)
        if not self._augments:
            return shapes
        turns = self._turns(n, seed)

        def rule(coords: Tensor, part: slice | Tensor) -> Tensor:
            return shapes.rule(coords @ turns[part].to(coords).mT, part)

        return EvaluatedFields(rule, n, self.d, self.c)

    def plain(self, n: int, *, seed: int) -> EvaluatedFields:
        """The same n shapes, neither rotated nor mirrored."""
        return gridded(self._data[self._which(n, seed)][..., None] / 127, smooth=False)

    def labels(self, n: int, *, seed: int) -> Tensor:
        """Region of each of the same n shapes, of the right side of the head above 1000: (n,)."""
        return self.read()[f"{self.side}_regions"][self._which(n, seed)].long()

    def _turns(self, n: int, seed: int) -> Tensor:
        """Rotations, half of them followed by a change of sign of x: (n, 3, 3)."""
        u = uniforms(seed, n, (4,), "turn")
        turns = rotations(u[:, :3])
        turns[u[:, 3] < 0.5, 0] *= -1
        return turns

    def _which(self, n: int, seed: int) -> Tensor:
        return (uniforms(require_seed(seed), require_count(n), (), "which") * len(self._data)).long()


PROBLEMS = {"shapes3d": Shapes3D}
