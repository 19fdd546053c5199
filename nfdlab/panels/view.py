"""The data of a picture: `view(state, comparison) -> Frame`, a pure function in stages that a panel caches apart.

`make_task` draws a truth, observes it and draws from the reference; `draw_model` draws from the model and `draw_rival`
from a second one; `form` decodes what the sampler had at each step; `read_window` evaluates all on the points of a
window. Only the last depends on the query scale, so a closer look evaluates the same draws again and never draws anew.
Scores take all channels; pictures show the first.

All but the first are generators: they yield None wherever a run may be stopped, and return their result.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..core.checks import require, require_finite
from ..core.fields import EvaluatedFields
from ..core.grid import cell_centres, interpolate
from ..core.rng import child
from ..core.types import Fields, Fitted, Observations, Problem, Trained
from ..diffusion.samplers import fresh_noise, path
from ..evaluate.calibration import interval
from ..evaluate.scores import crps
from ..exact.posterior import Exact
from ..inference.posterior import LatentPosterior
from ..observation.observing import observe
from ..problems import held_out
from .page import Window, shown, slice_of, window_points
from .state import DRAWN, VIEWS, State
from .style import BAND

LEVELS = {1: (201,), 2: (32, 128), 3: (32, 128), 4: (32, 128)}   # points across: of the first picture, and the last
_SCORED = {1: (256,), 2: (32, 32), 3: (8, 16, 16), 4: (6, 8, 8, 8)}
NEAR_SLICE = 1 / 4               # of a volume, observations this near to the slice are drawn
HALF_FRAME = 1 / 16              # of a film of 16 frames: observations this near in time are drawn
VALUES_AT_ONCE = 2**15           # values evaluated at once: between two such blocks a stale run may stop
CURVES_KEPT = 24                 # draws kept as curves
SOLID_LEVELS = 20, 36            # points a side at which a surface is asked for, of the first picture and of the last
FORMING = {1: (129,), 2: (24, 24)}     # points at which the exact denoiser works, by the picture's axes
TRACES = 8                       # draws whose way from noise is drawn


@dataclass(frozen=True, eq=False)
class Comparison:
    """A model and a reference on a problem: the "exact posterior" where there is one, else "kriging"; and perhaps a
    second contestant, `rival`."""

    problem: Problem
    model: Fitted
    model_name: str
    reference: Fitted
    reference_name: str
    rival: Fitted | None = None
    rival_name: str = ""

    def quick(self) -> "Comparison":
        """For a first picture: draws of the model's denoiser as they are, where they are to be reweighted."""
        plain = isinstance(self.model, LatentPosterior) and self.model.guide() == "reweighted"
        return replace(self, model=self.model.using(guide="encoder")) if plain else self


@dataclass(frozen=True, eq=False)
class Task:
    """A truth, its observations, draws of the reference and, once `draw_model` has run, of the model, with the steps of
    its sampler; those of the rival; their scores."""

    truth: Fields
    seen: Observations
    reference: Fields
    reference_score: float
    reference_std: float         # its usual standard deviation: sets the scale of errors
    model: Fields | None = None
    score: float = float("nan")
    path: tuple[tuple[float, Tensor], ...] = ()              # after each step: the noise left, the latents so far
    rival: Fields | None = None
    rival_score: float = float("nan")


@dataclass(frozen=True, eq=False)
class Forming:
    """The draws as a sampler has them after each step, as Fields: of the model, and of the exact denoiser where there
    is one. `sigmas`: the noise left after each."""

    sigmas: tuple[float, ...]
    model: tuple[Fields, ...]
    reference: tuple[Fields, ...] = ()


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
    rival: Summary | None = None
    sigma: float | None = None                           # where draws are shown as they form: the noise left
    traces: tuple[Tensor | None, Tensor] | None = None     # then: draws at the window's middle, (k, steps) of each

    @property
    def picked(self) -> Tensor | None:
        """The model's draw that is shown by itself, (p,)."""
        pick = self.state.pick
        return None if pick is None or pick >= len(self.model.draws) else self.model.draws[pick]

    @property
    def solid(self) -> bool:
        """Whether surfaces in space are shown."""
        return self.state.view == VIEWS[2]

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
        now = self.is_near(seen.coords)
        return Observations(seen.coords[now, 1:3], seen.values[now], seen.noise_std)

    def is_near(self, coords: Tensor) -> Tensor:
        """Which of some places (m, d) are drawn in the picture: (m,)."""
        if not self.film:
            return torch.ones(len(coords), dtype=torch.bool)
        after = coords[:, 0] - min(max(self.state.time, HALF_FRAME - 1), 1 - HALF_FRAME)
        now = (after >= -HALF_FRAME) & (after < HALF_FRAME)         # between two frames, the earlier
        return now & (coords[:, 3:].abs() < NEAR_SLICE).all(-1)


