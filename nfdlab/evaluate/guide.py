"""The decision guide: which approach for which data and need, each answer computed from a bake-off.

Ratios of different problems are never averaged as they are. On each problem an approach's *regret* is its ratio over
that of the best approach there: 1 is the best, 1.5 has half as much error again. Regrets are averaged over problems as
factors (geometric mean).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from .. import approaches, baselines
from ..core.checks import require_name
from .bake_off import FEW, MANY, PROBLEMS, BakeOff
from .results import Table

FROM_POINTS = ("score_field", "modulated_field")     # trained on scattered points of each function too
NEAR, ALIKE = 1.25, 1.05                             # regret that speed may cost; that makes no difference


@dataclass(frozen=True)
class Branch:
    """`need`: what one has or asks for; `take`: the contestant that the measurements name; `because`: the numbers;
    `also`: approaches that cannot be told from it, or, over all problems, that are within 5 % of it."""

    need: str
    take: str
    because: str
    also: tuple[str, ...] = ()


def entrants(found: BakeOff) -> list[str]:
    """Approaches that took part after an equal training."""
    took_part = found.bench.rows["contestant"].unique()
    return [name for name in approaches.names() if name in took_part]


def table_of(found: BakeOff, problem: str, where: str = "") -> Table:
    """The scores of one problem, at the cases whose name contains `where`: "random", "clusters", "random 4"."""
    whole = found.bench.tables[require_name(problem, found.bench.problems, "problem of this bench")]
    rows = whole.rows[[where == case or where in case.split() for case in whole.rows["m"]]] if where else whole.rows
    return replace(whole, rows=rows.reset_index(drop=True))


def regrets(found: BakeOff, metric: str = "crps", where: Callable[[str], str] = lambda problem: "",
            names: list[str] | None = None) -> pd.DataFrame:
    """Regret of each approach (rows) on each problem (columns), and over all, "all", as a geometric mean."""
    names, columns = entrants(found) if names is None else names, {}
    for problem in found.bench.problems:
        table = table_of(found, problem, where(problem))
        values = pd.Series({name: table.ratio(metric, name).loc["mean", metric] for name in names})
        columns[problem] = values / values.min()
    frame = pd.DataFrame(columns)
    frame["all"] = np.exp(np.log(frame).mean(axis=1))
    return frame.sort_values("all")


def by_kind(found: BakeOff, kind: str) -> Branch:
    """Which approach for a kind of data: the least CRPS on its problem."""
    problem = PROBLEMS[kind]
    table, names = table_of(found, problem), entrants(found)
    ratio = {name: table.ratio("crps", name).loc["mean"].tolist() for name in names}
    best = min(names, key=lambda name: ratio[name][0])
    to_best = replace(table, reference=best)
    also = tuple(n for n in names if n != best and to_best.ratio("crps", n).loc["mean", "low"] <= 1)
    rival = min((n for n in baselines.names() if n in table.contestants),
                key=lambda n: table.ratio("crps", n).loc["mean", "crps"])
    beside = table.ratio("crps", rival).loc["mean", "crps"]
    said = "{:.2f} [{:.2f}, {:.2f}]".format(*ratio[best])
    to = "the exact posterior" if table.reference == "exact" else table.reference
    because = f"CRPS {said} times that of {to}; best classical rival, `{rival}`: {beside:.2f}"
    if beside < ratio[best][0]:
        return Branch(kind, rival, f"no approach does better after such a training: {because}", (best, *also))
    return Branch(kind, best, because, also)


def branches(found: BakeOff) -> list[Branch]:
    """The whole guide: first by kind of data, then by need."""
    return [*(by_kind(found, kind) for kind, problem in PROBLEMS.items() if problem in found.bench.problems),
            *by_need(found)]


def by_need(found: BakeOff) -> list[Branch]:
    """What to take over all problems, by the number and layout of observations and by what is asked of the answer."""
    axes = {problem: 1 if problem.endswith("1d") else 2 for problem in found.bench.problems}
    first = {"few observations": (regrets(found, where=lambda p: str(FEW[axes[p]])), "CRPS"),
             "many observations": (regrets(found, where=lambda p: str(MANY[axes[p]])), "CRPS"),
             "observations in clumps": (regrets(found, where=lambda p: "clusters"), "CRPS"),
             "whole functions that look right (sharpness)": (regrets(found, "variogram"), "variogram score")}
    rows = [Branch(need, frame.index[0], _regret(frame, what), tuple(
        frame.index[1:][frame["all"].iloc[1:] <= ALIKE * frame["all"].iloc[0]]))
        for need, (frame, what) in first.items()]
    overall, off = regrets(found), _off_coverage(found)
    ms = found.costs.set_index(["problem", "contestant"])["ms_draw"].unstack(0).loc[entrants(found)]
    slow = np.exp(np.log(ms).mean(axis=1))
    near = [name for name in overall.index if overall.loc[name, "all"] <= NEAR * overall["all"].min()]
    fast, scattered = slow[near].idxmin(), regrets(found, names=list(FROM_POINTS))
    return [*rows,
            Branch("bands that hold what they say (calibration)", off.idxmin(),
                   f"coverage of its 90 % bands is {off.min():.3f} off on average; "
                   f"the next, {off.nsmallest(2).iloc[1]:.3f}"),
            Branch(f"speed, at most {NEAR - 1:.0%} worse than the best", fast,
                   f"{slow[fast]:.2g} ms a draw on one core; fastest of all: `{slow.idxmin()}`, {slow.min():.2g} ms"),
            Branch("no whole functions to train on", scattered.index[0],
                   f"of those that train from scattered points; {_regret(scattered, 'CRPS')}")]


def extremes(found: BakeOff) -> pd.DataFrame:
    """For each approach its best and its worst problem, by regret, with the regrets."""
    frame = regrets(found).drop(columns="all")
    return pd.DataFrame({"best on": frame.idxmin(axis=1), "least regret": frame.min(axis=1),
                         "worst on": frame.idxmax(axis=1), "most regret": frame.max(axis=1)}).loc[entrants(found)]


def _off_coverage(found: BakeOff) -> pd.Series:
    """Mean distance of the 90 % bands' coverage from 0.9, over problems and cases."""
    off = {}
    for name in entrants(found):
        cases = [table_of(found, p).ratio("coverage90", name).iloc[:-2]["coverage90"] for p in found.bench.problems]
        off[name] = float(np.abs(np.concatenate(cases) - 0.9).mean())
    return pd.Series(off)


def _regret(frame: pd.DataFrame, what: str) -> str:
    second = frame.index[1] if len(frame) > 1 else None
    beside = f"; next `{second}`, {frame['all'].iloc[1]:.2f}" if second else ""
    return f"{what} {frame['all'].iloc[0]:.2f} times the best approach's on each problem{beside}"
