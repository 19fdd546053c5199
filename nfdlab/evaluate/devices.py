"""A device beside the CPU: for each shipped pair whether it draws the same picture, and how long both take."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .. import problems, store
from ..core.grid import cell_centres
from ..core.types import Observations
from ..inference.posterior import LatentPosterior
from ..observation.observing import observe
from ..observation.patterns import Random
from ..training import resolve_device

SAME = 1e-4                                             # of the picture's scale: what rounding may do
DRAWS, SEEN, CELLS = 16, 8, {1: 256, 2: 48, 3: 12}      # cells an axis
FEW = {"num_particles": 64, "rounds": 4}                # each move is a choice that rounding may turn: not too many


@dataclass(frozen=True)
class PairOnDevice:
    """A shipped pair: the largest difference of the device's draws from the CPU's, in units of their largest value, and
    milliseconds of sampling and of decoding, on the device and on the CPU."""

    approach: str
    problem: str
    apart: float
    sampling: tuple[float, float]
    decoding: tuple[float, float]

    @property
    def same(self) -> bool:
        """Whether the pictures agree up to rounding."""
        return self.apart <= SAME


def compared(device: str = "auto", pairs: list[tuple[str, str]] | None = None,
             progress: Callable[[int, int], None] = lambda done, total: None) -> Iterator[PairOnDevice]:
    """Each shipped pair, or some, on a device and on the CPU: DRAWS draws given SEEN observations, decoded on a grid.

    Convolutions are asked for in float32: many GPUs would round them to TF32, and the pictures would differ by more.
    """
    place, pairs = resolve_device(device), list(store.shipped()) if pairs is None else pairs
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        for done, (approach, name) in enumerate(pairs):
            progress(done, len(pairs))
            problem = problems.get(name)
            seen = observe(problem.draw(1, seed=1), Random(count=SEEN), noise_std=0.1, seed=1)
            coords = cell_centres((CELLS[problem.d],) * problem.d)
            here, *usual = measured(store.shipped()[approach, name], "cpu", seen, coords)
            there, *own = (here, *usual) if place.type == "cpu" else measured(
                store.shipped()[approach, name], str(place), seen, coords)
            apart = float((there - here).abs().max() / here.abs().max())
            yield PairOnDevice(approach, name, apart, *zip(own, usual, strict=True))
    progress(len(pairs), len(pairs))


def measured(path, device: str, seen: Observations, coords: Tensor) -> tuple[Tensor, float, float]:
    """Values (DRAWS, p, c) of draws, and milliseconds of sampling and of decoding, after a first run that is not
    counted. A value that arrives on the CPU says that the device is done."""
    fitted = store.load(path, device=device)
    fitted = fitted.using(**FEW) if isinstance(fitted, LatentPosterior) else fitted
    for _ in range(2):
        start = time.perf_counter()
        draws = fitted.draw(seen, DRAWS, seed=2)
        draws(coords[:1])
        drawn = time.perf_counter()
        values = draws(coords)
        decoded = time.perf_counter()
    return values, 1e3 * (drawn - start), 1e3 * (decoded - drawn)
