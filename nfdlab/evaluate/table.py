"""Score contestants and the exact posterior on the same tasks: same truth, observations and number of draws -> Table.

Task i with m observations has its own streams, derived from (seed, m, i), so more tasks only append and every
contestant gets the same ones. Truths come from the side of the problem that training never sees.
"""

import re
from collections.abc import Callable, Iterable, Sequence

import pandas as pd
import torch
from torch import Tensor

from .. import baselines, problems
from ..core.capabilities import MeasuresLinearly, Pattern, record_of
from ..core.checks import require, require_coords, require_count, require_number, require_seed
from ..core.grid import cell_centres
from ..core.rng import child
from ..core.types import LARGEST, Fitted, Problem
from ..observation import patterns
from ..observation.observing import observe
from . import calibration, scores
from .provenance import require_same_problem
from .results import Table

# where fields are compared by default: all pairs of points count
GRIDS = {1: (128,), 2: (24, 24), 3: (8, 8, 8), 4: (6, 6, 6, 6)}
COUNTS = {1: (1, 3, 5, 10, 20), 2: (5, 20, 60), 3: (5, 20, 60), 4: (5, 20, 60)}
REFERENCE, TWIN = "exact", "exact_again"             # the twin has other draws: its ratio shows their chance


def score(fitted: Fitted, problem: Problem, *, counts=None, pattern=patterns.Random, tasks: int = 100, draws: int = 64,
          noise_std: float = 0.05, seed: int = 0, points: Tensor | None = None, against: Fitted | None = None,
          progress: Callable[[int, int], object] | None = None) -> Table:
    """One contestant beside the reference; see `compare` for the rest."""
    return compare({name_of(fitted): fitted}, problem, counts=counts, pattern=pattern, tasks=tasks, draws=draws,
                   noise_std=noise_std, seed=seed, points=points, against=against, progress=progress)


def compare(contestants: dict[str, Fitted], problem: Problem, *, counts=None, pattern=patterns.Random, tasks: int = 100,
            draws: int = 64, noise_std: float = 0.05, seed: int = 0, points: Tensor | None = None,
            against: Fitted | None = None, progress: Callable[[int, int], object] | None = None) -> Table:
    """Several contestants on the same tasks, and the reference as the last row.

    `counts`: numbers of observations, 0 for the prior. `pattern`: a class of patterns, made with count=; or one pattern
    or a dictionary {label: pattern}, None for the prior (then no counts). `points` (p, d): where fields are compared.
    `against`: the reference of the ratios; by default the exact posterior, or kriging where there is none.
    `progress(done, total)` is called after each task.
    """
    require(isinstance(contestants, dict) and len(contestants) > 0, kind=TypeError,
            must="contestants: a dictionary of name and Fitted.", came=contestants,
            why="Rows of the table have names.", do='compare({"mine": model}, problem).')
    require_count(tasks, "tasks"), require_count(draws, "draws", 2)
    require_seed(seed), require_number(noise_std, "noise_std", 0.0)
    require(isinstance(problem, Problem), kind=TypeError, must="problem: a Problem.", came=problem,
            why="Tasks are drawn from it.", do='nfdlab.problems.get("gp1d").')
    for name, fitted in contestants.items():
        require_same_problem(fitted, problem)
        require(isinstance(fitted, Fitted), kind=TypeError, must=f"{name}: something with draw(seen, n, seed=).",
                came=fitted, why="It is asked for draws given the observations.",
                do='nfdlab.load("sparse_conditional", "gp1d"), a baseline or an exact posterior.')
    cases = _cases(counts, pattern, problem.d)
    points = cell_centres(GRIDS[problem.d]) if points is None else require_coords(points, problem.d)
    require(len(points) > 1, must="points: at least two.", came=points, why="Some scores compare pairs of points.",
            do="nfdlab.cell_centres((64,)).")
    reference, everyone = _with_reference(contestants, problem, against)
    source, rows, total = problems.held_out(problem), [], tasks * len(cases)
    for m, case in cases:
        for i in range(tasks):
            own = child(seed, "task", m, i)
            truth = source.draw(1, seed=child(own, "truth"))
            seen = observe(truth, case, noise_std=noise_std, seed=child(own, "seen")) if case is not None else None
            target = truth(points)[0]
            for name, fitted in everyone.items():
                found = fitted.draw(seen, draws, seed=child(own, "draws", name))(points)
                rows.append({"contestant": name, "m": m, "task": i, **measure(found, target, problem.d)})
            if progress is not None:
                progress(len(rows) // len(everyone), total)
    return Table(pd.DataFrame(rows), problem.card.name, reference, draws, seed)


SCORES = {                                           # (draws, truth, d) -> (); in the order of the columns
    "crps": lambda draws, truth, d: scores.crps(draws, truth),
    "energy": lambda draws, truth, d: scores.energy(draws, truth),
    "variogram": lambda draws, truth, d: scores.variogram(draws, truth),
    "mse": lambda draws, truth, d: scores.mse(draws, truth),
    "variance": lambda draws, truth, d: scores.variance(draws),
    "psnr": lambda draws, truth, d: scores.psnr(draws, truth),
    "coverage90": lambda draws, truth, d: calibration.coverage(draws, truth),
    "maximum90": lambda draws, truth, d: calibration.functional_coverage(draws, truth, calibration.maximum),
    "integral90": lambda draws, truth, d: calibration.functional_coverage(
        draws, truth, lambda values: calibration.integral(values, d)),
}


def measure(draws: Tensor, truth: Tensor, d: int) -> dict[str, float]:
    """All scores of one task: draws (n, p, c), truth (p, c) on cell centres."""
    return {name: float(value) for name, value in measured(draws, truth, d).items()}


@torch.inference_mode()
def measured(draws: Tensor, truth: Tensor, d: int, columns: Sequence[str] = tuple(SCORES)) -> dict[str, Tensor]:
    """Scores of many tasks at once: draws (…, n, p, c), truth (…, p, c) -> (…,) for each of `columns`.

    n equal draws (a point forecast) have the scores of one draw, which is far cheaper.
    """
    scores.check(draws, truth)
    largest = max(float(draws.abs().max()), float(truth.abs().max()))
    require(largest <= LARGEST, must=f"draws and truth: numbers between -{LARGEST:g} and {LARGEST:g}.",
            came=f"{largest:.3g}", why="Squares of larger ones are infinite.", do="Other units.")
    draws, truth = draws.detach().to("cpu", torch.float32), truth.detach().to("cpu", torch.float32)
    if bool((draws[..., 1:, :, :] == draws[..., :1, :, :]).all()):
        draws = draws[..., :1, :, :]
    return {name: SCORES[name](draws, truth, d) for name in columns}


def name_of(fitted) -> str:
    """Name of a contestant: its approach, else its class in snake case, which is a baseline's own name."""
    return record_of(fitted).get("approach", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(fitted).__name__).lower())


