"""The active-learning panel: press Look, and the next measurement is made where draws disagree. `looking` opens it.

The controls make an `ActiveState`, a worker turns it into an `ActiveView`, one figure draws that, in the panel and in
reports alike. Searches are cached, so one measurement more costs one measurement.
"""

import time
from base64 import b64encode
from collections.abc import Iterator

import ipywidgets as W
import pandas as pd

from ..core.types import Fitted, Problem
from ..observation.active import POLICIES
from .active_figure import trail
from .active_view import MAX_LOOKS, ActiveSearches, ActiveState, ActiveView
from .base import LivePanel
from .state import changed
from .status import note
from .style import Picture
from .sweeps import MIME, sweep
from .view import last

DRAWS = (2, 4, 8, 16, 32, 64)


def looking(model: Fitted, problem: Problem, *, race: pd.DataFrame | None = None, **state) -> "ActivePanel":
    """Active learning of one truth of the problem, measurement by measurement. `race` is a table of `evaluate.race`,
    whose averages are drawn beside; further keywords are fields of `ActiveState`: looking(model, problem, looks=6)."""
    return ActivePanel(model, problem, race=race, **state)


class ActivePanel(LivePanel):
    """Buttons, sliders and their picture. `move(**changes)` sets them by code, `still(**changes)` is the picture as a
    matplotlib figure, `close()` ends the panel's thread."""

    def __init__(self, model: Fitted, problem: Problem, *, race: pd.DataFrame | None = None, **start):
        others = {} if race is None else {
            name: part.groupby("looks")["rmse"].mean().to_dict() for name, part in race.groupby("rival", sort=False)}
        self.searches, self._writing = ActiveSearches(model, problem, others), False
        state = changed(ActiveState(), **start)

        def make(kind, words, **rest):
            return kind(description=words, style={"description_width": "64px"}, layout=W.Layout(width="290px"), **rest)

        self.button = W.Button(description="Look", button_style="primary", tooltip="take the next measurement")
        self.again = W.Button(description="Start again", tooltip="forget all looks")
        self.knobs = k = {
            "looks": make(W.IntSlider, "looks", min=0, max=MAX_LOOKS, continuous_update=False),
            "policy": make(W.Dropdown, "policy", options=POLICIES),
            "draws": make(W.SelectionSlider, "draws", options=DRAWS, value=DRAWS[0], continuous_update=False),
            "noise": make(W.FloatSlider, "noise", min=0.0, max=0.5, step=0.01, continuous_update=False),
            "seed": make(W.IntSlider, "task", min=0, max=99, continuous_update=False),
            "scale": make(W.FloatLogSlider, "scale ×", base=2, min=0, max=5, step=0.5, value=1, readout_format=".3g")}
        self.status, self.error, self.picture = W.HTML(), W.HTML(), W.Image(format="png", width=900)
        board = W.HBox([W.VBox([W.HBox([self.button, self.again]), k["looks"], k["seed"]]),
                        W.VBox([k["policy"], k["draws"], k["noise"]]), W.VBox([k["scale"], self.status])],
                       layout=W.Layout(flex_flow="row wrap", max_width="960px"))
        self._write(state)
        for name, knob in k.items():
            knob.observe(lambda change, name=name: self._turned(name, change["new"]), "value")
        self.button.on_click(lambda _: self._turned("looks", min(MAX_LOOKS, self._state.looks + 1)))
        self.again.on_click(lambda _: self._turned("looks", 0))
        super().__init__(state, [board, self.error, self.picture], [*k.values(), self.button, self.again],
                         "nfdlab-looking")

    @property
    def summary(self) -> str:
        """What the panel is, in a few words."""
        return f"nfdlab panel: looks at {self.searches.problem.card.name}"

    def seen(self, **changes) -> ActiveView:
        """The data of the picture, for this state or one with some fields replaced."""
        return last(self.searches.view(self._changed(**changes)))

    def still(self, **changes) -> Picture:
        """The picture as a matplotlib figure."""
        return trail(self.seen(**changes))

    def bundles(self) -> list[dict]:
        """What a report shows: sweeps over the measurements and over the query scale, each with one picture."""
        final, out = max(self._state.looks, 1), []
        counts = sorted({0, 1, 2, 3, 4, 6, 8, 12, 16, final} & {*range(final + 1)})
        for label, knob, values, start in (("looks", "looks", counts, counts.index(final)),
                                           ("query scale", "scale", [1.0, 4.0, 16.0], 0)):
            pngs = [self.still(**{knob: value}).png(80) for value in values]
            out.append({"text/plain": f"nfdlab panel, {label}", "image/png": b64encode(pngs[start]).decode(),
                        MIME: sweep(label, [f"{v:g}" for v in values], pngs, "png", start)})
        return out

    def _changed(self, **changes) -> ActiveState:
        return changed(self._state, **changes)

    def _write(self, state: ActiveState) -> None:
        self._writing = True
        try:
            self.knobs["draws"].options = sorted({*self.knobs["draws"].options, state.draws})
            self.knobs["looks"].max = max(MAX_LOOKS, state.looks)
            for name, knob in self.knobs.items():
                knob.value = getattr(state, name)
        finally:
            self._writing = False

    def _turned(self, name: str, value) -> None:
        if not self._writing:
            self._guarded(lambda: self.move(**{name: value}))

    def _work(self, state: ActiveState) -> Iterator:
        start = time.perf_counter()
        for view in self.searches.view(state):
            yield None if view is None else (trail(view).png(100), f"done in {time.perf_counter() - start:.2f} s")

    def _show(self, pictured) -> None:
        self.error.value = ""
        self.picture.value, self.status.value = pictured[0], note(pictured[1])