def view(state: State, comparison: Comparison, side: int | None = None) -> Frame:
    """The frame of a state: same state, same frame, to the last bit."""
    task = last(draw_model(state, comparison, make_task(state, comparison)))
    task = last(draw_rival(state, comparison, task))
    forming = None if state.step is None else last(form(state, comparison, task))
    return last(read_window(state, comparison, task, side, forming))


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
    truth = held_out(problem).draw(1, seed=child(state.seed, "panel", "truth")) if state.truth is None else \
        drawn_by_hand(state.truth, problem.d, problem.draw(1, seed=0).c)
    if state.own is None:
        seen = observe(truth, state.sized_pattern(problem.d), noise_std=state.noise,
                       seed=child(state.seed, "panel", "seen"))
    else:
        require(all(len(row) == problem.d + truth.c for row in state.own), came=state.own, why="One row a point.",
                must=f"own: rows of {problem.d} coordinates and {truth.c} values.", do="own=((0.5, 1.2),) in 1D.")
        rows = torch.tensor(state.own, dtype=torch.float32).reshape(-1, problem.d + truth.c)
        seen = Observations(rows[:, :problem.d].clamp(-1, 1), rows[:, problem.d:], state.noise)
    reference = comparison.reference.draw(seen, state.draws, seed=child(state.seed, "panel", "ruler"))
    points = cell_centres(_SCORED[problem.d])
    values = reference(points)
    std = _usual(values.std(0)) if state.draws > 1 else truth(points).std()
    return Task(truth, seen, reference, float(crps(values, truth(points)[0])), float(std))


def drawn_by_hand(values: tuple[float, ...], d: int, c: int = 1) -> EvaluatedFields:
    """A truth from its values at the cell centres of a grid of DRAWN points an axis, cubic between them."""
    require(d in DRAWN and c == 1 and len(values) == DRAWN[d]**d, came=f"{len(values)} values, d = {d}, c = {c}",
            must=f"truth: {DRAWN} points an axis, in one or two coordinates, of one channel.",
            why="That is the grid on which a truth is drawn by hand.", do="truth=None for one of the problem's.")
    grid = torch.tensor(values, dtype=torch.float32).reshape(1, 1, *[DRAWN[d]] * d)
    return EvaluatedFields(lambda coords, part: interpolate(grid.to(coords), coords, cubic=True), 1, d)


def _usual(std: Tensor) -> Tensor:
    """One size for standard deviations (p, c): their root mean square, or half of the 98 % quantile if larger."""
    return torch.maximum(std.square().mean().sqrt(), std.flatten().quantile(0.98) / 2)


@torch.no_grad()
def draw_model(state: State, comparison: Comparison, task: Task) -> Iterator[None]:
    """Draw from the model, one sampler step at a time if it is trained. Depends on `state.draws_key()` only."""
    fields, score, steps = yield from _draw(comparison.model, state.sampler, state.steps, state, comparison, task)
    return replace(task, model=fields, score=score, path=steps)


@torch.no_grad()
def draw_rival(state: State, comparison: Comparison, task: Task) -> Iterator[None]:
    """Draw from the second contestant, if there is one. Depends on `state.rival_key()` only."""
    if comparison.rival is None:
        return task
    fields, score, _ = yield from _draw(comparison.rival, state.rival_sampler or state.sampler,
                                        state.rival_steps or None, state, comparison, task)
    return replace(task, rival=fields, rival_score=score)


def _draw(model: Fitted, sampler: str, steps: int | None, state: State, comparison: Comparison,
          task: Task) -> Iterator[None]:
    """Draws, their CRPS and the sampler's steps."""
    seed, taken = child(state.seed, "panel", "model"), []
    if isinstance(model, Trained):
        for step in model.path(task.seen, state.draws, seed=seed, steps=steps, sampler=sampler):
            taken.append((float(step.sigma), step.denoised))
            yield None
        fields = model.fields(task.seen, step.x)
    else:                                                           # exact posteriors and baselines take no steps
        fields = model.draw(task.seen, state.draws, seed=seed)
    points = cell_centres(_SCORED[comparison.problem.d])
    values = require_finite(fields(points).cpu(), "the model's values")
    return fields, float(crps(values, task.truth(points)[0])), tuple(taken)


