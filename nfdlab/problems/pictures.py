"""`scan2d`, `photo2d`, `digits2d`: real pictures from installed packages. Their distribution is unknown."""

from dataclasses import dataclass
from functools import cache, cached_property
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ..core.checks import require_count, require_name, require_seed
from ..core.fields import EvaluatedFields
from ..core.rng import uniforms
from ..core.types import ProblemCard
from .base import PatchProblem, PictureProblem
from .gridded import gridded


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
    shortest: ClassVar[int] = 84
    cells: int = 32
    side: str = "front"

    @cached_property
    def _picture(self) -> Tensor:
        return self.standardised(scan())


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
    shortest: ClassVar[int] = 427
    cells: int = 64
    side: str = "china"

    @cached_property
    def _picture(self) -> Tensor:
        return self.standardised(photographs())


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
    side: str = "first"

    def __post_init__(self):
        require_name(self.side, self.sides, "part of the digits")

    @cached_property
    def _images(self) -> Tensor:
        return self.standardised(digits())

    def draw(self, n: int, *, seed: int) -> EvaluatedFields:
        """n digits of this part."""
        u = uniforms(require_seed(seed), require_count(n), (), "which")
        return gridded(self._images[(u * len(self._images)).long(), :, :, None])


PROBLEMS = {"scan2d": Scan2D, "photo2d": Photo2D, "digits2d": Digits2D}
