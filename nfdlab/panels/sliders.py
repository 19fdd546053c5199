"""The panel: sliders, one picture, one line of scores. `explore(model, problem)` opens it.

A thin shell: the controls make a `State`, a worker turns it into a `Frame`, painters turn that into one `<svg>`.
A move shows a quick preview (few sampler steps, in 2D few pixels), refined when the hand rests. What was drawn is kept,
so that moving the window only decodes the same draws again.
"""

import time
from collections.abc import Iterator

import ipywidgets as W
from IPython.display import display

from ..core.checks import require_name
from ..core.types import Fitted, Problem
from . import sweeps
from .controls import Controls
from .kernel import answer_while_busy, headless
from .lineup import Cast, devices
from .live import Latest
from .matplotlib_figure import still
from .recent import Recent
from .state import State, offered, with_changes
from .status import error_box, note, scores_line
from .svg import paint
from .view import LEVELS, Drawn, Frame, Rivals, answering, look, looking, reveal, trained

ROUGH_STEPS = 5                  # of the sampler, for a preview
_AFRESH = {"count": None, "share": None, "every": None, "centre": (), "time": 0.0}     # another problem has its own


def explore(model: Fitted, problem: Problem, **state) -> "Panel":
    """Sliders for a model on a problem: what is seen, who answers, where one looks. Further keywords say where they
    start, explore(model, problem, count=5, scale=4.0, view="draws"); `State` lists them."""
    return Panel(model, problem, **state)


