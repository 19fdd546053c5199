"""The picture of a frame as plates, the same for every painter: small multiples with shared axes, truth first,
uncertainty last. Titles are computed from numbers."""

import math

import numpy as np
from torch import Tensor

from . import style
from .page import Page
from .plate import Plate, first_names, map_plate
from .state import VIEWS
from .style import colour_of
from .view import CURVES_KEPT, Frame

STD_TITLE = "uncertainty: standard deviation"
COLUMNS = 4                      # of maps


def describe(frame: Frame) -> str:
    """One sentence that says what the picture shows: for readers who cannot see it, and the alt text of a report."""
    task, comparison = frame.task, frame.comparison
    when = f", {_moment(frame)}" if frame.film else ""
    return (f"{comparison.problem.card.title}{when}, {task.seen.m} points seen, "
            f"window ×{style.number(frame.state.scale)}: "
            f"CRPS of {comparison.model_name} {style.number(frame.task.score)}, "
            f"of {comparison.reference_name} {style.number(task.reference_score)}")


def _moment(frame: Frame) -> str:
    return f"{frame.comparison.problem.card.axes[0]} = {style.number(frame.state.time, 2)}".replace("-", "−")


def seen_title(frame: Frame) -> str:
    """Number of observations; of a film also how many are near this time."""
    m = frame.task.seen.m
    points = "1 point seen" if m == 1 else f"{m} points seen"
    return f"{frame.near.m} of {points}" if frame.film else points


def draws_title(frame: Frame, name: str, n: int) -> str:
    """Who made the n draws, and whether they or a summary of them are shown."""
    flat = len(frame.window) == 1
    if as_draws(frame) or n == 1:
        shown = min(n, CURVES_KEPT) if flat else 4 if n >= 4 else 1
        return f"{name}: {shown} draws" if shown > 1 else f"{name}: one draw"
    if not flat:
        return f"{name}: mean of {n}"
    return f"{name}: mean and {style.BAND:.0%} band".replace("%", " %") if n >= 19 else f"{name}: mean and range of {n}"


def rms(values: Tensor) -> str:
    """Root mean square over this window, as it is written."""
    return style.number(float(values.square().mean().sqrt()), 2)


def as_draws(frame: Frame) -> bool:
    """Whether draws are shown in place of a summary."""
    return frame.state.view == VIEWS[1]


def contestants(frame: Frame) -> tuple[tuple, tuple]:
    """Reference and model, each as its summary, its colour, and the title of its draws."""
    own, rival, task = frame.comparison.model_name, frame.comparison.reference_name, frame.task
    return ((frame.reference, colour_of(rival), draws_title(frame, rival, task.reference.n)),
            (frame.model, style.MODEL, draws_title(frame, own, task.model.n)))


def nice(x: float) -> float:
    """The next of 1, 2, 5 × 10^k from x up."""
    if not x > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(x))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= x * 0.999)


def error_limit(frame: Frame) -> float:
    """Errors are shown within ± this, uncertainty from 0 to this. Computed from the reference over the whole box, so
    that it stays while the window moves."""
    return nice(3 * frame.task.reference_std)


def value_limits(frame: Frame) -> tuple[float, float]:
    """Limits shared by truth, reference and model in this window; in 1D with a margin, observations inside."""
    flat, summaries = len(frame.window) == 1, (frame.reference, frame.model)
    parts = [frame.truth, frame.reference.mean, frame.model.mean]
    if flat:
        parts += [part for s in summaries for part in ([s.draws.flatten()] if as_draws(frame) else [s.low, s.high])]
        (left, right), seen = frame.window[0], frame.near
        parts.append(seen.values[(seen.coords[:, 0] >= left) & (seen.coords[:, 0] <= right), 0])
    low, high = np.quantile(np.concatenate([p.numpy() for p in parts]), (0.0, 1.0) if flat else (0.002, 0.998))
    least = 1e-3 + 0.02 * frame.task.reference_std            # a constant window gets limits of some width
    middle, half = (low + high) / 2, max((high - low) / 2 * (1.06 if flat else 1.0), least)
    return float(middle - half), float(middle + half)


def plates(frame: Frame) -> list[Plate]:
    """The four plates of a window in 1D, reference and model above their errors and deviations. In 2D eight maps in two
    rows: truth and the reference's mean, error and uncertainty above observations and those of the model."""
    return _curves(frame) if len(frame.window) == 1 else _maps(frame)


def _curves(frame: Frame) -> list[Plate]:
    card, limit, both = frame.comparison.problem.card, error_limit(frame), contestants(frame)
    window, xs, truth, blue = frame.window[0], frame.coords, frame.truth, both[0][1]
    reference, model = (rms(summary.mean - truth) for summary, *_ in both)
    errors = Plate(*window, -limit, limit, x=card.axes[0], title=f"error: {model} RMS "
                   f"({frame.comparison.reference_name.split()[0]} {reference})")
    stds = Plate(*window, 0.0, limit, title=STD_TITLE, x=card.axes[0])
    above = []
    for summary, colour, title in both:
        plate = Plate(*window, *value_limits(frame), title=title, ink=colour,
                      y="" if above else f"value ({card.units})")
        if as_draws(frame):
            plate.curve(xs, summary.draws, colour, style.THIN, style.DRAW_ALPHA)
        else:
            plate.band(xs, summary.low, summary.high, colour).curve(xs, summary.draws[:5], colour, 0.7, 0.4)
            plate.curve(xs, summary.mean, colour)
            for end in (frame.reference.low, frame.reference.high) if above else ():      # again, as an outline
                plate.curve(xs, end, blue, 1.0, 0.9, (4, 3))
        above.append(plate.curve(xs, truth, style.TRUTH, 1.5).observed(frame.near))
        errors.curve(xs, summary.mean - truth, colour, 1.5)
        stds.curve(xs, summary.std, colour, 1.5)
    return [*above, errors, stds]


def _maps(frame: Frame) -> list[Plate]:
    limit, fields = error_limit(frame), (style.FIELD_MAP, *value_limits(frame))
    page, side, seen = Page.of(frame.window, frame.axes), frame.side, frame.near
    radius = (2.6 if seen.m < 150 else 1.9) * (1.5 if frame.state.scale >= 4 else 1.0)

    def plate(title: str, colours: tuple = fields, ink: str = style.INK) -> Plate:
        return map_plate(page, frame.axes, colours, title=title, ink=ink, units=frame.comparison.problem.card.units)

    rows = [[plate(f"truth at {_moment(frame)}" if frame.film else "truth").field(frame.truth, side)],
            [plate(seen_title(frame)).observed(seen, page, radius, filled=True)]]
    for row, (summary, ink, title) in zip(rows, contestants(frame), strict=True):
        error = summary.mean - frame.truth
        row += [plate(title, ink=ink).field(summary.draws if as_draws(frame) else summary.mean, side),
                plate(f"error: {rms(error)} RMS", (style.ERROR_MAP, -limit, limit), ink).field(error, side),
                plate(f"uncertainty (std): {rms(summary.std)} RMS", (style.STD_MAP, 0.0, limit), ink)
                .field(summary.std, side).observed(seen, page, 1.1)]
    return first_names([*rows[0], *rows[1]], COLUMNS)
