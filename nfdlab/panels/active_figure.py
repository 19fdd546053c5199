"""The picture of a search: the truth and the looks in their order, what is believed, where to look next, how wrong it
still is. For the panel and for lessons."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter
from torch import Tensor

from ..observation.active import Search, interval
from . import style
from .charts import colour_of, dots
from .page import Page, window_points
from .style import Picture, dress, legend, picture

if TYPE_CHECKING:
    from .active_panel import Seen

SIDE = {1: 401, 2: 96}
CURVES = 16


def trail(seen: "Seen") -> Picture:
    """Six pictures of a `Seen`: truth, the model's mean, the exact one (draws, in 1D); what looks promise to each, with
    the next one crossed; and the error after every look."""
    model, exact, card = seen.model, seen.exact, seen.problem.card
    d, window = model.d, window_round(model, seen.state.scale)
    points = window_points(window, SIDE[d], card.axes)
    target = seen.truth(points)[0, :, 0].cpu()
    figure, axes = picture(2, 3, size=(9.4, 6.6 if d == 2 else 5.2))
    first, error = seen.errors["model"][0], {name: errors[-1] for name, errors in seen.errors.items()}
    title = f"truth, {model.m} looks" + (f", ×{seen.state.scale:.3g}" if seen.state.scale > 1 else "")
    believed(axes[0, 0], model, points, target[None], window, title, style.INK, card.axes, target)
    for ax, name, now in ((axes[0, 1], "model", model), (axes[0, 2], "exact", exact)):
        if now is None:
            ax.set_axis_off()
            continue
        values = now.draw(64)(points)[..., 0].cpu()
        believed(ax, now, points, values, window, f"{name}: RMSE {style.number(error[name], 2)}", colour_of(name),
                 card.axes, target)
    for ax, name, now in ((axes[1, 0], "model", model), (axes[1, 1], "exact", exact)):
        if now is None:
            ax.set_axis_off()
            continue
        promised(ax, now, f"{name}: {_kind(now)}, next ×", colour_of(name), card.axes)
    regret(axes[1, 2], seen.errors, seen.others, f"error: from {style.number(first, 2)} to "
           f"{style.number(error['model'], 2)}")
    return figure


def window_round(search: Search, scale: float) -> tuple[tuple[float, float], ...]:
    """1/scale of the box around the last look, inside the box."""
    half = 1 / scale
    middle = search.seen.coords[-1].tolist() if search.m else [0.0] * search.d
    middle = [min(max(x, half - 1), 1 - half) for x in middle]
    return tuple((x - half, x + half) for x in middle)


def believed(ax: Axes, search: Search, points: Tensor, values: Tensor, window, title: str, ink: str, names: tuple,
             target: Tensor) -> None:
    """Values (n, p) of draws at a window's points: curves in 1D, their mean in 2D; looks in their order."""
    looks = search.seen.coords if search.m else torch.zeros(0, search.d)
    dress(ax, title=title, ink=ink)
    if search.d == 1:
        for draw in values[:CURVES].numpy() if len(values) > 1 else ():
            ax.plot(points[:, 0], draw, color=ink, lw=style.THIN, alpha=style.DRAW_ALPHA)
        ax.plot(points[:, 0], target, color=style.TRUTH, lw=1.4)
        if search.m:
            dots(ax, looks[:, 0].numpy(), search.seen.values[:, 0].numpy())
        ax.set_xlim(*window[0])
        low, high = float(target.min()) - 0.35, float(target.max()) + 0.35
        ax.set_ylim(low, high)
        _numbers(ax, [(x, y) for (x,), y in zip(looks.tolist(), search.seen.values[:, 0].tolist(), strict=True)]
                 if search.m else [], (0.0, 0.09 * (high - low)))
        return
    page = Page.of(window, names)
    side, low, high = SIDE[2], min(0.0, float(target.min())), max(1.0, float(target.max()))
    ax.imshow(values.mean(0).reshape(side, side).numpy(), extent=[page.left, page.right, page.bottom, page.top],
              cmap=style.FIELD_MAP, vmin=low, vmax=high)
    _looks(ax, looks, page, search.seen.values[:, 0].numpy() if search.m else (), low, high)


