"""Small multiples: many problems, many patterns, or many posteriors, side by side."""

import math
from collections.abc import Mapping, Sequence
from textwrap import fill

import torch
from matplotlib.axes import Axes

from ..core.checks import require, require_name, require_seed
from ..core.rng import child
from ..core.types import Fields, Observations, Problem, ProblemCard
from ..observation import patterns as known
from ..observation.observing import observe
from ..problems import held_out
from . import style
from .axes import draw_map, draw_observations, fit_page, map_limits, require_some
from .page import BOX, Page, window_points
from .state import State, timed
from .style import Picture, dress, headline, picture

_CURVE, _MAP = 1.15, 1.5                          # inches a cell of the gallery is high
MOMENTS = (-0.75, -0.25, 0.25, 0.75)             # of a film, shown two by two


def meet(problems: Sequence[Problem], *, seed: int = 0, columns: int = 6, side: int = 96,
         title: str | None = None) -> Picture:
    """A cell for each problem: three curves, a map, or four moments of a film. Names are blue where there is an exact
    posterior, else grey; the title of the problem's card is written below."""
    require_seed(seed)
    require_some("problems", problems, 'meet([problems.get("gp1d")]).')
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


def gallery(problems: Sequence[Problem], patterns: Sequence = tuple(known.ALL), *, seed: int = 0,
            noise_std: float = 0.05, columns: int = 7, side: int = 128, title: str | None = None) -> Picture:
    """A block for each problem (d = 1 or 2), a cell for each pattern that fits it: truth and observations.

    `patterns` are names, sized as a panel sizes them, or patterns as they are. Frames, sensors and tracks are left out
    where the first coordinate is not time.
    """
    require_seed(seed)
    for name in patterns:
        if isinstance(name, str):
            require_name(name, known.ALL, "pattern")
    blocks = [(problem, _suited(problem, patterns)) for problem in problems]
    require(bool(blocks) and all(p.d in (1, 2) and cells for p, cells in blocks), came=f"{len(blocks)} problems",
            must="problems of one or two coordinates, each with a pattern that makes sense there.",
            why="A cell is a curve or a map.", do='gallery([problems.get("gp1d"), problems.get("drift1dt")]).')
    rows = [math.ceil(len(cells) / columns) for _, cells in blocks]
    highs = [0.35 + n * ((_CURVE if p.d == 1 else _MAP) + 0.3) for (p, _), n in zip(blocks, rows, strict=True)]
    figure = Picture(figsize=(1.45 * columns, sum(highs) + (0.3 if title else 0.0)), layout="constrained",
                     facecolor=style.PAPER)
    parts = figure.subfigures(len(blocks), 1, squeeze=False, height_ratios=highs)[:, 0]
    for part, (problem, cells), n in zip(parts, blocks, rows, strict=True):
        truth = held_out(problem).draw(1, seed=child(seed, "gallery", "truth"))
        part.set_facecolor(style.PAPER)
        headline(part, f"{problem.card.name}: {problem.card.title}", larger=1)
        axes = part.subplots(n, columns, squeeze=False)
        for ax in axes.flat[len(cells):]:
            ax.set_axis_off()
        for i, (ax, (name, pattern)) in enumerate(zip(axes.flat, cells, strict=False)):
            seen = observe(truth, pattern, noise_std=noise_std, seed=child(seed, "gallery", "seen"))
            _observed(ax, problem, truth, seen, side)
            ax.set_xticks([])
            ax.set_yticks([])
            ax.set_title(f"{name} · {seen.m}", loc="left", fontsize=style.FONT, color=style.INK)
            if i:
                ax.set_xlabel("")
                ax.set_ylabel("")
    headline(figure, title)
    return figure


def fans(answers: Mapping[str, tuple[Fields, Observations, Fields]], *, curves: int = 12, colour: str = style.EXACT,
         title: str | None = None) -> Picture:
    """A row of curves: answers[its title] = (truth, seen, draws), one coordinate; `curves` draws as thin lines."""
    require_some("answers", answers, 'fans({"gp1d": (truth, seen, draws)}).')
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
    require_some("fields", fields, 'pages(problem.card, {"truth": truth}).')
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


def _suited(problem: Problem, patterns: Sequence) -> list[tuple[str, object]]:
    """Names and sized patterns."""
    cells = [(p, State(pattern=p).sized_pattern(problem.d)) if isinstance(p, str) else (type(p).__name__.lower(), p)
             for p in patterns]
    return [(name, pattern) for name, pattern in cells if timed(problem) or not pattern.in_time]


def _observed(ax: Axes, problem: Problem, truth: Fields, seen: Observations, side: int) -> None:
    """Truth and observations of a cell of the gallery."""
    axes = problem.card.axes
    if problem.d == 1:
        xs = window_points(BOX[:1], 401, axes)
        ax.plot(xs[:, 0].numpy(), truth(xs)[0, :, 0].numpy(), color=style.TRUTH, lw=1.1)
        draw_observations(ax, seen, size=16, clip_on=False)
        dress(ax, x=axes[0], y="value")
        ax.set_xlim(-1, 1)
        return
    page = Page.of(BOX, axes)
    values = truth(page.points(side))[0, :, 0].cpu()
    draw_map(ax, values.reshape(side, side).numpy(), page, style.FIELD_MAP, *map_limits(values))
    draw_observations(ax, seen, page, size=8)
    dress(ax, x=axes[page.across], y=axes[page.up])
    fit_page(ax, page)


def _curves(ax: Axes, problem: Problem, seed: int, side: int) -> None:
    xs = window_points(BOX[:1], 401, problem.card.axes)
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
