"""The panel of approach 7: press Look, and the next measurement lands where draws disagree. `looking(model, problem)`.

A thin shell as `explore` is: controls make a `Hunt`, a worker turns it into a `Seen` by the pure `hunt`, one painter
draws that, live and at rest alike. Searches are kept, so one look more costs one look.
"""

import time
from base64 import b64encode
from dataclasses import dataclass, fields, replace

import ipywidgets as W
import pandas as pd
import torch
from IPython.display import display

from ..core.checks import require, require_count, require_name, require_number, require_seed
from ..core.rng import child
from ..core.types import Fields, Fitted, Problem
from ..evaluate.active_learning import score_now
from ..evaluate.provenance import require_same_problem
from ..observation.active import POLICIES, Search
from ..problems import held_out
from .active_figure import trail
from .kernel import answer_while_busy, headless
from .live import Latest
from .recent import Recent
from .state import CLOSEST
from .status import error_box, note
from .style import Picture
from .sweeps import MIME

MOST = 32                        # looks that the slider offers
DRAWS = (2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Hunt:
    """Every knob: `looks` taken, by which `policy`, from how many `draws`, at which truth (`seed`), with what `noise`;
    the picture shows 1/`scale` of the box around the last look."""

    looks: int = 0
    policy: str = "variance"
    draws: int = 16
    noise: float = 0.05
    seed: int = 0
    scale: float = 1.0

    def __post_init__(self):
        require_count(self.looks, "looks", 0), require_name(self.policy, POLICIES, "policy")
        require_count(self.draws, "draws", 2), require_number(self.noise, "noise", 0.0), require_seed(self.seed)
        require_number(self.scale, "scale", 1.0, CLOSEST)


@dataclass(frozen=True, eq=False)
class Seen:
    """Everything one picture shows: a truth, the searches of the model and of the exact posterior, how wrong each was
    after every look (looks + 1,), and how wrong others are on average, {name: {looks: rmse}}."""

    state: Hunt
    problem: Problem
    truth: Fields
    model: Search
    exact: Search | None
    errors: dict[str, list[float]]
    others: dict[str, dict[int, float]]


class Hunters:
    """A problem's truth and two searches on it, as far as they were asked to go; each look is taken once."""

    def __init__(self, model: Fitted, problem: Problem, others: dict[str, dict[int, float]] | None = None):
        require(hasattr(model, "draw"), kind=TypeError, must="model: a Fitted, something with draw(seen, n, seed=).",
                came=model, why="Looks go where its draws disagree.", do='nfdlab.load("adaptive_sampling", "bump2d").')
        require(problem.d in (1, 2), must="a problem of one or two coordinates.", came=f"one with d = {problem.d}",
                why="The panel draws curves and pictures.", do='problems.get("bump2d").')
        require_same_problem(model, problem)
        self.model, self.problem, self.others = model, problem, others or {}
        self._kept = Recent(64)

    @torch.no_grad()
    def hunt(self, state: Hunt):
        """The picture of a state: None after each look, a `Seen` at the end. Same state, same picture."""
        truth = held_out(self.problem).draw(1, seed=child(state.seed, "hunt"))
        who = {"model": self.model, "exact": self.problem.oracle()}
        runs = {}
        for name, fitted in who.items():
            if fitted is None:
                continue
            plan = state.looks if state.policy == "grid" else MOST           # a grid is made for so many looks
            key = name, replace(state, looks=0, scale=1.0), plan
            steps = self._kept.get(*key) or self._kept.keep([], *key)
            if not steps:
                first = Search(fitted, d=self.problem.d, c=truth.c, seed=child(state.seed, "look"), draws=state.draws,
                               policy=state.policy, looks=max(1, plan), noise_std=state.noise)
                steps.append((first, score_now(first, truth)))
            while len(steps) <= state.looks:
                now = steps[-1][0].look(truth)
                steps.append((now, score_now(now, truth)))
                yield None
            runs[name] = steps[:state.looks + 1]
        yield Seen(state, self.problem, truth, runs["model"][-1][0], runs["exact"][-1][0] if "exact" in runs else None,
                   {name: [error for _, error in steps] for name, steps in runs.items()}, self.others)


def looking(model: Fitted, problem: Problem, *, race: pd.DataFrame | None = None, **state) -> "Looking":
    """Look by look at a truth of the problem. `race` is a table of `evaluate.race`, whose averages are drawn beside;
    further keywords are knobs of `Hunt`: looking(model, problem, looks=6, policy="mutual_information")."""
    return Looking(model, problem, race=race, **state)


class Looking(W.VBox):
    """Buttons, sliders and their picture. `move(**changes)` moves them by code, `still(**changes)` is the picture as a
    matplotlib figure, `close()` ends the panel's thread."""

    def __init__(self, model: Fitted, problem: Problem, *, race: pd.DataFrame | None = None, **start):
        others = {} if race is None else {
            name: part.groupby("looks")["rmse"].mean().to_dict() for name, part in race.groupby("rival", sort=False)}
        self.hunters, self._state, self._writing = Hunters(model, problem, others), changed(Hunt(), **start), False
        self._latest = Latest(self._work, self._show, self._fail, synchronous=headless())

        def make(kind, words, **rest):
            return kind(description=words, style={"description_width": "64px"}, layout=W.Layout(width="290px"), **rest)

        self.button = W.Button(description="Look", button_style="primary", tooltip="take the next measurement")
        self.again = W.Button(description="Start again", tooltip="forget all looks")
        self.knobs = {
            "looks": make(W.IntSlider, "looks", min=0, max=MOST, continuous_update=False),
            "policy": make(W.Dropdown, "policy", options=POLICIES),
            "draws": make(W.SelectionSlider, "draws", options=sorted({*DRAWS, self._state.draws}),
                          value=self._state.draws, continuous_update=False),
            "noise": make(W.FloatSlider, "noise", min=0.0, max=0.5, step=0.01, continuous_update=False),
            "seed": make(W.IntSlider, "task", min=0, max=99, continuous_update=False),
            "scale": make(W.FloatLogSlider, "scale ×", base=2, min=0, max=5, step=0.5, value=1, readout_format=".3g")}
        self.status, self.error, self.picture = W.HTML(), W.HTML(), W.Image(format="png", width=900)
        k = self.knobs
        board = W.HBox([W.VBox([W.HBox([self.button, self.again]), k["looks"], k["seed"]]),
                        W.VBox([k["policy"], k["draws"], k["noise"]]), W.VBox([k["scale"], self.status])],
                       layout=W.Layout(flex_flow="row wrap", max_width="960px"))
        self._write()
        super().__init__([board, self.error, self.picture])
        self.add_class("nfdlab-looking")
        for name, knob in k.items():
            knob.observe(lambda change, name=name: self._turned(name, change["new"]), "value")
        self.button.on_click(lambda _: self._turned("looks", min(MOST, self._state.looks + 1)))
        self.again.on_click(lambda _: self._turned("looks", 0))
        for widget in (*k.values(), self.button, self.again):
            answer_while_busy(widget)
        if headless():
            self._ipython_display_ = self._display_report
        else:
            self._latest.submit(self._state)

    @property
    def state(self) -> Hunt:
        """Where the knobs stand."""
        return self._state

    def move(self, **changes) -> "Looking":
        """Turn knobs by code: panel.move(looks=5, policy="random")."""
        self._state = changed(self._state, **changes)
        self._write()
        self._latest.submit(self._state)
        return self

    def wait(self, timeout: float | None = None) -> bool:
        """Until the picture is finished; False if that takes longer than `timeout` seconds."""
        return self._latest.wait(timeout)

    def seen(self, **changes) -> Seen:
        """What is behind the picture, for this state or one a few knobs away."""
        return list(self.hunters.hunt(changed(self._state, **changes)))[-1]

    def still(self, **changes) -> Picture:
        """The picture as a matplotlib figure."""
        return trail(self.seen(**changes))

    def close(self) -> None:
        """End the worker thread and the widgets."""
        if hasattr(self, "_latest"):
            self._latest.close()
        super().close()

    def _write(self) -> None:
        self._writing = True
        try:
            self.knobs["draws"].options = sorted({*self.knobs["draws"].options, self._state.draws})
            self.knobs["looks"].max = max(MOST, self._state.looks)
            for name, knob in self.knobs.items():
                knob.value = getattr(self._state, name)
        finally:
            self._writing = False

    def _turned(self, name: str, value) -> None:
        if not self._writing:
            try:
                self.move(**{name: value})
            except Exception as error:                              # noqa: BLE001 - callbacks have no other voice
                self._fail(error)

    def _work(self, state: Hunt):
        start = time.perf_counter()
        for seen in self.hunters.hunt(state):
            yield None if seen is None else (trail(seen).png(100), f"done in {time.perf_counter() - start:.2f} s")

    def _show(self, pictured) -> None:
        self.error.value = ""
        self.picture.value, self.status.value = pictured[0], note(pictured[1])

    def _fail(self, error: Exception) -> None:
        self.error.value, self.status.value = error_box(error), note("stopped by an error")

    def _repr_mimebundle_(self, **kwargs):
        found = dict(super()._repr_mimebundle_(**kwargs) or {})
        found["text/plain"] = f"nfdlab panel: looks at {self.hunters.problem.card.name}; .still() gives its picture"
        return found | self.bundles()[0] if headless() else found

    def bundles(self) -> list[dict]:
        """For a report: sweeps over the looks and over the query scale, each with its last picture."""
        out = []
        last = max(self._state.looks, 1)
        shown = sorted({0, 1, 2, 3, 4, 6, 8, 12, 16, last} & {*range(last + 1)})
        for label, knob, values in (("looks", "looks", shown),
                                    ("query scale", "scale", [1.0, 4.0, 16.0])):
            pngs = [self.still(**{knob: value}).png(80) for value in values]
            payload = {"label": label, "values": [f"{v:g}" for v in values], "fmt": "png",
                       "start": values.index(last) if knob == "looks" else 0,
                       "frames": [b64encode(png).decode() for png in pngs]}
            out.append({"text/plain": f"nfdlab panel, {label}", "image/png": payload["frames"][payload["start"]],
                        MIME: payload})
        return out

    def _display_report(self) -> None:
        for bundle in self.bundles():
            display(bundle, raw=True)


def changed(state: Hunt, **changes) -> Hunt:
    """A state with some knobs turned; an unknown one is named, with the nearest."""
    for knob in changes:
        require_name(knob, [f.name for f in fields(Hunt)], "knob of the panel")
    return replace(state, **changes)
