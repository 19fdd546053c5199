"""How many sampling steps a trained approach needs: its scores against the number of steps, on the same tasks."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from .. import problems
from ..core.capabilities import record_of
from ..core.checks import require, require_count, require_seed
from ..core.grid import cell_centres
from ..core.rng import child
from ..core.types import Fitted, Problem
from ..inference.posterior import TrainedModel
from ..observation.observing import observe
from .stamp import cases_of
from .table import GRIDS, measured

STEPS = (2, 3, 4, 6, 8, 12, 16, 24, 40)
METRICS = ("crps", "energy", "variogram")
MARGIN = 1.01                                        # the default may cost this much of the best score
SPREAD = (0.97, 1.05)                                # of the last spread: narrow bands are worse than wide ones


def step_curve(fitted: Fitted, problem: Problem, *, steps: Sequence[int] = STEPS, tasks: int = 24, draws: int = 64,
               seed: int = 2, progress: Callable[[int, int], object] | None = None) -> dict:
    """Scores of a trained approach at several numbers of sampling steps, as ratios to the most of them.

    Tasks, observations and the noise of the draws are the same at each number of steps, so that ratios compare
    steps alone. One ratio for each number of observations that the approach is scored at (`stamp`), then
    their mean. Returns {"steps", "crps", "energy", "variogram", "spread" (the draws' standard deviation): a list each,
    "crps_95": (low, high) of each by a bootstrap over tasks, "cases", "tasks" of each, "draws", "fewest": the least
    number of steps within 1 % of the best score in all three, with a spread of 0.97 to 1.05}.
    """
    steps = sorted(set(steps))
    require(len(steps) > 1, must="steps: at least two numbers of steps.", came=steps, why="A curve compares them.",
            do=f"steps={STEPS}.")
    require_count(tasks, "tasks", 2), require_count(draws, "draws", 2), require_seed(seed)
    source, points = problems.held_out(problem), cell_centres(GRIDS[problem.d])
    cases = cases_of(problem, record_of(fitted).get("approach", ""))
    found = torch.zeros(len(METRICS) + 1, len(cases), tasks, len(steps), dtype=torch.float64)
    for j, (m, case) in enumerate(cases):
        for i in range(tasks):
            own = child(seed, "task", m, i)
            truth = source.draw(1, seed=child(own, "truth"))
            seen = None if case is None else observe(truth, case, noise_std=0.05, seed=child(own, "seen"))
            target = truth(points)[0]
            for k, number in enumerate(steps):
                values = fitted.draw(seen, draws, seed=child(own, "draws"), steps=number)(points)
                scored = measured(values, target, problem.d, (*METRICS, "variance"))
                found[:, j, i, k] = torch.stack([value.double() for value in scored.values()])
            if progress is not None:
                progress(j * tasks + i + 1, len(cases) * tasks)
    return {"steps": steps, **summary(found.numpy(), steps), "cases": len(cases), "tasks": tasks, "draws": draws}


def with_fewest_steps(fitted: TrainedModel, problem: Problem, **setting) -> TrainedModel:
    """The same trained model with the fewest steps that its curve allows as default; the curve is kept in `.about`."""
    curve = step_curve(fitted, problem, **setting)
    config = {**fitted.about["config"], "steps": curve["fewest"]}
    return replace(fitted, about={**fitted.about, "config": config, "step_curve": curve}, steps=curve["fewest"])


def summary(found: np.ndarray, steps: Sequence[int], *, seed: int = 0) -> dict:
    """Scores and then variances (metrics + 1, cases, tasks, steps) -> mean ratios to the last column, the spread's too,
    an interval, and the fewest steps."""
    ratios = _ratios(found)
    rng = np.random.default_rng(seed)
    again = [_ratios(found[:, :, rng.integers(0, found.shape[2], found.shape[2])])[0] for _ in range(500)]
    low, high = np.quantile(again, (0.025, 0.975), axis=0, method="weibull")
    scores, spread = ratios[:-1], ratios[-1] ** 0.5
    good = (scores <= MARGIN * scores.min(-1, keepdims=True)).all(0) & (SPREAD[0] <= spread) & (spread <= SPREAD[1])
    rows = dict(zip((*METRICS, "spread"), (*scores, spread), strict=True))
    return {**{name: np.round(row, 4).tolist() for name, row in rows.items()},
            "crps_95": np.round(np.stack([low, high], -1), 4).tolist(), "fewest": int(steps[int(good.argmax())])}


def _ratios(found: np.ndarray) -> np.ndarray:
    """Scores (metrics, cases, tasks, steps) -> ratios of their means over tasks, averaged over cases."""
    means = found.mean(2)
    return (means / means[..., -1:]).mean(1)
