"""Lesson figures with axes: curves and bands, score ratios, errors stage by stage, ablations."""

from collections.abc import Mapping

import numpy as np
import torch

from ..core import single
from ..core.checks import require
from ..core.types import Fields, Observations, ProblemCard
from ..evaluate import ablation
from ..evaluate.calibration import interval
from ..evaluate.error_breakdown import ErrorBreakdown
from . import style
from .matplotlib_figure import require_d
from .style import Picture, colours_of, dress, headline, legend, picture

_POINTS = 481


def bands(card: ProblemCard, *, truth: Fields | None = None, seen: Observations | None = None, title: str | None = None,
          window: tuple[float, float] = (-1.0, 1.0), curves: int = 4, band: bool = True, **bundles: Fields) -> Picture:
    """Curves over one coordinate: truth, observations, and draws for each further keyword.

    bands(card, truth=truth, seen=seen, exact=draws, model=draws): mean, 90 % band and `curves` thin draws of each, on
    top of one another. `band=False` shows draws only. A single draw is one line.
    """
    require_d(1, "plots.row for two coordinates.", truth, *bundles.values())
    xs = single.linspace(*window, _POINTS)[:, None]
    x = xs[:, 0].numpy()
    figure, ((ax,),) = picture(size=(7.2, 3.4))
    colours = colours_of(bundles)
    for i, (name, fields) in enumerate(bundles.items()):
        colour, values = colours[name], fields(xs).cpu()[..., 0].numpy()
        if fields.n == 1:
            ax.plot(x, values[0], color=colour, lw=style.THICK, label=name)
            continue
        if band:
            low, high = (end[:, 0].numpy() for end in interval(torch.from_numpy(values)[..., None], style.BAND))
            ax.fill_between(x, low, high, color=colour, alpha=style.BAND_ALPHA if i == 0 else 0.12, lw=0)
            for end in (low, high) if i else ():                    # a band over a band shows its edges
                ax.plot(x, end, color=colour, lw=1.0)
            ax.plot(x, values.mean(0), color=colour, lw=style.THICK, label=f"{name}: mean, 90 % band")
        for k, draw in enumerate(values[:curves]):
            label = None if band or k else f"{name}: {min(curves, fields.n)} draws"
            ax.plot(x, draw, color=colour, lw=style.THIN, alpha=0.5 if band else 0.75, label=label)
    if truth is not None:
        ax.plot(x, truth(xs)[0, :, 0].cpu().numpy(), color=style.TRUTH, lw=1.4, label="truth")
    if seen is not None and seen.m:
        inside = (seen.coords[:, 0] >= window[0]) & (seen.coords[:, 0] <= window[1])
        ax.scatter(seen.coords[inside, 0], seen.values[inside, 0], s=26, color=style.DOT, edgecolors=style.RING,
                   linewidths=0.9, zorder=5, label=f"{int(inside.sum())} seen")
    ax.set_xlim(*window)
    dress(ax, title=title, x=card.axes[0], y=f"value ({card.units})")
    legend(ax, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def ratios(curves: Mapping[str, Mapping], *, title: str | None = None, metric: str = "CRPS",
           to: str = "exact posterior", aim: float | None = None) -> Picture:
    """Scores against the number of observations, as ratios to a reference, whose own is 1.00.

    Shapes: curves[name][m] = value, or (value, low, high), or a DataFrame's rows of those.
    `nfdlab.score(...).ratio("crps")` .T is such a table. `aim` is a dashed line.
    """
    figure, ((ax,),) = picture(size=(6.2, 3.4))
    ax.axhline(1.0, color=style.EXACT if to.startswith("exact") else style.BASELINE, lw=style.THICK, label=to)
    if aim is not None:
        ax.axhline(aim, color=style.SOFT, lw=0.8, ls=(0, (4, 3)), label=f"aim {style.number(aim)}")
    marks = sorted({m for curve in curves.values() for m in curve if isinstance(m, (int, np.integer))})
    require(len(marks) > 0, must="curves: at least one value for one number of observations.", came=dict(curves),
            why="Ratios are drawn against m.", do='ratios({"model": {1: 1.02, 5: (1.03, 1.00, 1.06)}}).')
    place = {m: i for i, m in enumerate(marks)}                       # even steps: counts are chosen, not measured
    for i, (name, curve) in enumerate(curves.items()):
        rows = [(place[m], *np.broadcast_to(np.atleast_1d(curve[m]), 3)) for m in marks if m in curve]
        at, value, low, high = np.array(rows, dtype=float).T
        at, colour = at + 0.06 * (i - (len(curves) - 1) / 2), colours_of(curves)[name]
        ax.errorbar(at, value, yerr=np.clip([value - low, high - value], 0, None), color=colour, lw=1.4, elinewidth=1.0,
                    capsize=2.5, marker="o", ms=4, label=name)
    ax.set_xticks(range(len(marks)), [str(m) for m in marks])
    dress(ax, title=title, x="number of observations m", y=f"{metric} / {metric} of the {to}")
    legend(ax)
    return figure


def stages(found: Mapping[str, ErrorBreakdown], *, title: str | None = None) -> Picture:
    """Three bars for each latent approach: error of reconstruction, prior, conditioning. Blue marks the optimum."""
    figure, (axes,) = picture(1, 3, size=(9.2, 1.3 + 0.42 * len(found)), sharey=True)
    places, names = np.arange(len(found)), list(found)
    shown = (("reconstruction error", "rms error / std", [s.reconstruction for s in found.values()],
              [0.0] * len(found)),
             ("prior draws", "energy distance to the truth", [s.prior for s in found.values()],
              [s.fresh for s in found.values()]),
             ("given observations", "CRPS / exact", [s.conditioning for s in found.values()], [1.0] * len(found)))
    for ax, (words, unit, values, best) in zip(axes, shown, strict=True):
        ax.barh(places, values, height=0.55, color=style.MODEL, alpha=0.85)
        ax.vlines(best, places - 0.36, places + 0.36, color=style.EXACT, lw=style.THICK)
        for place, value in zip(places, values, strict=True):
            ax.annotate(style.number(value), (max(value, 0), place), (4, 0), textcoords="offset points", va="center",
                        fontsize=style.FONT, color=style.INK)
        ax.margins(x=0.2)
        ax.locator_params(axis="x", nbins=4)
        dress(ax, title=words, x=unit)
    axes[0].set_yticks(places, names)
    headline(figure, title)
    return figure


def worth(approach: str, problem: str) -> Picture:
    """The kept ablation of a pair as bars: the CRPS of each arm and rival, as a ratio to the reference, with its
    interval. The title says what taking away the network, the field and the shape of the distribution costs."""
    table = ablation.kept(approach, problem)
    found, to = ablation.worth(table), f"to {table.reference}"
    order = [name for name in (ablation.FULL, *ablation.ARMS, *found.index) if name in found.index]
    rows = found.loc[list(dict.fromkeys(order))].iloc[::-1]
    figure, ((ax,),) = picture(size=(7.2, 1.6 + 0.32 * len(rows)))
    places = np.arange(len(rows))
    colours = [style.MODEL if name in (ablation.FULL, *ablation.ARMS) and name != ablation.EXACT_GAUSSIAN else
               style.colour_of(name) for name in rows.index]
    value, low, high = (rows[f"{to}{end}"].to_numpy() for end in ("", " low", " high"))
    ax.barh(places, value, height=0.6, color=colours, alpha=0.8)
    ax.errorbar(value, places, xerr=np.clip([value - low, high - value], 0, None), fmt="none", ecolor=style.INK, lw=1.0,
                capsize=2.5)
    for place, end, words in zip(places, high, value, strict=True):
        ax.annotate(style.number(words), (end, place), (4, 0), textcoords="offset points", va="center",
                    fontsize=style.FONT, color=style.INK)
    ax.axvline(1.0, color=style.EXACT if table.reference.startswith("exact") else style.BASELINE, lw=style.THICK)
    ax.margins(x=0.12)
    ax.set_yticks(places, rows.index)
    costs = [f"{name} ×{row['to full']:.2f} [{row['to full low']:.2f}, {row['to full high']:.2f}]"
             for name, row in found.iterrows() if name in (ablation.NETWORK, ablation.FIELD, ablation.GAUSSIAN)]
    dress(ax, x=f"CRPS / CRPS of {table.reference}")
    headline(figure, "\n".join([f"{approach} on {problem}, to the full approach:", *costs]))
    return figure
