"""The scores a trained approach carries with it: measured over many tasks when it was made, and kept in its file."""

from ..baselines import get as baseline
from ..core.types import Fitted, Problem
from .results import Table
from .table import score

# how many observations each problem is judged at; 0 is the prior
COUNTS = {"gp1d": (0, 1, 3, 5, 10, 20, 30), "sawtooth1d": (0, 2, 4, 8, 16), "gp2d": (0, 5, 20, 60), "terrain2d": (205,),
          "discs2d": (0, 2, 4, 8), "photo2d": (30,), "families1d": (0, 2, 4, 8), "styles2d": (0, 10, 40),
          "stars2d": (10, 30)}
KEPT = ("crps", "energy", "variogram", "rmse", "spread", "coverage90", "maximum90", "integral90")


def stamp(fitted: Fitted, problem: Problem, *, tasks: int = 200, seed: int = 1, progress=None) -> Table:
    """Measure `fitted` against the exact posterior (kriging where there is none) and write the ratios into `.about`.

    about["scores"][metric][m] is a number, m a string as JSON keys are; "mean" and "worst" are over m. Ratios to
    kriging are named so in about["scores"]["to"].
    """
    rival = None if problem.oracle() is not None else baseline("kriging")
    table = score(fitted, problem, counts=COUNTS.get(problem.card.name), tasks=tasks, seed=seed, against=rival,
                  progress=progress)
    kept = {metric: {str(m): round(float(v), 4) for m, v in table.ratio(metric)[metric].items()} for metric in KEPT}
    fitted.about["scores"] = {**kept, "tasks": tasks, "to": "exact posterior" if rival is None else "kriging"}
    return table
