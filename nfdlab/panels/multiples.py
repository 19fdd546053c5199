"""Small multiples: many problems, or many answers to one, side by side."""

import math
from collections.abc import Mapping, Sequence
from textwrap import fill

import torch
from matplotlib.axes import Axes

from ..core.checks import require, require_seed
from ..core.types import Fields, Observations, Problem, ProblemCard
from ..problems import held_out
from . import style
from .charts import dots
from .page import Page, window_points
from .style import Picture, dress, picture

WHOLE = ((-1.0, 1.0), (-1.0, 1.0))
MOMENTS = (-0.75, -0.25, 0.25, 0.75)             # of a film, shown two by two


def meet(problems: Sequence[Problem], *, seed: int = 0, columns: int = 6, side: int = 96,
         title: str | None = None) -> Picture:
    """One cell a problem: three curves, a map, or four moments of a film. Names are blue where the exact posterior is
    known, grey where nobody knows it; below stands what the card calls it."""
    require_seed(seed)
    require(len(problems) > 0, must="problems: at least one.", came="none", why="There is nothing to meet.",
            do='meet([problems.get("gp1d")]).')
    rows = math.ceil(len(problems) / columns)
    figure, axes = picture(rows, columns, size=(1.75 * columns, 2.25 * rows + (0.3 if title else 0.0)))
    for ax in axes.flat[len(problems):]:
        ax.set_axis_off()
    for ax, problem in zip(axes.flat, problems, strict=False):
        require(problem.d in (1, 2, 3), must="problems of one to three coordinates.", came=f"one with d = {problem.d}",
                why="A cell is curves, a map or a film.", do="Leave it out.")
        (_curves if problem.d == 1 else _map)(ax, problem, seed, side)
        ax.set_box_aspect(1)
        ax.set_xticks([])
        ax.set_yticks([])
        known = not problem.card.exact.startswith("none")
        dress(ax, title=problem.card.name, ink=style.EXACT if known else style.BASELINE)
        ax.set_xlabel(fill(problem.card.title, 26), fontsize=style.FONT - 2, color=style.SOFT)
    return _titled(figure, title)


def fans(answers: Mapping[str, tuple[Fields, Observations, Fields]], *, curves: int = 12, colour: str = style.EXACT,
         title: str | None = None) -> Picture:
    """A row of curves: answers[its title] = (truth, seen, draws), one coordinate; `curves` draws as thin lines."""
    require(len(answers) > 0, must="answers: at least one.", came="none", why="Each has axes of its own.",
            do='fans({"gp1d": (truth, seen, draws)}).')
    xs = torch.linspace(-1, 1, 481)[:, None]
    figure, axes = picture(1, len(answers), size=(2.7 * len(answers), 2.6 + (0.3 if title else 0.0)))
    for ax, (words, (truth, seen, draws)) in zip(axes[0], answers.items(), strict=True):
        require(draws.d == 1, must="draws of one coordinate.", came=f"d = {draws.d}", why="They are curves.",
                do="plots.pages for two.")
        ax.plot(xs, draws(xs)[:curves, :, 0].T.cpu(), color=colour, lw=style.THIN, alpha=style.DRAW_ALPHA)
        ax.plot(xs, truth(xs)[0, :, 0].cpu(), color=style.TRUTH, lw=1.4)
        dots(ax, seen.coords[:, 0].numpy(), seen.values[:, 0].numpy())
        ax.set_xlim(-1, 1)
        ax.locator_params(nbins=4)
        dress(ax, title=words, x="x", y="value" if ax is axes[0, 0] else None)
    return _titled(figure, title)


def pages(card: ProblemCard, fields: Mapping[str, Fields], *, seen: Observations | None = None, side: int = 128,
          title: str | None = None) -> Picture:
    """A row of maps with shared limits, those of the first: the first draw of each of `fields`, by its title."""
    page = Page.of(WHOLE, card.axes)
    values = {words: f(page.points(side))[0, :, 0].cpu() for words, f in fields.items()}
    require(len(values) > 0, must="fields: at least one.", came="none", why="Each is one map.",
            do='pages(problem.card, {"truth": truth}).')
    low, high = _limits(next(iter(values.values())))
    figure, axes = picture(1, len(values), size=(2.1 * len(values), 2.35 + (0.3 if title else 0.0)))
    for i, (ax, (words, shown)) in enumerate(zip(axes[0], values.items(), strict=True)):
        _image(ax, shown.reshape(side, side), page, low, high)
        if seen is not None and seen.m:
            dots(ax, seen.coords[:, page.across].numpy(), seen.coords[:, page.up].numpy(), 5)
        ax.locator_params(nbins=3)
        dress(ax, title=words, x=card.axes[page.across], y=card.axes[page.up] if i == 0 else None)
    return _titled(figure, title)


def _titled(figure: Picture, title: str | None) -> Picture:
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=style.FONT + 2, color=style.INK, fontweight="bold")
    return figure


def _curves(ax: Axes, problem: Problem, seed: int, side: int) -> None:
    xs = window_points(((-1.0, 1.0),), 401, problem.card.axes)
    values = held_out(problem).draw(3, seed=seed)(xs)[..., 0].cpu()
    for i in (2, 1, 0):
        ax.plot(xs, values[i], color=style.TRUTH if i == 0 else style.FAINT, lw=1.2)
    ax.set_xlim(-1, 1)


def _map(ax: Axes, problem: Problem, seed: int, side: int) -> None:
    page, truth = Page.of(WHOLE, problem.card.axes[-2:]), held_out(problem).draw(1, seed=seed)
    if problem.d == 2:
        tiled = truth(page.points(side))[0, :, 0].reshape(side, side)
    else:
        points = page.points(side // 2)
        tiles = [truth(torch.nn.functional.pad(points, (1, 0), value=t))[0, :, 0].reshape(side // 2, -1)
                 for t in MOMENTS]
        tiled = torch.cat([torch.cat(tiles[:2], 1), torch.cat(tiles[2:], 1)])
    _image(ax, tiled.cpu(), page, *_limits(tiled))
    if problem.d == 3:
        ax.axhline(0, color=style.PAPER, lw=1.5)
        ax.axvline(0, color=style.PAPER, lw=1.5)


def _limits(values: torch.Tensor) -> tuple[float, float]:
    return tuple(float(q) for q in torch.quantile(values.flatten().cpu(), torch.tensor([0.002, 0.998])))


def _image(ax: Axes, values: torch.Tensor, page: Page, low: float, high: float) -> None:
    ax.imshow(values.numpy(), extent=(page.left, page.right, page.bottom, page.top), vmin=low, vmax=high,
              cmap=style.FIELD_MAP, interpolation="nearest")
