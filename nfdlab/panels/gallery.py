"""Every observation pattern on every kind of problem: the truth and its observations."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes

from ..core.checks import require, require_name, require_seed
from ..core.rng import child
from ..core.types import Fields, Observations, Problem
from ..observation import patterns as known
from ..observation.observing import observe
from ..problems import held_out
from . import style
from .axes import draw_map, draw_observations, map_limits
from .page import BOX, Page, window_points
from .state import State, timed
from .style import Picture, dress, headline

_CURVE, _MAP = 1.15, 1.5                                            # inches a cell is high


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
            (_curve if problem.d == 1 else _map)(ax, problem, truth, seen, side)
            ax.set_xticks([])
            ax.set_yticks([])
            ax.set_title(f"{name} · {seen.m}", loc="left", fontsize=style.FONT, color=style.INK)
            if i:
                ax.set_xlabel("")
                ax.set_ylabel("")
    headline(figure, title)
    return figure


def _suited(problem: Problem, patterns: Sequence) -> list[tuple[str, object]]:
    """Names and sized patterns."""
    cells = [(p, State(pattern=p).sized_pattern(problem.d)) if isinstance(p, str) else (type(p).__name__.lower(), p)
             for p in patterns]
    return [(name, pattern) for name, pattern in cells if timed(problem) or not pattern.in_time]


def _curve(ax: Axes, problem: Problem, truth: Fields, seen: Observations, side: int) -> None:
    xs = window_points(((-1.0, 1.0),), 401, problem.card.axes)
    ax.plot(xs[:, 0].numpy(), truth(xs)[0, :, 0].numpy(), color=style.TRUTH, lw=1.1)
    draw_observations(ax, seen, size=16, clip_on=False)
    dress(ax, x=problem.card.axes[0], y="value")
    ax.set_xlim(-1, 1)


def _map(ax: Axes, problem: Problem, truth: Fields, seen: Observations, side: int) -> None:
    page = Page.of(BOX, problem.card.axes)
    values = truth(page.points(side))[0, :, 0].cpu()
    draw_map(ax, values.reshape(side, side).numpy(), page, style.FIELD_MAP, *map_limits(values))
    draw_observations(ax, seen, page, size=8)
    dress(ax, x=problem.card.axes[page.across], y=problem.card.axes[page.up])
    ax.set_xlim(page.left, page.right)
    ax.set_ylim(page.bottom, page.top)
