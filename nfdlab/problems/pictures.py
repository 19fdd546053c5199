"""`scan2d`, `photo2d`, `digits2d`, `terrain2d`: real pictures from installed packages, of unknown distribution."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ..core.checks import require, require_count, require_name, require_seed
from ..core.fields import EvaluatedFields
from ..core.rng import uniforms
from ..core.types import ProblemCard
from .base import NoPosterior
from .gridded import MARGIN, gridded


@cache
def scan() -> dict[str, Tensor]:
    """The head in matplotlib's sample data, cut in two: front (220, 84) and back (220, 84), as it was stored."""
    import gzip

    from matplotlib.cbook import get_sample_data

    with gzip.open(get_sample_data("s1045.ima.gz", asfileobj=False)) as file:
        whole = torch.as_tensor(np.frombuffer(file.read(), np.uint16).reshape(256, 256).astype("float32"))
    head = whole[30:250, 24:196]
    return {"front": head[:, :84], "back": head[:, 88:]}


@cache
def photographs() -> dict[str, Tensor]:
    """scikit-learn's two photographs in grey: (427, 640) each, luminance from 0 to 1 (ITU-R BT.601)."""
    from sklearn.datasets import load_sample_image

    grey = torch.tensor([0.299, 0.587, 0.114]) / 255
    return {name: torch.as_tensor(load_sample_image(f"{name}.jpg").astype("float32")) @ grey
            for name in ("china", "flower")}


@cache
def digits() -> dict[str, Tensor]:
    """scikit-learn's handwritten digits, ink from 0 to 16: the first 1400 and the other 397, (n, 8, 8) each."""
    from sklearn.datasets import load_digits

    images = torch.as_tensor(load_digits().images.astype("float32"))
    return {"first": images[:1400], "rest": images[1400:]}


@cache
def elevation() -> dict[str, Tensor]:
    """The map in matplotlib's sample data, in metres, north up: west (344, 200) and east; the middle is in neither."""
    from matplotlib.cbook import get_sample_data

    with np.load(get_sample_data("jacksboro_fault_dem.npz", asfileobj=False)) as file:
        z = torch.as_tensor(file["elevation"].astype("float32"))
    return {"west": z[:, :200], "east": z[:, 203:]}


class PictureProblem(NoPosterior):
    """Real pictures with two `sides` that `read()` gives: the first to train on, the second never seen in training."""

    d: ClassVar[int] = 2
    c: ClassVar[int] = 1
    _least: ClassVar[int] = 1                           # rows, or pictures, that a draw takes
    _augmented: ClassVar[bool] = True
    sides: ClassVar[tuple[str, str]]
    read: ClassVar[Callable[[], dict[str, Tensor]]]

    def __post_init__(self):
        require_name(self.side, self.sides, "side of the data")

    @cached_property
    def _data(self) -> Tensor:
        """This problem's side of the data, in standard deviations of the first."""
        sides = self.read()
        first = sides[self.sides[0]].double()
        return (sides[self.side] - first.mean()) / first.std()

    def held_out(self):
        """The side that training never sees."""
        return replace(self, side=self.sides[1])

    def training_part(self, low: float, high: float, *, augmented: bool):
        """The rows of the picture, or the pictures, from share `low` to share `high`; at least enough for a draw."""
        part = replace(self, side=self.sides[0])
        data, least = part._data, part._least
        start, stop = (round(share * len(data)) for share in (low, high))
        part.__dict__.update(_data=data[min(start, len(data) - least):max(stop, least)], _augmented=augmented)
        return part


