"""A frame as one `<svg>` in HTML: small multiples with shared axes, truth first, uncertainty last."""

import numpy as np
from torch import Tensor

from . import captions, style
from .page import BOX, Page
from .svg_primitives import Plate, colour_bar, png, sheet, text
from .view import Frame, Summary

WIDE = 920.0                     # pixels of the page


def paint(frame: Frame) -> str:
    """The picture of a frame as HTML."""
    parts, height = (_curves if len(frame.window) == 1 else _maps)(frame)
    return sheet(WIDE, height, parts, captions.describe(frame))


def _curves(frame: Frame) -> tuple[list[str], float]:
    comparison, seen, blue = frame.comparison, frame.drawn.task.seen, captions.reference_colour(frame)
    card, draws = comparison.problem.card, captions.as_draws(frame)
    xs, truth = frame.coords[:, 0].numpy(), frame.truth.numpy()
    (left, right), (low, high) = frame.window[0], captions.value_limits(frame)
    places = seen.coords[:, 0].numpy(), seen.values[:, 0].numpy()
    names = comparison.reference_name, comparison.model_name
    parts = []
    for summary, colour, name, x in zip((frame.reference, frame.model), (blue, style.MODEL), names, (58, 518),
                                           strict=True):
        plate = Plate(x, 30, 390, 240, left, right, low, high)
        inside = _summary(plate, xs, summary, colour, draws)
        if summary is frame.model and not draws:                    # the reference's band again, as an outline
            inside += [plate.curve(xs, end.numpy(), blue, 1.0, 0.9, "40 30")
                       for end in (frame.reference.low, frame.reference.high)]
        inside.append(plate.curve(xs, truth, style.TRUTH, 1.5))
        parts += [plate.frame(captions.draws_title(frame, name), "", f"value ({card.units})" if x < 100 else "",
                              colour=colour, grid=True), plate.clip(*inside), plate.circles(*places)]
    limit, both = captions.error_limit(frame), (frame.reference, frame.model)
    below = (([s.mean.numpy() - truth for s in both], (-limit, limit), captions.error_title(frame), 58),
             ([s.std.numpy() for s in both], (0.0, limit), captions.STD_TITLE, 518))
    for curves, (bottom, top), title, x in below:
        plate = Plate(x, 346, 390, 84, left, right, bottom, top)
        inside = [plate.curve(xs, ys, colour, 1.5) for ys, colour in zip(curves, (blue, style.MODEL), strict=True)]
        parts += [plate.frame(title, card.axes[0], grid=True, up=2), plate.clip(*inside)]
    parts.append(_key(58, 307, frame, blue))
    if frame.state.scale > 1:
        parts.append(_where(Plate(768, 300, 140, 7, -1, 1, 0, 1), left, right))
    return parts, 468.0


def _summary(plate: Plate, xs: np.ndarray, summary: Summary, colour: str, draws: bool) -> list[str]:
    if draws:
        return [plate.curve(xs, draw, colour, style.THIN, style.DRAW_ALPHA) for draw in summary.draws.numpy()]
    few = [plate.curve(xs, draw, colour, 0.7, 0.4) for draw in summary.draws[:5].numpy()]
    return [plate.band(xs, summary.low.numpy(), summary.high.numpy(), colour), *few,
            plate.curve(xs, summary.mean.numpy(), colour)]


def _key(x: float, y: float, frame: Frame, blue: str) -> str:
    """The legend, in one line."""
    seen = captions.seen_title(frame) if frame.drawn.task.seen.m else "nothing seen: the prior"
    ring = f'fill="{style.DOT}" stroke="{style.RING}" stroke-width="1.2"'
    marks = [f'<path d="M{x} {y - 4}h18" stroke="{style.TRUTH}" stroke-width="1.5"/>',
             text(x + 23, y, "truth", size=10.5), f'<circle cx="{x + 70}" cy="{y - 4}" r="3.6" {ring}/>',
             text(x + 79, y, seen, size=10.5)]
    if not captions.as_draws(frame):
        marks += [f'<path d="M{x + 460} {y - 4}h18" stroke="{blue}" stroke-dasharray="4 3"/>',
                  text(x + 483, y, f"band of {frame.comparison.reference_name}", size=10.5)]
    return "".join(marks)


def _where(plate: Plate, left: float, right: float) -> str:
    """A thin strip of the whole axis with the window marked."""
    x0, x1 = (plate.x + plate.across(v) / 10 for v in (left, right))
    return (f'<rect x="{plate.x:g}" y="{plate.y:g}" width="{plate.w:g}" height="{plate.h:g}" fill="{style.EMPTY}"/>'
            f'<rect x="{x0:.1f}" y="{plate.y:g}" width="{max(x1 - x0, 2):.1f}" height="{plate.h:g}" '
            f'fill="{style.SOFT}"/>')


def _maps(frame: Frame) -> tuple[list[str], float]:
    page, seen, units = Page.of(frame.window, frame.axes), frame.near, frame.comparison.problem.card.units
    places = seen.coords[:, page.across].numpy(), seen.coords[:, page.up].numpy()
    parts = []
    for i, (title, values, (name, low, high), ink) in enumerate(captions.map_cells(frame)):
        plate = Plate(52 + 294 * (i % 3), 28 + 352 * (i // 3), 264, 264, page.left, page.right, page.bottom, page.top)
        if values is None:
            fills = [style.colour(name, share) for share in (seen.values[:, 0].numpy() - low) / (high - low)]
            radius = (3.6 if len(fills) < 150 else 2.6) * (1.5 if frame.state.scale >= 4 else 1.0)
            inside = [f'<rect width="2640" height="2640" fill="{style.EMPTY}"/>']
            marks = plate.circles(*places, radius, fills)
        else:
            inside = _tiles(plate, values, frame.side, name, low, high)
            marks = plate.circles(*places, 1.4) if i == 5 else ""
        first = i % 3 == 0
        parts += [plate.clip(*inside), colour_bar(plate.x, plate.y + 296, plate.w, name, low, high, units),
                  plate.frame(title, frame.axes[page.across], frame.axes[page.up] if first else "", colour=ink,
                              across=4, numbers_up=first), marks]
    if frame.state.scale > 1:
        parts.append(_corner(page, Page.of(BOX, frame.axes)))
    return parts, 716.0


def _tiles(plate: Plate, values: Tensor, side: int, name: str, low: float, high: float) -> list[str]:
    """One field (p,), or the first four of (k, p) as two by two."""
    images = [png(g, style.lut(name), low, high) for g in values.reshape(-1, side, side).numpy()[:4]]
    if len(images) < 4:
        return [plate.field(images[0])]
    return [plate.field(image, i % 2, i // 2) for i, image in enumerate(images)]


def _corner(page: Page, whole: Page) -> str:
    """The whole box in a corner of the truth, with the window marked."""
    plate = Plate(52 + 264 - 48, 32, 44, 44, whole.left, whole.right, whole.bottom, whole.top)
    x, y = plate.x + plate.across(page.left) / 10, plate.y + plate.down(page.top) / 10
    w = plate.x + plate.across(page.right) / 10 - x
    h = plate.y + plate.down(page.bottom) / 10 - y
    return (f'<rect x="{plate.x:g}" y="{plate.y:g}" width="{plate.w:g}" height="{plate.h:g}" fill="{style.PAPER}" '
            f'fill-opacity="0.85" stroke="{style.RING}" stroke-width="0.8"/>'
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(w, 2.5):.1f}" height="{max(h, 2.5):.1f}" fill="{style.INK}"/>')
