"""SVG for curves and palette PNG for fields, written directly as strings, for panels that redraw while a slider moves.

A `Plate` is one small multiple: a window of data coordinates on a rectangle of pixels. Its methods give strings; a
sheet joins them to one `<svg>`. Paths are whole numbers of tenths of a pixel, inside a nested `<svg>` that clips them.
"""

import math
from base64 import b64encode
from dataclasses import dataclass
from html import escape
from io import BytesIO

import numpy as np
from PIL import Image

from . import style

_TENTHS = 10                     # path coordinates are whole tenths of a pixel: short to write, exact enough to see


def ticks(low: float, high: float, about: int = 5) -> tuple[list[float], list[str]]:
    """Round numbers within [low, high], about that many, and their labels, all with the same decimals."""
    span = high - low
    if not (span > 0 and math.isfinite(span)):
        return [low], [style.number(low)]
    raw = span / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9) + (1 if round(step / power, 6) == 2.5 else 0))
    values = [i * step for i in range(first, last + 1)]
    return values, [f"{v + 0.0:.{decimals}f}".replace("-", "−") for v in values]


def png(grid: np.ndarray, lut: bytes, low: float, high: float) -> bytes:
    """A field (h, w), first row on top, as an 8-bit PNG whose palette is the colour map; values outside are clipped."""
    scaled = np.clip((grid - low) / max(high - low, 1e-12), 0, 1)
    cells = (scaled * 255).astype(np.uint8)
    image = Image.frombytes("P", cells.shape[::-1], np.ascontiguousarray(cells).tobytes())
    image.putpalette(lut)
    out = BytesIO()
    image.save(out, "png", compress_level=1)
    return out.getvalue()


def uri(data: bytes, kind: str = "image/png") -> str:
    """Bytes as a data URI, which a page can show with no network."""
    return f"data:{kind};base64,{b64encode(data).decode()}"


def text(x: float, y: float, words: str, *, size: float = 11, colour: str = style.INK, anchor: str = "start",
         bold: bool = False) -> str:
    """One line of plain text with its baseline at (x, y)."""
    weight = ' font-weight="600"' if bold else ""
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}"{weight}>'
            f"{escape(words)}</text>")


def sheet(width: float, height: float, parts: list[str], label: str) -> str:
    """The parts as one `<svg>` on white, as wide as the page allows and no wider than `width` pixels."""
    return (f'<svg class="nfdlab-sheet" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
            f'role="img" aria-label="{escape(label, quote=True)}" font-family="system-ui, sans-serif" '
            f'style="display:block;width:100%;max-width:{width:g}px;background:{style.PAPER};border-radius:6px">'
            f'<rect width="{width:g}" height="{height:g}" rx="6" fill="{style.PAPER}"/>{"".join(parts)}</svg>')


