"""The data of the active-learning panel: a frozen `ActiveState`, and the searches of model and exact posterior."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from ..core.checks import require, require_count, require_name, require_number, require_seed
from ..core.rng import child
from ..core.types import Fields, Fitted, Problem
from ..evaluate.active_learning import score_now
from ..evaluate.provenance import require_same_problem
from ..observation.active import POLICIES, Search
from ..problems import held_out
from .lineup import require_model
from .recent import Recent
from .state import MAX_SCALE

MAX_LOOKS = 32                   # measurements that the slider offers


@dataclass(frozen=True)
class ActiveState:
    """Every control: `looks` measurements made, chosen by which `policy`, from how many `draws`, of which truth
    (`seed`), with what `noise`; the picture shows 1/`scale` of the box around the last measurement."""

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


@dataclass(frozen=True, eq=False)
class ActiveView:
    """Everything one picture shows: a truth, the searches of model and exact posterior, their errors after every
    measurement (looks + 1,), and the average errors of other contestants, {name: {looks: rmse}}."""

    state: ActiveState
    problem: Problem
    truth: Fields
    model: Search
    exact: Search | None
    errors: dict[str, list[float]]
    others: dict[str, dict[int, float]]


class ActiveSearches:
    """A truth of a problem and two searches on it; each measurement is made once and cached."""

    def __init__(self, model: Fitted, problem: Problem, others: dict[str, dict[int, float]] | None = None):
        require_model(model)
        require(problem.d in (1, 2), must="a problem of one or two coordinates.", came=f"one with d = {problem.d}",
                why="The panel draws curves and pictures.", do='problems.get("bump2d").')
        require_same_problem(model, problem)
        self.model, self.problem, self.others = model, problem, others or {}
        self._recent = Recent(64)

    @torch.no_grad()
    def view(self, state: ActiveState) -> Iterator[ActiveView | None]:
        """The view of a state: None after each measurement, the view at the end. Same state, same view."""
        truth = held_out(self.problem).draw(1, seed=child(state.seed, "hunt"))
        runs = {}
        for name, fitted in (("model", self.model), ("exact", self.problem.oracle())):
            if fitted is None:
                continue
            plan = state.looks if state.policy == "grid" else MAX_LOOKS      # a grid is made for so many measurements
            key = name, replace(state, looks=0, scale=1.0), plan
            steps = self._recent.get(*key) or self._recent.keep([], *key)
            if not steps:
                first = Search(fitted, d=self.problem.d, c=truth.c, seed=child(state.seed, "look"), draws=state.draws,
                               policy=state.policy, looks=max(1, plan), noise_std=state.noise)
                steps.append((first, score_now(first, truth)))
            while len(steps) <= state.looks:
                now = steps[-1][0].look(truth)
                steps.append((now, score_now(now, truth)))
                yield None
            runs[name] = steps[:state.looks + 1]
        exact = runs["exact"][-1][0] if "exact" in runs else None
        errors = {name: [error for _, error in steps] for name, steps in runs.items()}
        yield ActiveView(state, self.problem, truth, runs["model"][-1][0], exact, errors, self.others)
