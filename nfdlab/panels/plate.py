"""SVG for curves and palette PNG for fields, written directly as strings, for panels that redraw while a slider moves.

A `Plate` is one small multiple as data. A sheet joins the strings of several to one `<svg>`. Paths are whole numbers of
tenths of a pixel, inside a nested `<svg>` that clips them.
"""

import math
from base64 import b64encode
from dataclasses import dataclass, field
from html import escape
from io import BytesIO
from textwrap import wrap

import numpy as np
import torch
from PIL import Image

from ..core import single
from ..core.types import Observations
from . import style
from .page import Page

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
    if not words:
        return ""
    weight = ' font-weight="600"' if bold else ""
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}"{weight}>'
            f"{escape(words)}</text>")


def sheet(width: float, height: float, parts: list[str], label: str) -> str:
    """The parts as one `<svg>` on white, as wide as the page allows and no wider than `width` pixels."""
    return (f'<svg class="nfdlab-sheet" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
            f'role="img" aria-label="{escape(label, quote=True)}" font-family="system-ui, sans-serif" '
            f'style="display:block;width:100%;max-width:{width:g}px;background:{style.PAPER};border-radius:6px">'
            f'<rect width="{width:g}" height="{height:g}" rx="6" fill="{style.PAPER}"/>{"".join(parts)}</svg>')