@dataclass(frozen=True)
class Plate:
    """A window of data [left, right] × [low, high] on w × h pixels from (x, y); `low` lies at the bottom."""

    x: float
    y: float
    w: float
    h: float
    left: float
    right: float
    low: float
    high: float

    def across(self, values) -> np.ndarray:
        """Data to tenths of pixels from the plate's left."""
        return (np.asarray(values, dtype=float) - self.left) * (_TENTHS * self.w / (self.right - self.left))

    def down(self, values) -> np.ndarray:
        """Data to tenths of pixels from the plate's top."""
        return (self.high - np.asarray(values, dtype=float)) * (_TENTHS * self.h / (self.high - self.low))

    def _points(self, xs, ys) -> str:
        far = 3 * _TENTHS * max(self.w, self.h)                     # off the plate is off the plate
        xy = np.stack([self.across(xs), np.clip(self.down(ys), -far, far)], axis=-1)
        return " ".join(map(str, np.rint(xy).astype(int).ravel().tolist()))

    def clip(self, *parts: str, overflow: str = "hidden") -> str:
        """Parts drawn in tenths of pixels, cut off at the plate's edges unless overflow="visible"."""
        return (f'<svg x="{self.x:g}" y="{self.y:g}" width="{self.w:g}" height="{self.h:g}" overflow="{overflow}" '
                f'viewBox="0 0 {_TENTHS * self.w:g} {_TENTHS * self.h:g}">{"".join(parts)}</svg>')

    def curve(self, xs, ys, colour: str, width: float = style.THICK, alpha: float = 1.0, dash: str = "") -> str:
        """One curve: xs (p,), ys (p,)."""
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        return (f'<polyline points="{self._points(xs, ys)}" fill="none" stroke="{colour}" stroke-opacity="{alpha:g}" '
                f'stroke-width="{_TENTHS * width:g}" stroke-linejoin="round"{dashes}/>')

    def band(self, xs, low, high, colour: str, alpha: float = style.BAND_ALPHA) -> str:
        """The area between two curves over xs."""
        there_and_back = self._points(np.concatenate([xs, xs[::-1]]), np.concatenate([high, low[::-1]]))
        return f'<polygon points="{there_and_back}" fill="{colour}" fill-opacity="{alpha:g}"/>'

    def circles(self, xs, ys, radius: float = 3.6, fills=None) -> str:
        """Observations in the window: white circles ringed black, or filled with `fills`; whole even on the edge."""
        fills = [style.DOT] * len(xs) if fills is None else fills
        xs, ys = np.rint(self.across(xs)).astype(int), np.rint(self.down(ys)).astype(int)
        middles = [(x, y, f) for x, y, f in zip(xs, ys, fills, strict=True)
                   if 0 <= x <= _TENTHS * self.w and 0 <= y <= _TENTHS * self.h]
        circles = "".join(f'<circle cx="{x}" cy="{y}" r="{_TENTHS * radius:g}" fill="{f}"/>' for x, y, f in middles)
        ring = f'stroke="{style.RING}" stroke-width="{_TENTHS * min(1.2, radius / 2.5):g}"'
        return self.clip(f"<g {ring}>{circles}</g>", overflow="visible")

    def field(self, image: bytes, col: int | None = None, row: int = 0) -> str:
        """A PNG stretched over the plate, or with `col` over one of its four quarters, a gap between."""
        w, h, gap = _TENTHS * self.w, _TENTHS * self.h, 2 * _TENTHS
        if col is None:
            place = f'width="{w:g}" height="{h:g}"'
        else:
            place = (f'x="{col * (w + gap) / 2:g}" y="{row * (h + gap) / 2:g}" width="{(w - gap) / 2:g}" '
                     f'height="{(h - gap) / 2:g}"')
        return f'<image href="{uri(image)}" {place} preserveAspectRatio="none"/>'

    def frame(self, title: str = "", x: str = "", y: str = "", *, colour: str = style.INK, grid: bool = False,
              across: int = 5, up: int = 4, numbers_up: bool = True) -> str:
        """Axis lines, ticks with numbers, names of the axes, the title above. `grid` adds faint lines at the ticks."""
        x0, y0, x1, y1 = self.x, self.y, self.x + self.w, self.y + self.h
        marks, parts = [], []
        for value, label in zip(*ticks(self.left, self.right, across), strict=True):
            px = x0 + self.across(value) / _TENTHS
            marks.append(f"M{px:.1f} {y1:g}v3")
            parts.append(text(px, y1 + 14, label, size=10, colour=style.SOFT, anchor="middle"))
        for value, label in zip(*ticks(*sorted((self.low, self.high)), up), strict=True):
            py = y0 + self.down(value) / _TENTHS
            marks.append(f"M{x0:g} {py:.1f}h-3")
            if numbers_up:
                parts.append(text(x0 - 6, py + 3.5, label, size=10, colour=style.SOFT, anchor="end"))
            if grid:
                parts.append(f'<path d="M{x0:g} {py:.1f}H{x1:g}" stroke="{style.FAINT}" stroke-width="0.6"/>')
        parts.append(f'<path d="M{x0:g} {y0:g}V{y1:g}H{x1:g}{"".join(marks)}" fill="none" stroke="{style.SOFT}" '
                     'stroke-width="0.8"/>')
        if title:
            parts.append(text(x0, y0 - 8, title, size=12, colour=colour, bold=True))
        if x:
            parts.append(text((x0 + x1) / 2, y1 + 27, x, size=10.5, anchor="middle"))
        if y:
            parts.append(f'<g transform="translate({x0 - 38:g} {(y0 + y1) / 2:g}) rotate(-90)">'
                         f'{text(0, 0, y, size=10.5, anchor="middle")}</g>')
        return "".join(parts)


def colour_bar(x: float, y: float, w: float, name: str, low: float, high: float, units: str) -> str:
    """A thin strip of the map under a plate, with the numbers at its ends and the units below."""
    strip = uri(png(np.linspace(0, 1, 128)[None], style.lut(name), 0, 1))
    least = 1e-3 * (high - low)                                     # nearer to zero than one can see is zero
    bottom, top = (style.number(v if abs(v) > least else 0.0, 2).replace("-", "−") for v in (low, high))
    ends = [text(x, y + 17, bottom, size=10, colour=style.SOFT),
            text(x + w, y + 17, top, size=10, colour=style.SOFT, anchor="end"),
            text(x + w / 2, y + (17 if len(units) < 30 else 28), units, size=10, colour=style.SOFT, anchor="middle")]
    return (f'<image href="{strip}" x="{x:g}" y="{y:g}" width="{w:g}" height="6" preserveAspectRatio="none"/>'
            f'{"".join(ends)}')
