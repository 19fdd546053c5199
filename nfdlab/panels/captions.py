"""How a frame is read, for every painter alike: titles computed from numbers, limits that neighbours share, colours."""

import math

import numpy as np

from . import style
from .state import VIEWS
from .view import SHOWN, Frame


def describe(frame: Frame) -> str:
    """One sentence for readers who cannot see the picture, and for the alt text of a report."""
    given, rivals = frame.drawn.given, frame.rivals
    when = f", {_moment(frame)}" if frame.film else ""
    return (f"{rivals.problem.card.title}{when}, {given.seen.m} points seen, "
            f"window ×{style.number(frame.state.scale)}: "
            f"CRPS of {rivals.model_name} {style.number(frame.drawn.score)}, "
            f"of {rivals.ruler_name} {style.number(given.ruler_score)}")


def truth_title(frame: Frame) -> str:
    """The truth, and of a film when."""
    return f"truth at {_moment(frame)}" if frame.film else "truth"


def _moment(frame: Frame) -> str:
    return f"{frame.rivals.problem.card.axes[0]} = {style.number(frame.state.time, 2)}".replace("-", "−")


def seen_title(frame: Frame) -> str:
    """How much was seen, and of a film how much of it now."""
    m, d = frame.drawn.given.seen.m, len(frame.window)
    points = "1 point seen" if m == 1 else f"{m} points seen"
    if frame.film:
        return f"{frame.near.m} of {points}"
    return points if d == 1 else f"{points} ({style.percent(m / 64**d)} of 64 × 64)"


def rival_title(frame: Frame, name: str) -> str:
    """Who answers, and what stands for the answer."""
    n, flat = frame.state.draws, len(frame.window) == 1
    if frame.state.view == VIEWS[1] or n == 1:
        shown = min(n, SHOWN) if flat else 4 if n >= 4 else 1
        return f"{name}: {shown} draws" if shown > 1 else f"{name}: one draw"
    if not flat:
        return f"{name}: mean of {n}"
    return f"{name}: mean and {style.BAND:.0%} band".replace("%", " %") if n >= 19 else f"{name}: mean and range of {n}"


def error_title(frame: Frame) -> str:
    """Whose error, and how large it is in this window."""
    error = float((frame.model.mean - frame.truth).square().mean().sqrt())
    ruler = float((frame.ruler.mean - frame.truth).square().mean().sqrt())
    beside = f" ({frame.rivals.ruler_name} {style.number(ruler, 2)})" if len(frame.window) == 1 else ""
    return f"error of the mean: {style.number(error, 2)} RMS{beside}"


def spread_title(frame: Frame) -> str:
    """What uncertainty is."""
    return "uncertainty: standard deviation"


def ruler_colour(frame: Frame) -> str:
    """Blue for an exact posterior, grey for a stand-in."""
    return style.EXACT if frame.rivals.exact else style.BASELINE


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
    """Errors are shown within ± this, uncertainty from 0 to this. Set by the ruler over the whole box, so that it stays
    while the window moves."""
    return nice(3 * frame.drawn.given.spread)


def value_limits(frame: Frame) -> tuple[float, float]:
    """Limits that truth, ruler and model share in this window; in 1D with a little air, observations inside."""
    flat, bundles = len(frame.window) == 1, (frame.ruler, frame.model)
    parts = [frame.truth, frame.ruler.mean, frame.model.mean]
    if flat:
        parts += [part for b in bundles for part in ([b.draws.flatten()] if as_draws(frame) else [b.low, b.high])]
        (left, right), seen = frame.window[0], frame.near
        parts.append(seen.values[(seen.coords[:, 0] >= left) & (seen.coords[:, 0] <= right), 0])
    low, high = np.quantile(np.concatenate([p.numpy() for p in parts]), (0.0, 1.0) if flat else (0.002, 0.998))
    least = 1e-3 + 0.02 * frame.drawn.given.spread                  # a flat window stays flat
    middle, half = (low + high) / 2, max((high - low) / 2 * (1.06 if flat else 1.0), least)
    return float(middle - half), float(middle + half)
