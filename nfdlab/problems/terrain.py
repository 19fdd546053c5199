"""`terrain2d`: real elevation, in patches. Train on the west of the map, test on the east; no exact answer exists."""

from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import ClassVar

import torch
from torch import Tensor

from ..core.checks import require, require_count, require_name, require_seed
from ..core.fields import Evaluated
from ..core.rng import uniforms
from ..core.types import ProblemCard
from .gridded import gridded

MARGIN = 2           # known neighbours beyond the patch, so that interpolation at its edge is that of the whole map


@cache
def elevation() -> Tensor:
    """The map in metres, north up: (344, 403), from the file inside matplotlib's sample data."""
    import numpy as np
    from matplotlib.cbook import get_sample_data

    with np.load(get_sample_data("jacksboro_fault_dem.npz", asfileobj=False)) as file:
        return torch.as_tensor(file["elevation"].astype("float32"))


def halves() -> dict[str, Tensor]:
    """The two sides of the map, in metres; the middle columns belong to neither."""
    z = elevation()
    return {"west": z[:, :200], "east": z[:, 203:]}


@dataclass(frozen=True)
class Terrain2D:
    """Patches of `cells`² points, anywhere on one side of the map, in standard deviations of the west.

    The west's patches come turned and mirrored (eight ways), since it is small; the east's come as they are.
    """

    card: ClassVar[ProblemCard] = ProblemCard(
        name="terrain2d", title="Hills and valleys by the Jacksboro fault, Tennessee",
        equation="none: measured elevation, cubic between the points", domain="[-1, 1]^2, a patch about 5 km across",
        units="standard deviations of the west's elevation (138 m)", axes=("north to south", "west to east"),
        hard="Ridges and branching valleys, which no stationary kernel knows; and the east is lower and gentler.",
        source="SRTM 3 arc-second elevation (USGS), in matplotlib's sample data", exact="none: real data")
    d: ClassVar[int] = 2
    c: ClassVar[int] = 1
    cells: int = 64
    side: str = "west"

    def __post_init__(self):
        require_name(self.side, ("west", "east"), "side of the map")
        require_count(self.cells, "cells", 8)
        require(self.cells + 2 * MARGIN <= 199, must="cells: at most 195.", came=self.cells,
                why="A patch must fit into one side of the map.", do="Terrain2D(cells=64).")

    @cached_property
    def _picture(self) -> Tensor:
        sides = halves()
        return (sides[self.side] - sides["west"].mean()) / sides["west"].std()

    def draw(self, n: int, *, seed: int) -> Evaluated:
        """n patches of this side."""
        u = uniforms(require_seed(seed), require_count(n), (3,), "patch")
        whole, z = self.cells + 2 * MARGIN, self._picture
        rows = (u[:, 0] * (z.shape[0] - whole + 1)).long().tolist()
        columns = (u[:, 1] * (z.shape[1] - whole + 1)).long().tolist()
        patches = []
        for r, k, turn in zip(rows, columns, (u[:, 2] * 8).long().tolist(), strict=True):
            patch = z[r:r + whole, k:k + whole]
            if self.side == "west":
                patch = torch.rot90(patch.flip(0) if turn >= 4 else patch, turn % 4)
            patches.append(patch)
        return gridded(torch.stack(patches)[..., None], smooth=True, margin=MARGIN)

    def held_out(self) -> "Terrain2D":
        """The east, which training never sees."""
        return replace(self, side="east")

    def oracle(self) -> None:
        """None: nobody knows the distribution of hills."""
        return None


PROBLEMS = {"terrain2d": Terrain2D}
