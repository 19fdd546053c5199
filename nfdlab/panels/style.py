"""The style of every picture: colours of contestants, colour maps, fonts, and how a number is written.

Truth black, observations white circles ringed black, exact posterior blue, model orange, a second model purple,
baselines grey (a palette for colour-blind readers: Okabe & Ito 2008, its purple made darker). Fields in one
perceptually uniform map, errors in one diverging map centred at zero, uncertainty in a third. Every picture has its own
white background, so that black stays black on a dark theme.
"""

from collections.abc import Iterable
from functools import cache
from io import BytesIO

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

TRUTH, EXACT, MODEL, BASELINE = "#000000", "#0072b2", "#d55e00", "#767676"
SECOND = "#aa4499"               # a second model
DOT, RING = "#ffffff", "#000000"
PAPER, INK, SOFT, FAINT, EMPTY, ALERT = "#ffffff", "#222222", "#5c5c5c", "#dddddd", "#ececec", "#b3261e"
FIELD_MAP, ERROR_MAP, STD_MAP = "viridis", "PRGn", "magma"
BAND = 0.90                      # every band is the central 90 %
BAND_ALPHA, DRAW_ALPHA = 0.22, 0.55
THIN, THICK = 0.9, 1.8           # points: draws over a band; truth and means
FONT = 9.0                       # points; titles one larger
ROLES = {"truth": TRUTH, "exact": EXACT, "baseline": BASELINE, "kriging": BASELINE, "optimal_interpolation": "#3f3f3f",
         "cubic": "#9a9a9a", "rbf": "#565656", "linear": "#b4b4b4", "linear_in_time": "#a8a8a8", "nearest": "#c8c8c8",
         "climatology": "#858585", "grid": "#9a9a9a", "random": "#b4b4b4", "adaptive": "#565656"}


def colour_of(name: str) -> str:
    """The colour of a contestant by its name: truth black, exact … blue, baselines grey, anything else is a model."""
    return ROLES.get(name, EXACT if name.startswith("exact") else MODEL)


def colours_of(names: Iterable[str]) -> dict[str, str]:
    """The colours of contestants of one picture: as `colour_of`, but every model after the first purple."""
    found = {name: colour_of(name) for name in names}
    models = [name for name, colour in found.items() if colour == MODEL]
    return found | dict.fromkeys(models[1:], SECOND)


@cache
def lut(name: str) -> bytes:
    """A colour map as the palette of an 8-bit PNG: 256 × RGB = 768 bytes."""
    return np.ascontiguousarray(colormaps[name](np.linspace(0, 1, 256), bytes=True)[:, :3]).tobytes()


def colour(name: str, share: float) -> str:
    """The colour at a share in [0, 1] of a map, as #rrggbb."""
    i = 3 * int(255 * min(max(float(share), 0.0), 1.0))
    return "#" + lut(name)[i:i + 3].hex()


def number(x: float, digits: int = 3) -> str:
    """A number in at most `digits` digits, no exponent in the everyday range: 0.123, 12.3, 1230.

    >>> [number(v) for v in (0.12345, 12.345, 1234.5, 0.0, -1.0)]
    ['0.123', '12.3', '1230', '0', '-1']
    """
    if x == 0 or not np.isfinite(x):
        return "0" if x == 0 else str(x)
    rounded = float(f"{x:.{digits}g}")
    return f"{rounded:.0f}" if abs(rounded) >= 100 and abs(rounded) < 1e6 else f"{rounded:.{digits}g}"


def percent(share: float) -> str:
    """A share as a percentage in two digits: 12 %, 1.5 %, 100 %."""
    return f"{number(100 * share, 2)} %"


class Picture(Figure):
    """A matplotlib figure that notebooks display without pyplot, so any thread may draw one.

    pyplot keeps global state and a registry of figures; this is a plain object, freed when nothing refers to it.
    """

    sharpness = 1.6              # pixels for each pixel of the page

    def png(self, dpi: float | None = None) -> bytes:
        """The picture as a PNG file's bytes; its titles are in the file's description."""
        out, titles = BytesIO(), [self.get_suptitle(), *(ax.get_title(loc="left") for ax in self.axes)]
        self.savefig(out, format="png", dpi=dpi or 100 * self.sharpness, facecolor=PAPER,
                     metadata={"Description": "\n".join(filter(None, titles))})
        return out.getvalue()

    def _repr_png_(self):
        wide, high = self.get_size_inches() * 100
        return self.png(), {"width": int(wide), "height": int(high)}


def picture(rows: int = 1, cols: int = 1, *, size: tuple[float, float], **subplots) -> tuple[Picture, np.ndarray]:
    """An empty picture and its axes (rows, cols), in the style. `size` in inches."""
    figure = Picture(figsize=size, layout="constrained", facecolor=PAPER)
    axes = figure.subplots(rows, cols, squeeze=False, **subplots)
    for ax in axes.flat:
        dress(ax)
    return figure, axes


def dress(ax: Axes, *, title: str | None = None, x: str | None = None, y: str | None = None, ink: str = INK) -> Axes:
    """Apply the style to an axes: two spines, few small ticks, the title at the left in the colour `ink`."""
    ax.tick_params(labelsize=FONT, colors=SOFT, labelcolor=INK, length=3, width=0.7)
    for side, spine in ax.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(SOFT)
        spine.set_linewidth(0.7)
    if title is not None:
        ax.set_title(title, loc="left", fontsize=FONT + 1, color=ink, fontweight="bold")
    if x is not None:
        ax.set_xlabel(x, fontsize=FONT, color=INK)
    if y is not None:
        ax.set_ylabel(y, fontsize=FONT, color=INK)
    return ax


def legend(ax: Axes, **where) -> None:
    """A legend without a frame, in the style's font."""
    ax.legend(fontsize=FONT - 0.5, frameon=False, labelcolor=INK, handlelength=1.6, **where)


def headline(figure, title: str | None, *, larger: float = 2, weight: str = "bold") -> None:
    """The title of a whole figure at its left, if there is one; `larger` than the style's font by so many points."""
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=FONT + larger, color=INK, fontweight=weight)
