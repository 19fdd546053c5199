"""Table of scores of contestants on the same tasks, and their ratios to a reference.

A ratio is (mean score of a contestant) / (mean score of the reference) over tasks, at each number of observations m;
the ratios are then averaged over m, so that large m, where scores are small, counts as much as small m. Intervals are
95 %, by a paired bootstrap over tasks.
"""

from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from ..core.checks import require, require_name
from ..core.files import write_text
from ..core.rng import child

RATIOS = {"crps": "crps", "energy": "energy", "variogram": "variogram", "rmse": "mse", "spread": "variance"}
ROOTS = ("rmse", "spread")                           # root of the ratio of mean squares
LOWER_IS_BETTER = ("crps", "energy", "variogram", "rmse")
SHARES = ("coverage90", "maximum90", "integral90")   # plain means: 0.90 is right
RESAMPLES = 2000


@dataclass(frozen=True, eq=False)
class Table:
    """`rows`: one for each contestant, m and task, with scores as columns (`evaluate.table.SCORES`, or some of them).

    m is a number of observations, or any label of a case; `reference` the contestant that ratios are taken to. In
    `summary`, `rmse` is the ratio of root mean square errors, `spread` that of root mean predictive variances. The
    shares of truths inside 90 % intervals, at points and of maximum and integral over the box, are not ratios.
    """

    rows: pd.DataFrame
    problem: str
    reference: str
    draws: int
    seed: int = 0
    _boot: dict = field(default_factory=dict, repr=False)

    @cached_property
    def contestants(self) -> list[str]:
        return self.rows["contestant"].unique().tolist()

    @cached_property
    def counts(self) -> list:
        return self.rows["m"].unique().tolist()

    @property
    def metrics(self) -> list[str]:
        """Ratios and shares that were measured."""
        return [m for m in (*RATIOS, *SHARES) if RATIOS.get(m, m) in self.rows]

    def values(self, metric: str, contestant: str) -> dict[object, np.ndarray]:
        """Raw scores task by task, for each m: {m: (tasks,)}."""
        require_name(metric, [c for c in self.rows.columns if c not in ("contestant", "m", "task")], "score")
        require_name(contestant, self.contestants, "contestant")
        return {m: self._cases[contestant, m][metric].to_numpy() for m in self.counts}

    @cached_property
    def _cases(self) -> dict[tuple, pd.DataFrame]:
        return dict(list(self.rows.sort_values("task", kind="stable").groupby(["contestant", "m"], sort=False)))

    def scores(self) -> pd.DataFrame:
        """Mean raw scores, a row for each contestant and m."""
        means = self.rows.drop(columns="task").groupby(["contestant", "m"], sort=False).mean()
        for square, root in (("mse", "rmse"), ("variance", "std")):
            if square in means:
                means.insert(means.columns.get_loc(square), root, means.pop(square) ** 0.5)
        return means

    def ratio(self, metric: str = "crps", contestant: str | None = None) -> pd.DataFrame:
        """One metric of one contestant (the first unless named): value, low, high at each m, then mean and worst."""
        found = self._resampled(metric, self.contestants[0] if contestant is None else contestant)
        found["mean"] = _averaged(found)
        out = {m: (value, *np.percentile(again, [2.5, 97.5])) for m, (value, again) in found.items()}
        rows = list(out.values())[:-1]
        out["worst"] = max(rows, key=lambda row: _distance(metric, row[0]))
        return pd.DataFrame.from_dict(out, orient="index", columns=[metric, "low", "high"]).rename_axis("m")

    def resampled(self, metric: str, contestant: str) -> tuple[float, np.ndarray]:
        """A metric averaged over m, and the same on RESAMPLES resamplings of the tasks, alike for all contestants."""
        return _averaged(self._resampled(metric, contestant))

    def _resampled(self, metric: str, contestant: str) -> dict[object, tuple[float, np.ndarray]]:
        """A metric at each m, and the same on RESAMPLES resamplings of the tasks."""
        require_name(metric, self.metrics, "metric"), require_name(contestant, self.contestants, "contestant")
        return {m: self._resampled_at(m, metric, contestant) for m in self.counts}

    def _resampled_at(self, m, metric: str, contestant: str) -> tuple[float, np.ndarray]:
        mine = self._cases[contestant, m][RATIOS.get(metric, metric)].to_numpy()
        ours = self._cases[self.reference, m][RATIOS[metric]].to_numpy() if metric in RATIOS else np.ones_like(mine)
        key, n = (m, len(mine)), len(mine)
        if key not in self._boot:                    # the same resamplings for every metric, contestant and reference
            rng = np.random.default_rng(child(self.seed, "bootstrap", m if isinstance(m, str) else int(m)))
            self._boot[key] = rng.multinomial(n, np.full(n, 1 / n), RESAMPLES) / n
        weights = self._boot[key]
        if not ours.any():                           # a point forecast as reference has no variance to divide by
            return float("nan"), np.full(RESAMPLES, np.nan)
        value, again = mine.mean() / ours.mean(), (weights @ mine) / (weights @ ours)
        if metric in ROOTS:
            return float(np.sqrt(value)), np.sqrt(again)
        return float(value), again

    def summary(self, *, intervals: bool = False) -> pd.DataFrame:
        """Ratios and shares for each contestant and m, then the mean over m and the worst m."""
        parts = {}
        for name in self.contestants:
            columns = {}
            for metric in self.metrics:
                found = self.ratio(metric, name)
                columns[metric] = found[metric]
                if intervals:
                    columns |= {f"{metric}_low": found["low"], f"{metric}_high": found["high"]}
            parts[name] = pd.DataFrame(columns)
        return pd.concat(parts, names=["contestant", "m"])

    def to_csv(self, path: str | Path) -> Path:
        """Write `rows`; an existing file is replaced only when the new one is complete."""
        path = Path(path)
        require(path.parent.is_dir(), must="path: a file name in a folder that exists.", came=str(path),
                why="The table is written there.", do=f"Make the folder {path.parent} first.")
        return write_text(path, self.rows.to_csv(index=False))

    def __str__(self) -> str:
        return f"{self._title()}\n{self._text().to_string()}"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self._title())}</p>{self._text().to_html()}"

    def _title(self) -> str:
        tasks = self.rows.groupby("m")["task"].nunique().min()
        return (f"{self.problem}: ratio to {self.reference}, {tasks} tasks at each m, {self.draws} draws; "
                f"the last three columns are shares, 0.90 is right; 95 % intervals in brackets")

    def _text(self) -> pd.DataFrame:
        """The summary with two decimals, and the interval of the CRPS beside it."""
        full = self.summary(intervals=True)
        text = pd.DataFrame({metric: full[metric].map("{:.2f}".format) for metric in self.metrics})
        text["crps"] += [f" [{low:.2f}, {high:.2f}]" for low, high in
                         zip(full["crps_low"], full["crps_high"], strict=True)]
        return text


def _averaged(found: dict) -> tuple[float, np.ndarray]:
    """The mean over m of values, and of their resamplings."""
    values, again = zip(*found.values(), strict=True)
    return float(np.mean(values)), np.mean(again, axis=0)


def _distance(metric: str, value: float) -> float:
    """How bad a value is: a large ratio, a spread far from 1, a share far from 0.90."""
    if metric in SHARES:
        return abs(value - 0.9)
    return abs(np.log(max(value, 1e-12))) if metric == "spread" else value
