"""Error of a latent approach, attributed to reconstruction, prior or conditioning."""

from dataclasses import dataclass

from torch import Tensor

from .. import problems
from ..core.capabilities import HasLatents
from ..core.checks import require, require_count, require_seed
from ..core.grid import cell_centres
from ..core.rng import child
from ..core.types import Fitted, Problem
from .results import Table
from .scores import energy_distance
from .table import GRIDS, score


@dataclass(frozen=True)
class ErrorBreakdown:
    """`reconstruction`: RMS error of decode(encode(fresh functions)), over their standard deviation.
    `prior`: energy distance of prior draws to fresh functions; `fresh`: the same of other fresh functions.
    `conditioning`: CRPS given observations as a ratio to the exact posterior's, averaged over numbers of observations.
    """

    reconstruction: float
    prior: float
    fresh: float
    conditioning: float
    table: Table

    @property
    def generation_gap(self) -> float:
        """Energy distance of the prior draws beyond that between fresh functions."""
        return self.prior - self.fresh


def error_breakdown(fitted: Fitted, problem: Problem, *, counts=None, tasks: int = 20, functions: int = 256,
                    seed: int = 0, points: Tensor | None = None) -> ErrorBreakdown:
    """Measure an approach that offers `encode(fields)` and `decode(latents)`, stage by stage, at `points` (p, d)."""
    require(isinstance(fitted, HasLatents), kind=TypeError, came=fitted,
            must="fitted: an approach over latents, with encode(fields) and decode(latents).",
            why="Its reconstruction is measured alone.", do="evaluate.table.score for all others.")
    require_count(functions, "functions", 8), require_seed(seed)
    points = cell_centres(GRIDS[problem.d]) if points is None else points
    source = problems.held_out(problem)
    truths = source.draw(functions, seed=child(seed, "truths"))
    real, others = truths(points), source.draw(functions, seed=child(seed, "others"))(points)
    kept = fitted.decode(fitted.encode(truths))(points)
    drawn = fitted.draw(None, functions, seed=child(seed, "drawn"))(points)
    table = score(fitted, problem, counts=counts, tasks=tasks, seed=seed)
    return ErrorBreakdown(float((kept - real).square().mean().sqrt() / real.std()),
                          float(energy_distance(drawn, real)), float(energy_distance(others, real)),
                          float(table.ratio("crps").loc["mean"].iloc[0]), table)
