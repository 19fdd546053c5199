"""`LivePanel`, the base of the panels: controls, a frozen state, and a worker that draws the newest state."""

import math
import time
from collections.abc import Callable

import ipywidgets as W
from IPython.display import display

from .controls import explain
from .kernel import answer_while_busy, headless
from .live import Latest
from .status import GREY, STALE, error_box, note

TOGETHER = 0.7                   # seconds: changes this close to each other are one


class LivePanel(W.VBox):
    """A frozen state, knobs that change it, and the picture of the newest state, drawn by one worker thread.

    The picture of another state is grey, also where the new one cannot be drawn. A subclass offers `columns`, where its
    knobs lie; `_work(state)`, the generator that `Latest` runs, of (state, picture, scores, note); `_set(state)`, which
    refuses a state or sets the knobs to it; `_changed(**changes)`, the state with some fields replaced; `summary`; and
    `_pressed(name)` of a button, `bundles()`, what a report shows. Changes within a moment of each other are undone as
    one.
    """

    columns: tuple[tuple[str, ...], ...]                            # names of knobs; "a|b" side by side; or "status"
    rows: tuple[tuple[str, ...], ...] = ()                          # of further knobs below them, words first
    refits: tuple[str, ...] = ()                                    # knobs that change what the others offer
    _latest: Latest | None = None                                   # none where the constructor refused its arguments

    def __init__(self, state, knobs: dict[str, W.Widget], picture: W.Widget, css_class: str):
        self._state, self._writing, self.knobs, self.picture = state, False, explain(knobs), picture
        self._start, self._history, self._changed_at = state, [], -math.inf
        self.status, self.scores, self.error = W.HTML(), W.HTML(), W.HTML()
        # a box each, for a class of HTML that changes makes the browser render all of it anew
        self.framed = {widget: W.VBox([widget]) for widget in (picture, self.scores)}
        self._write(state)
        for name, knob in knobs.items():
            if isinstance(knob, W.Button):
                knob.on_click(lambda _, name=name: self._guarded(self._pressed, name))
            else:
                knob.observe(lambda _, name=name: self._writing or self._guarded(self._moved, name), "value")
        self._latest = Latest(self._work, self._show, self._fail, synchronous=headless())
        super().__init__([W.HTML(GREY), self._board(), self.error, *self.framed.values()])
        self.add_class(css_class)
        for knob in knobs.values():
            answer_while_busy(knob)
        if headless():
            self._ipython_display_ = self._display_report           # several displays, where a bundle is one
        else:
            self._submit(state)

    @property
    def state(self):
        """The state the controls show."""
        return self._state

    def move(self, **changes) -> "LivePanel":
        """Set controls by code, panel.move(scale=8.0); what they cannot show is refused."""
        state = self._changed(**changes)
        self._write(state)
        self._submit(state)
        return self

    def undo(self) -> "LivePanel":
        """Take back the last change."""
        if self._history:
            self._back(self._history.pop())
        return self

    def reset(self) -> "LivePanel":
        """Back to the state that the panel was opened with; that can be undone."""
        self._history.append(self._state)
        self._back(self._start)
        return self

    def _back(self, state) -> None:
        self._write(state)
        self._changed_at = math.inf                                # this is no change to take back
        self._submit(state)
        self._changed_at = -math.inf

    def wait(self, timeout: float | None = None) -> bool:
        """Until the picture is finished; False if that takes longer than `timeout` seconds."""
        return self._latest.wait(timeout)

    def close(self) -> None:
        """End the worker thread and the widgets."""
        if self._latest is not None:
            self._latest.close()
        super().close()

    def _board(self) -> W.Widget:
        """Knobs and status line, in columns and rows."""
        known = self._known()
        columns = [W.VBox([W.HBox([known[name] for name in row.split("|")]) for row in column])
                   for column in self.columns]
        wrapped = {"flex_flow": "row wrap", "max_width": "960px", "align_items": "center"}
        rows = [W.HBox([W.HTML(f"<b>{words}</b>", layout=W.Layout(width="84px")), *(known[name] for name in names)],
                       layout=W.Layout(**wrapped)) for words, *names in self.rows]
        return W.VBox([W.HBox(columns, layout=W.Layout(**wrapped | {"align_items": None})), *rows])

    def _known(self) -> dict[str, W.Widget]:
        """What `columns` and `rows` may name."""
        return self.knobs | {"status": self.status}

    def _moved(self, name: str) -> None:
        state = self._changed(**self._read(name))
        if name in self.refits:
            self._write(state)
        self._submit(state)

    def _read(self, name: str) -> dict:
        return {name: self.knobs[name].value}

    def _write(self, state) -> None:
        self._writing = True
        try:
            self._set(state)
        finally:
            self._writing = False

    def _submit(self, state) -> None:
        now = time.monotonic()
        if state != self._state:
            if now - self._changed_at > TOGETHER:
                self._history.append(self._state)
            self._changed_at = now
        self._state, self.status.value = state, note("computing …")
        for box in self.framed.values():
            box.add_class(STALE)
        self._latest.submit(state)

    def _show(self, pictured: tuple) -> None:
        state, self.picture.value, scores, words = pictured
        if self.error.value:
            self.error.value = ""
        if scores:                                                  # none yet for a preview
            self.scores.value = scores
        if state == self._state:                                    # else a newer one waits
            self.status.value = note(words)
            for widget in (self.picture, *([self.scores] if scores else [])):
                self.framed[widget].remove_class(STALE)

    def _guarded(self, change: Callable, *arguments) -> None:
        """Run the callback of a widget; its errors are shown in the panel, since Jupyter would not show them."""
        try:
            change(*arguments)
        except Exception as error:                                  # noqa: BLE001 - a panel shows every error
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self.error.value, self.status.value = error_box(error), note("stopped by an error")

    def _repr_mimebundle_(self, **kwargs):
        found = dict(super()._repr_mimebundle_(**kwargs) or {})
        found["text/plain"] = f"{self.summary}; .still() gives its picture without widgets"
        return found | self.bundles()[0] if headless() else found

    def _display_report(self) -> None:
        for bundle in self.bundles():
            display(bundle, raw=True)
