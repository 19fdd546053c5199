"""The ranking as a picture: axes for each problem, a row for each contestant, ratios with intervals on a log axis."""

import pandas as pd

from ..core.checks import require
from . import style
from .style import Picture, colour_of, dress, headline, picture

ACROSS = 3                       # panels in a row


def benchmark(ranking: pd.DataFrame, *, metric: str = "crps", title: str | None = None) -> Picture:
    """A point for each contestant, best on top: its mean ratio with the 95 % interval, a tick at the worst.

    `ranking` as `evaluate.ranking.Benchmark.ranking` gives it. The line at 1 is the reference's own.
    """
    require(len(ranking) > 0, must="ranking: at least one row.", came="none", why="There is nothing to draw.",
            do="nfdlab bench first.")
    blocks = list(ranking.groupby("problem", sort=False))
    most = max(len(rows) for _, rows in blocks)
    across = min(ACROSS, len(blocks))
    down = -(-len(blocks) // across)
    figure, axes = picture(down, across, size=(3.3 * across + 0.4, down * (0.24 * most + 0.95) + (0.3 if title else 0)))
    for ax in axes.flat[len(blocks):]:
        ax.set_visible(False)
    for i, (ax, (problem, rows)) in enumerate(zip(axes.flat, blocks, strict=False)):
        _panel(ax, rows, metric)
        reference = rows["to"].iloc[0]
        words = f"{metric.upper()} ratio" + ("" if reference == "exact" else f" to {reference}")
        dress(ax, title=problem, x=words if i >= len(blocks) - across or reference != "exact" else None)
    headline(figure, title, larger=1, weight="normal")
    return figure


def _panel(ax, rows: pd.DataFrame, metric: str) -> None:
    reference = rows["to"].iloc[0]
    ax.axvline(1.0, color=colour_of(reference), lw=style.THIN)
    for y, (name, value, low, high, worst) in enumerate(
            rows[["contestant", metric, "low", "high", "worst"]].itertuples(index=False)):
        colour = colour_of(name)
        ax.plot([low, high], [y, y], color=colour, lw=style.THICK, solid_capstyle="butt")
        ax.plot([value], [y], "o", color=colour, ms=4.5)
        ax.plot([worst], [y], "|", color=colour, ms=7, alpha=style.DRAW_ALPHA)
    ax.set_yticks(range(len(rows)), rows["contestant"])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xscale("log")
    low, high = min(rows["low"].min(), 1.0), max(rows["worst"].max(), rows["high"].max(), 1.0)
    ax.set_xlim(low / 1.08, high * 1.08)
    ticks = [t for t in (0.2, 0.5, 0.7, 1, 1.2, 1.5, 2, 3, 5, 10, 20, 50, 100, 1000) if low / 1.08 <= t <= high * 1.08]
    ticks = [t for t in ticks if t == 1 or high / low < 4 or t in (0.2, 0.5, 2, 5, 10, 20, 50, 100, 1000)]
    ax.set_xticks(ticks, [style.number(t) for t in ticks])
    ax.set_xticks([], minor=True)
    ax.grid(axis="x", color=style.FAINT, lw=0.6)
    ax.set_axisbelow(True)