def promised(ax: Axes, search: Search, title: str, ink: str, names: tuple) -> None:
    """What a look at each candidate promises; the next one is crossed."""
    worth, chosen = search.acquisition().cpu(), search.ask(1)[0].tolist()
    worth = worth.masked_fill(~torch.isfinite(worth), float("nan"))
    dress(ax, title=title, ink=ink)
    if search.d == 1:
        ax.plot(search.candidates[:, 0], worth, color=ink, lw=style.THICK)
        ax.axvline(chosen[0], color=style.TRUTH, lw=1.0, ls=(0, (3, 2)))
        low, high = interval(search.seen)
        ax.axvspan(low, high, color=style.EMPTY, zorder=0)
        ax.set_xlim(-1, 1)
        ax.set_ylim(bottom=0)
        ax.set_xlabel(names[0], fontsize=style.FONT)
        return
    side = round(len(worth) ** 0.5)
    page, grid = Page.of(((-1.0, 1.0), (-1.0, 1.0)), names), worth.reshape(side, side).numpy()
    ax.set_facecolor(style.EMPTY)
    ax.imshow(grid.T if page.across == 0 else grid, extent=[-1, 1, -1, 1], origin="lower", cmap=style.SPREAD_MAP,
              vmin=0, vmax=max(float(np.nanmax(grid)), 1e-6))
    _looks(ax, search.seen.coords if search.m else torch.zeros(0, 2), page, (), 0, 1, size=7)
    ax.plot(chosen[page.across], chosen[page.up], marker="x", ms=9, mew=2.2, color="#56b4e9", zorder=6)
    ax.set_xlabel(names[page.across], fontsize=style.FONT)


def regret(ax: Axes, errors: dict[str, list[float]], others: dict[str, dict[int, float]], title: str) -> None:
    """Errors after each look on a log axis, strong, and averages of others over many truths, thin."""
    for i, (name, curve) in enumerate(others.items()):
        colour = colour_of(name) if name.startswith(("exact", "model")) else style.BASELINE
        ax.semilogy(list(curve), list(curve.values()), color=colour, lw=1.1, marker="os^vDP*X"[i % 8], ms=4,
                    ls="-" if colour != style.BASELINE else (0, (4, 2)), label=name)
    for name, curve in errors.items():
        ax.semilogy(range(len(curve)), curve, color=colour_of(name), lw=style.THICK, marker="o", ms=3, label=name)
    low, high = ax.get_ylim()
    ax.set_ylim(min(low, high / 12), high)                          # a decade at least: less is noise made large
    ax.yaxis.set_minor_formatter(NullFormatter())
    dress(ax, title=title, x="looks", y="RMSE")
    legend(ax, loc="lower left")


def _kind(search: Search) -> str:
    return search.policy if search.policy in ("mutual_information", "expected_error_reduction") else "variance"


def _looks(ax: Axes, looks: Tensor, page: Page, values, low: float, high: float, size: float = 20) -> None:
    x, y = looks[:, page.across].numpy(), looks[:, page.up].numpy()
    if len(looks):
        dots(ax, x, y, size, **({"fills": values, "cmap": style.FIELD_MAP, "vmin": low, "vmax": high}
                                if len(values) else {}))
    ax.set_xlim(page.left, page.right)
    ax.set_ylim(page.bottom, page.top)
    ax.locator_params(nbins=4)
    if len(values):
        _numbers(ax, list(zip(x.tolist(), y.tolist(), strict=True)), (0.0, 0.045 * (page.top - page.bottom)))


def _numbers(ax: Axes, places: list, offset: tuple[float, float]) -> None:
    """The order of looks, beside them, where they are inside; in a crowd, that of the first."""
    wide, high = (abs(b - a) / 9 for a, b in (ax.get_xlim(), ax.get_ylim()))
    for i, (x, y) in enumerate(places):
        if any(abs(x - a) < wide and abs(y - b) < high for a, b in places[:i]):
            continue
        ax.text(x + offset[0], y + offset[1], str(i + 1), fontsize=style.FONT - 2, ha="center", va="bottom",
                clip_on=True, color=style.INK, zorder=7,
                bbox={"boxstyle": "round,pad=0.1", "fc": style.PAPER, "ec": "none", "alpha": 0.65})
