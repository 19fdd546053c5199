"""The picture of a frame as plates, the same for every painter: small multiples with shared axes, truth first,
uncertainty last. Titles are computed from numbers."""

import math

import numpy as np
from torch import Tensor

from . import style
from .page import Page
from .plate import Plate, first_names, map_plate
from .shading import FAR, screen, shade
from .state import VIEWS
from .style import colour_of
from .view import CURVES_KEPT, Frame, Summary

STD_TITLE = "uncertainty: standard deviation"
COLUMNS = 4                      # of maps


def describe(frame: Frame) -> str:
    """One sentence that says what the picture shows: for readers who cannot see it, and the alt text of a report."""
    task, comparison = frame.task, frame.comparison
    when = f", {_moment(frame)}" if frame.film else ""
    when += f", step {frame.state.step}, noise {style.number(frame.sigma, 2)}" if frame.sigma is not None else ""
    rival = f", of {comparison.rival_name} {style.number(task.rival_score)}" if frame.rival is not None else ""
    return (f"{comparison.problem.card.title}{when}, {task.seen.m} points seen, "
            f"window ×{style.number(frame.state.scale)}: "
            f"CRPS of {comparison.model_name} {style.number(frame.task.score)}, "
            f"of {comparison.reference_name} {style.number(task.reference_score)}{rival}")


def _moment(frame: Frame) -> str:
    return f"{frame.comparison.problem.card.axes[0]} = {style.number(frame.state.time, 2)}".replace("-", "−")


def seen_title(frame: Frame) -> str:
    """Number of observations; of a film also how many are near this time."""
    m = frame.task.seen.m
    part = frame.film and not frame.solid
    points = ("1 point seen" if m == 1 else f"{m} points seen") + (", yours" if frame.state.own is not None else "")
    return f"{frame.near.m} of {points}" if part else points


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
    """Whether draws are shown in place of a summary: also while they form."""
    return frame.state.view == VIEWS[1] or frame.sigma is not None


def contestants(frame: Frame) -> list[tuple[Summary, str, str, str]]:
    """Reference, model and rival, if there is one: each as its summary, its colour, its name, and the title of its
    draws."""
    found, task = frame.comparison, frame.task
    rows = [(frame.reference, colour_of(found.reference_name), found.reference_name, task.reference.n),
            (frame.model, style.MODEL, found.model_name, task.model.n)]
    if frame.rival is not None:
        rows.append((frame.rival, rival_colour(found.rival_name), found.rival_name, task.rival.n))
    return [(summary, colour, name, draws_title(frame, name, n)) for summary, colour, name, n in rows]


def rival_colour(name: str) -> str:
    """The colour of a second contestant: of a baseline its own, of a model purple."""
    return style.SECOND if colour_of(name) == style.MODEL else colour_of(name)


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
    flat, summaries = len(frame.window) == 1, [summary for summary, *_ in contestants(frame)]
    parts = [frame.truth, *(summary.mean for summary in summaries)]
    if flat:
        parts += [part for s in summaries for part in ([s.draws.flatten()] if as_draws(frame) else [s.low, s.high])]
        (left, right), seen = frame.window[0], frame.near
        parts.append(seen.values[(seen.coords[:, 0] >= left) & (seen.coords[:, 0] <= right), 0])
    low, high = np.quantile(np.concatenate([p.numpy() for p in parts]), (0.0, 1.0) if flat else (0.002, 0.998))
    least = 1e-3 + 0.02 * frame.task.reference_std            # a constant window gets limits of some width
    middle, half = (low + high) / 2, max((high - low) / 2 * (1.06 if flat else 1.0), least)
    return float(middle - half), float(middle + half)


def plates(frame: Frame) -> list[Plate]:
    """The plates of a window. In 1D reference, model and rival above errors and deviations, two to three. In 2D rows of
    four maps: truth and the reference's mean, error and uncertainty; observations and those of the model; the rival's
    three. Surfaces: truth, then reference, model and rival, each a mean and draws. While draws form, their ways from
    noise stand in place of errors and deviations, of errors in 2D."""
    return [plate for row in rows(frame) for plate in row]


def rows(frame: Frame) -> list[list[Plate]]:
    """The plates, row by row."""
    if frame.solid:
        return _surfaces(frame)
    return _curves(frame) if len(frame.window) == 1 else _maps(frame)


def _curves(frame: Frame) -> list[list[Plate]]:
    card, limit, all_of_them = frame.comparison.problem.card, error_limit(frame), contestants(frame)
    window, xs, truth, blue = frame.window[0], frame.coords, frame.truth, all_of_them[0][1]
    reference, model = (rms(summary.mean - truth) for summary, *_ in all_of_them[:2])
    errors = Plate(*window, -limit, limit, x=card.axes[0], title=f"error: {model} RMS "
                   f"({frame.comparison.reference_name.split()[0]} {reference})")
    stds = Plate(*window, 0.0, limit, title=STD_TITLE, x=card.axes[0])
    above = []
    for summary, colour, name, title in all_of_them:
        plate = Plate(*window, *value_limits(frame), title=title, ink=colour,
                      y="" if above else f"value ({card.units})", area=name)
        if as_draws(frame):
            plate.curve(xs, summary.draws, colour, style.THIN, style.DRAW_ALPHA)
        else:
            plate.band(xs, summary.low, summary.high, colour).curve(xs, summary.draws[:5], colour, 0.7, 0.4)
            plate.curve(xs, summary.mean, colour)
            for end in (frame.reference.low, frame.reference.high) if above else ():      # again, as an outline
                plate.curve(xs, end, blue, 1.0, 0.9, (4, 3))
        if summary is frame.model and frame.picked is not None:
            plate.curve(xs, frame.picked, colour, 2.6)
        above.append(plate.curve(xs, truth, style.TRUTH, 1.5).observed(frame.near))
        errors.curve(xs, summary.mean - truth, colour, 1.5)
        stds.curve(xs, summary.std, colour, 1.5)
    return [above, [errors, stds] if frame.traces is None else _ways(frame)]


