"""Benchmark of contestants on problems and patterns -> one table; an interrupted run continues.

The run is a grid of cells (`cells.py`), computed in processes of one thread each; a finished cell is a file. The table
is made from those files in the order of the grid, so it is the same, byte for byte, for any number of processes and
interruptions. One run at a time in a folder.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from types import SimpleNamespace

from joblib import cpu_count

from .. import approaches, baselines, store
from .. import problems as places
from ..core.checks import require, require_count, require_name, require_number
from ..core.files import write_text
from ..core.processes import side_by_side
from ..observation.observing import observe
from ..observation.patterns import ALL
from ..recipes import knobs
from .cells import KEYS, Cell, fingerprint, read, run, sized
from .provenance import require_same_problem
from .ranking import RIVAL, Benchmark
from .results import RATIOS, SHARES
from .table import COUNTS, REFERENCE, TWIN

SCORES = (*RATIOS, *SHARES)


def bench(contestants: Sequence[str] | None = None, problems: Sequence[str] | None = None, *,
          patterns: Sequence[str] = ("random",), counts: Sequence[int] | None = None,
          shares: Sequence[float] | None = None, seeds: int = 1, tasks: int = 20, draws: int = 64,
          noise_std: float = 0.05, scores: Sequence[str] = SCORES, jobs: int | None = None, out: str | Path = "bench",
          force: bool = False, progress: Callable[[int, int], object] | None = None) -> Benchmark:
    """Compute the cells that are missing, write `out`/bench.csv and `out`/ranking.csv, and return the table.

    `contestants` (default: all): "exact", "exact_again" (other draws of the exact posterior: the chance of so many
    draws), baselines, approaches whose weights ship, weights files. The reference, the exact posterior or else kriging,
    is always included. `counts` of observations, or `shares` of a base grid's cells; `seeds` times `tasks` tasks for
    each pattern and size; `scores` as `Table.metrics`; `jobs` processes (default: one a core); `force` recomputes
    everything. `progress(done, total)` is called after each cell.
    """
    require_count(tasks, "tasks"), require_count(draws, "draws", 2), require_number(noise_std, "noise_std", 0.0)
    jobs = cpu_count() if jobs is None else require_count(jobs, "jobs")
    columns = _columns(scores)
    cells, left_out = grid(contestants, problems, patterns=patterns, counts=counts, shares=shares, seeds=seeds)
    require(len(cells) > 0, must="At least one contestant that can answer one of the problems.",
            came="; ".join(left_out) or "none", why="There is no cell to compute.", do="nfdlab list names all.")
    cells = [replace(c, tasks=tasks, draws=draws, noise_std=float(noise_std), scores=columns) for c in cells]
    out = Path(out)
    folder = out / "cells"
    folder.mkdir(parents=True, exist_ok=True)
    todo = [cell for cell in cells if force or read(cell, folder) is None]
    failed = _compute(todo, folder, jobs, lambda done: progress and progress(len(cells) - len(todo) + done, len(cells)))
    found = [read(cell, folder) for cell in cells if cell.name not in failed]
    lines = [",".join((*KEYS, *columns)) + "\n", *(line for rows in found for line in rows or ())]
    write_text(out / "bench.csv", "".join(lines))
    for stale in folder.glob("*.part"):              # left by a process that was killed
        stale.unlink(missing_ok=True)
    table = Benchmark.read(out / "bench.csv", draws=draws, left_out=tuple(left_out),
                           failed=tuple(f"{name}: {error}" for name, error in failed.items()))
    write_text(out / "ranking.csv", table.ranking().to_csv(index=False, float_format="%.4f", lineterminator="\n"))
    return table


def grid(contestants=None, problems=None, *, patterns=("random",), counts=None, shares=None,
         seeds: int = 1) -> tuple[list[Cell], list[str]]:
    """The cells, and a line for each contestant or size that cannot take part, with the reason."""
    require_count(seeds, "seeds")
    names, cells, lacking = _contestants(contestants), [], {}
    for name, problem in _problems(problems):
        exact = problem.oracle() is not None
        everyone = {}
        for rival in dict.fromkeys([*names, REFERENCE if exact else RIVAL]):
            weights, digest, reason = ("", "", "" if exact else "no exact posterior") if rival in (REFERENCE, TWIN) \
                else _weights(rival, problem)
            if reason:
                lacking.setdefault((rival, reason), []).append(name)
            else:
                everyone[Path(rival).stem] = weights, digest
        one = problem.draw(1, seed=0)
        for pattern, size in product(_named(patterns, ALL, "pattern"), _sizes(counts, shares, problem.d)):
            try:
                observe(one, sized(pattern, size), seed=0)
            except ValueError as error:
                lacking.setdefault((f"{pattern} {size}", str(error).partition("\n")[0]), []).append(name)
                continue
            cells += [Cell(name, pattern, size, rival, seed, 0, 0, 0.0, (), repr(knobs(problem)), digest, weights)
                      for (rival, (weights, digest)), seed in product(everyone.items(), range(seeds))]
    return cells, [f"{what} not on {', '.join(where)}: {why}" for (what, why), where in lacking.items()]


def _compute(todo: list[Cell], folder: Path, jobs: int, progress) -> dict[str, str]:
    """Run cells in processes; {name: error} of those that failed."""
    failed = {}
    if not todo:
        progress(0)
    for done, ((cell, _), result, error) in enumerate(side_by_side(run, ((c, folder) for c in todo), min(
            jobs, max(1, len(todo)))), 1):
        said = result[1] if error is None else type(error).__name__              # out of memory, say
        if said:
            failed[cell.name] = said
        progress(done)
    return {cell.name: failed[cell.name] for cell in todo if cell.name in failed}


def _contestants(names) -> list[str]:
    trained = list(dict.fromkeys(approach for approach, _ in store.shipped()))
    trained += store.variants()
    if names is None:
        return [*baselines.names(), *trained, REFERENCE, TWIN]
    _listed(names, known := [*baselines.names(), *approaches.names(), *trained, REFERENCE, TWIN], "contestant")
    files = [n for n in names if str(n).endswith(".safetensors")]
    _named([n for n in names if n not in files] or [REFERENCE], known, "contestant")
    names = list(dict.fromkeys(map(str, names)))
    stems = [Path(n).stem for n in names]
    require(len(set(stems)) == len(stems), must="contestants: different names.", came=", ".join(names),
            why="A weights file is called by its name without folder and suffix.", do="Rename one of the files.")
    return names


def _problems(names) -> Iterator[tuple[str, object]]:
    """Name and problem; by default all that need no data from the user."""
    for name in places.names() if names is None else _named(names, places.names(), "problem"):
        try:
            yield name, places.get(name)
        except (TypeError, ValueError):
            if names is not None:
                raise


def _weights(rival: str, problem) -> tuple[str, str, str]:
    """A trained contestant's file and its digest, or why it has none for this problem."""
    if rival in baselines.names():
        return "", "", ""
    approach, _, prior = rival.partition("--")
    path = Path(rival) if rival.endswith(".safetensors") else store.shipped(prior or None).get(
        (approach, problem.card.name))
    if path is None:
        return "", "", "no weights ship"
    if not path.is_file():
        return "", "", f"no file {path}"
    try:
        require_same_problem(SimpleNamespace(about=store.about(path)), problem)
    except ValueError as error:
        return "", "", str(error).partition("\n  why:")[0].replace("\n ", "")
    return str(path.resolve()), fingerprint(path.read_bytes()), ""


