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
from .axes import draw_map, draw_observations, map_limits
from .page import BOX, Page, window_points
from .style import Picture, dress, headline, picture

MOMENTS = (-0.75, -0.25, 0.25, 0.75)             # of a film, shown two by two


def meet(problems: Sequence[Problem], *, seed: int = 0, columns: int = 6, side: int = 96,
         title: str | None = None) -> Picture:
    """A cell for each problem: three curves, a map, or four moments of a film. Names are blue where there is an exact
    posterior, else grey; the title of the problem's card is written below."""
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
    headline(figure, title)
    return figure


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
        draw_observations(ax, seen)
        ax.set_xlim(-1, 1)
        ax.locator_params(nbins=4)
        dress(ax, title=words, x="x", y="value" if ax is axes[0, 0] else None)
    headline(figure, title)
    return figure


def pages(card: ProblemCard, fields: Mapping[str, Fields], *, seen: Observations | None = None, side: int = 128,
          title: str | None = None) -> Picture:
    """A row of maps with shared limits, those of the first: the first draw of each of `fields`, by its title."""
    page = Page.of(BOX, card.axes)
    values = {words: f(page.points(side))[0, :, 0].cpu() for words, f in fields.items()}
    require(len(values) > 0, must="fields: at least one.", came="none", why="Each is one map.",
            do='pages(problem.card, {"truth": truth}).')
    limits = map_limits(next(iter(values.values())))
    figure, axes = picture(1, len(values), size=(2.1 * len(values), 2.35 + (0.3 if title else 0.0)))
    for i, (ax, (words, shown)) in enumerate(zip(axes[0], values.items(), strict=True)):
        draw_map(ax, shown.reshape(side, side).numpy(), page, style.FIELD_MAP, *limits)
        if seen is not None and seen.m:
            draw_observations(ax, seen, page, size=5)
        ax.locator_params(nbins=3)
        dress(ax, title=words, x=card.axes[page.across], y=card.axes[page.up] if i == 0 else None)
    headline(figure, title)
    return figure


def _curves(ax: Axes, problem: Problem, seed: int, side: int) -> None:
    xs = window_points(((-1.0, 1.0),), 401, problem.card.axes)
    values = held_out(problem).draw(3, seed=seed)(xs)[..., 0].cpu()
    for i in (2, 1, 0):
        ax.plot(xs, values[i], color=style.TRUTH if i == 0 else style.FAINT, lw=1.2)
    ax.set_xlim(-1, 1)


def _map(ax: Axes, problem: Problem, seed: int, side: int) -> None:
    page, truth = Page.of(BOX, problem.card.axes[-2:]), held_out(problem).draw(1, seed=seed)
    if problem.d == 2:
        tiled = truth(page.points(side))[0, :, 0].reshape(side, side)
    else:
        points = page.points(side // 2)
        tiles = [truth(torch.nn.functional.pad(points, (1, 0), value=t))[0, :, 0].reshape(side // 2, -1)
                 for t in MOMENTS]
        tiled = torch.cat([torch.cat(tiles[:2], 1), torch.cat(tiles[2:], 1)])
    draw_map(ax, tiled.cpu().numpy(), page, style.FIELD_MAP, *map_limits(tiled))
    if problem.d == 3:
        ax.axhline(0, color=style.PAPER, lw=1.5)
        ax.axvline(0, color=style.PAPER, lw=1.5)
