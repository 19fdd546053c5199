"""Small multiples: many problems, many patterns, or many posteriors, side by side."""

import math
from collections.abc import Mapping, Sequence
from textwrap import fill

import torch

from ..core import single
from ..core.checks import require, require_name, require_seed
from ..core.rng import child
from ..core.types import Fields, Observations, Problem, ProblemCard
from ..observation import patterns as known
from ..observation.observing import observe
from ..problems import held_out
from . import style
from .matplotlib_figure import draw, grid, require_some
from .page import BOX, Page, shown, slice_of, window_points
from .plate import Plate, first_names, map_limits, map_plate
from .state import State, timed
from .style import Picture, headline

_CURVE, _MAP = 1.15, 1.5                          # inches a cell of the gallery is high
MOMENTS = (-0.75, -0.25, 0.25, 0.75)             # of a film, shown two by two


def meet(problems: Sequence[Problem], *, seed: int = 0, columns: int = 6, side: int = 96,
         title: str | None = None) -> Picture:
    """A cell for each problem: three curves, a map, or four moments of a film. Names are blue where there is an exact
    posterior, else grey; the title of the problem's card is written below."""
    require_seed(seed)
    require_some("problems", problems, 'meet([problems.get("gp1d")]).')
    rows = math.ceil(len(problems) / columns)
    figure = grid([_met(problem, seed, side) for problem in problems], columns,
                  (1.75 * columns, 2.25 * rows + (0.3 if title else 0.0)), title)
    for ax in figure.axes[:len(problems)]:
        ax.set(box_aspect=1, xticks=[], yticks=[])
        ax.set_xlabel(ax.get_xlabel(), fontsize=style.FONT - 2, color=style.SOFT)
    return figure


def _met(problem: Problem, seed: int, side: int) -> Plate:
    """The cell of a problem."""
    require(problem.d in (1, 2, 3, 4), must="problems of one to four coordinates.", came=f"one with d = {problem.d}",
            why="A cell is curves, a map or a film.", do="Leave it out.")
    card, source = problem.card, held_out(problem)
    words = {"title": card.name, "x": fill(card.title, 26),
             "ink": style.BASELINE if card.exact.startswith("none") else style.EXACT}
    if problem.d == 1:
        xs, plate = window_points(BOX[:1], 401, card.axes), Plate(-1, 1, None, None, **words)
        values = source.draw(3, seed=seed)(xs)[..., 0].cpu()
        return plate.curve(xs, values[[2, 1]], style.FAINT, 1.2).curve(xs, values[0], style.TRUTH, 1.2)
    page, truth = Page.of(BOX, card.axes[shown(problem.d)]), source.draw(1, seed=seed)
    side, times = (side, (0.0,)) if problem.d == 2 else (side // 2, MOMENTS)
    values = torch.stack([truth(slice_of(page.points(side), problem.d, t))[0, :, 0].cpu() for t in times])
    return Plate(*page.extent, **words, colours=(style.FIELD_MAP, *map_limits(values))).field(values, side)


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
        for i, ax in enumerate(axes.flat):
            if i >= len(cells):
                ax.set_axis_off()
                continue
            seen = observe(truth, cells[i][1], noise_std=noise_std, seed=child(seed, "gallery", "seen"))
            draw(ax, _observed(problem, truth, seen, side, names=i == 0))
            ax.set(xticks=[], yticks=[])
            ax.set_title(f"{cells[i][0]} · {seen.m}", loc="left", fontsize=style.FONT, color=style.INK)
    headline(figure, title)
    return figure


def fans(answers: Mapping[str, tuple[Fields, Observations, Fields]], *, curves: int = 12, colour: str = style.EXACT,
         title: str | None = None) -> Picture:
    """A row of curves: answers[its title] = (truth, seen, draws), one coordinate; `curves` draws as thin lines."""
    require_some("answers", answers, 'fans({"gp1d": (truth, seen, draws)}).')
    xs, plates = single.linspace(-1, 1, 481)[:, None], []
    for words, (truth, seen, draws) in answers.items():
        require(draws.d == 1, must="draws of one coordinate.", came=f"d = {draws.d}", why="They are curves.",
                do="plots.pages for two.")
        plate = Plate(-1, 1, None, None, words, "x", "value")
        plate.curve(xs, draws(xs)[:curves, :, 0].cpu(), colour, style.THIN, style.DRAW_ALPHA)
        plates.append(plate.curve(xs, truth(xs)[0, :, 0].cpu(), style.TRUTH, 1.4).observed(seen))
    return grid(first_names(plates, len(plates)), len(plates),
                (2.7 * len(plates), 2.6 + (0.3 if title else 0.0)), title)


def pages(card: ProblemCard, fields: Mapping[str, Fields], *, seen: Observations | None = None, side: int = 128,
          title: str | None = None) -> Picture:
    """A row of maps with shared limits, those of the first: the first draw of each of `fields`, by its title."""
    page, plates, limits = Page.of(BOX, card.axes), [], None
    require_some("fields", fields, 'pages(problem.card, {"truth": truth}).')
    for words, found in fields.items():
        values = found(page.points(side))[0, :, 0].cpu()
        limits = limits or map_limits(values)
        plates.append(map_plate(page, card.axes, (style.FIELD_MAP, *limits), title=words).field(values, side))
        if seen is not None:
            plates[-1].observed(seen, page, 1.6)
    broken = sum(words.count("\n") for words in (title or "", max(fields, key=lambda words: words.count("\n"))))
    return grid(first_names(plates, len(plates)), len(plates),
                (2.1 * len(plates), 2.35 + (0.3 if title else 0.0) + 0.2 * broken), title, bins=3)


def _suited(problem: Problem, patterns: Sequence) -> list[tuple[str, object]]:
    """Names and sized patterns."""
    cells = [(p, State(pattern=p).sized_pattern(problem.d)) if isinstance(p, str) else (type(p).__name__.lower(), p)
             for p in patterns]
    return [(name, pattern) for name, pattern in cells if timed(problem) or not pattern.in_time]


def _observed(problem: Problem, truth: Fields, seen: Observations, side: int, names: bool) -> Plate:
    """Truth and observations of a cell of the gallery; `names`: of its axes."""
    axes = problem.card.axes
    if problem.d == 1:
        xs, words = window_points(BOX[:1], 401, axes), {"x": axes[0], "y": "value"} if names else {}
        plate = Plate(-1, 1, None, None, **words).curve(xs, truth(xs)[0, :, 0], style.TRUTH, 1.1)
        return plate.observed(seen, radius=2.8)
    page = Page.of(BOX, axes)
    values = truth(page.points(side))[0, :, 0].cpu()
    plate = map_plate(page, axes if names else ("", ""), (style.FIELD_MAP, *map_limits(values)))
    return plate.field(values, side).observed(seen, page, 2.0)
