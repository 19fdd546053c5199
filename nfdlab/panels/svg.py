"""A frame as one hand-made `<svg>`: small multiples with shared axes, truth first, uncertainty last."""

import numpy as np
from torch import Tensor

from . import style
from .captions import (
    as_draws,
    describe,
    error_limit,
    error_title,
    rival_title,
    ruler_colour,
    seen_title,
    spread_title,
    truth_title,
    value_limits,
)
from .page import Page
from .svg_primitives import Plate, colour_bar, png, sheet, text
from .view import Frame, Summary

WIDE = 920.0                     # pixels of the page


def paint(frame: Frame) -> str:
    """The picture of a frame as HTML."""
    parts, height = (_curves if len(frame.window) == 1 else _maps)(frame)
    return sheet(WIDE, height, parts, describe(frame))


def _curves(frame: Frame) -> tuple[list[str], float]:
    card, given, blue = frame.rivals.problem.card, frame.drawn.given, ruler_colour(frame)
    xs, truth = frame.coords[:, 0].numpy(), frame.truth.numpy()
    (left, right), (low, high) = frame.window[0], value_limits(frame)
    dots = given.seen.coords[:, 0].numpy(), given.seen.values[:, 0].numpy()
    names = frame.rivals.ruler_name, frame.rivals.model_name
    parts = []
    for summary, colour, name, x in zip((frame.ruler, frame.model), (blue, style.MODEL), names, (58, 518), strict=True):
        plate = Plate(x, 30, 390, 240, left, right, low, high)
        inside = _bundle(plate, xs, summary, colour, as_draws(frame))
        if summary is frame.model and not as_draws(frame):          # the ruler's band again, as an outline
            ends = frame.ruler.low.numpy(), frame.ruler.high.numpy()
            inside += [plate.curve(xs, end, blue, 1.0, 0.9, "40 30") for end in ends]
        inside.append(plate.curve(xs, truth, style.TRUTH, 1.5))
        parts += [plate.frame(rival_title(frame, name), "", f"value ({card.units})" if x < 100 else "", colour=colour,
                              grid=True), plate.clip(*inside), plate.dots(*dots)]
    limit = error_limit(frame)
    means = [(s.mean.numpy() - truth) for s in (frame.ruler, frame.model)]
    below = ((means, (-limit, limit), error_title(frame), 58),
             ([s.std.numpy() for s in (frame.ruler, frame.model)], (0.0, limit), spread_title(frame), 518))
    for curves, (bottom, top), title, x in below:
        plate = Plate(x, 346, 390, 84, left, right, bottom, top)
        inside = [plate.curve(xs, ys, colour, 1.5) for ys, colour in zip(curves, (blue, style.MODEL), strict=True)]
        parts += [plate.frame(title, card.axes[0], grid=True, up=2), plate.clip(*inside)]
    parts.append(_key(58, 307, frame, blue))
    if frame.state.scale > 1:
        parts.append(_where(Plate(768, 300, 140, 7, -1, 1, 0, 1), left, right))
    return parts, 468.0


def _bundle(plate: Plate, xs: np.ndarray, summary: Summary, colour: str, draws: bool) -> list[str]:
    if draws:
        return [plate.curve(xs, draw, colour, style.THIN, style.DRAW_ALPHA) for draw in summary.draws.numpy()]
    few = [plate.curve(xs, draw, colour, 0.7, 0.4) for draw in summary.draws[:5].numpy()]
    return [plate.band(xs, summary.low.numpy(), summary.high.numpy(), colour), *few,
            plate.curve(xs, summary.mean.numpy(), colour)]


def _key(x: float, y: float, frame: Frame, blue: str) -> str:
    """What the marks mean, in one line."""
    seen = seen_title(frame) if frame.drawn.given.seen.m else "nothing seen: the prior"
    ring = f'fill="{style.DOT}" stroke="{style.RING}" stroke-width="1.2"'
    marks = [f'<path d="M{x} {y - 4}h18" stroke="{style.TRUTH}" stroke-width="1.5"/>',
             text(x + 23, y, "truth", size=10.5), f'<circle cx="{x + 70}" cy="{y - 4}" r="3.6" {ring}/>',
             text(x + 79, y, seen, size=10.5)]
    if not as_draws(frame):
        marks += [f'<path d="M{x + 460} {y - 4}h18" stroke="{blue}" stroke-dasharray="4 3"/>',
                  text(x + 483, y, f"band of {frame.rivals.ruler_name}", size=10.5)]
    return "".join(marks)


def _where(plate: Plate, left: float, right: float) -> str:
    """A thin strip of the whole axis with the window marked."""
    x0, x1 = (plate.x + plate.across(v) / 10 for v in (left, right))
    return (f'<rect x="{plate.x:g}" y="{plate.y:g}" width="{plate.w:g}" height="{plate.h:g}" fill="{style.EMPTY}"/>'
            f'<rect x="{x0:.1f}" y="{plate.y:g}" width="{max(x1 - x0, 2):.1f}" height="{plate.h:g}" '
            f'fill="{style.SOFT}"/>')


def _maps(frame: Frame) -> tuple[list[str], float]:
    card, seen = frame.rivals.problem.card, frame.near
    page, limit = Page.of(frame.window, frame.axes), error_limit(frame)
    fields = style.FIELD_MAP, *value_limits(frame)
    answers = [(s.draws if as_draws(frame) else s.mean) for s in (frame.ruler, frame.model)]
    names = [rival_title(frame, name) for name in (frame.rivals.ruler_name, frame.rivals.model_name)]
    cells = ((truth_title(frame), frame.truth, fields, style.INK), (seen_title(frame), None, fields, style.INK),
             (names[0], answers[0], fields, ruler_colour(frame)), (names[1], answers[1], fields, style.MODEL),
             (error_title(frame), frame.model.mean - frame.truth, (style.ERROR_MAP, -limit, limit), style.INK),
             (spread_title(frame), frame.model.std, (style.SPREAD_MAP, 0.0, limit), style.INK))
    dots = seen.coords[:, page.across].numpy(), seen.coords[:, page.up].numpy()
    parts = []
    for i, (title, values, (name, low, high), ink) in enumerate(cells):
        plate = Plate(52 + 294 * (i % 3), 28 + 352 * (i // 3), 264, 264, page.left, page.right, page.bottom, page.top)
        if values is None:
            fills = [style.colour(name, share) for share in (seen.values[:, 0].numpy() - low) / (high - low)]
            radius = (3.6 if len(fills) < 150 else 2.6) * (1.5 if frame.state.scale >= 4 else 1.0)
            inside = [f'<rect width="2640" height="2640" fill="{style.EMPTY}"/>']
            marks = plate.dots(*dots, radius, fills)
        else:
            inside = _tiles(plate, values, frame.side, name, low, high)
            marks = plate.dots(*dots, 1.4) if i == 5 else ""
        first = i % 3 == 0
        parts += [plate.clip(*inside), colour_bar(plate.x, plate.y + 296, plate.w, name, low, high, card.units),
                  plate.frame(title, frame.axes[page.across], frame.axes[page.up] if first else "", colour=ink,
                              across=4, numbers_up=first), marks]
    if frame.state.scale > 1:
        parts.append(_corner(page, Page.of(((-1.0, 1.0),) * 2, frame.axes)))
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