def _ways(frame: Frame) -> list[Plate]:
    """Draws at the window's middle after each step of the sampler: of the exact denoiser, if there is one, and of the
    model. A line marks the step that is shown."""
    known = [part for part in frame.traces if part is not None]
    low, high = min(float(part.min()) for part in known), max(float(part.max()) for part in known)
    air, total = 0.06 * (high - low) + 1e-3, frame.traces[1].shape[1]
    middle = ", ".join(style.number((a + b) / 2, 2) for a, b in frame.window).replace("-", "−")
    found = []
    for part, (_, colour, name, _) in zip(frame.traces, contestants(frame), strict=False):
        title = f"draws at {middle}, noise {style.number(frame.sigma, 2)}"
        plate = Plate(1, max(2, total), low - air, high + air, f"{name}: {title}" if len(frame.window) == 1 else title,
                      "step of the sampler", ink=colour)
        for i, way in enumerate(part if part is not None else []):
            plate.curve(np.arange(1, total + 1), way, colour, 2.2 if i == frame.state.pick else 1.0, 0.8)
        at = max(1, min(frame.state.step, total))
        found.append(plate.curve([at, at], [low - air, high + air], style.TRUTH, 0.8, dash=(3, 2)))
    return found


def _maps(frame: Frame) -> list[list[Plate]]:
    limit, fields = error_limit(frame), (style.FIELD_MAP, *value_limits(frame))
    page, side, seen = Page.of(frame.window, frame.axes), frame.side, frame.near
    radius = (2.6 if seen.m < 150 else 1.9) * (1.5 if frame.state.scale >= 4 else 1.0)

    def plate(title: str, colours: tuple = fields, ink: str = style.INK, area: str = "") -> Plate:
        return map_plate(page, frame.axes, colours, title=title, ink=ink, units=frame.comparison.problem.card.units,
                         area=area)

    rows = [[plate(f"truth at {_moment(frame)}" if frame.film else "truth", area="truth").field(frame.truth, side)],
            [plate(seen_title(frame), area="seen").observed(seen, page, radius, filled=True)], []]
    ways = [] if frame.traces is None else _ways(frame)
    for i, (row, (summary, ink, name, title)) in enumerate(zip(rows, contestants(frame), strict=False)):
        error, shown = summary.mean - frame.truth, summary.draws if as_draws(frame) else summary.mean
        if summary is frame.model and frame.picked is not None:
            shown, title = frame.picked, f"{name}: draw {frame.state.pick + 1}"
        row += [plate(title, ink=ink, area=name).field(shown, side),
                ways[i] if i < len(ways) and frame.traces[i] is not None else
                plate(f"error: {rms(error)} RMS", (style.ERROR_MAP, -limit, limit), ink, "error").field(error, side),
                plate(f"uncertainty (std): {rms(summary.std)} RMS", (style.STD_MAP, 0.0, limit), ink, "uncertainty")
                .field(summary.std, side).observed(seen, page, 1.1)]
    return [first_names(row, COLUMNS) for row in rows if row]


def _surfaces(frame: Frame) -> list[list[Plate]]:
    """Where fields are nought, as solids turned by the state's angle: a row each of truth and observations, reference,
    model and rival."""
    angle, side = math.radians(frame.state.turn), 3 * frame.side
    seen, axes = frame.task.seen, screen(angle)

    def plate(title: str, values: Tensor, ink: str = style.INK) -> Plate:
        light, _ = shade(values.reshape(1, 1, *[frame.side] * 3), angle, side)
        made = Plate(-FAR, FAR, -FAR, FAR, title, ink=ink, colours=("gray", 0.0, 1.0), framed=False)
        return made.field(light.mul(0.85).nan_to_num(1.0), side)

    first = plate("truth", frame.truth)
    observed = plate(seen_title(frame), frame.truth)
    right, up, _ = (seen.coords.float() @ axes.T).T
    observed.marks.append(("circles", right.numpy(), up.numpy(), 2.2, None))
    rows = [[first, observed]]
    for summary, ink, name, _ in contestants(frame):
        one = summary is frame.model and frame.picked is not None
        shown = {frame.state.pick: frame.picked} if one else dict(enumerate(summary.draws[:3]))
        rows.append([plate(f"{name}: mean", summary.mean, ink),
                     *(plate(f"draw {i + 1}", draw, ink) for i, draw in shown.items())])
    return rows
