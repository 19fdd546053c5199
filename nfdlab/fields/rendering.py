"""Rendering: Fields -> values on a large grid, a piece at a time, into an array or a file."""

import io
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..core import single
from ..core.checks import MOST, four_parts, is_whole, require, require_count, require_room
from ..core.files import replacing
from ..core.grid import cell_centres
from ..core.rng import stream
from ..core.types import Fields

PROBES = 256                         # cells by whose values it is known which draws a file holds


def render(fields: Fields, shape: tuple[int, ...], out=None, *, chunk: int = 65_536):
    """Values of every draw on the cell centres of `shape`: (n, *shape, c).

    `out`: a numpy array or memmap of that shape (any float type), filled and returned; by default a new tensor. At most
    `chunk` values are computed at a time, so memory beside the output is bounded.
    """
    shape, out = require_grid(fields, shape, out)
    require_count(chunk, "chunk")
    flat = out.reshape(fields.n, -1, fields.c)
    require(isinstance(out, torch.Tensor) or np.shares_memory(flat, out), must="out: contiguous in memory.",
            came=out, why="It is filled in place, piece by piece.", do="Pass a fresh array or memmap.")
    for start, values in _pieces(fields, shape, chunk):
        flat[:, start:start + values.shape[1]] = values if isinstance(out, torch.Tensor) else values.numpy()
    return out


def render_to_file(fields: Fields, shape: tuple[int, ...], path: str | Path, *, dtype=np.float32, chunk: int = 65_536,
                   progress: Callable[[int, int], None] = lambda done, total: None) -> np.memmap:
    """Values of every draw on the cell centres of `shape`, written to a .npy file, as a read-only memmap of it:
    (n, *shape, c).

    The file grows from its beginning to its end, and memory holds one piece, of at most `chunk` values. Stopped or
    killed, the same call goes on where the file ends. Until it is whole, PATH.begun keeps the draws' values at PROBES
    cells: a file of other draws, of another shape or another floating point `dtype` is refused and kept.
    `progress(done, total)` counts cells.
    """
    shape, dtype = require_shape(fields, shape), np.dtype(dtype)
    require_count(chunk, "chunk")
    require(isinstance(path, str | Path) and Path(path).suffix == ".npy", must="path: a file name ending in .npy.",
            came=path, why="The suffix tells what can read it.", do='"draw.npy".')
    require(dtype.kind == "f", must="dtype: a floating point type of numpy.", came=str(dtype),
            why="Values are written as they are, and whole numbers would cut them.", do="dtype=np.float16.")
    path = Path(path)
    begun, total = path.with_name(f"{path.name}.begun"), fields.n * math.prod(shape)
    try:
        done, first = _written(fields, shape, path, begun, dtype)
        progress(done, total)
        with open(path, "r+b") as file:
            for start, values in _missing(fields, shape, chunk, done):
                file.seek(first + start * fields.c * dtype.itemsize)
                file.write(values.numpy().astype(dtype).tobytes())
                file.flush()
                progress(start + len(values), total)
        begun.unlink(missing_ok=True)
        return np.load(path, mmap_mode="r")
    except OSError as error:
        raise OSError(four_parts("path: a place that can be written to.", str(path), str(error)[:200],
                                 "Make room, or render elsewhere; the same call goes on from what is there."
                                 )) from error


