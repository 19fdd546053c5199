"""The active-learning panel: press Look, and the next measurement is made where draws disagree. `looking` opens it.

The controls make an `ActiveState`, a worker turns it into an `ActiveView`, one figure draws that, in the panel and in
reports alike. Searches are cached, so one measurement more costs one measurement.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import ipywidgets as W
import pandas as pd
import torch

from ..core.checks import require, require_count, require_name, require_number, require_seed
from ..core.rng import child
from ..core.types import Fitted, Problem
from ..evaluate.active_learning import score_now
from ..observation.active import POLICIES, Search
from ..problems import held_out
from .active_figure import DRAWS, SIDES, ActiveView, paint, trail
from .base import LivePanel
from .controls import make_knob
from .lineup import Lineup
from .live import Recent
from .state import MAX_SCALE, changed
from .style import Picture
from .sweeps import display_of
from .view import last

_OFFERED = (2, 4, 8, 16, 32, 64)  # draws
MAX_LOOKS = 32                   # measurements that the slider offers


@dataclass(frozen=True)
class ActiveState:
    """Every control: on a `problem`, `looks` measurements made, chosen by which `policy`, from how many `draws`, of
    which truth (`seed`), with what `noise`; the picture shows 1/`scale` of the box around the last measurement."""

    problem: str = "step1d"
    looks: int = 0
    policy: str = "variance"
    draws: int = 16
    noise: float = 0.05
    seed: int = 0
    scale: float = 1.0

    def __post_init__(self):
        require_count(self.looks, "looks", 0), require_name(self.policy, POLICIES, "policy")
        require_count(self.draws, "draws", 2), require_number(self.noise, "noise", 0.0), require_seed(self.seed)
        require_number(self.scale, "scale", 1.0, MAX_SCALE)


def looking(model: Fitted, problem: Problem, *, race: pd.DataFrame | None = None, **state) -> "ActivePanel":
    """Active learning of one truth of the problem, measurement by measurement. `race` is a table of `evaluate.race`,
    whose averages are drawn beside; further keywords are fields of `ActiveState`: looking(model, problem, looks=6)."""
    return ActivePanel(model, problem, race=race, **state)


class ActivePanel(LivePanel):
    """Buttons, sliders and their picture. `move(**changes)` sets them by code, `still(**changes)` is the picture as a
    matplotlib figure, `close()` ends the panel's thread."""

    columns = (("problem", "looks", "seed"), ("policy", "draws", "noise"), ("scale", "status"))
    rows = (("try", "look", "again", "undo", "reset"),)
    refits = ("problem",)

    def __init__(self, model: Fitted, problem: Problem, *, race: pd.DataFrame | None = None, **start):
        self.lineup, self._recent = Lineup(model, problem), Recent(64)
        require(problem.d in (1, 2), must="a problem of one or two coordinates.", came=f"one with d = {problem.d}",
                why="The panel draws curves and pictures.", do='problems.get("bump2d").')
        self.others = {} if race is None else {
            name: part.groupby("looks")["rmse"].mean().to_dict() for name, part in race.groupby("rival", sort=False)}
        later, names = {"continuous_update": False}, [n for n in self.lineup.names() if self.lineup.find(n).d < 3]
        super().__init__(changed(ActiveState(problem.card.name), **start), {
            "problem": make_knob(W.Dropdown, "problem", options=names),
            "look": W.Button(description="Look", button_style="primary"),
            "again": W.Button(description="Start again"),
            **{name: W.Button(description=name, layout=W.Layout(width="auto")) for name in ("undo", "reset")},
            "looks": make_knob(W.IntSlider, "looks", min=0, max=MAX_LOOKS, **later),
            "policy": make_knob(W.Dropdown, "policy", options=POLICIES),
            "draws": make_knob(W.SelectionSlider, "draws", options=_OFFERED, value=_OFFERED[0], **later),
            "noise": make_knob(W.FloatSlider, "noise", min=0.0, max=0.5, step=0.01, **later),
            "seed": make_knob(W.IntSlider, "task", min=0, max=99, **later),
            "scale": make_knob(W.FloatLogSlider, "scale ×", base=2, min=0, max=5, step=0.5, value=1,
                               readout_format=".3g")}, W.HTML(), "nfdlab-looking")

    @property
    def summary(self) -> str:
        """What the panel is, in a few words."""
        return f"nfdlab panel: looks at {self._state.problem}"

    def seen(self, **changes) -> ActiveView:
        """The data of the picture, for this state or one with some fields replaced."""
        return last(self._searching(self._changed(**changes)))

    def still(self, **changes) -> Picture:
        """The picture as a matplotlib figure."""
        return trail(self.seen(**changes))

    def bundles(self) -> list[dict]:
        """What a report shows: sweeps over the measurements and over the query scale, each with one picture."""
        final, out = max(self._state.looks, 1), []
        counts = sorted({0, 1, 2, 3, 4, 6, 8, 12, 16, final} & {*range(final + 1)})
        for label, knob, values, start in (("looks", "looks", counts, counts.index(final)),
                                           ("query scale", "scale", [1.0, 4.0, 16.0], 0)):
            frames = [paint(self.seen(**{knob: value})).encode() for value in values]
            sheet = self.still(**{knob: values[start]}).png(80)
            out.append(display_of(label, "", sheet, [f"{v:g}" for v in values], frames, "svg", start))
        return out

    def _changed(self, **changes) -> ActiveState:
        if changes.get("problem", self._state.problem) != self._state.problem:
            changes = {"looks": 0, "scale": 1.0} | changes                       # another truth, nothing measured
        return changed(self._state, **changes)

    def _set(self, state: ActiveState) -> None:
        require_name(state.problem, self.knobs["problem"].options, "problem of the panel")
        self.knobs["draws"].options = sorted({*self.knobs["draws"].options, state.draws})
        self.knobs["looks"].max = max(MAX_LOOKS, state.looks)
        for name in self.knobs.keys() - {"look", "again", "undo", "reset"}:
            self.knobs[name].value = getattr(state, name)

    def _pressed(self, name: str) -> None:
        if name in ("undo", "reset"):
            getattr(self, name)()
        else:
            self.move(looks=min(MAX_LOOKS, self._state.looks + 1) if name == "look" else 0)

    def _work(self, state: ActiveState) -> Iterator:
        start = time.perf_counter()
        view = yield from self._searching(state)
        *_, finest = SIDES[view.problem.d]
        for side in SIDES[view.problem.d]:
            done = f"done in {time.perf_counter() - start:.2f} s" if side == finest else "refining …"
            yield state, paint(view, side), "", done

    @torch.no_grad()
    def _searching(self, state: ActiveState) -> Iterator[None]:
        """The view of a state, each measurement made once and cached; yields None after each."""
        found = self.lineup.comparison(state.problem)
        truth = held_out(found.problem).draw(1, seed=child(state.seed, "hunt"))
        plan = state.looks if state.policy == "grid" else MAX_LOOKS          # a grid is made for so many measurements
        runs, drawn = {}, {}
        for name, fitted in {"model": found.model, "exact": found.problem.oracle()}.items():
            if fitted is None:
                continue
            key = name, replace(state, looks=0, scale=1.0), plan
            steps = self._recent.get(*key) or self._recent.keep([], *key)
            if not steps:
                first = Search(fitted, d=truth.d, c=truth.c, seed=child(state.seed, "look"), draws=state.draws,
                               policy=state.policy, looks=max(1, plan), noise_std=state.noise)
                steps.append((first, score_now(first, truth)))
            while len(steps) <= state.looks:
                now = steps[-1][0].look(truth)
                steps.append((now, score_now(now, truth)))
                yield None
            runs[name] = steps[:state.looks + 1]
            drawn[name] = self._recent.get("draws", *key, state.looks) or self._recent.keep(
                steps[state.looks][0].draw(DRAWS), "draws", *key, state.looks)
        searches = {name: steps[-1][0] for name, steps in runs.items()}
        errors = {name: [error for _, error in steps] for name, steps in runs.items()}
        others = self.others if found.problem is self.lineup.problem else {}          # they were raced on that one
        return ActiveView(state.scale, found.problem, truth, searches, drawn, errors, others)
