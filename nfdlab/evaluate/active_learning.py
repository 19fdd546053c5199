"""Active learning measured: error of several searches after each measurement, on the same truths and noise."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import torch

from .. import problems, store
from ..baselines import get as baseline
from ..baselines.adaptive_grid import adaptive_grid
from ..core.checks import require, require_count, require_seed
from ..core.grid import cell_centres
from ..core.rng import child
from ..core.types import Fields, Fitted, Problem
from ..observation.active import Search, interval, planned
from ..problems import held_out
from .kept import keep, kept
from .skill import LINEAR
from .table import measured

POINTS = {1: (256,), 2: (48, 48), 3: (16, 16, 16)}
LOOKS = {"digits2d": (5, 10, 20, 40), "bump2d": (4, 8, 12, 16)}     # after how many looks a kept search is scored
PIXELS, PLANNED = 28, 256                                           # of a digit: its side, draws behind a plan


@torch.no_grad()
def learning_curves(rivals: Mapping[str, dict], problem: Problem, *, looks: int, tasks: int, seed: int,
                    draws: int = 64, every: int | Sequence[int] = 1, noise_std: float = 0.05) -> pd.DataFrame:
    """`looks` measurements by each of `rivals` on `tasks` functions: a row for each rival, task and number of looks.

    rivals[name] are keywords of a `Search`: `fitted`, `policy`, …. Columns: rival, task, looks, `rmse` of the mean of
    `draws` draws, their `crps`, and, for one coordinate, `width` of the interval in which a step may be. A row every
    `every` looks, or after these numbers of looks.
    """
    require_seed(seed), require_count(looks, "looks"), require_count(tasks, "tasks")
    after = {*range(0, looks + 1, require_count(every, "every")), looks} if isinstance(every, int) else set(every)
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
                if m in after:
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


def ways_to_look(fitted: Fitted, problem: Problem, looks: int, *, seed: int) -> dict[str, dict]:
    """Ways to choose where to look, as keywords of `Search`, by name.

    Where the exact posterior is known: it ("exact") and `fitted` ("model") where draws disagree, the model by mutual
    information; and, answered by the exact posterior so that only the places count, a grid and a refinement that knows
    no prior ("adaptive"). Of pictures, all answered by `fitted`: where its draws disagree; planned beforehand by the
    variance of the best linear answer, the same for every picture; a grid; at random.
    """
    exact = problem.oracle()
    if exact is not None:
        return {"exact": {"fitted": exact}, "model": {"fitted": fitted},
                "model, mutual information": {"fitted": fitted, "policy": "mutual_information"},
                "grid": {"fitted": exact, "policy": "grid"}, "adaptive": {"fitted": exact, "policy": adaptive_grid}}
    pixels = cell_centres((PIXELS,) * 2)
    plan = Search(baseline(LINEAR, problem), d=2, seed=seed, draws=PLANNED, candidates=pixels).ask(looks)
    ways = {"where draws disagree": "variance", "planned": planned(plan), "grid": "grid", "random": "random"}
    return {name: {"fitted": fitted, "policy": way, "candidates": pixels} for name, way in ways.items()}


def keep_looks(approach: str = "adaptive_sampling", name: str = "digits2d", *, tasks: int = 40, seed: int = 0) -> Path:
    """Measure `ways_to_look` on held-out functions after each number of LOOKS, a grid of as many each time, and keep
    the table in the package, with the key of the weights that it belongs to."""
    fitted, problem, after = store.load(store.find(approach, name), device="cpu"), problems.get(name), LOOKS[name]
    ways = ways_to_look(fitted, problem, max(after), seed=seed)
    grid = ways.pop("grid")
    setting = {"tasks": tasks, "seed": seed, "draws": 32}
    rows = pd.concat([learning_curves(ways, problem, looks=max(after), every=after, **setting), *(
        learning_curves({"grid": grid}, problem, looks=m, every=[m], **setting) for m in after)])
    rows = rows[["rival", "task", "looks", "rmse", "crps"]].round(5)
    return keep(rows, "looks", approach, name, **setting,
                command=f'nfdlab.evaluate.active_learning.keep_looks("{approach}", "{name}")')


def kept_looks(approach: str = "adaptive_sampling", name: str = "digits2d") -> pd.DataFrame:
    """The table that `keep_looks` made; a KeyError where it belongs to other weights."""
    return kept("looks", approach, name)
