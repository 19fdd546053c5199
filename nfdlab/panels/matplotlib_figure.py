"""Plates as matplotlib figures: for reports, print, front ends that show no widgets, and lessons."""

from collections.abc import Sequence
from io import BytesIO
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from PIL import Image

from ..core.checks import require
from ..core.types import Fields
from . import figure, style
from .plate import Plate
from .style import Picture, dress, headline, picture
from .view import Frame


def still(frame: Frame) -> Picture:
    """The picture of a frame."""
    rows, flat = figure.rows(frame), len(frame.window) == 1
    across = max(map(len, rows)) if flat else figure.COLUMNS
    spaced = []
    for i, row in enumerate(rows):
        left = [None] * (not flat and not frame.solid and i == 2)              # the rival's maps, under the model's
        spaced += [*left, *row, *[None] * (across - len(left) - len(row))]
    if flat:
        return grid(spaced, across, (9.2, 4.7), height_ratios=(2.9, 1))
    each = 2.9 if frame.solid else 3.5 + 0.2 * fill(rows[0][0].units, 34).count("\n")
    return grid(spaced, across, (11.6, each * len(rows)))


def grid(plates: Sequence[Plate | None], columns: int, size: tuple[float, float], title: str | None = None,
         *, font: float = style.FONT - 1, bins: int = 4, **subplots) -> Picture:
    """Plates side by side, `columns` to a row, under a title, None for a gap; `font` of colour bars, at most `bins`
    ticks."""
    made, axes = picture(-(-len(plates) // columns), columns, size=size, **subplots)
    for i, ax in enumerate(axes.flat):
        if i < len(plates) and plates[i] is not None:
            draw(ax, plates[i], font=font, bins=bins)
        else:
            ax.set_axis_off()
    headline(made, title)
    return made


def draw(ax: Axes, plate: Plate, *, font: float = style.FONT - 1, bins: int = 4) -> None:
    """Draw a plate on axes of its own; a map with units gets a colour bar."""
    dress(ax, title=plate.title or None, x=plate.x, y=plate.y, ink=plate.ink)
    colours = dict(zip(("cmap", "vmin", "vmax"), plate.colours or (), strict=False))
    for kind, *what in plate.marks:
        if kind == "curve":
            xs, ys, colour, width, alpha, dash = what
            ax.plot(xs, ys, color=colour, lw=width, alpha=alpha, ls=(0, dash) if dash else "-")
        elif kind == "band":
            ax.fill_between(*what[:3], color=what[3], alpha=what[4], lw=0)
        elif kind == "field":
            shown = ax.imshow(_tile(what[0]), extent=(plate.left, plate.right, plate.low, plate.high), aspect="auto",
                              interpolation="nearest", **colours)
        elif kind == "words":
            for x, y, word in zip(*what[:3], strict=True):
                ax.annotate(word, (x, y), (0, 0 if word == "×" else 5), textcoords="offset points", color=what[3],
                            fontsize=what[4] - 2, ha="center", va="center" if word == "×" else "bottom", clip_on=True,
                            annotation_clip=True, zorder=7, fontweight="bold",
                            path_effects=[withStroke(linewidth=2, foreground=style.PAPER, alpha=0.7)])
        else:
            xs, ys, radius, values = plate.inside(*what)
            fills = {"c": style.DOT} if values is None else {"c": values, **colours}
            circles = ax.scatter(xs, ys, s=(1.44 * radius) ** 2, edgecolors=style.RING, zorder=5, clip_on=False,
                                 linewidths=min(0.9, radius / 1.6), **fills)
    ax.set_xlim(plate.left, plate.right)
    if plate.low is not None:
        ax.set_ylim(plate.low, plate.high)
    if plate.tiles > 1:
        for low, high, put in ((plate.left, plate.right, ax.set_xticks), (plate.low, plate.high, ax.set_yticks)):
            shares, labels = plate.ticks(low, high, bins)
            put([low + share * (high - low) for share in shares], labels)
    else:
        ax.locator_params(nbins=bins)
    if colours:
        ax.set_box_aspect(1)
        ax.set_facecolor(style.EMPTY)
    if not plate.framed:
        ax.set_axis_off()
    elif plate.units:
        _colour_bar(ax, circles if plate.bare else shown, plate.units, font)


def _colour_bar(ax: Axes, of, units: str, font: float) -> None:
    """A colour bar below a map, with its units."""
    bar = ax.figure.colorbar(of, ax=ax, location="bottom", fraction=0.05, pad=0.03, aspect=32)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=font, length=2, labelcolor=style.SOFT)
    bar.ax.locator_params(nbins=4)
    bar.set_label(fill(units, 34), fontsize=font, color=style.SOFT)


def stack(figures: list[Picture], dpi: float = 110) -> bytes:
    """Several pictures, one under the other, as one PNG: a contact sheet."""
    images = [Image.open(BytesIO(figure.png(dpi))).convert("RGB") for figure in figures]
    tall = Image.new("RGB", (max(i.width for i in images), sum(i.height for i in images)), style.PAPER)
    top = 0
    for image in images:
        tall.paste(image, (0, top))
        top += image.height
    out = BytesIO()
    tall.quantize(256).save(out, "png", optimize=True)
    return out.getvalue()


def _tile(grids: np.ndarray) -> np.ndarray:
    """One field, or four as two by two with a gap (NaN stays empty)."""
    if len(grids) < 4:
        return grids[0]
    side = grids.shape[1]
    gap = max(1, side // 64)
    sheet = np.full((2 * side + gap, 2 * side + gap), np.nan)
    for i, grid in enumerate(grids[:4]):
        row, col = (i // 2) * (side + gap), (i % 2) * (side + gap)
        sheet[row:row + side, col:col + side] = grid
    return sheet


def require_d(d: int, do: str, *bundles: Fields | None) -> None:
    """Refuse fields that do not have d coordinates; `do` is what to do instead."""
    words, why = ("one coordinate", "Bands are drawn over an axis.") if d == 1 else (
        "two coordinates", "They are drawn as pictures.")
    for fields in bundles:
        require(fields is None or fields.d == d, must=f"fields of {words}.", came=fields, why=why, do=do)


def require_some(what: str, values, do: str) -> None:
    """Refuse an empty collection; `do` is an example of one that is not."""
    require(len(values) > 0, must=f"{what}: at least one.", came="none", why="There is nothing to draw.", do=do)
