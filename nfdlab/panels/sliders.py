"""The panel: sliders, one picture, one line of scores. `explore(model, problem)` opens it.

The controls make a `State`, a worker turns it into a `Frame`, painters turn that into one `<svg>`. A move shows a quick
preview (few sampler steps, in 2D few pixels), refined when the slider rests. Draws are cached, so that moving the
window only evaluates the same draws again.
"""

import time
from collections.abc import Iterator

import ipywidgets as W

from ..core.checks import require_name
from ..core.types import Fitted, Problem, Trained
from . import sweeps
from .base import LivePanel
from .controls import CENTRES, make_knobs, read, write
from .lineup import Lineup, devices
from .live import Recent
from .matplotlib_figure import still
from .state import State, offered, with_changes
from .status import note, scores_line
from .style import Picture
from .svg import paint
from .view import LEVELS, Comparison, Frame, draw_model, last, make_task, read_window

PREVIEW_STEPS = 5                # of the sampler
_RESET = {"count": None, "share": None, "every": None, "centre": (), "time": 0.0}     # when the problem changes


def explore(model: Fitted, problem: Problem, **state) -> "Panel":
    """Sliders for a model on a problem: observations, sampling, window. Further keywords say where they start,
    explore(model, problem, count=5, scale=4.0, view="draws"); `State` lists them."""
    return Panel(model, problem, **state)


class Panel(LivePanel):
    """The sliders and their picture. `state` is what they show, `move(**changes)` sets them by code,
    `still(**changes)` is the same picture as a matplotlib figure, `close()` ends the panel's thread."""

    columns = (("problem", "pattern", "kept", "noise", "seed"), ("draws", "sampler", "steps", "device", "stop|status"),
               ("view", "scale", *CENTRES, "time"))
    refits = ("problem", "pattern")

    def __init__(self, model: Fitted, problem: Problem, **start):
        self.lineup, self._recent = Lineup(model, problem), Recent()
        start = {"draws": 32 if problem.d == 1 else 16} | start        # a picture has 65 536 points of each draw
        super().__init__(with_changes(State(problem=problem.card.name), **start),
                         make_knobs(self.lineup.names(), devices()), W.HTML(), "nfdlab-panel")

    @property
    def summary(self) -> str:
        """What the panel is, in a few words."""
        return f"nfdlab panel on {self._state.problem}"

    def frame(self, side: int | None = None, **changes) -> Frame:
        """The data of the picture, for this state or one with some fields replaced."""
        state = with_changes(self._state, **changes)
        comparison = self.lineup.comparison(state.problem, state.device)
        return last(read_window(state, comparison, last(self._drawing(state, comparison)), side))

    def still(self, **changes) -> Picture:
        """The same picture as a matplotlib figure, for reports and front ends without widgets."""
        return still(self.frame(**changes))

    def bundles(self) -> list[dict]:
        """What a report shows."""
        return sweeps.bundles(self)

    def _changed(self, **changes) -> State:
        name = changes.get("problem", self._state.problem)
        if name != self._state.problem:                             # its own sizes and window, a pattern that fits it
            fits = self._state.pattern in offered(self.lineup.find(name))
            changes = _RESET | {"pattern": self._state.pattern if fits else "random"} | changes
        return with_changes(self._state, **changes)

    def _read(self, name: str) -> dict:
        changes = read(self.knobs, name, self._state, self.lineup.find(self._state.problem).d)
        if name in self.refits:                                     # how much is seen there by default is shown
            after = self._changed(**changes)
            changes |= [after.size(self.lineup.find(after.problem).d)]
        return changes

    def _set(self, state: State) -> None:
        problem = self.lineup.find(state.problem)
        require_name(state.device, devices(), "device of this machine")
        state.window(problem.d)                                     # refuses a centre with too many numbers
        write(self.knobs, state, problem)

    def _pressed(self, name: str) -> None:
        self._latest.stop()
        self.status.value = note("stopped")

    def _work(self, state: State) -> Iterator:
        """Pictures of a state, previews first; None where an outdated run may stop."""
        start, comparison = time.perf_counter(), self.lineup.comparison(state.problem, state.device)
        runs = [(None, side) for side in LEVELS[comparison.problem.d]]
        if (isinstance(comparison.model, Trained) and state.steps > PREVIEW_STEPS
                and self._recent.get(state.draws_key(), state.steps) is None):
            runs = [(PREVIEW_STEPS, runs[0][1]), *(runs[1:] or runs)]
        for steps, side in runs:
            task = yield from self._drawing(state, comparison, steps)
            frame = yield from read_window(state, comparison, task, side)
            if side == runs[-1][1] and steps is None:
                yield state, paint(frame), scores_line(frame), f"done in {time.perf_counter() - start:.2f} s"
            else:                                                   # better ones follow
                yield state, paint(frame), "", "refining …"

    def _drawing(self, state: State, comparison: Comparison, steps: int | None = None) -> Iterator[None]:
        """The task with the model's draws, cached; yields None at each step of a sampler."""
        key = state.draws_key(), steps or state.steps
        task = self._recent.get(*key)
        if task is None:
            own = state.task_key()
            task = self._recent.get(own) or self._recent.keep(make_task(state, comparison), own)
            task = self._recent.keep((yield from draw_model(state, comparison, task, steps)), *key)
        return task