def _cases(counts, pattern, d: int) -> list[tuple[object, object]]:
    """(m, pattern) pairs."""
    if not callable(pattern):                        # patterns as they are
        require(counts is None, must="counts: none, when patterns are given as they are.", came=counts,
                why="A pattern already has a size.", do="Leave counts out, or pass pattern=nfdlab.patterns.Random.")
        if isinstance(pattern, dict):
            require(len(pattern) > 0, must="pattern: at least one label and pattern.", came=pattern,
                    why="Each has its own rows.", do="pattern={'every 4': nfdlab.patterns.Frames(every=4)}.")
            return list(pattern.items())
        known = isinstance(pattern, patterns.Sized | MeasuresLinearly)
        require(known or isinstance(pattern, Pattern), kind=TypeError, must="pattern: a Pattern, or a class of them.",
                came=pattern, why="It says which places are seen.", do="pattern=nfdlab.patterns.Random.")
        return [(pattern.size(d) if known else len(pattern.coords(d, seed=0)), pattern)]
    require(counts is None or isinstance(counts, Iterable), kind=TypeError, must="counts: numbers of observations.",
            came=counts, why="Each has its own rows in the table.", do="counts=(1, 3, 5, 10, 20).")
    counts = COUNTS[d] if counts is None else tuple(counts)
    require(len(counts) > 0 and len(set(counts)) == len(counts), must="counts: different numbers of observations.",
            came=counts, why="Each has its own rows in the table.", do="counts=(1, 3, 5, 10, 20).")
    for m in counts:
        require_count(m, "counts", 0)
    return [(m, pattern(count=m) if m else None) for m in counts]


def _with_reference(contestants: dict, problem: Problem, against: Fitted | None) -> tuple[str, dict]:
    """The reference's name, and everyone with the reference at the end."""
    oracle = problem.oracle() if against is None else None
    fitted = next(f for f in (oracle, against, baselines.get("kriging")) if f is not None)
    reference = REFERENCE if fitted is oracle else name_of(fitted)
    return reference, contestants if reference in contestants else {**contestants, reference: fitted}