def _written(fields: Fields, shape: tuple[int, ...], path: Path, begun: Path, dtype: np.dtype) -> tuple[int, int]:
    """How many cells of these draws a file holds, and where in it the first lies, in bytes. It is begun if it is not
    there, and refused if it holds anything else."""
    full, head = (fields.n, *shape, fields.c), io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": dtype.str, "fortran_order": False, "shape": full})
    head, size = head.getvalue(), math.prod(full) * dtype.itemsize
    index = torch.randint(math.prod(shape), (PROBES,), generator=stream(0, "probes"))
    probes = fields(_centres(shape)(index)).cpu().numpy()
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(path.parent).free
        require(size <= free, must=f"{size / 1e9:.3g} GB of the disk.", came=f"{free / 1e9:.3g} GB are free",
                why="Every value is kept.", do="A smaller grid, dtype=np.float16, or another disk.")
        with replacing(begun) as part, open(part, "wb") as kept:
            np.save(kept, probes)
        with replacing(path) as part:
            part.write_bytes(head)
    held, there = path.stat().st_size - len(head), None
    with open(path, "rb") as file:
        ours = file.read(len(head)) == head and 0 <= held <= size
    if ours and begun.exists():
        there = np.load(begun)
    elif ours and held == size:
        there = np.load(path, mmap_mode="r").reshape(fields.n, -1, fields.c)[:, index.numpy()]
    same = there is not None and there.shape == probes.shape and np.allclose(
        there, probes, rtol=0, atol=1e-3 * np.abs(np.nan_to_num(probes)).max(), equal_nan=True)
    require(same, must=f"path: no file, or one of these draws, {full} in {dtype}.", came=str(path),
            why="Other draws are there." if ours else "Another shape, dtype or number of bytes is there.",
            do="Render elsewhere, or move that file away.")
    return held // (fields.c * dtype.itemsize), len(head)


def _missing(fields: Fields, shape: tuple[int, ...], chunk: int, done: int) -> Iterator[tuple[int, Tensor]]:
    """Values (p, c) of the cells that follow the first `done`, draw by draw, and how many lie before them."""
    total = math.prod(shape)
    for draw in range(done // total, fields.n):
        one = fields if fields.n == 1 else fields[draw]
        for start, values in _pieces(one, shape, chunk, max(0, done - draw * total)):
            yield draw * total + start, values[0]


def _pieces(fields: Fields, shape: tuple[int, ...], chunk: int, done: int = 0) -> Iterator[tuple[int, Tensor]]:
    """Values (n, p, c) of the cells in their order, at most `chunk` at a time, from the piece on in which cell `done`
    lies; and how many cells lie before them."""
    centres, step, total = _centres(shape), max(1, chunk // (fields.n * fields.c)), math.prod(shape)
    for start in range(done // step * step, total, step):
        yield start, fields(centres(torch.arange(start, min(start + step, total)))).cpu()


def _centres(shape: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
    """The map from numbers of cells (p,), the last axis fastest, to their centres (p, d)."""
    axes = [cell_centres((s,))[:, 0] for s in shape]
    return lambda index: torch.stack([a[i] for a, i in zip(axes, torch.unravel_index(index, shape), strict=True)], -1)


def require_shape(fields: Fields, shape) -> tuple[int, ...]:
    """A grid with one size for each coordinate of the fields."""
    require(isinstance(fields, Fields), kind=TypeError, must="fields: Fields.", came=fields,
            why="Their values are rendered.", do="problem.draw(1, seed=0), or a posterior's draws.")
    require(isinstance(shape, (tuple, list)) and len(shape) == fields.d, must=f"shape: a tuple of {fields.d} sizes.",
            came=shape, why="A grid has one size for each coordinate.", do=f"shape={(256,) * fields.d}.")
    require(all(is_whole(s) and 1 <= s <= MOST for s in shape), must="shape: positive whole numbers.", came=shape,
            why="A grid has a number of cells along each axis.", do=f"shape={(256,) * fields.d}.")
    return tuple(map(int, shape))


def require_grid(fields: Fields, shape, out) -> tuple[tuple[int, ...], object]:
    """A grid with one size for each coordinate, and an array for its values: `out`, or a new tensor."""
    full = (fields.n, *require_shape(fields, shape), fields.c)
    if out is None:
        require_room(math.prod(full), "shape")
    out = single.empty(full) if out is None else out
    floats = out.is_floating_point() if isinstance(out, torch.Tensor) else (
        isinstance(out, np.ndarray) and out.dtype.kind == "f")
    require(floats, kind=TypeError, must="out: a numpy array or tensor of a floating point type.", came=out,
            why="Values are filled in as they are, and whole numbers would cut them.",
            do="np.empty(shape, np.float32), or leave out= away.")
    require(tuple(out.shape) == full, must=f"out: shape {full}.", came=out,
            why="One value for each draw, cell and channel.",
            do="np.lib.format.open_memmap('picture.npy', 'w+', np.float32, shape).")
    return full[1:-1], out
