"""What a picture is made of: `view(state, rivals) -> Frame`, a pure function, in three stages a panel keeps apart.

`reveal` draws the truth, hides most of it and asks the ruler; `answer` asks the model; `look` reads both through a
window. Only `look` depends on the query scale, so looking closer decodes the same draws again and never draws anew.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.checks import require, require_finite
from ..core.grid import cell_centres
from ..core.rng import child
from ..core.types import Fields, Fitted, Observations, Problem
from ..evaluate.calibration import interval
from ..evaluate.scores import crps
from ..problems import held_out
from ..sparsity.observing import observe
from .state import State
from .style import BAND

FULL = {1: 401, 2: 256}          # points across a window at rest: about one for each pixel
ROUGH = {1: 201, 2: 48}          # while a slider moves in 2D
_SCORED = {1: (256,), 2: (32, 32)}
VALUES_AT_ONCE = 2**18                 # values asked in one go: bounds memory, and leaves places to stop
SHOWN = 24                       # draws kept as curves


@dataclass(frozen=True, eq=False)
class Rivals:
    """Who is compared on which problem: the model, and the ruler, which is the exact posterior where there is one."""

    problem: Problem
    model: Fitted
    model_name: str
    ruler: Fitted
    ruler_name: str
    exact: bool = True


@dataclass(frozen=True, eq=False)
class Given:
    """One task: a truth, what was seen of it, the ruler's draws and score."""

    truth: Fields
    seen: Observations
    ruler: Fields
    ruler_score: float
    spread: float                # the ruler's usual standard deviation: sets the scale of errors


@dataclass(frozen=True, eq=False)
class Drawn:
    """A task with the model's draws and score; `steps` is what the sampler took."""

    given: Given
    model: Fields
    score: float
    steps: int


@dataclass(frozen=True, eq=False)
class Summary:
    """n draws at p points: mean, ends of the 90 % band (1D only), standard deviation, each (p,); a few draws (k, p)."""

    mean: Tensor
    low: Tensor
    high: Tensor
    std: Tensor
    draws: Tensor


@dataclass(frozen=True, eq=False)
class Frame:
    """Everything one picture shows. `side` points across the window; in 2D, rows run downwards from the top."""

    state: State
    rivals: Rivals
    drawn: Drawn
    window: tuple[tuple[float, float], ...]
    side: int
    coords: Tensor
    truth: Tensor
    ruler: Summary
    model: Summary


def view(state: State, rivals: Rivals, side: int | None = None) -> Frame:
    """The frame for a state: same state, same frame, to the last bit."""
    return look(state, rivals, answer(state, rivals, reveal(state, rivals)), side)


# no_grad, not inference_mode: problems cache what they compute, and a later training must be able to use it
@torch.no_grad()
def reveal(state: State, rivals: Rivals) -> Given:
    """Draw a truth (from the side never trained on), hide it, ask the ruler. Depends on `state.seen_by()` only."""
    problem = rivals.problem
    require(problem.d in FULL, must="a problem of one or two coordinates.", came=f"one with d = {problem.d}",
            why="A panel draws curves and pictures.", do="Freeze the other coordinates first.")
    truth = held_out(problem).draw(1, seed=child(state.seed, "panel", "truth"))
    seen = observe(truth, state.hide(problem.d), noise_std=state.noise, seed=child(state.seed, "panel", "seen"))
    ruler = rivals.ruler.draw(seen, state.draws, seed=child(state.seed, "panel", "ruler"))
    points = cell_centres(_SCORED[problem.d])
    values = ruler(points)
    spread = values.var(0).mean().sqrt() if state.draws > 1 else truth(points).std()
    return Given(truth, seen, ruler, float(crps(values, truth(points)[0])), float(spread))


@torch.no_grad()
def answer(state: State, rivals: Rivals, given: Given, steps: int | None = None) -> Drawn:
    """Ask the model. Depends on `state.drawn_by()` only; `steps` overrides the state's, for a preview."""
    steps = state.steps if steps is None else steps
    trained = hasattr(rivals.model, "about")
    how = {"steps": steps, "sampler": state.sampler} if trained else {}
    fields = rivals.model.draw(given.seen, state.draws, seed=child(state.seed, "panel", "model"), **how)
    points = cell_centres(_SCORED[rivals.problem.d])
    values = require_finite(fields(points).cpu(), "the model's values")
    return Drawn(given, fields, float(crps(values, given.truth(points)[0])), steps if trained else 0)


def look(state: State, rivals: Rivals, drawn: Drawn, side: int | None = None) -> Frame:
    """Read a drawn task through the state's window, `side` points across."""
    return [frame for frame in looking(state, rivals, drawn, side) if frame is not None][-1]


def looking(state: State, rivals: Rivals, drawn: Drawn, side: int | None = None) -> Iterator[Frame | None]:
    """`look`, a piece at a time: yields None where it may be stopped, and the frame at the end."""
    d = rivals.problem.d
    side = FULL[d] if side is None else side
    window = state.look_at(d)
    coords = window_points(window, side, rivals.problem.card.axes)
    truth = drawn.given.truth(coords)[0, :, 0]
    parts = []
    for fields in (drawn.given.ruler, drawn.model):
        pieces = []
        for block in coords.split(max(256, VALUES_AT_ONCE // fields.n)):
            pieces.append(_summary(fields, block))
            yield None
        parts.append(Summary(*(torch.cat(p, -1) for p in zip(*pieces, strict=True))))
    yield Frame(state, rivals, drawn, window, side, coords, truth, *parts)


@torch.no_grad()
def _summary(fields: Fields, coords: Tensor) -> tuple[Tensor, ...]:
    values = fields(coords).cpu()
    mean, std = values.mean(0), values.std(0) if len(values) > 1 else torch.zeros_like(values[0])
    low, high = interval(values, BAND) if coords.shape[1] == 1 else (mean, mean)       # sorting pictures is slow
    return mean[:, 0], low[:, 0], high[:, 0], std[:, 0], values[:SHOWN, :, 0]


def axes_across_up(names: tuple[str, ...]) -> tuple[int, int]:
    """Which coordinate of two runs across the page and which runs up: the first across, unless it is named y."""
    return (1, 0) if names[0] in ("y", "north") else (0, 1)


def window_points(window: tuple[tuple[float, float], ...], side: int, names: tuple[str, ...]) -> Tensor:
    """Points of a window: (side, 1) end to end in 1D; cell centres (side², 2) by rows from the top in 2D."""
    if len(window) == 1:
        return torch.linspace(*window[0], side, dtype=torch.float64).float()[:, None].clamp(-1, 1)
    middles = (torch.arange(side, dtype=torch.float64) + 0.5) / side
    across, up = axes_across_up(names)
    right = window[across][0] + (window[across][1] - window[across][0]) * middles
    top = window[up][1] - (window[up][1] - window[up][0]) * middles
    rows, cols = torch.meshgrid(top, right, indexing="ij")
    pair = [cols.flatten(), rows.flatten()] if across == 0 else [rows.flatten(), cols.flatten()]
    return torch.stack(pair, -1).float()
