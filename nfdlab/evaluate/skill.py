"""Skill of a model: its share of the way from the best classical baseline to the exact posterior, from a `Table`.

At each number of observations m, mean scores of the rival and of the model are divided by the exact posterior's; these
ratios are averaged over m, as in `Table.ratio`; then skill = (rival − model) / (rival − 1). 0 is the rival, 1 the exact
posterior. Averaged first and divided once: at a single m the rival may leave next to nothing to gain.
"""

from dataclasses import dataclass, replace

import numpy as np

from ..baselines import names as baseline_names
from ..core.checks import require, require_name
from .results import LOWER_IS_BETTER, Table
from .table import REFERENCE

LINEAR = "optimal_interpolation"
NOTHING = 0.02                       # a rival within this share of the exact posterior leaves nothing to gain


@dataclass(frozen=True)
class Skill:
    """`value` with its 95 % interval `low`, `high`: the share of the way from the `rival` to the exact posterior, or,
    where there is none, the ratio to the rival (`is_ratio`). NaN where there is nothing to gain. `rival_ratio`: the
    rival's own ratio to the exact posterior, 1 without one.
    """

    model: str
    metric: str
    rival: str
    rival_ratio: float
    value: float
    low: float
    high: float
    is_ratio: bool = False

    @property
    def nothing_to_gain(self) -> bool:
        """Whether the rival is as good as exact."""
        return not self.is_ratio and self.rival_ratio < 1 + NOTHING

    @property
    def short(self) -> str:
        """For a column of skills: the value with its interval; a ratio says to whom."""
        what = f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"
        return "nothing to gain" if self.nothing_to_gain else f"{what} × {self.rival}" if self.is_ratio else what

    def __str__(self) -> str:
        if self.nothing_to_gain:
            return f"{self.short}: {self.rival} is within {NOTHING:.0%} of exact"
        return self.short if self.is_ratio else f"{self.short}, from {self.rival} (0) to exact (1)"


def skill(table: Table, model: str | None = None, metric: str = "crps") -> Skill:
    """Skill of a contestant of `table` (the first unless named), in one of its ratios.

    The rival is the classical baseline of the least score on all tasks, as ratio averaged over m; optimal interpolation
    must be among them. The interval is by the table's resamplings of tasks, the same for model, rival and exact.
    """
    model = table.contestants[0] if model is None else require_name(model, table.contestants, "contestant")
    require_name(metric, [m for m in LOWER_IS_BETTER if m in table.metrics], "score of skill")
    rivals = [name for name in table.contestants if name in baseline_names()]
    require(LINEAR in rivals, must=f"table: {LINEAR} among its contestants.", came=", ".join(table.contestants),
            why="Skill begins at the best classical baseline, and the best linear answer is always one of them.",
            do=f'compare({{…, "{LINEAR}": baselines.get("{LINEAR}", problem)}}, problem).')
    exact = table.reference == REFERENCE
    found = {name: table.resampled(metric, name) for name in rivals}
    rival = min(rivals, key=lambda name: found[name][0])
    (best, best_again), (mine, mine_again) = found[rival], table.resampled(metric, model)
    if not exact:
        ratio = replace(table, reference=rival).ratio(metric, model).loc["mean"]
        return Skill(model, metric, rival, 1.0, *ratio.tolist(), is_ratio=True)
    if best < 1 + NOTHING:
        return Skill(model, metric, rival, best, *[float("nan")] * 3)
    again = (best_again - mine_again) / (best_again - 1)
    low, high = np.percentile(again, [2.5, 97.5])
    return Skill(model, metric, rival, best, (best - mine) / (best - 1), float(low), float(high))