def _sizes(counts, shares, d: int) -> list[int | float]:
    require(counts is None or shares is None, must="counts or shares, one of the two.",
            came=f"counts={counts}, shares={shares}", why="Each is a way to say how much is seen.", do="Leave one out.")
    for what, sizes in (("counts", counts), ("shares", shares)):
        require(sizes is None or isinstance(sizes, Sequence) and not isinstance(sizes, str | bytes), kind=TypeError,
                must=f"{what}: a list of numbers.", came=sizes, why="The bench is a grid.", do=f"{what}=(3, 5).")
    if shares is not None:
        return [require_number(share, "share", 0.0, 1.0, open_low=True) for share in dict.fromkeys(shares)]
    return [require_count(count, "count", 0) for count in dict.fromkeys(COUNTS[d] if counts is None else counts)]


def _columns(scores) -> tuple[str, ...]:
    """Columns of the table for the names of metrics."""
    for score in _named(scores, SCORES, "score"):
        require_name(score, SCORES, "score")
    require("crps" in scores, must="scores: crps among them.", came=", ".join(scores) or "none",
            why="The ranking is by its ratio.", do='scores=("crps", "coverage90").')
    return tuple(RATIOS.get(score, score) for score in SCORES if score in scores)


def _listed(names, known, what: str) -> None:
    require(isinstance(names, Sequence) and not isinstance(names, str | bytes) and len(names) > 0,
            must=f"{what}s: a list of at least one name.",
            came=names, why="The bench is a grid of names.",
            do=f"One of: {', '.join(known)}.")


def _named(names, known, what: str) -> list[str]:
    _listed(names, known, what)
    return [require_name(name, known, what) for name in dict.fromkeys(names)]
