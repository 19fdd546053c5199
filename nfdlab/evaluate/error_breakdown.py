"""Which stage is at fault: the latent that forgets, the prior that dreams, or the steering that mishears."""

from dataclasses import dataclass

from torch import Tensor

from .. import problems
from ..core.checks import require, require_count, require_seed
from ..core.grid import cell_centres
from ..core.rng import child
from ..core.types import Fitted, Problem
from .results import Table
from .scores import energy_distance
from .table import GRIDS, score


@dataclass(frozen=True)
class Stages:
    """`floor`: root mean square error of decoded latents of fresh functions, as a share of their own spread.
    `prior`: energy distance of as many prior draws to fresh functions, and `real`: of other fresh functions to them.
    `conditional`: CRPS given observations, as a ratio to the exact posterior's, averaged over how many were seen.
    """

    floor: float
    prior: float
    real: float
    conditional: float
    table: Table

    @property
    def gap(self) -> float:
        """The generation gap, in units of the energy distance: what sampling adds to what the latent loses anyway."""
        return self.prior - self.real


def stages(fitted: Fitted, problem: Problem, *, counts=None, tasks: int = 20, functions: int = 256, seed: int = 0,
           points: Tensor | None = None) -> Stages:
    """Measure an approach over latents, one that offers `latent(fields)` and `decode(latents)`, stage by stage."""
    require(hasattr(fitted, "encode") and hasattr(fitted, "decode"), kind=TypeError, came=fitted,
            must="fitted: an approach over codes, with code(fields) and decode(codes).",
            why="Its first stage is measured alone.", do="evaluate.table.score for all others.")
    require_count(functions, "functions", 8), require_seed(seed)
    points = cell_centres(GRIDS[problem.d]) if points is None else points
    source = problems.held_out(problem)
    truths = source.draw(functions, seed=child(seed, "truths"))
    real, others = truths(points), source.draw(functions, seed=child(seed, "others"))(points)
    kept = fitted.decode(fitted.encode(truths))(points)
    drawn = fitted.draw(None, functions, seed=child(seed, "drawn"))(points)
    table = score(fitted, problem, counts=counts, tasks=tasks, seed=seed)
    return Stages(float((kept - real).square().mean().sqrt() / real.std()), float(energy_distance(drawn, real)),
                  float(energy_distance(others, real)), float(table.ratio("crps").loc["mean"].iloc[0]), table)
