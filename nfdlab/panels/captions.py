"""Titles, limits and colours of a frame, the same for every painter; titles are computed from numbers."""

import math

import numpy as np
from torch import Tensor

from . import style
from .state import VIEWS
from .view import CURVES_KEPT, Frame

STD_TITLE = "uncertainty: standard deviation"


def describe(frame: Frame) -> str:
    """One sentence that says what the picture shows: for readers who cannot see it, and the alt text of a report."""
    task, comparison = frame.drawn.task, frame.comparison
    when = f", {_moment(frame)}" if frame.film else ""
    return (f"{comparison.problem.card.title}{when}, {task.seen.m} points seen, "
            f"window ×{style.number(frame.state.scale)}: "
            f"CRPS of {comparison.model_name} {style.number(frame.drawn.score)}, "
            f"of {comparison.reference_name} {style.number(task.reference_score)}")


def _moment(frame: Frame) -> str:
    return f"{frame.comparison.problem.card.axes[0]} = {style.number(frame.state.time, 2)}".replace("-", "−")


def seen_title(frame: Frame) -> str:
    """Number of observations; of a film also how many are near this time."""
    m, d = frame.drawn.task.seen.m, len(frame.window)
    points = "1 point seen" if m == 1 else f"{m} points seen"
    if frame.film:
        return f"{frame.near.m} of {points}"
    return points if d == 1 else f"{points} ({style.percent(m / 64**d)} of 64 × 64)"


def draws_title(frame: Frame, name: str) -> str:
    """Who made the draws, and whether they or a summary of them are shown."""
    n, flat = frame.state.draws, len(frame.window) == 1
    if as_draws(frame) or n == 1:
        shown = min(n, CURVES_KEPT) if flat else 4 if n >= 4 else 1
        return f"{name}: {shown} draws" if shown > 1 else f"{name}: one draw"
    if not flat:
        return f"{name}: mean of {n}"
    return f"{name}: mean and {style.BAND:.0%} band".replace("%", " %") if n >= 19 else f"{name}: mean and range of {n}"


def error_title(frame: Frame) -> str:
    """Root mean square error of the model's mean in this window."""
    error = float((frame.model.mean - frame.truth).square().mean().sqrt())
    reference = float((frame.reference.mean - frame.truth).square().mean().sqrt())
    beside = f" ({frame.comparison.reference_name} {style.number(reference, 2)})" if len(frame.window) == 1 else ""
    return f"error of the mean: {style.number(error, 2)} RMS{beside}"


def reference_colour(frame: Frame) -> str:
    """Blue for an exact posterior, grey for a baseline in its place."""
    return style.EXACT if frame.comparison.exact else style.BASELINE


def as_draws(frame: Frame) -> bool:
    """Whether draws are shown in place of a summary."""
    return frame.state.view == VIEWS[1]


def nice(x: float) -> float:
    """The next of 1, 2, 5 × 10^k from x up."""
    if not x > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(x))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= x * 0.999)


def error_limit(frame: Frame) -> float:
    """Errors are shown within ± this, uncertainty from 0 to this. Computed from the reference over the whole box, so
    that it stays while the window moves."""
    return nice(3 * frame.drawn.task.reference_std)


def value_limits(frame: Frame) -> tuple[float, float]:
    """Limits shared by truth, reference and model in this window; in 1D with a margin, observations inside."""
    flat, summaries = len(frame.window) == 1, (frame.reference, frame.model)
    parts = [frame.truth, frame.reference.mean, frame.model.mean]
    if flat:
        parts += [part for s in summaries for part in ([s.draws.flatten()] if as_draws(frame) else [s.low, s.high])]
        (left, right), seen = frame.window[0], frame.near
        parts.append(seen.values[(seen.coords[:, 0] >= left) & (seen.coords[:, 0] <= right), 0])
    low, high = np.quantile(np.concatenate([p.numpy() for p in parts]), (0.0, 1.0) if flat else (0.002, 0.998))
    least = 1e-3 + 0.02 * frame.drawn.task.reference_std            # a constant window gets limits of some width
    middle, half = (low + high) / 2, max((high - low) / 2 * (1.06 if flat else 1.0), least)
    return float(middle - half), float(middle + half)


def map_cells(frame: Frame) -> list[tuple[str, Tensor | None, tuple[str, float, float], str]]:
    """The six maps of a frame in 2D: title, values (None for the observations), (colour map, low, high), ink."""
    limit, fields = error_limit(frame), (style.FIELD_MAP, *value_limits(frame))
    answers = [(s.draws if as_draws(frame) else s.mean) for s in (frame.reference, frame.model)]
    names = [draws_title(frame, name) for name in (frame.comparison.reference_name, frame.comparison.model_name)]
    truth = f"truth at {_moment(frame)}" if frame.film else "truth"
    return [(truth, frame.truth, fields, style.INK), (seen_title(frame), None, fields, style.INK),
            (names[0], answers[0], fields, reference_colour(frame)), (names[1], answers[1], fields, style.MODEL),
            (error_title(frame), frame.model.mean - frame.truth, (style.ERROR_MAP, -limit, limit), style.INK),
            (STD_TITLE, frame.model.std, (style.STD_MAP, 0.0, limit), style.INK)]
