"""`arrays`: your own data as a problem: stored functions, or patches of one large picture, cubic between cells."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch

from ..core.checks import describe, require, require_count, require_name, require_number, require_seed
from ..core.fields import EvaluatedFields
from ..core.rng import uniforms
from ..core.types import ProblemCard
from .base import NoPosterior
from .files import PICTURES, read
from .gridded import MARGIN, gridded
from .points import LARGEST, Measured, Scaling, as_array, observations, spread

__all__ = ["Arrays", "Measured", "Scaling", "observations"]

PATCH = 64               # cells a side of a picture's patches by default


@dataclass(frozen=True)
class Arrays(NoPosterior):
    """Functions from `data`: an array, a tensor, or the path of an npy, npz, csv or picture file.

    Without `patch`, data are n functions on cell centres (n, s_1, …, s_d), the last `test_share` of them held out. With
    `patch` (cells a side, or one number for each axis), data are one large grid (S_1, …, S_d) and a draw is a patch
    anywhere on it; its last columns are held out. `channels_last`: whether a last axis of channels follows; to be said
    where a first or last axis of at most 4 cells might be one. Pictures from files are cut in patches of 64 by default.

    Values are standardised by the training side (`scaling` undoes it). Once built, `data` is a name with a hash of the
    numbers, so that weights recognise their data.
    """

    data: object
    patch: int | tuple[int, ...] | None = None
    channels_last: bool | None = None
    smooth: bool = True
    test_share: float = 0.25
    key: str | None = None
    side: str = "train"

    def __post_init__(self):
        require_name(self.side, ("train", "test"), "side of the data")
        require_number(self.test_share, "test_share", 0.0, 0.9, open_low=True)
        values, word = _load(self.data, self.key)
        picture = isinstance(self.data, (str, Path)) and Path(self.data).suffix.lower() in PICTURES
        if self.channels_last is None and not picture:
            _require_named(values.shape[int(self.patch is None):], self.patch)
        channels_last = bool(self.channels_last) or (picture and values.ndim == 3)
        values = values if channels_last else values[..., None]                       # (…, c)
        patch = PATCH if picture and self.patch is None else self.patch
        d = values.ndim - (1 if patch is not None else 2)
        shape = "(n, s_1, …, s_d)" if patch is None else "(S_1, …, S_d)"
        require(1 <= d <= 3, must=f"data: {shape}{', then channels,' if channels_last else ''} with d of 1 to 3.",
                came=f"numbers of shape {values.shape if channels_last else values.shape[:-1]}",
                why="Fields have one to three coordinates; without patch= the first axis counts functions.",
                do="patch=64 cuts patches from one large grid; data[None] makes one grid one function.")
        patch = None if patch is None else _sizes(patch, d)
        train, test = _sides(values, patch, self.test_share)
        flat = train.reshape(-1, train.shape[-1])
        mean, std = flat.mean(0), spread(flat)
        scaling = Scaling((0.0,) * d, tuple(float(s) for s in patch or values.shape[1:-1]), tuple(mean.tolist()),
                          tuple(std.tolist()), tuple(f"cells along axis {k + 1}" for k in range(d)))
        if patch is not None:                            # the edge repeated as margin
            train, test = (np.pad(side, [(MARGIN, MARGIN)] * d + [(0, 0)], mode="edge") for side in (train, test))
        sides = {k: torch.from_numpy((side - mean) / std).float() for k, side in (("train", train), ("test", test))}
        built = {"data": word, "patch": patch, "channels_last": channels_last, "d": d, "c": len(mean),
                 "scaling": scaling, "_sides": sides}
        for name, value in built.items():
            object.__setattr__(self, name, value)

    @property
    def card(self) -> ProblemCard:
        """Description of the data."""
        what = f"patches of {' x '.join(map(str, self.patch))} cells" if self.patch else "stored functions"
        return ProblemCard(
            name="arrays", title=f"Your own data: {what}", equation="none: stored values, "
            + ("cubic" if self.smooth else "linear") + " between the cells", domain=f"[-1, 1]^{self.d}",
            units=f"standard deviations of the training side ({', '.join(f'{s:.4g}' for s in self.scaling.std)})",
            axes=self.scaling.axes, hard="Not measured yet: compare with kriging first.", source=self.data,
            exact="none: the distribution of real data is unknown")

    def draw(self, n: int, *, seed: int) -> EvaluatedFields:
        """n functions of this side, picked with replacement; patches begin at any cell."""
        stored = self._sides[self.side]
        require_count(n), require_seed(seed)
        if self.patch is None:
            which = uniforms(seed, n, (), "which").mul(len(stored)).long()
            return gridded(stored[which], self.smooth)
        whole = [size + 2 * MARGIN for size in self.patch]
        room = torch.tensor([have - want + 1 for have, want in zip(stored.shape, whole, strict=False)])
        corners = (uniforms(seed, n, (self.d,), "corner") * room).long().tolist()
        cuts = [tuple(slice(at, at + size) for at, size in zip(corner, whole, strict=True)) for corner in corners]
        return gridded(torch.stack([stored[cut] for cut in cuts]), self.smooth, margin=MARGIN)

    def held_out(self) -> "Arrays":
        """The side that training never sees."""
        other = copy.copy(self)
        object.__setattr__(other, "side", "test")
        return other

    def training_part(self, low: float, high: float, *, augmented: bool) -> "Arrays":
        """The functions, or the rows of the picture, from share `low` to share `high`; at least enough for a draw."""
        stored, least = self._sides["train"], 1 if self.patch is None else self.patch[0] + 2 * MARGIN
        start, stop = (round(share * len(stored)) for share in (low, high))
        other = copy.copy(self)
        part = stored[min(start, len(stored) - least):max(stop, least)]
        for name, value in (("side", "train"), ("_sides", self._sides | {"train": part})):
            object.__setattr__(other, name, value)
        return other


class _Name(str):
    """A name of numbers, with their hash, that has the numbers, so that `dataclasses.replace` can build anew."""

    @classmethod
    def of(cls, name: str, values: np.ndarray) -> "_Name":
        word = cls(f"{name} {values.shape} {blake2b(values.tobytes(), digest_size=6).hexdigest()}")
        word.name, word.values = name, values
        return word


def _load(data, key: str | None) -> tuple[np.ndarray, str]:
    """The numbers, in float64, and a name with their hash."""
    name = "array"
    if isinstance(data, _Name):
        data, name = data.values, data.name
    elif isinstance(data, (str, Path)):
        data, name = read(data, key=key)[1], Path(data).name
    values = as_array(data, "data")
    require(values.dtype.kind in "fiub" and values.size > 0, kind=TypeError, must="data: real numbers.",
            came=describe(values), why="Fields have real values.",
            do="array.astype(float); complex numbers as two channels.")
    values = np.ascontiguousarray(values, dtype=np.float64)
    bad = int((~np.isfinite(values)).sum())
    require(bad == 0, must="data: finite numbers.", came=f"{describe(values)} with {bad} NaN or infinite entries",
            why="One NaN spreads through every draw.",
            do="Fill the holes, or pass the points you have to `observations`.")
    require(float(np.abs(values).max()) <= LARGEST, must=f"data: numbers between -{LARGEST:g} and {LARGEST:g}.",
            came=f"{np.abs(values).max():.3g}", why="Squares of larger ones are infinite.", do="Other units.")
    return values, _Name.of(name, values)


def _require_named(sizes: tuple[int, ...], patch) -> None:
    """Refuse a first or last axis of at most 4 cells beside long ones until it is said whether it holds channels: by
    `channels_last`, or by a patch that gives a size for each axis."""
    if len(sizes) < 2 or (isinstance(patch, Iterable) and len(tuple(patch)) == len(sizes)):
        return
    for axis, turn in ((len(sizes) - 1, ""), (0, f"numpy.moveaxis(data, {int(patch is None)}, -1) and ")):
        rest = sizes[:axis] + sizes[axis + 1:]
        require(sizes[axis] > 4 or min(rest) < 8, must="channels_last: True or False.",
                came=f"none, and an axis of {sizes[axis]} beside {' x '.join(map(str, rest))} cells",
                why="Colours or components are channels of one field; an axis of space or time has cells.",
                do=f"{turn}channels_last=True for channels; channels_last=False for cells.")


def _sizes(patch, d: int) -> tuple[int, ...]:
    """Cells of a patch along each axis."""
    sizes = tuple(patch) if isinstance(patch, list | tuple) else (require_count(patch, "patch", 2),) * d
    require(len(sizes) == d, must=f"patch: one number, or {d}.", came=f"{sizes}",
            why="A patch has a size along each axis.", do=f"patch={(64,) * d}.")
    return tuple(require_count(size, "patch", 2) for size in sizes)


def _sides(values: np.ndarray, patch: tuple[int, ...] | None, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Training and test side: functions apart, or columns apart."""
    if patch is None:
        cut = len(values) - max(1, round(share * len(values)))
        require(cut > 0, must="data: at least two functions, one for each side.", came=f"{len(values)}",
                why="A model is tested on functions that it was not trained on.",
                do="Add functions, or cut patches from one with patch=.")
        return values[:cut], values[cut:]
    axis = len(patch) - 1
    cut = round((1 - share) * values.shape[axis])
    sides = np.split(values, [cut], axis)
    smallest = [min(side.shape[k] for side in sides) for k in range(len(patch))]
    require(all(size <= have for size, have in zip(patch, smallest, strict=True)),
            must=f"patch: at most {tuple(smallest)} cells.", came=f"{patch}",
            why=f"The held-out side is the last {share:.0%} of columns, and a patch must fit into each side.",
            do="A smaller patch=, or a larger test_share=.")
    return sides[0], sides[1]


PROBLEMS = {"arrays": Arrays}
