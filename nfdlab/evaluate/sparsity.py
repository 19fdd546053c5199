"""Scores against the observed share: a curve for each pattern and contestant, and the area under it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..core.checks import require, require_number
from ..core.types import Fitted, Problem
from ..observation import patterns as known
from .results import Table
from .table import compare

SHARES = (0.01, 0.03, 0.1, 0.3)


@dataclass(frozen=True, eq=False)
class Curves:
    """`tables`: pattern's name -> ratios at each share (m is the number of points). `shares`: m -> share, a pattern's.

    `practised`: names of the patterns used in training; on the others a model must have learned the problem itself.
    """

    tables: dict[str, Table]
    shares: dict[str, dict[int, float]]
    practised: tuple[str, ...] = ()

    def curve(self, metric: str = "crps") -> pd.DataFrame:
        """A row for each pattern, contestant and share: m, the ratio, its 95 % interval."""
        rows = []
        for pattern, table in self.tables.items():
            for name in table.contestants:
                ratio = table.ratio(metric, name)
                rows += [{"pattern": pattern, "contestant": name, "share": share, "m": m, metric: ratio.loc[m, metric],
                          "low": ratio.loc[m, "low"], "high": ratio.loc[m, "high"]}
                         for m, share in self.shares[pattern].items()]
        return pd.DataFrame(rows)

    def areas(self, metric: str = "crps") -> pd.DataFrame:
        """Average ratio over log share (area under the curve / its width) with its 95 % interval.

        A row for each pattern and contestant; `practised` says whether training used the pattern.
        """
        rows = []
        for pattern, table in self.tables.items():
            weights = trapezoid(np.log(list(self.shares[pattern].values())))
            for name in table.contestants:
                value, low, high = table.ratio(metric, name, weights=weights).loc["mean"]
                rows.append({"pattern": pattern, "practised": pattern in self.practised, "contestant": name,
                             metric: value, "low": low, "high": high})
        return pd.DataFrame(rows)

    def across(self, metric: str = "crps") -> pd.DataFrame:
        """The areas as a table of patterns by contestants, patterns not used in training last."""
        wide = self.areas(metric).pivot(index=["practised", "pattern"], columns="contestant", values=metric)
        return wide[next(iter(self.tables.values())).contestants].sort_index(ascending=[False, True])


def sparsity_curve(contestants: dict[str, Fitted], problem: Problem, *, shares: Sequence[float] = SHARES,
                   patterns: Sequence = (known.Random,), practised: Sequence = (known.Random,), of: int = 64,
                   **how) -> Curves:
    """Score contestants at each share of a base grid's cells, `of` a side, through each pattern.

    `patterns`: classes of patterns, made with share= and of=; `how` goes to `compare`: tasks, draws, seed, …. All
    contestants get the same tasks at one pattern and share, so intervals are paired.
    """
    shares = sorted(require_number(share, "share", 0.0, 1.0, open_low=True) for share in shares)
    sizes = [round(share * of**problem.d) for share in shares]
    require(len(shares) > 0 and sizes[0] > 0 and len(set(sizes)) == len(sizes),
            must="shares: at least one, each of more cells than the last.", came=f"{shares}, which are {sizes} cells",
            why="A curve has different sizes.", do=f"shares=(0.05, 0.2), or a finer base grid, of={4 * of}.")
    tables = {}
    for pattern in patterns:
        parts = [compare(contestants, problem, pattern=pattern(share=share, of=of), **how) for share in shares]
        rows = pd.concat([part.rows for part in parts], ignore_index=True)
        tables[_name(pattern)] = Table(rows, parts[0].problem, parts[0].reference, parts[0].draws, parts[0].seed)
    return Curves(tables, {name: dict(zip(table.counts, shares, strict=True)) for name, table in tables.items()},
                  tuple(_name(pattern) for pattern in practised))


def trapezoid(x: np.ndarray) -> np.ndarray:
    """Weights (k,) summing to 1 whose weighted sum is the mean height of straight lines over x (k,), ascending."""
    if len(x) == 1:
        return np.ones(1)
    steps = np.diff(x) / 2
    return (np.append(steps, 0) + np.insert(steps, 0, 0)) / (x[-1] - x[0])


def _name(pattern) -> str:
    return getattr(pattern, "__name__", type(pattern).__name__).lower()
