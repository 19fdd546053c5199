"""Ranking of a benchmark: ratios to the exact posterior on each problem, with intervals and worst cases.

For each problem a ratio of mean scores at every pattern and size, over the same tasks; contestants are ranked by the
average (`results.Table`). Ratios of different problems are never averaged, since contestants differ between them.
"""

import csv
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path

import pandas as pd

from ..core.checks import require, require_name
from .cells import KEYS
from .results import Table
from .table import REFERENCE

RIVAL = "kriging"                                    # the reference where no exact posterior exists
CASE = ["pattern", "size", "seed", "task"]           # what two contestants must share to be compared


@dataclass(frozen=True, eq=False)
class Benchmark:
    """`rows`: one for each problem, pattern, size, contestant, seed and task. `left_out`, `failed`: lines to read."""

    rows: pd.DataFrame
    draws: int = 0
    left_out: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: str | Path, **rest) -> "Benchmark":
        """From a bench.csv, every number as it was; lines that begin with # are skipped."""
        require(Path(path).is_file(), must="path: a bench.csv.", came=str(path), why="There is no such file.",
                do="nfdlab bench -o FOLDER writes one.")
        with open(path, encoding="utf-8", newline="") as lines:      # pandas alone rounds the last digit, or may
            rows = pd.DataFrame(list(csv.DictReader(line for line in lines if not line.startswith("#"))))
        whole = dict.fromkeys(("seed", "task", "m"), int)
        return cls(rows.astype(whole | {name: float for name in rows.columns if name not in KEYS}), **rest)

    @cached_property
    def problems(self) -> list[str]:
        """Problems with scores of the reference."""
        have = self.rows.groupby("problem", sort=False)["contestant"].unique()
        return [name for name, found in have.items() if self._reference(found) in found]

    @staticmethod
    def _reference(found) -> str:
        return REFERENCE if REFERENCE in found else RIVAL

    def table(self, problem: str) -> Table:
        """The ratios of one problem, on the tasks of the reference; a case is a pattern and a size.

        Contestants without scores of all those tasks are left out.
        """
        require_name(problem, self.problems, "problem of this bench")
        rows = self.rows[self.rows["problem"] == problem]
        reference = self._reference(set(rows["contestant"]))
        asked = rows.loc[rows["contestant"] == reference, CASE].reset_index(drop=True)
        asked["at"] = asked.groupby(["pattern", "size"], sort=False).cumcount()      # its number within the case
        rows = rows.merge(asked, on=CASE)
        complete = rows.groupby("contestant")["at"].transform("size") == len(asked)
        rows = rows[complete].assign(task=rows["at"], m=rows["pattern"] + " " + rows["size"])
        return Table(rows.drop(columns=["problem", "pattern", "size", "seed", "at"]), problem, reference, self.draws)

    @cached_property
    def tables(self) -> dict[str, Table]:
        return {name: self.table(name) for name in self.problems}

    def ranking(self, metric: str = "crps") -> pd.DataFrame:
        """A row for each problem and contestant, best first: the metric's ratio averaged over cases, its 95 % interval,
        the worst case, and the averages of the other metrics."""
        rows = []
        for problem, table in self.tables.items():
            found = []
            for name in table.contestants:
                ratio = table.ratio(metric, name)
                value, low, high = ratio.loc["mean"]
                cases, worst = ratio.iloc[:-2][metric], ratio.loc["worst", metric]
                found.append({
                    "problem": problem, "contestant": name, "to": table.reference, metric: value, "low": low,
                    "high": high, "worst": worst, "where": cases.index[(cases == worst).argmax()], "cases": len(cases),
                    "tasks": len(table.values(metric, name)[table.counts[0]]),
                    **{m: table.ratio(m, name).loc["mean", m] for m in table.metrics if m != metric}})
            found.sort(key=lambda row: (row[metric], row["contestant"]))
            rows += [{"problem": problem, "rank": i, **row} for i, row in enumerate(found, 1)]
        return pd.DataFrame(rows)


def kept_rivals(pattern: str = "random") -> Benchmark:
    """The classical baselines on the problems where a network must win, observed by a pattern ("random", "frames"), as
    measured once and kept with the package; the first line of the file says by which command."""
    bench = Benchmark.read(Path(str(files("nfdlab.weights"))) / "rivals.csv", draws=32)
    known = bench.rows["pattern"].unique().tolist()
    return replace(bench, rows=bench.rows[bench.rows["pattern"] == require_name(pattern, known, "kept pattern")])