class PatchProblem(PictureProblem):
    """Patches of `cells`² points from anywhere on a picture; those of the training side are rotated and mirrored."""

    shortest: ClassVar[int]              # shorter side of the smallest picture

    def __post_init__(self):
        super().__post_init__(), require_count(self.cells, "cells", 8)
        most = self.shortest - 2 * MARGIN
        require(self.cells <= most, must=f"cells: at most {most}.", came=self.cells,
                why="A patch must fit into one side of the data.", do=f"cells={min(64, most)}.")

    @property
    def _least(self) -> int:
        return self.cells + 2 * MARGIN

    def draw(self, n: int, *, seed: int) -> EvaluatedFields:
        """n patches of this side, each from its own stream."""
        u = uniforms(require_seed(seed), require_count(n), (3,), "patch")
        picture, whole = self._data, self.cells + 2 * MARGIN
        rows = (u[:, 0] * (picture.shape[0] - whole + 1)).long().tolist()
        columns = (u[:, 1] * (picture.shape[1] - whole + 1)).long().tolist()
        cut = []
        for r, k, turn in zip(rows, columns, (u[:, 2] * 8).long().tolist(), strict=True):
            patch = picture[r:r + whole, k:k + whole]
            if self._augmented and self.side == self.sides[0]:               # in one of the eight ways
                patch = torch.rot90(patch.flip(0) if turn >= 4 else patch, turn % 4)
            cut.append(patch)
        return gridded(torch.stack(cut)[..., None], smooth=True, margin=MARGIN)


@dataclass(frozen=True)
class Scan2D(PatchProblem):
    """Patches of `cells`² points of one slice through a head; front to train on, back to test."""

    card: ClassVar[ProblemCard] = ProblemCard(
        name="scan2d", title="A slice through a head", equation="none: a measured picture, cubic between the points",
        domain="[-1, 1]^2, a patch of 32 x 32 of the scan's points",
        units="standard deviations of the front of the head", axes=("top to bottom", "front to back"),
        hard="Folds of tissue with sharp borders, next to nothing at all; and one picture is little to learn from.",
        source="an MRI slice (s1045.ima.gz) in matplotlib's sample data", exact="none: real data")
    sides: ClassVar[tuple[str, str]] = ("front", "back")
    read = staticmethod(scan)
    shortest: ClassVar[int] = 84
    cells: int = 32
    side: str = "front"


@dataclass(frozen=True)
class Photo2D(PatchProblem):
    """Patches of `cells`² points of one of two photographs, in grey: train on the temple, test on the flower."""

    card: ClassVar[ProblemCard] = ProblemCard(
        name="photo2d", title="Two photographs: a temple, and a flower never seen",
        equation="none: luminance, cubic between the points", domain="[-1, 1]^2, a patch of 64 x 64 pixels",
        units="standard deviations of the first photograph's luminance", axes=("top to bottom", "left to right"),
        hard="Edges, flat sky and texture side by side; and petals are not tiles.",
        source="china.jpg and flower.jpg in scikit-learn", exact="none: real data")
    sides: ClassVar[tuple[str, str]] = ("china", "flower")
    read = staticmethod(photographs)
    shortest: ClassVar[int] = 427
    cells: int = 64
    side: str = "china"


@dataclass(frozen=True)
class Digits2D(PictureProblem):
    """Handwritten digits of 8 x 8 points, as smooth surfaces; picked with replacement; no knobs."""

    card: ClassVar[ProblemCard] = ProblemCard(
        name="digits2d", title="Handwritten digits as surfaces", equation="none: scanned ink, cubic between the points",
        domain="[-1, 1]^2, 8 x 8 points", units="standard deviations of ink",
        axes=("top to bottom", "left to right"),
        hard="Ten kinds of shape, many hands, only fourteen hundred of them to learn from: is a draw new, or a copy?",
        source="the test set of optical recognition of handwritten digits (UCI), in scikit-learn",
        exact="none: real data")
    sides: ClassVar[tuple[str, str]] = ("first", "rest")
    read = staticmethod(digits)
    side: str = "first"

    def draw(self, n: int, *, seed: int) -> EvaluatedFields:
        """n digits of this part."""
        u = uniforms(require_seed(seed), require_count(n), (), "which")
        return gridded(self._data[(u * len(self._data)).long(), :, :, None])


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
    read = staticmethod(elevation)
    shortest: ClassVar[int] = 199
    cells: int = 64
    side: str = "west"


PROBLEMS = {"scan2d": Scan2D, "photo2d": Photo2D, "digits2d": Digits2D, "terrain2d": Terrain2D}
