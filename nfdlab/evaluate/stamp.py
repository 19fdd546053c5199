"""Scores kept with a trained approach: measured over many tasks when it is made, saved in its header."""

from collections.abc import Mapping

import pandas as pd

from ..baselines import get as baseline
from ..core.types import Fitted, Problem
from ..observation import patterns
from .results import Table
from .table import COUNTS as DEFAULT_COUNTS
from .table import score

# how many observations each problem is judged at; 0 is the prior
COUNTS = {"gp1d": (0, 1, 3, 5, 10, 20, 30), "sawtooth1d": (0, 2, 4, 8, 16), "gp2d": (0, 5, 20, 60, 120),
          "terrain2d": (205,), "discs2d": (0, 2, 4, 8), "photo2d": (30,), "families1d": (0, 2, 4, 8),
          "styles2d": (0, 10, 40), "step1d": (0, 2, 4, 8), "bump2d": (0, 4, 16),
          "digits2d": (8, 16, 32, 64, 128), "head2d": (20, 51, 154)}
# what is judged without an exact posterior: by the best linear answer from the same training draws, else by kriging
RULERS = dict.fromkeys(("digits2d", "head2d", "terrain2d", "film2dt", "shapes3d", "stars2d"), "optimal_interpolation")


def enlarged(side: int, *factors: int) -> dict:
    """Pictures of `side` points an axis, seen as averages over blocks of `factors` points."""
    return {f"×{k}": patterns.BlockAverage(cells=side // k, parts=k) for k in factors}


def whole_frames(*gaps: int) -> dict:
    """The prior, and every g-th of 16 whole frames of 16 cells a side."""
    return {0: None} | {f"every {gap}": patterns.Frames(every=gap) for gap in gaps}


# other patterns than random places, by label
CASES = {"powerlaw2d": {0: None, 16: patterns.Random(count=16), 64: patterns.Random(count=64),
                        "grid of 64": patterns.Grid(count=64)},
         "stars2d": {f"outline of {m}": patterns.Outline(count=m, level=0.0) for m in (10, 24)},
         "shapes3d": {"surface of 64": patterns.Outline(count=64, level=0.0)},
         "drift1dt": whole_frames(2, 4, 8), "two_speed1dt": whole_frames(3, 5, 7),
         "moving_disc2dt": whole_frames(4, 8) | {64: patterns.Random(count=64)},
         "film2dt": {f"every {gap}": patterns.Frames(every=gap) for gap in (2, 4, 8)} | {
             "5 % of points": patterns.Random(count=819)}}
# what an approach takes beyond that, on one problem
PAIRS = {("coarse_to_fine", "head2d"): enlarged(32, 4, 8) | {m: patterns.Random(count=m) for m in (51, 154)},
         ("coarse_to_fine", "terrain2d"): enlarged(64, 4, 8) | {205: patterns.Random(count=205)}}
DRAWS = {"film2dt": 32}             # draws of each task, where 64 would take hours
KEPT = ("crps", "energy", "variogram", "rmse", "spread", "coverage90", "maximum90", "integral90")


def stamp(fitted: Fitted, problem: Problem, *, tasks: int = 200, seed: int = 1, progress=None) -> Table:
    """Measure `fitted` against the exact posterior (a rival where there is none) and write the ratios into `.about`.

    about["scores"][metric][m] is a number, m a string as JSON keys are; "mean" and "worst" are over m. What the ratios
    are to is named in about["scores"]["to"].
    """
    rival = RULERS.get(problem.card.name, "kriging")
    reference = None if problem.oracle() is not None else baseline(rival, problem)
    table = score(fitted, problem, pattern=dict(cases_of(problem, fitted.about["approach"])), tasks=tasks, seed=seed,
                  draws=DRAWS.get(problem.card.name, 64), against=reference, progress=progress)
    kept = {metric: {str(m): round(float(v), 4) for m, v in table.ratio(metric)[metric].items()} for metric in KEPT}
    fitted.about["scores"] = {**kept, "tasks": tasks, "to": "exact posterior" if reference is None else rival}
    return table


def cases_of(problem: Problem, approach: str = "") -> list[tuple[object, object]]:
    """The (label, pattern) pairs that an approach is judged at on a problem; no pattern is the prior."""
    name = problem.card.name
    cases = PAIRS.get((approach, name), CASES.get(name))
    if cases is not None:
        return list(cases.items())
    return [(m, patterns.Random(count=m) if m else None) for m in COUNTS.get(name, DEFAULT_COUNTS[problem.d])]


def kept_scores(fitted: Mapping[str, Fitted]) -> pd.DataFrame:
    """The scores kept with trained approaches, a row for each name and number of observations.

    Columns: CRPS and spread as ratios, the share of truths in the 90 % band, the number of tasks, what the ratios are
    to, and how long the training was. An approach trained here was not measured: it has one row that says so.
    """
    rows = []
    for name, one in fitted.items():
        kept, seconds = one.about["scores"], one.about["budget"]["seconds"] or float("nan")
        for m, crps in kept.get("crps", {"trained here: not measured": float("nan")}).items():
            if m not in ("mean", "worst"):
                rows.append({"model": name, "seen": m, "CRPS": crps, "spread": kept.get("spread", {}).get(m),
                             "in the 90 % band": kept.get("coverage90", {}).get(m), "tasks": kept.get("tasks", 0),
                             "ratio to": kept.get("to", ""), "minutes of training": seconds / 60})
    return pd.DataFrame(rows).set_index(["model", "seen"]).round(3)