@dataclass(eq=False)
class Plate:
    """One small multiple as data: a window [left, right] × [low, high], words, and marks in the order of drawing.

    `low` lies at the bottom, also where it is the larger. Limits that are None fit the marks (in print only). `colours`
    (map, low, high) are those of its fields and filled circles, `units` the words under its colour bar. With `decades`
    the numbers that run up are decimal logarithms; ticks name what they are of. Of fields it holds one, or four side by
    side, each the whole window. A plate with an `area`, a name, can be touched (`touch.js`); one that is not `framed`
    has neither axes nor colour bar. `svg` writes it while a slider moves; `matplotlib_figure.draw` draws it for print.
    """

    left: float
    right: float
    low: float | None
    high: float | None
    title: str = ""
    x: str = ""
    y: str = ""
    ink: str = style.INK
    colours: tuple[str, float, float] | None = None
    units: str = ""
    decades: bool = False
    area: str = ""
    framed: bool = True
    marks: list[tuple] = field(default_factory=list)

    def curve(self, xs, ys, colour: str, width: float = style.THICK, alpha: float = 1.0, dash: tuple = ()) -> "Plate":
        """Add a curve ys (p,) over xs (p,), or several (k, p)."""
        self.marks += [("curve", np.ravel(xs), y, colour, width, alpha, dash) for y in np.atleast_2d(ys)]
        return self

    def band(self, xs, low, high, colour: str, alpha: float = style.BAND_ALPHA) -> "Plate":
        """Add the area between two curves over xs."""
        self.marks.append(("band", np.ravel(xs), np.asarray(low), np.asarray(high), colour, alpha))
        return self

    def observed(self, seen: Observations, page: Page | None = None, radius: float = 3.6, *,
                 filled: bool = False) -> "Plate":
        """Add observations as circles ringed black, white or filled by value, whole even on the edge: at (coordinate,
        value) in 1D, at their places on a page in 2D."""
        xs, ys = (seen.coords[:, 0], seen.values[:, 0]) if page is None else seen.coords[:, [page.across, page.up]].T
        self.marks.append(("circles", xs.numpy(), ys.numpy(), radius, seen.values[:, 0].numpy() if filled else None))
        return self

    def words(self, xs, ys, words: list[str], colour: str = style.INK, size: float = 9.0) -> "Plate":
        """Add short words, ringed white: "×" at its place, others above theirs."""
        self.marks.append(("words", np.ravel(xs), np.ravel(ys), words, colour, size))
        return self

    def field(self, values, side: int) -> "Plate":
        """Add a field (side²,), rows from the top, or four of them."""
        self.marks.append(("field", np.asarray(values).reshape(-1, side, side)[:4]))
        return self

    def inside(self, xs, ys, radius: float, values) -> tuple:
        """The circles whose middles lie in the window."""
        ends = (self.low, self.high) if self.low is not None else (-math.inf, math.inf)
        kept = (xs >= self.left) & (xs <= self.right) & (ys >= min(ends)) & (ys <= max(ends))
        return xs[kept], ys[kept], radius, None if values is None else values[kept]

    @property
    def bare(self) -> bool:
        """Whether it is a map of observations only."""
        return self.colours is not None and not any(kind == "field" for kind, *_ in self.marks)

    @property
    def tiles(self) -> int:
        """How many windows stand side by side: two where four fields are shown, two by two."""
        return max([2 if len(what[0]) == 4 else 1 for kind, *what in self.marks if kind == "field"], default=1)

    def ticks(self, low: float, high: float, about: int) -> tuple[list[float], list[str]]:
        """Ticks of an axis as shares of its length, and their labels; of two windows, those inside each."""
        values, labels = ticks(*sorted((low, high)), about)
        if self.decades and (low, high) == (self.low, self.high):
            values = [v + math.log10(m) for v in range(math.floor(low), math.ceil(high)) for m in (1, 2, 5)]
            values = [v for v in values if low <= v <= high]
            labels = [style.number(10**v, 1) for v in values]
        found = [(float(v - low) / (high - low), label) for v, label in zip(values, labels, strict=True)]
        if self.tiles > 1:
            found = [((i + share) / 2, label) for i in (0, 1) for share, label in found if 0.05 < share < 0.95]
        return [share for share, _ in found], [label for _, label in found]

    def svg(self, x: float, y: float, w: float, h: float) -> str:
        """The plate as SVG on w × h pixels from (x, y), words and colour bar around it."""
        size = w, h = _TENTHS * w, _TENTHS * h
        inner = (f'<svg x="{x:g}" y="{y:g}" width="{w / _TENTHS:g}" height="{h / _TENTHS:g}" '
                 f'viewBox="0 0 {w:g} {h:g}" overflow=')
        marks = {on_top: "".join(getattr(self, f"_{kind}")(size, *what) for kind, *what in self.marks
                                 if (kind in ("circles", "words")) is on_top) for on_top in (False, True)}
        paper = f'<rect width="{w:g}" height="{h:g}" fill="{style.EMPTY}"/>' if self.bare else ""
        bar = "" if not self.colours or not self.framed else colour_bar(
            x, y + h / _TENTHS + 32, w / _TENTHS, *self.colours, self.units)
        return (f'{inner}"hidden">{paper}{marks[False]}</svg>{bar}{self._frame(x, y, w / _TENTHS, h / _TENTHS)}'
                f'{inner}"visible">{marks[True]}</svg>{self._area(x, y, w / _TENTHS, h / _TENTHS)}')

    def _area(self, x: float, y: float, w: float, h: float) -> str:
        """What a pointer is told of: the window over which the plate lies."""
        if not self.area:
            return ""
        window = " ".join(f"{edge:.9g}" for edge in (self.left, self.right, self.low, self.high))
        return (f'<rect class="nfdlab-area" data-area="{escape(self.area, quote=True)}" data-window="{window}" '
                f'data-tiles="{self.tiles}" x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" fill="#fff" '
                'fill-opacity="0"/>')

    def points(self, size: tuple[float, float], xs, ys, far: float = math.inf) -> np.ndarray:
        """Places (p, 2) from the top left of a plate of that size, whole numbers, at most `far` heights off it."""
        down = (self.high - np.asarray(ys, dtype=float)) / (self.high - self.low)
        shares = np.stack([self.across(xs), np.clip(down, -far, far)], axis=-1)
        return np.rint(shares * size).astype(int)

    def across(self, values) -> np.ndarray:
        """Data as shares of the plate's width."""
        return (np.asarray(values, dtype=float) - self.left) / (self.right - self.left)

    def _path(self, size, xs, ys) -> str:
        return " ".join(map(str, self.points(size, xs, ys, far=9).ravel().tolist()))      # off the plate is off it

    def _curve(self, size, xs, ys, colour: str, width: float, alpha: float, dash: tuple) -> str:
        dashes = f' stroke-dasharray="{" ".join(str(_TENTHS * d) for d in dash)}"' if dash else ""
        return (f'<polyline points="{self._path(size, xs, ys)}" fill="none" stroke="{colour}" '
                f'stroke-opacity="{alpha:g}" stroke-width="{_TENTHS * width:g}" stroke-linejoin="round"{dashes}/>')

    def _band(self, size, xs, low, high, colour: str, alpha: float) -> str:
        there_and_back = self._path(size, np.concatenate([xs, xs[::-1]]), np.concatenate([high, low[::-1]]))
        return f'<polygon points="{there_and_back}" fill="{colour}" fill-opacity="{alpha:g}"/>'

    def _field(self, size, grids) -> str:
        name, low, high = self.colours
        n, gap = self.tiles, 2 * _TENTHS * (self.tiles - 1)
        w, h = ((side - gap) / n for side in size)
        return "".join(f'<image href="{uri(png(grid, style.lut(name), low, high))}" x="{i % n * (w + gap):g}" '
                       f'y="{i // n * (h + gap):g}" width="{w:g}" height="{h:g}" preserveAspectRatio="none"/>'
                       for i, grid in enumerate(grids[:n * n]))

    def _circles(self, size, *what) -> str:
        xs, ys, radius, values = self.inside(*what)
        fills = [style.DOT] * len(xs)
        if values is not None:
            name, low, high = self.colours
            fills = [style.colour(name, share) for share in (values - low) / (high - low)]
        circles = "".join(f'<circle cx="{x}" cy="{y}" r="{_TENTHS * radius:g}" fill="{fill}"/>'
                          for (x, y), fill in zip(self.points(size, xs, ys).tolist(), fills, strict=True))
        return f'<g stroke="{style.RING}" stroke-width="{_TENTHS * min(1.2, radius / 2.5):g}">{circles}</g>'

    def _words(self, size, xs, ys, words: list[str], colour: str, fontsize: float) -> str:
        up = (4 if words == ["×"] else -6) * _TENTHS
        return "".join(
            text(x, y + up, word, size=fontsize * _TENTHS, colour=colour, anchor="middle", bold=True).replace(
                "<text ", f'<text paint-order="stroke" stroke="{style.PAPER}" stroke-opacity="0.7" stroke-width="25" ')
            for (x, y), word in zip(self.points(size, xs, ys).tolist(), words, strict=True))

    def _frame(self, x: float, y: float, w: float, h: float) -> str:
        """Axis lines, ticks with numbers, names of the axes, the title above. Curves get faint lines at the ticks."""
        if not self.framed:
            return text(x, y - 8, self.title, size=12, colour=self.ink, bold=True)
        right, bottom, maps = x + w, y + h, self.colours is not None
        marks, parts = [], []
        for share, label in zip(*self.ticks(self.left, self.right, 4 if maps else 5), strict=True):
            at = x + share * w
            marks.append(f"M{at:.1f} {bottom:g}v3")
            parts.append(text(at, bottom + 14, label, size=10, colour=style.SOFT, anchor="middle"))
        for share, label in zip(*self.ticks(self.low, self.high, min(4, int(h // 30))), strict=True):
            at = bottom - share * h
            marks.append(f"M{x:g} {at:.1f}h-3")
            if self.y or not maps:                                  # maps of a row share the numbers of the first
                parts.append(text(x - 6, at + 3.5, label, size=10, colour=style.SOFT, anchor="end"))
            if not maps:
                parts.append(f'<path d="M{x:g} {at:.1f}H{right:g}" stroke="{style.FAINT}" stroke-width="0.6"/>')
        parts.append(f'<path d="M{x:g} {y:g}V{bottom:g}H{right:g}{"".join(marks)}" fill="none" stroke="{style.SOFT}" '
                     'stroke-width="0.8"/>')
        return "".join([*parts, text(x, y - 8, self.title, size=12, colour=self.ink, bold=True),
                        text((x + right) / 2, bottom + 27, self.x, size=10.5, anchor="middle"),
                        f'<g transform="translate({x - 38:g} {(y + bottom) / 2:g}) rotate(-90)">'
                        f'{text(0, 0, self.y, size=10.5, anchor="middle")}</g>'])


def map_limits(values: torch.Tensor) -> tuple[float, float]:
    """Limits of a map's colours: all but 0.2 % of the values at either end."""
    return tuple(float(q) for q in torch.quantile(values.flatten().cpu(), single.tensor([0.002, 0.998])))


def map_plate(page: Page, names: tuple[str, ...], colours: tuple[str, float, float], **words) -> Plate:
    """A plate for a field on a page whose axes have these names."""
    return Plate(*page.extent, x=names[page.across], y=names[page.up], colours=colours, **words)


def first_names(plates: list[Plate], columns: int) -> list[Plate]:
    """The plates, of which only the first of each row names the axis that runs up: the others share it."""
    for i, plate in enumerate(plates):
        plate.y = "" if i % columns else plate.y
    return plates


def colour_bar(x: float, y: float, w: float, name: str, low: float, high: float, units: str) -> str:
    """A thin strip of the map under a plate, with the numbers at its ends and the units below."""
    strip = uri(png(np.linspace(0, 1, 128)[None], style.lut(name), 0, 1))
    least = 1e-3 * (high - low)                                     # nearer to zero than one can see is zero
    bottom, top = (style.number(v if abs(v) > least else 0.0, 2).replace("-", "−") for v in (low, high))
    ends = [text(x, y + 17, bottom, size=10, colour=style.SOFT),
            text(x + w, y + 17, top, size=10, colour=style.SOFT, anchor="end"),
            *(text(x + w / 2, y + (17 if 5.4 * len(units) < w - 64 else 28) + 11 * i, line, size=10, colour=style.SOFT,
                   anchor="middle") for i, line in enumerate(wrap(units, int(w / 5.2))))]
    return (f'<image href="{strip}" x="{x:g}" y="{y:g}" width="{w:g}" height="6" preserveAspectRatio="none"/>'
            f'{"".join(ends)}')