@torch.no_grad()
def form(state: State, comparison: Comparison, task: Task) -> Iterator[None]:
    """The draws after each step of the sampler; None where none takes steps. Beside them, in the plane of the picture,
    the exact denoiser at the same noise levels, from noise of its own."""
    model, levels, fields = comparison.model, [], []
    for sigma, denoised in task.path:
        fields.append(model.fields(task.seen, denoised))
        levels.append(sigma)
        yield None
    if not fields:
        return None
    reference, law = [], comparison.reference
    if isinstance(law, Exact) and task.truth.c == 1 and len(levels) > 2 and levels[0] > levels[1] > 0:
        shape, d = FORMING[min(comparison.problem.d, 2)], comparison.problem.d
        denoise = law.at(task.seen, slice_of(cell_centres(shape), d, state.time)).denoiser()
        first = levels[0]**2 / levels[1]                            # the level before the first step, by their ratio
        noise = fresh_noise(child(state.seed, "panel", "exact noise"))
        x = first * noise(-1, torch.zeros(state.draws, len(cell_centres(shape)), dtype=torch.float64))
        for step in path(denoise, x, torch.tensor([first, *levels], dtype=torch.float64), method=state.sampler,
                         noise=noise):
            reference.append(_on_grid(step.denoised.float().reshape(-1, 1, *shape), d))
            yield None
    return Forming(tuple(levels), tuple(fields), tuple(reference))


def _on_grid(grid: Tensor, d: int) -> EvaluatedFields:
    """Values (n, 1, *side) in the plane of the picture as Fields of d coordinates."""
    return EvaluatedFields(lambda coords, part: interpolate(grid[part].to(coords), coords[..., shown(d)]), len(grid), d)


def read_window(state: State, comparison: Comparison, task: Task, side: int | None = None,
                forming: Forming | None = None) -> Iterator[None]:
    """Evaluate truth, reference, model and rival on the state's window, `side` points across; where draws are shown as
    they form, at the state's step. Surfaces are read on a grid of the whole box, whatever the window."""
    d = comparison.problem.d
    window, solid = state.window(d), state.view == VIEWS[2]
    require(not solid or d == 3, must='view="surface" for three coordinates.', came=f"d = {d}",
            why="A surface lies in space.", do='view="draws".')
    side = (SOLID_LEVELS if solid else LEVELS[d])[-1] if side is None else side
    coords = cell_centres((side,) * 3) if solid else slice_of(
        window_points(window, side, comparison.problem.card.axes[shown(d)]), d, state.time)
    truth, shown_now, sigma, traces = task.truth(coords)[0, :, 0], [task.reference, task.model], None, None
    if state.step is not None and forming is not None:
        at = min(max(1, state.step), len(forming.model)) - 1
        sigma, shown_now[1] = forming.sigmas[at], forming.model[at]
        if forming.reference:
            shown_now[0] = forming.reference[at]
        middle = slice_of(torch.tensor([[(low + high) / 2 for low, high in window]]), d, state.time)
        traces = tuple(torch.stack([fields(middle)[:TRACES, 0, 0].cpu() for fields in found], 1) if found else None
                       for found in (forming.reference, forming.model))
        yield None
    parts = []
    for fields in (*shown_now, *([task.rival] if task.rival is not None else [])):
        pieces = []
        for block in coords.split(max(256, VALUES_AT_ONCE // fields.n)):
            pieces.append(_summary(fields, block))
            yield None
        parts.append(Summary(*(torch.cat(p, -1) for p in zip(*pieces, strict=True))))
    rival = parts[2] if len(parts) > 2 else None
    return Frame(state, comparison, task, window, side, coords, truth, *parts[:2], rival, sigma, traces)


@torch.no_grad()
def _summary(fields: Fields, coords: Tensor) -> tuple[Tensor, ...]:
    values = fields(coords).cpu()
    mean, std = values.mean(0), values.std(0) if len(values) > 1 else torch.zeros_like(values[0])
    low, high = interval(values, BAND) if coords.shape[1] == 1 else (mean, mean)       # sorting pictures is slow
    return mean[:, 0], low[:, 0], high[:, 0], std[:, 0], values[:CURVES_KEPT, :, 0]
