"""What a picture is made of: `view(state, rivals) -> Frame`, a pure function, in three stages a panel keeps apart.

`reveal` draws the truth, hides most of it and asks the ruler; `answer` asks the model; `look` reads both through a
window. Only `look` depends on the query scale, so looking closer decodes the same draws again and never draws anew.
Scores take all channels; pictures show the first.
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
from ..observation.observing import observe
from ..problems import held_out
from .page import window_points
from .state import State
from .style import BAND

LEVELS = {1: (401,), 2: (32, 96, 256), 3: (32, 96, 256)}    # points across a window: in motion, and at rest, last
_SCORED = {1: (256,), 2: (32, 32), 3: (8, 16, 16)}
HALF_FRAME = 1 / 16              # of a film of 16 frames: what was seen this near in time is drawn
VALUES_AT_ONCE = 2**15           # values asked in one go: between two goes a stale run may stop
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
    """Everything one picture shows. `side` points across the window; in 2D, rows run downwards from the top. Of three
    coordinates, a film's, it shows the last two at one time."""

    state: State
    rivals: Rivals
    drawn: Drawn
    window: tuple[tuple[float, float], ...]
    side: int
    coords: Tensor
    truth: Tensor
    ruler: Summary
    model: Summary

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the picture's axes."""
        return self.rivals.problem.card.axes[-len(self.window):]

    @property
    def film(self) -> bool:
        """Whether this is one moment of several."""
        return len(self.window) < self.rivals.problem.d

    @property
    def near(self) -> Observations:
        """What was seen of what is shown, on the picture's axes: of a film, within half a frame."""
        seen = self.drawn.given.seen
        if not self.film:
            return seen
        after = seen.coords[:, 0] - min(max(self.state.time, HALF_FRAME - 1), 1 - HALF_FRAME)
        now = (after >= -HALF_FRAME) & (after < HALF_FRAME)         # between two frames, the earlier
        return Observations(seen.coords[now, 1:], seen.values[now], seen.noise_std)


def view(state: State, rivals: Rivals, side: int | None = None) -> Frame:
    """The frame for a state: same state, same frame, to the last bit."""
    return look(state, rivals, answer(state, rivals, reveal(state, rivals)), side)


# no_grad, not inference_mode: problems cache what they compute, and a later training must be able to use it
@torch.no_grad()
def reveal(state: State, rivals: Rivals) -> Given:
    """Draw a truth (from the side never trained on), hide it, ask the ruler. Depends on `state.seen_by()` only."""
    problem = rivals.problem
    require(problem.d in LEVELS, must="a problem of one to three coordinates.", came=f"one with d = {problem.d}",
            why="A panel draws curves, pictures and films.", do="Freeze the other coordinates first.")
    truth = held_out(problem).draw(1, seed=child(state.seed, "panel", "truth"))
    seen = observe(truth, state.hide(problem.d), noise_std=state.noise, seed=child(state.seed, "panel", "seen"))
    ruler = rivals.ruler.draw(seen, state.draws, seed=child(state.seed, "panel", "ruler"))
    points = cell_centres(_SCORED[problem.d])
    values = ruler(points)
    spread = _usual(values.std(0)) if state.draws > 1 else truth(points).std()
    return Given(truth, seen, ruler, float(crps(values, truth(points)[0])), float(spread))


def _usual(std: Tensor) -> Tensor:
    """One size for the spread at many places (p, c): root mean square, or half of the widest where few are wide."""
    return torch.maximum(std.square().mean().sqrt(), std.flatten().quantile(0.98) / 2)


def answer(state: State, rivals: Rivals, given: Given, steps: int | None = None) -> Drawn:
    """Ask the model. Depends on `state.drawn_by()` only; `steps` overrides the state's, for a preview."""
    return _last(answering(state, rivals, given, steps))


@torch.no_grad()
def answering(state: State, rivals: Rivals, given: Given, steps: int | None = None) -> Iterator[Drawn | None]:
    """`answer`, a step of the sampler at a time where the model offers its path: None after each, then the task."""
    steps, model, seed = steps or state.steps, rivals.model, child(state.seed, "panel", "model")
    if not trained(model):                                          # exact posteriors and baselines take no steps
        steps, fields = 0, model.draw(given.seen, state.draws, seed=seed)
    elif hasattr(model, "path") and hasattr(model, "fields"):
        for visit in model.path(given.seen, state.draws, seed=seed, steps=steps, sampler=state.sampler):
            arrived = visit.x
            yield None
        fields = model.fields(given.seen, arrived)
    else:
        fields = model.draw(given.seen, state.draws, seed=seed, steps=steps, sampler=state.sampler)
    points = cell_centres(_SCORED[rivals.problem.d])
    values = require_finite(fields(points).cpu(), "the model's values")
    yield Drawn(given, fields, float(crps(values, given.truth(points)[0])), steps)


def trained(model: Fitted) -> bool:
    """Whether a model comes from training: it says what it was trained on, and takes sampler and steps."""
    return hasattr(model, "about")


def look(state: State, rivals: Rivals, drawn: Drawn, side: int | None = None) -> Frame:
    """Read a drawn task through the state's window, `side` points across."""
    return _last(looking(state, rivals, drawn, side))


def _last(pieces: Iterator):
    return list(pieces)[-1]


def looking(state: State, rivals: Rivals, drawn: Drawn, side: int | None = None) -> Iterator[Frame | None]:
    """`look`, a piece at a time: yields None where it may be stopped, and the frame at the end."""
    d = rivals.problem.d
    side = LEVELS[d][-1] if side is None else side
    window = state.look_at(d)
    coords = window_points(window, side, rivals.problem.card.axes[-len(window):])
    if d == 3:
        coords = torch.nn.functional.pad(coords, (1, 0), value=state.time)
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
