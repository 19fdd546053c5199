"""`LivePanel`, the base of the panels: controls, a frozen state, and a worker that draws the newest state."""

from collections.abc import Callable, Iterable

import ipywidgets as W
from IPython.display import display

from .kernel import answer_while_busy, headless
from .live import Latest
from .status import error_box, note


class LivePanel(W.VBox):
    """A frozen state, controls that change it, and the picture of the newest state, drawn by one worker thread.

    A subclass makes the widgets `status` and `error` and offers: `_work(state)`, the generator that `Latest` runs, and
    `_show(picture)`; `_write(state)`, which refuses a state or sets the controls to it; `_changed(**changes)`, the
    state with some fields replaced; `summary`, what it is in a few words; and `bundles()`, what a report shows.
    """

    _latest: Latest | None = None                                   # none where the constructor refused its arguments

    def __init__(self, state, children: list[W.Widget], inputs: Iterable[W.Widget], css_class: str):
        self._state = state
        self._latest = Latest(self._work, self._show, self._fail, synchronous=headless())
        super().__init__(children)
        self.add_class(css_class)
        for widget in inputs:
            answer_while_busy(widget)
        if headless():
            self._ipython_display_ = self._display_report           # several displays, where a bundle is one
        else:
            self._latest.submit(state)

    @property
    def state(self):
        """The state the controls show."""
        return self._state

    def move(self, **changes) -> "LivePanel":
        """Set controls by code, panel.move(scale=8.0); what they cannot show is refused."""
        state = self._changed(**changes)
        self._write(state)
        self._state = state
        self._latest.submit(state)
        return self

    def wait(self, timeout: float | None = None) -> bool:
        """Until the picture is finished; False if that takes longer than `timeout` seconds."""
        return self._latest.wait(timeout)

    def close(self) -> None:
        """End the worker thread and the widgets."""
        if self._latest is not None:
            self._latest.close()
        super().close()

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
