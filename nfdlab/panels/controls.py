"""The controls of a panel, read into a `State` and written from one. Core ipywidgets; all work from the keyboard."""

import math
from dataclasses import fields

import ipywidgets as W

from .. import baselines
from ..core.types import Problem
from ..observation import patterns
from .page import shown
from .state import MAX_SCALE, SAMPLERS, VIEWS, State, offered, timed, with_changes
from .style import percent
from .touch import TOOLS

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
CENTRES = "centre", "centre 2"
PRESETS = {"one point": {"pattern": "random", "count": 1}, "a clump": {"pattern": "clusters"},
           "half hidden": {"pattern": "block"}, "the grid": {"pattern": "grid"},
           "every 4th frame": {"pattern": "frames", "every": 4}}
FRAMES = 16                      # moments of a film at its own rate
TIPS = {
    "problem": "The kind of function. Listed is what has weights for this model; `nfdlab train` makes others.",
    "pattern": "Where the function is observed.",
    "kept": "How much is observed: number of points, and their share of a grid of 64 cells a side.",
    "noise": "Standard deviation of the noise that is added to each observed value.",
    "seed": "Another number is another true function, with other observations.",
    "draws": "How many functions the model draws. More of them make means and bands smoother, and take longer.",
    "sampler": "How the steps from noise to a function are computed.",
    "steps": "How many steps are taken from noise to a function. It starts at the model's own number.",
    "device": "Where the model computes; auto takes a GPU if there is one.",
    "view": "A summary of the draws, or single draws.",
    "scale": "A closer look: the window is that much smaller. The same draws are evaluated at new points.",
    "centre": "The middle of the window on this axis.", "centre 2": "The middle of the window on this axis.",
    "time": "The moment that is shown; in space alone, the slice.",
    "stop": "Stop computing; the picture stays.",
    "tool": "What a click on the picture does. " + " ".join(f"{name}: {words}" for name, words in TOOLS.items()),
    "brush": "The value that is placed or painted on a map, in the units of the field.",
    "undo": "Take back the last change.", "reset": "Back to how the panel was opened.",
    "one point": "See one point, anywhere.", "a clump": "See points in a few clumps.",
    "half hidden": "See nothing in one large block.", "the grid": "See the points of a regular grid.",
    "every 4th frame": "See one frame in four, whole.",
    "step": "Show the draws after so many steps from noise to a function; the last is the end.",
    "play": "Play the draws as they form, from noise to a function.",
    "film": "Play the film from its first moment to its last.",
    "rate": "How many moments are played for each frame: the same draws, read between the frames.",
    "turn": "The angle from which surfaces are seen, in degrees.", "spin": "Turn the surfaces.",
    "rival": "A second contestant on the same observations, drawn beside the model.",
    "rival_sampler": "The sampler of the second contestant.",
    "rival_steps": "The number of sampling steps of the second contestant; 0 is its own.",
    "look": "Take the next measurement, at the place marked ×.", "again": "Forget all measurements.",
    "looks": "How many measurements have been made.",
    "policy": "The rule that chooses the next place to measure."}


def kept_options(state: State, d: int) -> list[tuple[str, float]]:
    """Labels and values of the `kept` slider, the state's own included: points · share, or size · points."""
    name, own = state.size(d)
    words = {"count": lambda m, size: f"{m} · {percent(m / _CELLS**d)}",
             "share": lambda s, size: f"{percent(s)} · {size}", "every": lambda gap, size: f"1 in {gap} · {size}"}[name]
    return [(words(v, with_changes(state, **{name: v}).sized_pattern(d).size(d)), v)
            for v in sorted({*_OFFERED[name][d], own})]


def make_knob(kind: type[W.Widget], words: str, **rest) -> W.Widget:
    """A control with its words at the left."""
    return kind(description=words, style={"description_width": "84px"},
                layout=W.Layout(width="310px", margin="1px 0"), **rest)


def explain(knobs: dict[str, W.Widget]) -> dict[str, W.Widget]:
    """The same controls, each with a sentence that is shown where the mouse rests."""
    for name, knob in knobs.items():
        knob.tooltip = TIPS[name]
    return knobs


