"""The picture of active learning: truth and measurements in their order, posterior draws, acquisition values, errors.
For the panel and for lessons."""

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter
from torch import Tensor

from ..core.types import Observations
from ..observation.active import Search, interval
from . import style
from .active_view import ActiveView
from .axes import draw_map, draw_observations, fit_page
from .page import BOX, Page, Window, window_around, window_points
from .style import Picture, colour_of, colours_of, dress, legend, picture

SIDE = {1: 401, 2: 96}
CURVES = 16


def trail(view: ActiveView) -> Picture:
    """The figure of a view, six axes: truth, the model's mean and the exact one (draws, in 1D); their acquisition
    values, with the next measurement crossed; and the error after every measurement."""
    model, card = view.model, view.problem.card
    d, window = model.d, window_round(model, view.state.scale)
    points = window_points(window, SIDE[d], card.axes)
    target = view.truth(points)[0, :, 0].cpu()
    figure, axes = picture(2, 3, size=(9.4, 6.6 if d == 2 else 5.2))
    first, error = view.errors["model"][0], {name: errors[-1] for name, errors in view.errors.items()}
    title = f"truth, {model.m} looks" + (f", ×{view.state.scale:.3g}" if view.state.scale > 1 else "")
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
    seen = _measured(search)
    dress(ax, title=title, ink=ink)
    if search.d == 1:
        for draw in values[:CURVES].numpy() if len(values) > 1 else ():
            ax.plot(points[:, 0], draw, color=ink, lw=style.THIN, alpha=style.DRAW_ALPHA)
        ax.plot(points[:, 0], target, color=style.TRUTH, lw=1.4)
        if search.m:
            draw_observations(ax, seen)
        ax.set_xlim(*window[0])
        low, high = float(target.min()) - 0.35, float(target.max()) + 0.35
        ax.set_ylim(low, high)
        _numbers(ax, list(zip(seen.coords[:, 0].tolist(), seen.values[:, 0].tolist(), strict=True)),
                 (0.0, 0.09 * (high - low)))
        return
    page = Page.of(window, names)
    side, low, high = SIDE[2], min(0.0, float(target.min())), max(1.0, float(target.max()))
    colours = style.FIELD_MAP, low, high
    draw_map(ax, values.mean(0).reshape(side, side).numpy(), page, *colours, interpolation=None)
    _measurements(ax, seen, page, 20, colours if search.m else None)
    if search.m:
        places = seen.coords[:, [page.across, page.up]].tolist()
        _numbers(ax, [(x, y) for x, y in places], (0.0, 0.045 * (page.top - page.bottom)))


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
    page, grid = Page.of(BOX, names), found.reshape(side, side).numpy()
    ax.set_facecolor(style.EMPTY)
    ax.imshow(grid.T if page.across == 0 else grid, extent=[-1, 1, -1, 1], origin="lower", cmap=style.STD_MAP,
              vmin=0, vmax=max(float(np.nanmax(grid)), 1e-6))
    _measurements(ax, _measured(search), page, 7)
    ax.plot(chosen[page.across], chosen[page.up], marker="x", ms=9, mew=2.2, color="#56b4e9", zorder=6)
    ax.set_xlabel(names[page.across], fontsize=style.FONT)


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


def _measurements(ax: Axes, seen: Observations, page: Page, size: float, colours: tuple | None = None) -> None:
    if seen.m:
        draw_observations(ax, seen, page, size=size, colours=colours)
    fit_page(ax, page, 4)


def _numbers(ax: Axes, places: list, offset: tuple[float, float]) -> None:
    """The order of measurements, beside them, where they are inside; of crowded ones, that of the first."""
    wide, high = (abs(b - a) / 9 for a, b in (ax.get_xlim(), ax.get_ylim()))
    for i, (x, y) in enumerate(places):
        if any(abs(x - a) < wide and abs(y - b) < high for a, b in places[:i]):
            continue
        ax.text(x + offset[0], y + offset[1], str(i + 1), fontsize=style.FONT - 2, ha="center", va="bottom",
                clip_on=True, color=style.INK, zorder=7,
                bbox={"boxstyle": "round,pad=0.1", "fc": style.PAPER, "ec": "none", "alpha": 0.65})
