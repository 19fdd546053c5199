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
from .controls import Controls
from .lineup import Lineup, devices
from .matplotlib_figure import still
from .recent import Recent
from .state import State, offered, with_changes
from .status import note, scores_line
from .style import Picture
from .svg import paint
from .view import LEVELS, Comparison, Frame, ModelDraws, draw_model, last, make_task, read_window

PREVIEW_STEPS = 5                # of the sampler
_RESET = {"count": None, "share": None, "every": None, "centre": (), "time": 0.0}     # when the problem changes


def explore(model: Fitted, problem: Problem, **state) -> "Panel":
    """Sliders for a model on a problem: observations, sampling, window. Further keywords say where they start,
    explore(model, problem, count=5, scale=4.0, view="draws"); `State` lists them."""
    return Panel(model, problem, **state)


class Panel(LivePanel):
    """The sliders and their picture. `state` is what they show, `move(**changes)` sets them by code,
    `still(**changes)` is the same picture as a matplotlib figure, `close()` ends the panel's thread."""

    def __init__(self, model: Fitted, problem: Problem, **start):
        self.lineup = Lineup(model, problem)
        start = {"draws": 32 if problem.d == 1 else 16} | start        # a picture has 65 536 points of each draw
        state = with_changes(State(problem=problem.card.name), **start)
        self._recent = Recent()
        self.controls = Controls(self.lineup.names(), devices())
        self.stop = W.Button(description="Stop", tooltip="stop computing; the picture stays",
                             layout=W.Layout(width="80px"))
        self.status, self.picture, self.scores, self.error = W.HTML(), W.HTML(), W.HTML(), W.HTML()
        self._write(state)
        self.controls.on_move(lambda widget: self._guarded(self._moved, widget))
        self.stop.on_click(self._stop)
        super().__init__(state, [self.controls.board(self.stop, self.status), self.error, self.picture, self.scores],
                         [*self.controls.all(), self.stop], "nfdlab-panel")

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
        if changes.get("problem", self._state.problem) != self._state.problem:
            changes = self._reset(changes["problem"]) | changes
        return with_changes(self._state, **changes)

    def _write(self, state: State) -> None:
        problem = self.lineup.find(state.problem)
        require_name(state.device, devices(), "device of this machine")
        state.window(problem.d)                                     # refuses a centre with too many numbers
        self.controls.write(state, problem)

    def _reset(self, name: str) -> dict:
        """What changes with the problem: its own sizes and window, and a pattern that fits it."""
        fits = self._state.pattern in offered(self.lineup.find(name))
        return _RESET | {"pattern": self._state.pattern if fits else "random"}

    def _moved(self, widget) -> None:
        name = self.controls.problem.value
        if name != self._state.problem:                             # another problem: its own counts and window
            self._state = self._changed(problem=name)
            self._write(self._state)
        elif widget is self.controls.pattern:                       # frames have sizes of their own
            self._state = with_changes(self._state, pattern=widget.value)
            self._write(self._state)
        self._state = self.controls.read(self._state, self.lineup.find(name).d)
        self._latest.submit(self._state)

    def _stop(self, button) -> None:
        self._latest.stop()
        self.status.value = note("stopped")

    def _show(self, pictured) -> None:
        html, scores, words = pictured
        if self.error.value:
            self.error.value = ""
        self.picture.value = html
        self.status.value = note(words)
        if scores:
            self.scores.value = scores

    def _work(self, state: State) -> Iterator:
        """Pictures of a state, previews first; None where an outdated run may stop."""
        start, comparison = time.perf_counter(), self.lineup.comparison(state.problem, state.device)
        levels = LEVELS[comparison.problem.d]
        quick = isinstance(comparison.model, Trained) and state.steps > PREVIEW_STEPS
        if quick and self._recent.get(state.draws_key(), state.steps) is None:
            preview = yield from _interruptible(self._drawing(state, comparison, PREVIEW_STEPS))
            yield from self._pictures(state, comparison, preview, levels[0], None)
            levels = levels[1:] or levels                           # the coarsest was shown already
        drawn = yield from _interruptible(self._drawing(state, comparison))
        for side in levels:
            yield from self._pictures(state, comparison, drawn, side, start if side == levels[-1] else None)

    def _drawing(self, state: State, comparison: Comparison, steps: int | None = None) -> Iterator[ModelDraws | None]:
        """The task and the model's draws, cached; None at each step of a sampler, the draws at the end."""
        key = state.draws_key(), steps or state.steps
        drawn = self._recent.get(*key)
        if drawn is None:
            task = self._recent.get(state.task_key())
            task = task or self._recent.keep(make_task(state, comparison), state.task_key())
            drawn = yield from _interruptible(draw_model(state, comparison, task, steps))
            self._recent.keep(drawn, *key)
        yield drawn

    @staticmethod
    def _pictures(state: State, comparison: Comparison, drawn: ModelDraws, side: int, since: float | None) -> Iterator:
        frame = yield from _interruptible(read_window(state, comparison, drawn, side))
        if since is None:                                           # better ones follow
            yield paint(frame), "", "refining …"
        else:
            yield paint(frame), scores_line(frame), f"done in {time.perf_counter() - since:.2f} s"


def _interruptible(pieces: Iterator) -> Iterator:
    """Run a generator, yielding None after each piece, and return the last piece."""
    result = None
    for piece in pieces:
        result = piece
        yield None
    return result