def make_knobs(names: list[str], devices: list[str]) -> dict[str, W.Widget]:
    """All controls by name: fields of a `State`, `kept` for how much is seen, a centre for each axis."""
    between = {"min": -1.0, "max": 1.0, "step": 0.02, "readout_format": ".2f"}
    return {
        "problem": make_knob(W.Dropdown, "problem", options=names),
        "pattern": make_knob(W.Dropdown, "pattern", options=list(patterns.ALL)),
        "kept": make_knob(W.SelectionSlider, "kept", options=[("8", 8)]),
        "noise": make_knob(W.FloatSlider, "noise", min=0.0, max=0.5, step=0.01, readout_format=".2f"),
        "seed": make_knob(W.IntSlider, "task", min=0, max=99),
        "draws": make_knob(W.SelectionSlider, "draws", options=_DRAWS, value=32, continuous_update=False),
        "sampler": make_knob(W.Dropdown, "sampler", options=SAMPLERS),
        "steps": make_knob(W.IntSlider, "steps", min=2, max=60, continuous_update=False),
        "device": make_knob(W.Dropdown, "device", options=devices),
        "view": make_knob(W.Dropdown, "view", options=VIEWS),
        "scale": make_knob(W.FloatLogSlider, "scale ×", base=2, min=0, max=math.log2(MAX_SCALE), step=0.25, value=1,
                           readout_format=".3g"),
        **{name: make_knob(W.FloatSlider, name, **between) for name in CENTRES},
        "time": make_knob(W.FloatSlider, "t", min=-1.0, max=1.0, step=1 / 16, readout_format=".3f"),
        "stop": W.Button(description="Stop"),
        **{name: W.Button(description=name, layout=W.Layout(width="auto")) for name in (*PRESETS, "undo", "reset")},
        "tool": W.ToggleButtons(options=list(TOOLS), tooltips=list(TOOLS.values()),
                                style={"button_width": "88px"}),
        "brush": make_knob(W.FloatSlider, "value", min=-3.0, max=3.0, step=0.1, value=1.0, readout_format=".1f"),
        "rival": make_knob(W.Dropdown, "against", options=[("nobody", "")]),
        "rival_sampler": make_knob(W.Dropdown, "its sampler", options=[("the same", ""), *((s, s) for s in SAMPLERS)]),
        "rival_steps": make_knob(W.IntSlider, "its steps", min=0, max=60, continuous_update=False),
        **_played("step", "play", "at step", 120, min=0, max=20, value=20),
        **_played("turn", "spin", "turn °", 120, min=0, max=360, step=10, value=30),
        "film": W.Play(min=0, max=FRAMES - 1, interval=125),
        "rate": make_knob(W.Dropdown, "moments ×", options=(1, 2, 4, 8))}


def _played(name: str, play: str, words: str, interval: int, **ends) -> dict[str, W.Widget]:
    """A slider and the buttons that play it, tied together in the browser."""
    slider, buttons = make_knob(W.IntSlider, words, **ends), W.Play(interval=interval, **ends)
    W.jslink((buttons, "value"), (slider, "value"))
    return {name: slider, play: buttons}


def read(knobs: dict[str, W.Widget], name: str, state: State, d: int) -> dict:
    """The change to a state that a knob asks for. `centre` stays empty where it is the middle of the box."""
    value = knobs[name].value
    if name.startswith("centre"):
        middle = tuple(knobs[axis].value for axis in CENTRES[:d])
        return {"centre": middle if any(middle) else ()}
    if name == "film":
        return {"time": 2 * (value + 0.5) / (knobs["film"].max + 1) - 1}
    if name == "step":
        return {"step": None if value >= state.steps else value}
    return {state.size(d)[0] if name == "kept" else name: min(value, MAX_SCALE) if name == "scale" else value}


def write(knobs: dict[str, W.Widget], state: State, problem: Problem, rivals: list[str], steps: int | None) -> None:
    """Set every knob to a state of a problem, and hide those that mean nothing there; `steps` that its model takes by
    default, None where it takes none. Values beyond a slider's range widen it."""
    d, axes, pictured = problem.d, problem.card.axes, problem.card.axes[shown(problem.d)]
    knobs["kept"].index = 0
    knobs["kept"].options = kept_options(state, d)
    knobs["kept"].value = state.size(d)[1]
    known = offered(problem)
    knobs["pattern"].options = list(dict.fromkeys([*known, state.pattern]))
    knobs["draws"].options = sorted({*_DRAWS, state.draws})
    knobs["view"].options = VIEWS if d == 3 and not timed(problem) else VIEWS[:2]
    knobs["rival"].options = [(name or "nobody", name) for name in rivals]
    for name in ("noise", "seed", "steps", "rival_steps"):
        knobs[name].max = max(knobs[name].max, getattr(state, name))
    knobs["step"].max = knobs["play"].max = state.steps
    knobs["step"].value = state.steps if state.step is None else state.step
    solid, film = state.view == VIEWS[2], d > 2 and timed(problem)
    shown_if = {"time": d > 2 and not solid, "film": film, "rate": film, "turn": solid, "spin": solid,
                "step": steps is not None, "play": steps is not None, "brush": d > 1,
                **dict.fromkeys(("rival_sampler", "rival_steps"), state.rival not in ("", *baselines.names())),
                **{name: preset["pattern"] in known for name, preset in PRESETS.items()}}
    for name, yes in shown_if.items():
        knobs[name].layout.display = None if yes else "none"
    for name in knobs.keys() & {f.name for f in fields(State)} - {"step", *CENTRES}:
        knobs[name].value = getattr(state, name)
    knobs["time"].description = axes[0]
    for i, name in enumerate(CENTRES):
        knobs[name].layout.display = None if i < len(pictured) else "none"
        knobs[name].description = f"centre {pictured[i].split()[0]}" if i < len(pictured) else ""
        knobs[name].value = (state.centre or (0.0,) * len(pictured))[i] if i < len(pictured) else 0.0
