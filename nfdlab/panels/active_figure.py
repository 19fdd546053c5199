"""The picture of active learning: truth and measurements in their order, posterior draws, acquisition values, errors.
For the panel and for lessons."""

import math
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter
from torch import Tensor

from ..core import single
from ..core.types import Fields, Observations, Problem
from ..observation.active import Search, interval
from . import style
from .matplotlib_figure import draw as draw_plate
from .page import BOX, Page, Window, window_around, window_points
from .plate import Plate, map_plate, sheet, text
from .style import Picture, colour_of, colours_of, dress, legend, picture

SIDES = {1: (101, 401), 2: (32, 96)}          # points across a window: of the first picture, of the last
CURVES, DRAWS = 16, 64                        # draws shown as curves, and drawn
NEXT = "#56b4e9"                              # where the next measurement is made


@dataclass(frozen=True, eq=False)
class ActiveView:
    """Everything one picture shows: a truth, by contestant ("model", "exact") its search, draws and errors after every
    measurement (looks + 1,), and the average errors of other contestants, {name: {looks: rmse}}."""

    scale: float
    problem: Problem
    truth: Fields
    searches: dict[str, Search]
    draws: dict[str, Fields]
    errors: dict[str, list[float]]
    others: dict[str, dict[int, float]]

    @property
    def model(self) -> Search:
        """The model's search."""
        return self.searches["model"]


def plates(view: ActiveView, side: int | None = None) -> list[Plate]:
    """The posteriors (truth, model, exact), then the acquisition values of the last two, with the next measurement
    marked."""
    model, card = view.model, view.problem.card
    window, side = window_round(model, view.scale), side or SIDES[model.d][-1]
    points = window_points(window, side, card.axes)
    target = view.truth(points)[0, :, 0].cpu()
    title = f"truth, {model.m} looks" + (f", ×{view.scale:.3g}" if view.scale > 1 else "")
    above, below = [posterior(model, points, target[None], window, title, style.INK, card.axes, target)], []
    for name, search in view.searches.items():
        values, ink = view.draws[name](points)[..., 0].cpu(), colour_of(name)
        words = f"{name}: RMSE {style.number(view.errors[name][-1], 2)}"
        above.append(posterior(search, points, values, window, words, ink, card.axes, target))
        below.append(acquired(search, f"{name}: {_kind(search)}, next ×", ink, card.axes))
    above[0].y = below[0].y = "" if model.d == 1 else card.axes[Page.of(window, card.axes).up]
    return [*above, *below]


def paint(view: ActiveView, side: int | None = None) -> str:
    """The picture of a view as HTML."""
    found, flat = plates(view, side), view.model.d == 1
    n, height = len(view.searches) + 1, 190 if flat else 264
    places = [(52 + 294 * i, 28, 264, height) for i in range(n)]
    places += [(52 + 294 * i, height + (98 if flat else 116), 264, height) for i in range(n - 1)]
    places.append((76 + 294 * (n - 1), places[-1][1], 240, height))           # its numbers stand at its left
    errors = regret_plate(view)
    parts = [plate.svg(*place) for plate, place in zip([*found, errors], places, strict=True)]
    x, y, *_ = places[-1]
    names = [(name, colour_of(name)) for name in view.errors] + [(name, _colour(name, view)) for name in view.others]
    parts += [text(x + 8, y + height - 8 - 13 * i, name, size=10.5, colour=colour)
              for i, (name, colour) in enumerate(reversed(names))]
    return sheet(920.0, places[-1][1] + height + (40.0 if flat else 66.0), parts,
                 f"{view.problem.card.title}: {found[0].title}; {errors.title}")


def regret_plate(view: ActiveView) -> Plate:
    """Errors after each measurement, thick, and averages of others, thin, on an axis of decades."""
    curves = [(list(curve), list(curve.values()), _colour(name, view), 1.1) for name, curve in view.others.items()]
    curves += [(list(range(len(curve))), curve, colour_of(name), style.THICK) for name, curve in view.errors.items()]
    known = [math.log10(max(v, 1e-9)) for _, ys, *_ in curves for v in ys]
    high = max(known) + 0.1
    plate = Plate(0, max(1, *(x for xs, *_ in curves for x in xs)), min(min(known) - 0.1, high - math.log10(12)), high,
                  error_title(view), "looks", decades=True)
    for xs, ys, colour, width in curves:
        plate.curve(xs, [math.log10(max(v, 1e-9)) for v in ys], colour, width)
    return plate


