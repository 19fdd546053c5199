"""A frame as one `<svg>` in HTML, written as text, for a panel that redraws while a slider moves."""

from . import figure, style
from .page import BOX, Page
from .plate import Plate, sheet, text
from .state import timed
from .view import Frame

WIDE = 920.0                     # pixels of the page
CURVES = (58, 30, 390, 240), (518, 30, 390, 240), (58, 346, 390, 84), (518, 346, 390, 84)       # x, y, width, height
THREE = (58, 30, 250, 240), (358, 30, 250, 240), (658, 30, 250, 240), *CURVES[2:]               # with a rival


def paint(frame: Frame) -> str:
    """The picture of a frame as HTML."""
    flat, rows = len(frame.window) == 1, figure.rows(frame)
    places = (CURVES if frame.rival is None else THREE) if flat else [
        (48 + 219 * (j + (i == 2 and not frame.solid)), 28 + (240 if frame.solid else 286) * i, 192, 192)
        for i, row in enumerate(rows) for j in range(len(row))]          # the rival's maps lie under the model's
    parts = [plate.svg(*place) for plate, place in zip((p for row in rows for p in row), places, strict=True)]
    if flat:
        parts.append(_key(58, 307, frame))
    high = 468.0 if flat else places[-1][1] + (214.0 if frame.solid else 268.0)
    if frame.film and timed(frame.comparison.problem) and not frame.solid:
        parts.append(_moments(frame, high))
        high += 36
    if frame.state.scale > 1 and not frame.solid:
        parts.append(_whole(frame, *((768, 300, 140, 7) if flat else (200, 32, 36, 36))))
    return sheet(WIDE, high, parts, figure.describe(frame))


def _moments(frame: Frame, y: float) -> str:
    """The time of a film as a line: where something was seen, as circles, and the moment that is shown."""
    left, right, times = 58.0, WIDE - 24, sorted({round(float(t), 3) for t in frame.task.seen.coords[:, 0]})
    few = times if len(times) <= 64 else times[::-(-len(times) // 64)]
    at = [left + (t + 1) / 2 * (right - left) for t in (*few, frame.state.time)]
    circles = "".join(f'<circle cx="{x:.1f}" cy="{y:g}" r="4"/>' for x in at[:-1])
    axis = frame.comparison.problem.card.axes[0]
    return (f'<path d="M{left} {y:g}H{right}" stroke="{style.SOFT}"/><g class="nfdlab-moments" '
            f'fill="{style.DOT}" stroke="{style.RING}">{circles}</g>'
            f'<path d="M{at[-1]:.1f} {y - 9:g}v18" stroke="{style.INK}" stroke-width="3"/>'
            f'{text(left - 10, y + 4, axis, anchor="end")}'
            f'{text(right, y + 20, "circles: moments seen", size=10, anchor="end")}')


def _key(x: float, y: float, frame: Frame) -> str:
    """The legend of curves, in one line."""
    seen = figure.seen_title(frame) if frame.task.seen.m else "nothing seen: the prior"
    ring = f'fill="{style.DOT}" stroke="{style.RING}" stroke-width="1.2"'
    marks = [f'<path d="M{x} {y - 4}h18" stroke="{style.TRUTH}" stroke-width="1.5"/>',
             text(x + 23, y, "truth", size=10.5), f'<circle cx="{x + 70}" cy="{y - 4}" r="3.6" {ring}/>',
             text(x + 79, y, seen, size=10.5)]
    if not figure.as_draws(frame):
        name = frame.comparison.reference_name
        marks += [f'<path d="M{x + 460} {y - 4}h18" stroke="{style.colour_of(name)}" stroke-dasharray="4 3"/>',
                  text(x + 483, y, f"band of {name}", size=10.5)]
    return "".join(marks)


def _whole(frame: Frame, x: float, y: float, w: float, h: float) -> str:
    """The whole box, small, with the window marked: in 1D a strip, in 2D in a corner of the truth."""
    if len(frame.window) == 1:
        whole, edges = Plate(-1, 1, 0, 1), (*frame.window[0], 0, 1)
    else:
        whole, edges = (Plate(*Page.of(window, frame.axes).extent) for window in (BOX, frame.window))
        edges = edges.left, edges.right, edges.low, edges.high
    (x0, y1), (x1, y0) = whole.points((w, h), edges[:2], edges[2:]).tolist()
    return (f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" fill="{style.PAPER}" fill-opacity="0.85" '
            f'stroke="{style.RING}" stroke-width="0.8"/>'
            f'<rect x="{x + x0:g}" y="{y + y0:g}" width="{max(x1 - x0, 2.5):g}" height="{max(y1 - y0, 2.5):g}" '
            f'fill="{style.INK}"/>')