class Panel(W.VBox):
    """The sliders and the picture they make. `state` is where they stand, `move(**changes)` moves them by code,
    `still(**changes)` is the same picture as a matplotlib figure, `close()` ends the panel's thread."""

    def __init__(self, model: Fitted, problem: Problem, **start):
        self.cast = Cast(model, problem)
        start = {"draws": 32 if problem.d == 1 else 16} | start        # a picture asks 65 536 places of each draw
        self._state = with_changes(State(problem=problem.card.name), **start)
        self._recent = Recent()
        self._latest = Latest(self._work, self._show, self._fail, synchronous=headless())
        self.controls = Controls(self.cast.names(), devices())
        self.stop = W.Button(description="Stop", tooltip="stop computing; the picture stays",
                             layout=W.Layout(width="80px"))
        self.status, self.picture, self.scores, self.error = W.HTML(), W.HTML(), W.HTML(), W.HTML()
        self._write(self._state)
        super().__init__([self.controls.board(self.stop, self.status), self.error, self.picture, self.scores])
        self.add_class("nfdlab-panel")
        self.controls.on_move(self._moved)
        self.stop.on_click(self._stop)
        for widget in (*self.controls.all(), self.stop):
            answer_while_busy(widget)
        if headless():
            self._ipython_display_ = self._display_report           # two displays, where a bundle is one
        else:
            self._latest.submit(self._state)

    @property
    def state(self) -> State:
        """Where the sliders stand."""
        return self._state

    def move(self, **changes) -> "Panel":
        """Move sliders by code: panel.move(count=3, scale=8.0). Refuses what the sliders cannot do."""
        if changes.get("problem", self._state.problem) != self._state.problem:
            changes = self._afresh(changes["problem"]) | changes
        state = with_changes(self._state, **changes)
        self._write(state)
        self._state = state
        self._latest.submit(state)
        return self

    def wait(self, timeout: float | None = None) -> bool:
        """Until the picture is finished; False if that takes longer than `timeout` seconds."""
        return self._latest.wait(timeout)

    def frame(self, side: int | None = None, **changes) -> Frame:
        """The numbers behind the picture, for this state or one a few knobs away."""
        state = with_changes(self._state, **changes)
        rivals = self.cast.rivals(state.problem, state.device)
        for drawn in self._drawing(state, rivals):
            found = drawn
        return look(state, rivals, found, side)

    def still(self, **changes):
        """The same picture as a matplotlib figure, for reports and front ends without widgets."""
        return still(self.frame(**changes))

    def close(self) -> None:
        """End the worker thread and the widgets."""
        if hasattr(self, "_latest"):                                # a panel refused at its door has none
            self._latest.close()
        super().close()

    def _write(self, state: State) -> None:
        problem = self.cast.find(state.problem)
        require_name(state.device, devices(), "device of this machine")
        state.look_at(problem.d)
        self.controls.write(state, problem)

    def _afresh(self, name: str) -> dict:
        """What changes with the problem: its own sizes and window, and a pattern that makes sense for it."""
        suits = self._state.pattern in offered(self.cast.find(name))
        return _AFRESH | {"pattern": self._state.pattern if suits else "random"}

    def _moved(self, widget) -> None:
        try:
            name = self.controls.problem.value
            if name != self._state.problem:                         # another problem: its own counts and window
                self._state = with_changes(self._state, problem=name, **self._afresh(name))
                self._write(self._state)
            elif widget is self.controls.pattern:                   # frames have sizes of their own
                self._state = with_changes(self._state, pattern=widget.value)
                self._write(self._state)
            self._state = self.controls.read(self._state, self.cast.find(name).d)
        except Exception as error:                                  # noqa: BLE001 - callbacks have no other voice
            return self._fail(error)
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

    def _fail(self, error: Exception) -> None:
        self.error.value = error_box(error)
        self.status.value = note("stopped by an error")

    def _work(self, state: State) -> Iterator:
        """Pictures of a state, roughest first; None where a run that nobody waits for may stop."""
        start, rivals = time.perf_counter(), self.cast.rivals(state.problem, state.device)
        levels = LEVELS[rivals.problem.d]
        quick = trained(rivals.model) and state.steps > ROUGH_STEPS
        if quick and self._recent.get(state.drawn_by(), state.steps) is None:
            rough = yield from _breathing(self._drawing(state, rivals, ROUGH_STEPS))
            yield from self._pictures(state, rivals, rough, levels[0], None)
            levels = levels[1:] or levels                           # the roughest was shown already
        drawn = yield from _breathing(self._drawing(state, rivals))
        for side in levels:
            yield from self._pictures(state, rivals, drawn, side, start if side == levels[-1] else None)

    def _drawing(self, state: State, rivals: Rivals, steps: int | None = None) -> Iterator[Drawn | None]:
        """The task and the model's draws, remembered; None at each step of a sampler, what was drawn at the end."""
        key = state.drawn_by(), steps or state.steps
        drawn = self._recent.get(*key)
        if drawn is None:
            given = self._recent.get(state.seen_by())
            given = given or self._recent.keep(reveal(state, rivals), state.seen_by())
            drawn = yield from _breathing(answering(state, rivals, given, steps))
            self._recent.keep(drawn, *key)
        yield drawn

    @staticmethod
    def _pictures(state: State, rivals: Rivals, drawn: Drawn, side: int, since: float | None) -> Iterator:
        frame = yield from _breathing(looking(state, rivals, drawn, side))
        if since is None:                                           # better ones are on their way
            yield paint(frame), "", "refining …"
        else:
            yield paint(frame), scores_line(frame), f"done in {time.perf_counter() - since:.2f} s"

    def _repr_mimebundle_(self, **kwargs):
        found = dict(super()._repr_mimebundle_(**kwargs) or {})
        found["text/plain"] = f"nfdlab panel on {self._state.problem}; .still() gives its picture without widgets"
        return found | sweeps.bundles(self)[0] if headless() else found

    def _display_report(self) -> None:
        for bundle in sweeps.bundles(self):
            display(bundle, raw=True)


def _breathing(pieces: Iterator) -> Iterator:
    """Run a computation piece by piece, yielding None after each, and return what came last."""
    last = None
    for piece in pieces:
        last = piece
        yield None
    return last
