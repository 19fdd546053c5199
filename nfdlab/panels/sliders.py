"""The panel: sliders, one picture to touch, one line of scores. `explore(model, problem)` opens it.

Controls and a hand on the picture make a `State`, a worker turns it into a `Frame`, painters turn that into one
`<svg>`. A move shows a quick preview (few sampler steps, the first of the draws, few pixels), refined when the slider
rests. Draws are cached, so that moving the window only evaluates the same draws again.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from html import escape

import ipywidgets as W

from ..core.checks import require_name
from ..core.types import Fitted, Problem, Trained
from . import sweeps
from .base import LivePanel
from .controls import CENTRES, FRAMES, PRESETS, make_knobs, read, write
from .lineup import Lineup, devices
from .live import Recent
from .matplotlib_figure import still
from .state import VIEWS, State, offered, with_changes
from .status import note, scores_line
from .style import Picture
from .svg import paint
from .touch import TOOLS, Hand, TouchView, readout
from .view import (
    LEVELS,
    SOLID_LEVELS,
    Comparison,
    Frame,
    draw_model,
    draw_rival,
    form,
    last,
    make_task,
    read_window,
)

PREVIEW_STEPS = 3                # of the sampler
PREVIEW_DRAWS = 4                # at least; a quarter of the draws
# when the problem changes
_RESET = {"count": None, "share": None, "every": None, "centre": (), "time": 0.0, "rival": "", "view": VIEWS[0]}


def explore(model: Fitted, problem: Problem, **state) -> "Panel":
    """Sliders for a model on a problem: observations, sampling, window. Further keywords say where they start,
    explore(model, problem, count=5, scale=4.0, view="draws"); `State` lists them."""
    return Panel(model, problem, **state)


class Panel(LivePanel):
    """The sliders and their picture. `state` is what they show, `move(**changes)` sets them by code, `undo()` and
    `reset()` go back, `code` is a line that opens the same panel, `still(**changes)` is the same picture as a
    matplotlib figure, `close()` ends the panel's thread."""

    columns = (("problem", "pattern", "kept", "noise", "seed"), ("draws", "sampler", "steps", "device", "stop|status"),
               ("view", "scale", *CENTRES, "time"))
    rows = (("try", *PRESETS, "undo", "reset"), ("a click", "tool", "brush"),
            ("watch", "step", "play", "film", "rate", "turn", "spin"),
            ("compare", "rival", "rival_sampler", "rival_steps"), ("", "line"))
    refits = ("problem", "pattern", "view", "rival", "steps")

    def __init__(self, model: Fitted, problem: Problem, **start):
        self.lineup, self._recent, self.hand, self._frame = Lineup(model, problem), Recent(16), Hand(), None
        name = problem.card.name
        self.line = W.HTML(layout=W.Layout(max_width="860px"))
        picture = TouchView(name=f"nfdlab-{name}", tip=TOOLS["observe"])
        picture.on_msg(lambda _, message, __: self._guarded(self._touched, message))
        super().__init__(with_changes(self._opening(name), **start),
                         make_knobs(self.lineup.names(), devices()), picture, "nfdlab-panel")

    @property
    def summary(self) -> str:
        """What the panel is, in a few words."""
        return f"nfdlab panel on {self._state.problem}"

    @property
    def code(self) -> str:
        """A line of Python that opens a panel in this state."""
        name, model = self._state.problem, self.lineup.model
        about = model.about if isinstance(model, Trained) else {}
        known = f'nfd.load("{about["approach"]}", "{name}")' if "approach" in about else "model"
        problem = f'nfd.problems.get("{name}")'
        keywords = self._state.keywords(self._opening(name))
        return f"nfd.explore({known}, {problem}{', ' if keywords else ''}{keywords})"

    def frame(self, side: int | None = None, **changes) -> Frame:
        """The data of the picture, for this state or one with some fields replaced."""
        state = with_changes(self._state, **changes)
        return last(self._reading(state, state, self.lineup.comparison(state.problem, state.device, state.rival), side))

    def still(self, **changes) -> Picture:
        """The same picture as a matplotlib figure, for reports and front ends without widgets."""
        return still(self.frame(**changes))

    def bundles(self) -> list[dict]:
        """What a report shows."""
        return sweeps.bundles(self)

    def _board(self) -> W.Widget:
        film = self.knobs["film"]
        self.knobs["rate"].observe(lambda change: setattr(film, "max", FRAMES * change["new"] - 1), "value")
        return super()._board()

    def _known(self) -> dict[str, W.Widget]:
        return super()._known() | {"line": self.line}

    def _submit(self, state: State) -> None:
        super()._submit(state)
        self.line.value = (f'<code class="nfdlab-code" style="user-select:all;font-size:11.5px">{escape(self.code)}'
                           "</code>")

    def _changed(self, **changes) -> State:
        name = changes.get("problem", self._state.problem)
        if name != self._state.problem:                             # its own sizes and window, a pattern that fits it
            fits = self._state.pattern in offered(self.lineup.find(name))
            own = {"pattern": self._state.pattern if fits else "random"} | self._steps(name)
            changes = _RESET | own | changes
        return with_changes(self._state, **changes)

    def _opening(self, name: str) -> State:
        """The state in which a panel opens on a problem: fewer draws of pictures, which have many points."""
        return with_changes(State(name), draws=32 if self.lineup.find(name).d == 1 else 16, **self._steps(name))

    def _steps(self, name: str) -> dict[str, int]:
        """The number of sampling steps of the model for a problem, as a change to a state."""
        steps = self.lineup.steps(name)
        return {} if steps is None else {"steps": steps}

    def _moved(self, name: str) -> None:
        if name in ("tool", "brush"):
            setattr(self.hand, name, self.knobs[name].value)
            self.picture.tip = TOOLS[self.hand.tool]
        elif name not in ("rate", "play", "spin"):                  # these move other knobs
            super()._moved(name)

    def _read(self, name: str) -> dict:
        changes = read(self.knobs, name, self._state, self.lineup.find(self._state.problem).d)
        if name in ("problem", "pattern"):                          # how much is seen there by default is shown
            after = self._changed(**changes)
            changes |= [after.size(self.lineup.find(after.problem).d)]
        return changes

    def _set(self, state: State) -> None:
        problem = self.lineup.find(state.problem)
        require_name(state.device, devices(), "device of this machine")
        state.window(problem.d)                                     # refuses a centre with too many numbers
        rivals = self.lineup.rivals(state.problem)
        require_name(state.rival, rivals, "second contestant")
        write(self.knobs, state, problem, rivals, self.lineup.steps(state.problem))

    def _pressed(self, name: str) -> None:
        if name == "stop":
            self._latest.stop()
            self.status.value = note("stopped")
        elif name in PRESETS:
            self.move(**PRESETS[name])
        else:
            getattr(self, name)()

    def _touched(self, message: dict) -> None:
        """What a hand on the picture does."""
        frame = self._frame
        if frame is None or frame.state.problem != self._state.problem:
            return                                                  # not yet the picture of this problem
        if message["kind"] in ("hover", "move"):
            self.picture.tip = readout(frame, message["x"], message["y"])
        changes = self.hand.respond(message, self._state, frame)
        if changes is not None:
            self.move(**changes)

    def _work(self, state: State) -> Iterator:
        """Pictures of a state, previews first; None where an outdated run may stop."""
        start, comparison = time.perf_counter(), self.lineup.comparison(state.problem, state.device, state.rival)
        few = replace(state, draws=min(state.draws, max(PREVIEW_DRAWS, state.draws // 4)))
        if isinstance(comparison.model, Trained) and state.step is None:
            few = replace(few, steps=min(state.steps, PREVIEW_STEPS))
        levels = SOLID_LEVELS if state.view == VIEWS[2] else LEVELS[comparison.problem.d]
        known = self._recent.get("draws", state.rival_key()) is not None
        where = f" on {comparison.model.device.type}" if isinstance(comparison.model, Trained) else ""
        runs = list(dict.fromkeys([(state if known else few, levels[0]), (state, levels[-1])]))
        for asked, side in runs:
            contest = comparison if asked == state else comparison.quick()
            self._frame = frame = yield from self._reading(asked, state, contest, side)
            if (asked, side) == runs[-1]:
                done = f"done in {time.perf_counter() - start:.2f} s{where}"
                yield state, paint(frame), scores_line(frame), done
            else:                                                   # a better one follows
                yield state, paint(frame), "", "refining …"

    def _reading(self, asked: State, state: State, comparison: Comparison, side: int | None) -> Iterator[None]:
        """The frame of a state with draws as `asked`. A surface that is only turned is not read anew."""
        task, forming = (yield from self._drawing(asked, state, comparison)), None
        if state.step is not None:
            moment = state.time if comparison.problem.d > 2 else 0.0
            key = "forming", asked.draws_key(), moment
            forming = self._recent.get(*key) or self._recent.keep((yield from form(asked, comparison, task)), *key)
        if state.view != VIEWS[2]:
            return (yield from read_window(state, comparison, task, side, forming))
        key = "surface", asked.rival_key(), state.step, side
        frame = self._recent.get(*key) or self._recent.keep(
            (yield from read_window(state, comparison, task, side, forming)), *key)
        return replace(frame, state=state)

    def _drawing(self, asked: State, state: State, comparison: Comparison) -> Iterator[None]:
        """The task of a state with the draws of model and rival as `asked`, all cached; yields None at each step of a
        sampler."""
        task = self._recent.get("draws", asked.rival_key())
        if task is None:
            task = self._recent.get("model", asked.draws_key())
            if task is None:
                own = "task", state.task_key()
                task = self._recent.get(*own) or self._recent.keep(make_task(state, comparison), *own)
                task = yield from draw_model(asked, comparison, task)
                self._recent.keep(task, "model", asked.draws_key())
            task = self._recent.keep((yield from draw_rival(asked, comparison, task)), "draws", asked.rival_key())
        return task
