"""Active learning measured: error of several searches after each measurement, on the same truths and noise."""

from collections.abc import Mapping

import pandas as pd
import torch

from ..core.checks import require, require_count, require_seed
from ..core.grid import cell_centres
from ..core.rng import child
from ..core.types import Fields, Problem
from ..observation.active import Search, interval
from ..problems import held_out
from .table import measured

POINTS = {1: (256,), 2: (48, 48), 3: (16, 16, 16)}


@torch.no_grad()
def learning_curves(rivals: Mapping[str, dict], problem: Problem, *, looks: int, tasks: int, seed: int,
                    draws: int = 64, every: int = 1, noise_std: float = 0.05) -> pd.DataFrame:
    """`looks` measurements by each of `rivals` on `tasks` functions: a row for each rival, task and number of looks.

    rivals[name] are keywords of a `Search`: `fitted`, `policy`, …. Columns: rival, task, looks, `rmse` of the mean of
    `draws` draws, their `crps`, and, for one coordinate, `width` of the interval in which a step may be. A row every
    `every` looks.
    """
    require_seed(seed), require_count(looks, "looks"), require_count(tasks, "tasks"), require_count(every, "every")
    require(len(rivals) > 0, must="rivals: at least one.", came=rivals, why="At least one search is required.",
            do='{"model": {"fitted": model}}.')
    rows = []
    for task in range(tasks):
        own = child(seed, "race", task)
        truth = held_out(problem).draw(1, seed=child(own, "truth"))
        for name, knobs in rivals.items():
            now = Search(d=problem.d, c=truth.c, seed=own, looks=looks, noise_std=noise_std, **knobs)
            for m in range(looks + 1):
                now = now.look(truth) if m else now
                if m % every == 0 or m == looks:
                    low, high = interval(now.seen) if problem.d == 1 else (0.0, 0.0)
                    rows.append({"rival": name, "task": task, "looks": m, "width": high - low,
                                 **scores_now(now, truth, draws)})
    return pd.DataFrame(rows)


@torch.no_grad()
def scores_now(search: Search, truth: Fields, draws: int = 64) -> dict[str, float]:
    """Of `draws` draws of a search, over the box: `rmse`, the root mean square error of their mean, and `crps`."""
    points = cell_centres(POINTS[search.d])
    values, target = search.draw(draws)(points).cpu(), truth(points)[0].cpu()
    rmse = (values.mean(0) - target).square().mean().sqrt()
    return {"rmse": float(rmse), "crps": float(measured(values, target, search.d, ("crps",))["crps"])}


def score_now(search: Search, truth: Fields, draws: int = 64) -> float:
    """The `rmse` of `scores_now`."""
    return scores_now(search, truth, draws)["rmse"]


def shrinkage(found: pd.DataFrame, looks: int = 5) -> pd.DataFrame:
    """Factor by which a measurement shrinks the interval, over the first `looks` measurements: a row for each rival.

    `each`: the mean of (width_m/2)^(1/m) over tasks, and its standard error; `whole`: (mean width/2)^(1/m). Halving
    every time is ½; splitting at the median of N draws of an exact posterior is (N + 3)/(2(N + 2)) on average, so
    (mean width/2)^(1/m) is that number.
    """
    share = found[found["looks"] == looks].assign(share=lambda t: t["width"] / 2)
    groups = share.groupby("rival", sort=False)["share"]
    each = groups.apply(lambda s: (s ** (1 / looks)).mean())
    error = groups.apply(lambda s: (s ** (1 / looks)).std() / len(s) ** 0.5)
    return pd.DataFrame({"each": each, "error": error, "whole": groups.mean() ** (1 / looks)})
