"""`terrain2d`: real elevation, in patches. Train on the west of the map, test on the east; no exact answer exists."""

from dataclasses import dataclass
from functools import cache, cached_property
from typing import ClassVar

import torch
from torch import Tensor

from ..core.types import ProblemCard
from .base import PatchProblem


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
class Terrain2D(PatchProblem):
    """Patches of `cells`² points of one side of the map, in standard deviations of the west; west to train on."""

    card: ClassVar[ProblemCard] = ProblemCard(
        name="terrain2d", title="Hills and valleys by the Jacksboro fault, Tennessee",
        equation="none: measured elevation, cubic between the points", domain="[-1, 1]^2, a patch about 5 km across",
        units="standard deviations of the west's elevation (138 m)", axes=("north to south", "west to east"),
        hard="Ridges and branching valleys, which no stationary kernel knows; and the east is lower and gentler.",
        source="SRTM 3 arc-second elevation (USGS), in matplotlib's sample data", exact="none: real data")
    sides: ClassVar[tuple[str, str]] = ("west", "east")
    shortest: ClassVar[int] = 199
    cells: int = 64
    side: str = "west"

    @cached_property
    def _picture(self) -> Tensor:
        return self.standardised(halves())


PROBLEMS = {"terrain2d": Terrain2D}
