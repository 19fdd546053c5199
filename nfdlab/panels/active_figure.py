"""The picture of active learning: truth and measurements in their order, posterior draws, acquisition values, errors.
For the panel and for lessons."""

from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter
from torch import Tensor

from ..core.types import Fields, Observations, Problem
from ..observation.active import Search, interval
from . import style
from .matplotlib_figure import draw as draw_plate
from .page import BOX, Page, Window, window_around, window_points
from .plate import Plate, map_plate
from .style import Picture, colour_of, colours_of, dress, legend, picture

SIDE = {1: 401, 2: 96}
CURVES = 16


@dataclass(frozen=True, eq=False)
class ActiveView:
    """Everything one picture shows: a truth, the searches of model and exact posterior, their errors after every
    measurement (looks + 1,), and the average errors of other contestants, {name: {looks: rmse}}."""

    scale: float
    problem: Problem
    truth: Fields
    model: Search
    exact: Search | None
    errors: dict[str, list[float]]
    others: dict[str, dict[int, float]]


def trail(view: ActiveView) -> Picture:
    """The figure of a view, six axes: truth, the model's mean and the exact one (draws, in 1D); their acquisition
    values, with the next measurement crossed; and the error after every measurement."""
    model, card = view.model, view.problem.card
    d, window = model.d, window_round(model, view.scale)
    points = window_points(window, SIDE[d], card.axes)
    target = view.truth(points)[0, :, 0].cpu()
    figure, axes = picture(2, 3, size=(9.4, 6.6 if d == 2 else 5.2))
    first, error = view.errors["model"][0], {name: errors[-1] for name, errors in view.errors.items()}
    title = f"truth, {model.m} looks" + (f", ×{view.scale:.3g}" if view.scale > 1 else "")
    show_posterior(axes[0, 0], model, points, target[None], window, title, style.INK, card.axes, target)
    for name, search, above, below in (("model", model, axes[0, 1], axes[1, 0]),
                                       ("exact", view.exact, axes[0, 2], axes[1, 1])):
        if search is None:
            above.set_axis_off(), below.set_axis_off()
            continue
        values = search.draw(64)(points)[..., 0].cpu()
        show_posterior(above, search, points, values, window, f"{name}: RMSE {style.number(error[name], 2)}",
                       colour_of(name), card.axes, target)
        promised(below, search, f"{name}: {_kind(search)}, next ×", colour_of(name), card.axes)
    regret(axes[1, 2], view.errors, view.others, f"error: from {style.number(first, 2)} to "
           f"{style.number(error['model'], 2)}")
    return figure


def window_round(search: Search, scale: float) -> Window:
    """The window of 1/scale of the box around the last measurement."""
    return window_around(search.seen.coords[-1].tolist() if search.m else [0.0] * search.d, scale)


def show_posterior(ax: Axes, search: Search, points: Tensor, values: Tensor, window: Window, title: str, ink: str,
                   names: tuple, target: Tensor) -> None:
    """Posterior draws, values (n, p) at a window's points: curves in 1D, their mean in 2D; measurements numbered."""
    low, high, seen = float(target.min()), float(target.max()), _measured(search)
    if search.d == 1:
        places = [seen.coords[:, 0], seen.values[:, 0]]
        plate = Plate(*window[0], low - 0.35, high + 0.35, title, ink=ink)
        for draw in values[:CURVES] if len(values) > 1 else ():
            plate.curve(points, draw, ink, style.THIN, style.DRAW_ALPHA)
        plate.curve(points, target, style.TRUTH, 1.4).observed(seen)
    else:
        page = Page.of(window, names)
        plate = Plate(*page.extent, title, ink=ink, colours=(style.FIELD_MAP, min(0.0, low), max(1.0, high)))
        plate.field(values.mean(0), SIDE[2]).observed(seen, page, 3.1, filled=True)
        places = [seen.coords[:, page.across], seen.coords[:, page.up]]
    draw_plate(ax, plate)
    _numbers(ax, torch.stack(places, 1).tolist())


def promised(ax: Axes, search: Search, title: str, ink: str, names: tuple) -> None:
    """Acquisition value at each candidate; the next measurement is crossed."""
    found, chosen = search.acquisition().cpu(), search.ask(1)[0].tolist()
    found = found.masked_fill(~torch.isfinite(found), float("nan"))
    dress(ax, title=title, ink=ink)
    if search.d == 1:
        ax.plot(search.candidates[:, 0], found, color=ink, lw=style.THICK)
        ax.axvline(chosen[0], color=style.TRUTH, lw=1.0, ls=(0, (3, 2)))
        low, high = interval(search.seen)
        ax.axvspan(low, high, color=style.EMPTY, zorder=0)
        ax.set_xlim(-1, 1)
        ax.set_ylim(bottom=0)
        ax.set_xlabel(names[0], fontsize=style.FONT)
        return
    side = round(len(found) ** 0.5)
    page, grid = Page.of(BOX, names), found.reshape(side, side)
    grid = grid.T.flip(0) if page.across == 0 else grid
    plate = map_plate(page, names, (style.STD_MAP, 0.0, max(float(np.nanmax(found)), 1e-6)), title=title, ink=ink)
    plate.y = ""
    draw_plate(ax, plate.field(grid, side).observed(_measured(search), page, 1.85))
    ax.plot(chosen[page.across], chosen[page.up], marker="x", ms=9, mew=2.2, color="#56b4e9", zorder=6)


def regret(ax: Axes, errors: dict[str, list[float]], others: dict[str, dict[int, float]], title: str) -> None:
    """Errors after each measurement on a log axis, thick, and averages of others over many truths, thin."""
    for i, (name, curve) in enumerate(others.items()):
        colour = colours_of(others)[name] if name.startswith(("exact", "model")) else style.BASELINE
        ax.semilogy(list(curve), list(curve.values()), color=colour, lw=1.1, marker="os^vDP*X"[i % 8], ms=4,
                    ls="-" if colour != style.BASELINE else (0, (4, 2)), label=name)
    for name, curve in errors.items():
        ax.semilogy(range(len(curve)), curve, color=colour_of(name), lw=style.THICK, marker="o", ms=3, label=name)
    low, high = ax.get_ylim()
    ax.set_ylim(min(low, high / 12), high)                          # a decade at least: less would show noise enlarged
    ax.yaxis.set_minor_formatter(NullFormatter())
    dress(ax, title=title, x="looks", y="RMSE")
    legend(ax, loc="lower left")


def _kind(search: Search) -> str:
    return search.policy if search.policy in ("mutual_information", "expected_error_reduction") else "variance"


def _measured(search: Search) -> Observations:
    return Observations(torch.zeros(0, search.d), torch.zeros(0, search.c)) if search.seen is None else search.seen


def _numbers(ax: Axes, places: list) -> None:
    """The order of measurements, above them, inside; of crowded ones, that of the first."""
    wide, high = (abs(b - a) / 9 for a, b in (ax.get_xlim(), ax.get_ylim()))
    for i, (x, y) in enumerate(places):
        if any(abs(x - a) < wide and abs(y - b) < high for a, b in places[:i]):
            continue
        ax.annotate(str(i + 1), (x, y), (0, 5), textcoords="offset points", fontsize=style.FONT - 2, ha="center",
                    va="bottom", annotation_clip=True, clip_on=True, color=style.INK, zorder=7,
                    bbox={"boxstyle": "round,pad=0.1", "fc": style.PAPER, "ec": "none", "alpha": 0.65})
