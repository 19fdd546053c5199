"""The controls of a panel, read into a `State` and written from one. Core ipywidgets; all work from the keyboard."""

import math

import ipywidgets as W

from ..core.types import Problem
from ..observation import patterns
from .state import MAX_SCALE, SAMPLERS, SIZES, VIEWS, State, offered, with_changes
from .style import percent

_OFFERED = {
    "count": {1: (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 64),
              2: (0, 1, 2, 3, 5, 8, 12, 20, 30, 41, 60, 80, 120, 205, 300, 400),
              3: (0, 1, 2, 3, 5, 8, 12, 20, 40, 80, 120, 200, 300, 400, 600, 800, 1000)},
    "share": {1: (1 / 64, 2 / 64, 3 / 64, 4 / 64, 6 / 64, 8 / 64, 0.25, 0.5, 1.0),
              2: (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1),
              3: (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005)},
    "every": dict.fromkeys((1, 2, 3), (1, 2, 3, 4, 5, 6, 7, 8, 10, 15)),
}
_DRAWS = (1, 2, 4, 8, 16, 32, 64, 128)
_CELLS = 64
_PLAIN = ("problem", "pattern", "noise", "seed", "draws", "sampler", "steps", "device", "view", "scale", "time")


def kept_options(state: State, d: int) -> list[tuple[str, float]]:
    """Labels and values of the `kept` slider, the state's own included: points · share, or size · points."""
    name, own = state.size(d)
    words = {"count": lambda m, size: f"{m} · {percent(m / _CELLS**d)}",
             "share": lambda s, size: f"{percent(s)} · {size}", "every": lambda gap, size: f"1 in {gap} · {size}"}[name]
    return [(words(v, with_changes(state, **{name: v}).sized_pattern(d).size(d)), v)
            for v in sorted({*_OFFERED[name][d], own})]


class Controls:
    """All input widgets of a panel. `read` gives the state they show; `write(state, problem)` sets them to a state."""

    def __init__(self, names: list[str], devices: list[str]):
        def make(kind, description, **rest):
            return kind(description=description, style={"description_width": "76px"},
                        layout=W.Layout(width="310px", margin="1px 0"), **rest)

        self.problem = make(W.Dropdown, "problem", options=names)
        self.pattern = make(W.Dropdown, "pattern", options=list(patterns.ALL))
        self.kept = make(W.SelectionSlider, "kept", options=[("8", 8)], continuous_update=True)
        self.noise = make(W.FloatSlider, "noise", min=0.0, max=0.5, step=0.01, readout_format=".2f")
        self.seed = make(W.IntSlider, "task", min=0, max=99)
        self.draws = make(W.SelectionSlider, "draws", options=_DRAWS, value=32, continuous_update=False)
        self.sampler = make(W.Dropdown, "sampler", options=SAMPLERS)
        self.steps = make(W.IntSlider, "steps", min=2, max=60, continuous_update=False)
        self.device = make(W.Dropdown, "device", options=devices)
        self.view = make(W.Dropdown, "view", options=VIEWS)
        self.scale = make(W.FloatLogSlider, "scale ×", base=2, min=0, max=math.log2(MAX_SCALE), step=0.25, value=1,
                          readout_format=".3g", continuous_update=True)
        self.centre = [make(W.FloatSlider, name, min=-1.0, max=1.0, step=0.02, readout_format=".2f")
                       for name in ("centre", "centre 2")]
        self.time = make(W.FloatSlider, "t", min=-1.0, max=1.0, step=1 / 16, readout_format=".3f")
        self.sized_by, self._writing = SIZES[0], False

    def all(self) -> list[W.Widget]:
        """Every widget whose value is part of the state."""
        return [self.kept, *self.centre, *(getattr(self, name) for name in _PLAIN)]

    def on_move(self, call) -> None:
        """Call `call(widget)` after each move by the user; not while `write` sets them."""
        def moved(change):
            if not self._writing:
                call(change["owner"])
        for widget in self.all():
            widget.observe(moved, "value")

    def read(self, base: State, d: int) -> State:
        """`base` with the value of every widget. `centre` stays empty where it is the middle of the box."""
        values = {name: getattr(self, name).value for name in _PLAIN}
        centre = tuple(c.value for c in self.centre[:d])
        return with_changes(base, **values | {"scale": min(self.scale.value, MAX_SCALE), self.sized_by: self.kept.value,
                                              "centre": centre if any(centre) else ()})

    def write(self, state: State, problem: Problem) -> None:
        """Set every widget to a state of a problem. Values beyond a slider's range widen it."""
        d, axes, shown = problem.d, problem.card.axes, min(problem.d, 2)
        self._writing = True
        try:
            self.sized_by, value = state.size(d)
            self.kept.index = 0
            self.kept.options = kept_options(state, d)
            self.kept.value = value
            self.pattern.options = list(dict.fromkeys([*offered(problem), state.pattern]))
            self.draws.options = sorted({*_DRAWS, state.draws})
            self.noise.max = max(self.noise.max, state.noise)
            self.seed.max, self.steps.max = max(self.seed.max, state.seed), max(self.steps.max, state.steps)
            for name in _PLAIN:
                getattr(self, name).value = getattr(state, name)
            self.time.layout.display, self.time.description = None if d > 2 else "none", axes[0]
            for i, slider in enumerate(self.centre):
                slider.layout.display = None if i < shown else "none"
                slider.description = f"centre {axes[-shown:][i]}" if i < shown else ""
                slider.value = (state.centre or (0.0,) * shown)[i] if i < shown else 0.0
        finally:
            self._writing = False

    def board(self, stop: W.Button, status: W.HTML) -> W.HBox:
        """The widgets in three columns: observations, sampling, window."""
        observed = W.VBox([self.problem, self.pattern, self.kept, self.noise, self.seed])
        sampling = W.VBox([self.draws, self.sampler, self.steps, self.device, W.HBox([stop, status])])
        window = W.VBox([self.view, self.scale, *self.centre, self.time])
        return W.HBox([observed, sampling, window], layout=W.Layout(flex_flow="row wrap", max_width="960px"))
