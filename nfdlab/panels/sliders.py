"""The panel: sliders, one picture, one line of scores. `explore(model, problem)` opens it.

The controls make a `State`, a worker turns it into a `Frame`, painters turn that into one `<svg>`. A move shows a quick
preview (few sampler steps, the first of the draws, few pixels), refined when the slider rests. Draws are cached, so
that moving the window only evaluates the same draws again.
"""

import time
from collections.abc import Iterator
from dataclasses import replace

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

PREVIEW_STEPS = 3                # of the sampler
PREVIEW_DRAWS = 4                # at least; a quarter of the draws
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
        name = problem.card.name
        start = {"draws": 32 if problem.d == 1 else 16} | self._steps(name) | start       # a picture has many points
        super().__init__(with_changes(State(problem=name), **start),
                         make_knobs(self.lineup.names(), devices()), W.HTML(), "nfdlab-panel")

    @property
    def summary(self) -> str:
        """What the panel is, in a few words."""
        return f"nfdlab panel on {self._state.problem}"

    def frame(self, side: int | None = None, **changes) -> Frame:
        """The data of the picture, for this state or one with some fields replaced."""
        state = with_changes(self._state, **changes)
        comparison = self.lineup.comparison(state.problem, state.device)
        return last(read_window(state, comparison, last(self._drawing(state, state, comparison)), side))

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
            own = {"pattern": self._state.pattern if fits else "random"} | self._steps(name)
            changes = _RESET | own | changes
        return with_changes(self._state, **changes)

    def _steps(self, name: str) -> dict[str, int]:
        """The number of sampling steps of the model for a problem, as a change to a state."""
        steps = self.lineup.steps(name)
        return {} if steps is None else {"steps": steps}

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
        few = replace(state, draws=min(state.draws, max(PREVIEW_DRAWS, state.draws // 4)))
        if isinstance(comparison.model, Trained):
            few = replace(few, steps=min(state.steps, PREVIEW_STEPS))
        levels, known = LEVELS[comparison.problem.d], self._recent.get(state.draws_key()) is not None
        runs = list(dict.fromkeys([(state if known else few, levels[0]), (state, levels[-1])]))
        for asked, side in runs:
            task = yield from self._drawing(asked, state, comparison)
            frame = yield from read_window(state, comparison, task, side)
            if (asked, side) == runs[-1]:
                yield state, paint(frame), scores_line(frame), f"done in {time.perf_counter() - start:.2f} s"
            else:                                                   # a better one follows
                yield state, paint(frame), "", "refining …"

    def _drawing(self, asked: State, state: State, comparison: Comparison) -> Iterator[None]:
        """The task of a state with the model's draws as `asked`, both cached; yields None at each step of a sampler."""
        task = self._recent.get(asked.draws_key())
        if task is None:
            own = "task", state.task_key()
            task = self._recent.get(*own) or self._recent.keep(make_task(state, comparison), *own)
            task = self._recent.keep((yield from draw_model(asked, comparison, task)), asked.draws_key())
        return task
