"""Fields as files: their values at given places in an npz of plain arrays, and the way back by interpolation."""

import zipfile
from dataclasses import fields as dataclass_fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..core.checks import four_parts, require, require_coords
from ..core.fields import EvaluatedFields
from ..core.files import replacing
from ..core.grid import cell_centres
from ..core.types import Fields
from .gridded import gridded
from .points import Scaling


def save_values(path: str | Path, fields: Fields, coords: Tensor, scaling: Scaling | None = None) -> Path:
    """Write the values of n functions at coords (p, d) to an npz file, whole or not at all: `coords` and `values`
    (n, p, c), in physical units where a `scaling` says which; its own entries beside them.

    `numpy.load(path)["values"]` reads them anywhere; `load_values` makes functions of them.
    """
    path = Path(path)
    require(isinstance(fields, Fields), kind=TypeError, must="fields: Fields, draws say.", came=fields,
            why="Values are those of functions.", do="model.draw(seen, 64, seed=0).")
    require(path.suffix == ".npz", must="path: a file name ending in .npz.", came=str(path),
            why="The suffix tells what can read it.", do=f"{str(path.with_suffix('.npz'))!r}.")
    require(scaling is None or isinstance(scaling, Scaling), kind=TypeError, must="scaling: a Scaling.", came=scaling,
            why="It says how standard deviations become units.", do="scaling=problem.scaling, or seen.scaling.")
    require_coords(coords, fields.d)
    values = fields(coords).cpu()
    held = {"coords": coords.cpu(), "values": values} if scaling is None else {
        "coords": scaling.from_box(coords.cpu()), "values": scaling.restore(values),
        **{f.name: np.array(getattr(scaling, f.name)) for f in dataclass_fields(Scaling)}}
    with replacing(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **{name: np.asarray(array) for name, array in held.items()})
    return path


def load_values(path: str | Path) -> tuple[EvaluatedFields, Scaling | None]:
    """The functions of a file of `save_values`, cubic between cells, in the box and in standard deviations; and the
    scaling to units, where there is one. Values that are not at the centres of a grid of cells are refused."""
    held = _arrays(Path(path))
    scaling = None
    if "std" in held:
        scaling = Scaling(**{f.name: tuple(held[f.name].tolist()) for f in dataclass_fields(Scaling)})
    coords = torch.from_numpy(held["coords"]) if scaling is None else scaling.to_box(held["coords"])
    values = torch.from_numpy(held["values"]) if scaling is None else scaling.standardise(held["values"])
    order = np.lexsort(coords.numpy().round(5).T[::-1])                         # first axis slowest
    coords, values = coords[order].float(), values[:, order].float()
    shape = tuple(len(np.unique(axis)) for axis in coords.numpy().round(5).T)
    grid = cell_centres(shape)
    whole = grid.shape == coords.shape and bool((grid - coords).abs().max() < 1e-4)
    require(whole, must="Values at the centres of a grid of cells.", came=f"{len(coords)} other places",
            why="Between scattered places there is nothing to interpolate with.",
            do='save_values(path, fields, nfdlab.cell_centres((64, 64))); numpy.load(path)["values"] reads the rest.')
    return gridded(values.reshape(len(values), *shape, -1)), scaling


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a file, `coords` (p, d) and `values` (n, p, c) among them; no code is executed."""
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            held = {name: file[name] for name in file.files}
        (p, d), (n, q, c) = held["coords"].shape, held["values"].shape
        entries = {name: len(held[name]) for name in ("low", "high", "mean", "std") if "std" in held}
        if p != q or 0 in (n, p, d, c) or entries not in ({}, {"low": d, "high": d, "mean": c, "std": c}):
            raise ValueError("its shapes do not fit together")
        if not all(np.isfinite(held[name]).all() for name in ("coords", "values", *entries)):
            raise ValueError("not all of its numbers are finite")
        return held
    except (OSError, EOFError, KeyError, ValueError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(four_parts("path: a file that save_values wrote.", str(path),
                                    f"{type(error).__name__}: {str(error)[:120]}.",
                                    "Save the draws again: save_values(path, fields, coords).")) from error
