"""Continuity: consistency of draws as functions, and their roughness against the truth's at every scale.

`consistency` must be 0 up to rounding. The others compare draws with truths: 0, or 1 for the two ratios, where both
have the same statistics.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..core import single
from ..core.checks import require, require_coords, require_count, require_number, require_seed
from ..core.grid import cell_centres, to_grid
from ..core.rng import stream, uniforms
from ..core.types import Fields
from .spectra import spectrum

BASE = {1: (32,), 2: (16, 16), 3: (4, 4, 4), 4: (2, 2, 2, 2)}         # where ×1 is by default
LEAST_STEP = 1e-6                                    # of a difference that single precision can see
FLOOR = 1e-9                                         # of the variance: powers below are rounding, not roughness


def require_some(coords: Tensor) -> None:
    """At least one place."""
    require(len(coords) > 0, must="coords: at least one place.", came=coords, why="There is nothing to measure.",
            do="nfdlab.cell_centres((64,)).")


def consistency(fields: Fields, coords: Tensor, *, seed: int = 0, tries: int = 4) -> float:
    """The largest |draws(coords)[:, i] - draws(coords[i])| over the field's spread; 0 up to rounding for functions.

    coords (p, d) are evaluated again: permuted, a random half, `tries` single points, piece by piece, and with other
    points for each draw. Fresh noise a query, or a normalisation over queries, breaks it by about 1.
    """
    require_coords(coords, fields.d), require_count(tries, "tries"), require_seed(seed)
    require_some(coords)
    rng, whole, p = stream(seed, "consistency"), fields(coords), len(coords)
    subsets = [torch.randperm(p, generator=rng), torch.randperm(p, generator=rng)[:max(1, p // 2)],
               *torch.arange(p).tensor_split(min(3, p)), *torch.randint(p, (tries, 1), generator=rng)]
    worst = max(float((fields(coords[i]) - whole[:, i]).abs().max()) for i in subsets)
    own = torch.stack([torch.randperm(p, generator=rng) for _ in range(fields.n)])
    there = whole.gather(1, own[..., None].expand(-1, -1, fields.c))
    worst = max(worst, float((fields(coords[own]) - there).abs().max()))
    spread = float(whole.std()) if whole.numel() > 1 else 0.0
    return worst / spread if spread > 0 else worst


def spectrum_error(fields: Fields, truth: Fields, *, base: tuple[int, ...] | None = None,
                   scales: Sequence[int] = (1, 2, 4, 8, 16)) -> dict[int, float]:
    """Mean |log power ratio|, draws to truths, at each scale: {scale: error}; 0 where both are equally rough.

    At scale s both are asked on the cell centres of s times `base`; the mean is over the wavenumbers 1 up to that
    grid's Nyquist's. Powers below 1e-9 of the truths' variance are ignored. In 1D n exact draws against n truths
    err by about 1.1 / sqrt(n).
    """
    base = BASE[fields.d] if base is None else base
    out = {}
    for scale in scales:
        shape = tuple(scale * side for side in base)
        points = cell_centres(shape)
        mine, theirs = (spectrum(f(points).cpu(), shape)[1].flatten(0, -2).mean(0) for f in (fields, truth))
        floor = FLOOR * theirs.sum().clamp_min(torch.finfo(theirs.dtype).tiny)
        ratio = ((mine + floor) / (theirs + floor)).log().abs()
        out[scale] = float(ratio[1:min(shape) // 2 + 1].mean())
    return out


def gradient(fields: Fields, coords: Tensor, step: float = 1e-2) -> Tensor:
    """Central differences (f(x + h e) - f(x - h e)) / 2h along each axis: (n, p, c, d). Error h² f'''/6."""
    parts = []
    for axis in range(fields.d):
        shift = torch.zeros(fields.d, dtype=coords.dtype, device=coords.device)
        shift[axis] = step
        parts.append((fields(coords + shift) - fields(coords - shift)) / (2 * step))
    return torch.stack(parts, -1)


def gradient_error(fields: Fields, truth: Fields, coords: Tensor, *, step: float = 1e-2) -> float:
    """RMS of (the draws' mean gradient - the truth's) over RMS of the truth's: 0 is right, 1 is a flat answer's.

    coords (p, d), at least `step` from the walls; `truth` is one function. Only for smooth truths: at a jump a
    difference quotient is 1/step, whatever the answer.
    """
    require_number(step, "step", LEAST_STEP, 1.0), require_some(require_coords(coords, fields.d))
    reach = float(coords.abs().max())
    require(reach <= 1 - step + 1e-6, must=f"coords: within {1 - step:g}, a step from the walls.",
            came=f"coords reaching {reach:g}", why="A difference needs both neighbours.", do="(1 - step) * coords.")
    right = gradient(truth, coords, step)
    found = gradient(fields, coords, step).mean(0, keepdim=True)
    return float((found - right).square().mean().sqrt() / right.square().mean().sqrt())


def flicker(fields: Fields, truth: Fields, *, frames: int = 16, space: tuple[int, ...] | None = None,
            rate: int = 8) -> float:
    """Energy of the second time difference at `rate` times the frame rate, draws to truths: 1 is as in the truth.

    Time is the first axis; `space` is the grid of the others (16 cells a side by default). Draws that jump
    between frames are above 1, over-smoothed ones below.
    """
    require_count(frames, "frames"), require_count(rate, "rate")
    shape = (frames * rate, *((16,) * (fields.d - 1) if space is None else space))
    points = cell_centres(shape)
    mine, theirs = (to_grid(f(points), shape).diff(n=2, dim=1).square().mean() for f in (fields, truth))
    return float(mine / theirs)


def seam_jump(fields: Fields, seams: Sequence[float], *, axis: int = 0, step: float = 1e-3, lines: int = 32,
              seed: int = 0) -> float:
    """Mean change across seams over mean change across equal steps elsewhere: 1 for a field that has no seams.

    `seams` are places along `axis`, edges of cells or patches, say; a change is |f(x + step) - f(x - step)|, on `lines`
    random lines along the axis. Elsewhere: as many steps as 8 times the seams, all of them clear of any.
    """
    require_seed(seed), require_count(lines, "lines"), require_number(step, "step", LEAST_STEP, 0.1)
    require_count(axis, "axis", 0, fields.d - 1)
    listed = seams.ndim == 1 if isinstance(seams, torch.Tensor) else isinstance(seams, list | tuple)
    require(listed, kind=TypeError, must="seams: a list of numbers.", came=seams,
            why="They are places along the axis.", do="seams=(-0.5, 0.0, 0.5).")
    at = single.tensor([require_number(seam, "seams", -1.0, 1.0) for seam in seams])
    require(len(at) > 0 and float(at.abs().max()) <= 1 - step, must="seams: places inside the box, off its walls.",
            came=f"{seams}", why="A jump has two sides.", do="seams=(-0.5, 0.0, 0.5).")
    tries = 2 * uniforms(seed, 64 * len(at), (1,), "elsewhere", dtype=torch.float32)[:, 0] - 1
    clear = ((tries[:, None] - at).abs().amin(1) > 2 * step) & (tries.abs() < 1 - step)
    elsewhere = tries[clear][:8 * len(at)]
    require(len(elsewhere) > 0, must="seams: with room between them.", came=f"{len(at)} seams, step {step:g}",
            why="There is nothing to compare with.", do="A smaller step.")
    others = 2 * uniforms(seed, lines, (fields.d,), "lines", dtype=torch.float32) - 1

    def change(places: Tensor) -> Tensor:
        points = others[:, None].repeat(1, len(places), 1)
        points[..., axis] = places
        shift = single.zeros(fields.d)
        shift[axis] = step
        points = points.flatten(0, 1)
        return (fields(points + shift) - fields(points - shift)).abs().mean()

    return float(change(at) / change(elsewhere))
