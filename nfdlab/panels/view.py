"""The data of a picture: `view(state, comparison) -> Frame`, a pure function in three stages that a panel caches apart.

`make_task` draws a truth, observes it and draws from the reference; `draw_model` draws from the model; `read_window`
evaluates both on the points of a window. Only the last depends on the query scale, so a closer look evaluates the same
draws again and never draws anew. Scores take all channels; pictures show the first.

The last two are generators: they yield None wherever a run may be stopped, and return their result.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..core.checks import require, require_finite
from ..core.grid import cell_centres
from ..core.rng import child
from ..core.types import Fields, Fitted, Observations, Problem, Trained
from ..evaluate.calibration import interval
from ..evaluate.scores import crps
from ..observation.observing import observe
from ..problems import held_out
from .page import Window, shown, slice_of, window_points
from .state import State
from .style import BAND

LEVELS = {1: (201,), 2: (32, 128), 3: (32, 128), 4: (32, 128)}   # points across: of the first picture, and the last
_SCORED = {1: (256,), 2: (32, 32), 3: (8, 16, 16), 4: (6, 8, 8, 8)}
NEAR_SLICE = 1 / 4               # of a volume, observations this near to the slice are drawn
HALF_FRAME = 1 / 16              # of a film of 16 frames: observations this near in time are drawn
VALUES_AT_ONCE = 2**15           # values evaluated at once: between two such blocks a stale run may stop
CURVES_KEPT = 24                 # draws kept as curves


@dataclass(frozen=True, eq=False)
class Comparison:
    """A model and a reference on a problem: the "exact posterior" where there is one, else "kriging"."""

    problem: Problem
    model: Fitted
    model_name: str
    reference: Fitted
    reference_name: str


@dataclass(frozen=True, eq=False)
class Task:
    """A truth, its observations, draws of the reference and, once `draw_model` has run, of the model; their scores."""

    truth: Fields
    seen: Observations
    reference: Fields
    reference_score: float
    reference_std: float         # its usual standard deviation: sets the scale of errors
    model: Fields | None = None
    score: float = float("nan")


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
    """Everything one picture shows. `side` points across the window; in 2D, rows run downwards from the top. With more
    coordinates, those of a film, it shows the second and the third at one time, the fourth in the middle."""

    state: State
    comparison: Comparison
    task: Task
    window: Window
    side: int
    coords: Tensor
    truth: Tensor
    reference: Summary
    model: Summary

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the picture's axes."""
        return self.comparison.problem.card.axes[shown(self.comparison.problem.d)]

    @property
    def film(self) -> bool:
        """Whether this is one moment of several."""
        return len(self.window) < self.comparison.problem.d

    @property
    def near(self) -> Observations:
        """The observations drawn in the picture, on its axes: of a film, those within half a frame."""
        seen = self.task.seen
        if not self.film:
            return seen
        after = seen.coords[:, 0] - min(max(self.state.time, HALF_FRAME - 1), 1 - HALF_FRAME)
        now = (after >= -HALF_FRAME) & (after < HALF_FRAME)         # between two frames, the earlier
        now &= (seen.coords[:, 3:].abs() < NEAR_SLICE).all(-1)
        return Observations(seen.coords[now, 1:3], seen.values[now], seen.noise_std)


def view(state: State, comparison: Comparison, side: int | None = None) -> Frame:
    """The frame of a state: same state, same frame, to the last bit."""
    task = last(draw_model(state, comparison, make_task(state, comparison)))
    return last(read_window(state, comparison, task, side))


def last(pieces: Iterator):
    """The result of a stage: what its generator returns."""
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            return end.value


# no_grad, not inference_mode: problems cache what they compute, and a later training must be able to use it
@torch.no_grad()
def make_task(state: State, comparison: Comparison) -> Task:
    """Draw a held-out truth, observe it, draw from the reference. Depends on `state.task_key()` only."""
    problem = comparison.problem
    require(problem.d in LEVELS, must="a problem of one to four coordinates.", came=f"one with d = {problem.d}",
            why="A panel draws curves, pictures and films.", do="Freeze the other coordinates first.")
    truth = held_out(problem).draw(1, seed=child(state.seed, "panel", "truth"))
    seen = observe(truth, state.sized_pattern(problem.d), noise_std=state.noise,
                   seed=child(state.seed, "panel", "seen"))
    reference = comparison.reference.draw(seen, state.draws, seed=child(state.seed, "panel", "ruler"))
    points = cell_centres(_SCORED[problem.d])
    values = reference(points)
    std = _usual(values.std(0)) if state.draws > 1 else truth(points).std()
    return Task(truth, seen, reference, float(crps(values, truth(points)[0])), float(std))


def _usual(std: Tensor) -> Tensor:
    """One size for standard deviations (p, c): their root mean square, or half of the 98 % quantile if larger."""
    return torch.maximum(std.square().mean().sqrt(), std.flatten().quantile(0.98) / 2)


@torch.no_grad()
def draw_model(state: State, comparison: Comparison, task: Task) -> Iterator[None]:
    """Draw from the model, one sampler step at a time if it is trained. Depends on `state.draws_key()` only."""
    model, seed = comparison.model, child(state.seed, "panel", "model")
    if isinstance(model, Trained):
        for step in model.path(task.seen, state.draws, seed=seed, steps=state.steps, sampler=state.sampler):
            latent = step.x
            yield None
        fields = model.fields(task.seen, latent)
    else:                                                           # exact posteriors and baselines take no steps
        fields = model.draw(task.seen, state.draws, seed=seed)
    points = cell_centres(_SCORED[comparison.problem.d])
    values = require_finite(fields(points).cpu(), "the model's values")
    return replace(task, model=fields, score=float(crps(values, task.truth(points)[0])))


def read_window(state: State, comparison: Comparison, task: Task, side: int | None = None) -> Iterator[None]:
    """Evaluate truth, reference and model on the state's window, `side` points across."""
    d = comparison.problem.d
    side = LEVELS[d][-1] if side is None else side
    window = state.window(d)
    coords = slice_of(window_points(window, side, comparison.problem.card.axes[shown(d)]), d, state.time)
    truth = task.truth(coords)[0, :, 0]
    parts = []
    for fields in (task.reference, task.model):
        pieces = []
        for block in coords.split(max(256, VALUES_AT_ONCE // fields.n)):
            pieces.append(_summary(fields, block))
            yield None
        parts.append(Summary(*(torch.cat(p, -1) for p in zip(*pieces, strict=True))))
    return Frame(state, comparison, task, window, side, coords, truth, *parts)


@torch.no_grad()
def _summary(fields: Fields, coords: Tensor) -> tuple[Tensor, ...]:
    values = fields(coords).cpu()
    mean, std = values.mean(0), values.std(0) if len(values) > 1 else torch.zeros_like(values[0])
    low, high = interval(values, BAND) if coords.shape[1] == 1 else (mean, mean)       # sorting pictures is slow
    return mean[:, 0], low[:, 0], high[:, 0], std[:, 0], values[:CURVES_KEPT, :, 0]