def error_title(view: ActiveView) -> str:
    """The model's error before the first measurement and now."""
    first, *_, last = [*view.errors["model"], view.errors["model"][-1]]
    return f"RMSE: from {style.number(first, 2)} to {style.number(last, 2)}"


def _colour(name: str, view: ActiveView) -> str:
    return colours_of(view.others)[name] if name.startswith(("exact", "model")) else style.BASELINE


def trail(view: ActiveView) -> Picture:
    """The picture of a view as a matplotlib figure."""
    found, n = plates(view), len(view.searches) + 1
    figure, axes = picture(2, n, size=(3.14 * n, 6.6 if view.model.d == 2 else 5.2))
    for ax, plate in zip(axes.flat, found, strict=False):
        draw_plate(ax, plate)
    regret(axes[1, -1], view.errors, view.others, error_title(view))
    return figure


def window_round(search: Search, scale: float) -> Window:
    """The window of 1/scale of the box around the last measurement."""
    return window_around(search.seen.coords[-1].tolist() if search.m else [0.0] * search.d, scale)


def show_posterior(ax: Axes, *what) -> None:
    """Draw `posterior` on axes of its own."""
    draw_plate(ax, posterior(*what))


def promised(ax: Axes, *what) -> None:
    """Draw `acquired` on axes of its own."""
    draw_plate(ax, acquired(*what))


def posterior(search: Search, points: Tensor, values: Tensor, window: Window, title: str, ink: str, names: tuple,
              target: Tensor) -> Plate:
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
        plate.field(values.mean(0), round(len(points) ** 0.5)).observed(seen, page, 3.1, filled=True)
        places = [seen.coords[:, page.across], seen.coords[:, page.up]]
    return _numbered(plate, torch.stack(places, 1).tolist())


def acquired(search: Search, title: str, ink: str, names: tuple) -> Plate:
    """Acquisition value at each candidate, 0 where repeating is useless; the next measurement is marked."""
    found, chosen = search.acquisition().cpu(), search.ask(1)[0].tolist()
    found = found.masked_fill(~torch.isfinite(found), 0.0)
    top = max(1.05 * float(found.max()), 1e-6)
    if search.d == 1:
        plate = Plate(-1.0, 1.0, 0.0, top, title, names[0], ink=ink)
        plate.band(interval(search.seen), [0.0, 0.0], [top, top], style.EMPTY, 1.0)
        plate.curve(search.candidates[:, 0], found, ink)
        return plate.curve([chosen[0]] * 2, [0.0, top], style.TRUTH, 1.0, dash=(3, 2))
    side = round(len(found) ** 0.5)
    page, grid = Page.of(BOX, names), found.reshape(side, side)
    grid = grid.T.flip(0) if page.across == 0 else grid
    plate = map_plate(page, names, (style.STD_MAP, 0.0, top), title=title, ink=ink)
    plate.y = ""
    plate.field(grid.contiguous(), side).observed(_measured(search), page, 1.85)
    return plate.words([chosen[page.across]], [chosen[page.up]], ["×"], NEXT, 18.0)


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
    return Observations(single.zeros(0, search.d), single.zeros(0, search.c)) if search.seen is None else search.seen


def _numbered(plate: Plate, places: list) -> Plate:
    """Add the order of the measurements inside; of crowded ones, that of the first."""
    wide, high = abs(plate.right - plate.left) / 9, abs(plate.high - plate.low) / 9
    shown = [i for i, (x, y) in enumerate(places) if plate.left <= x <= plate.right
             and min(plate.low, plate.high) <= y <= max(plate.low, plate.high)
             and not any(abs(x - a) < wide and abs(y - b) < high for a, b in places[:i])]
    return plate.words([places[i][0] for i in shown], [places[i][1] for i in shown], [str(i + 1) for i in shown])
