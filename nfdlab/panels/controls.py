"""The sliders of a panel, and their two-way bond with a `State`. Core ipywidgets only; all work from the keyboard."""

import math

import ipywidgets as W

from ..core.types import Problem
from ..observation import patterns
from .state import CLOSEST, SAMPLERS, SIZES, VIEWS, State, offered, with_changes
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


def kept_options(state: State, d: int) -> list[tuple[str, float]]:
    """What the `kept` slider offers, as points · share, share · points or gap · points, the state's own value among
    them."""
    name, own = state.sized(d)
    words = {"count": lambda m, size: f"{m} · {percent(m / _CELLS**d)}",
             "share": lambda s, size: f"{percent(s)} · {size}", "every": lambda gap, size: f"1 in {gap} · {size}"}[name]
    return [(words(v, with_changes(state, **{name: v}).hide(d).size(d)), v) for v in sorted({*_OFFERED[name][d], own})]


class Controls:
    """All widgets of a panel. `read()` is the state they stand at; `write(state, problem)` moves them."""

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
        self.scale = make(W.FloatLogSlider, "scale ×", base=2, min=0, max=math.log2(CLOSEST), step=0.25, value=1,
                          readout_format=".3g", continuous_update=True)
        self.centre = [make(W.FloatSlider, name, min=-1.0, max=1.0, step=0.02, readout_format=".2f")
                       for name in ("centre", "centre 2")]
        self.time = make(W.FloatSlider, "t", min=-1.0, max=1.0, step=1 / 16, readout_format=".3f")
        self.sized_by, self._writing = SIZES[0], False

    def all(self) -> list[W.Widget]:
        """Every widget whose value is part of the state."""
        return [self.problem, self.pattern, self.kept, self.noise, self.seed, self.draws, self.sampler, self.steps,
                self.device, self.view, self.scale, *self.centre, self.time]

    def on_move(self, call) -> None:
        """Call `call(state)` after each move of a hand; not while `write` moves them."""
        def moved(change):
            if not self._writing:
                call(change["owner"])
        for widget in self.all():
            widget.observe(moved, "value")

    def read(self, base: State, d: int) -> State:
        """`base` with every knob as it stands. Where the middle is asked for, `centre` stays empty."""
        kept = {self.sized_by: self.kept.value}
        centre = tuple(c.value for c in self.centre[:d])
        return with_changes(base, problem=self.problem.value, pattern=self.pattern.value, noise=self.noise.value,
                       seed=self.seed.value, draws=self.draws.value, sampler=self.sampler.value, steps=self.steps.value,
                       device=self.device.value, view=self.view.value, scale=min(self.scale.value, CLOSEST),
                       time=self.time.value, centre=centre if any(centre) else (), **kept)

    def write(self, state: State, problem: Problem) -> None:
        """Move every widget to a state of a problem. Values off a slider's scale widen it."""
        d, axes, shown = problem.d, problem.card.axes, min(problem.d, 2)
        self._writing = True
        try:
            self.sized_by, value = state.sized(d)
            self.kept.index = 0
            self.kept.options = kept_options(state, d)
            self.kept.value = value
            self.pattern.options = list(dict.fromkeys([*offered(problem), state.pattern]))
            self.draws.options = sorted({*_DRAWS, state.draws})
            self.noise.max = max(self.noise.max, state.noise)
            self.seed.max, self.steps.max = max(self.seed.max, state.seed), max(self.steps.max, state.steps)
            for name in ("problem", "pattern", "noise", "seed", "draws", "sampler", "steps", "device", "view", "scale",
                         "time"):
                getattr(self, name).value = getattr(state, name)
            self.time.layout.display, self.time.description = None if d > 2 else "none", axes[0]
            for i, slider in enumerate(self.centre):
                slider.layout.display = None if i < shown else "none"
                slider.description = f"centre {axes[-shown:][i]}" if i < shown else ""
                slider.value = (state.centre or (0.0,) * shown)[i] if i < shown else 0.0
        finally:
            self._writing = False

    def board(self, stop: W.Button, status: W.HTML) -> W.HBox:
        """The widgets in three columns: what is seen, who answers, where one looks."""
        seen = W.VBox([self.problem, self.pattern, self.kept, self.noise, self.seed])
        asked = W.VBox([self.draws, self.sampler, self.steps, self.device, W.HBox([stop, status])])
        looked = W.VBox([self.view, self.scale, *self.centre, self.time])
        return W.HBox([seen, asked, looked], layout=W.Layout(flex_flow="row wrap", max_width="960px"))
