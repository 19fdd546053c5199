"""A frame as a matplotlib figure: the panel's picture for reports, print, and front ends that show no widgets."""

from io import BytesIO
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from PIL import Image

from . import style
from .captions import (
    as_draws,
    error_limit,
    error_title,
    rival_title,
    ruler_colour,
    seen_title,
    spread_title,
    truth_title,
    value_limits,
)
from .charts import dots
from .page import Page
from .style import Picture, dress, picture
from .view import Frame, Summary


def still(frame: Frame) -> Picture:
    """The picture of a frame, at rest."""
    return _curves(frame) if len(frame.window) == 1 else _maps(frame)


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


def _bundle(ax: Axes, xs, summary: Summary, colour: str, draws: bool) -> None:
    """The draws as thin curves, or mean, band and a few of them."""
    if draws:
        ax.plot(xs, summary.draws.T.numpy(), color=colour, lw=style.THIN, alpha=style.DRAW_ALPHA)
        return
    ax.fill_between(xs, summary.low.numpy(), summary.high.numpy(), color=colour, alpha=style.BAND_ALPHA, lw=0)
    ax.plot(xs, summary.draws[:5].T.numpy(), color=colour, lw=0.6, alpha=0.45)
    ax.plot(xs, summary.mean.numpy(), color=colour, lw=style.THICK)


def _curves(frame: Frame) -> Picture:
    card, seen, blue = frame.rivals.problem.card, frame.drawn.given.seen, ruler_colour(frame)
    xs, truth, limit = frame.coords[:, 0].numpy(), frame.truth.numpy(), error_limit(frame)
    figure, axes = picture(2, 2, size=(9.2, 4.7), sharex=True, height_ratios=(2.9, 1))
    names = frame.rivals.ruler_name, frame.rivals.model_name
    for ax, summary, colour, name in zip(axes[0], (frame.ruler, frame.model), (blue, style.MODEL), names, strict=True):
        _bundle(ax, xs, summary, colour, as_draws(frame))
        if summary is frame.model and not as_draws(frame):
            for end in (frame.ruler.low, frame.ruler.high):
                ax.plot(xs, end.numpy(), color=blue, lw=0.9, ls=(0, (4, 3)))
        ax.plot(xs, truth, color=style.TRUTH, lw=1.4)
        dots(ax, seen.coords[:, 0].numpy(), seen.values[:, 0].numpy(), clip_on=False)
        dress(ax, title=rival_title(frame, name), ink=colour, y=f"value ({card.units})" if ax is axes[0, 0] else None)
        ax.set_ylim(*value_limits(frame))
        ax.locator_params(nbins=6)
    for summary, colour in ((frame.ruler, blue), (frame.model, style.MODEL)):
        axes[1, 0].plot(xs, summary.mean.numpy() - truth, color=colour, lw=1.3)
        axes[1, 1].plot(xs, summary.std.numpy(), color=colour, lw=1.3)
    axes[1, 0].set_ylim(-limit, limit)
    axes[1, 1].set_ylim(0, limit)
    for ax, title in zip(axes[1], (error_title(frame), spread_title(frame)), strict=True):
        dress(ax, title=title, x=card.axes[0])
        ax.locator_params(axis="y", nbins=3)
    axes[0, 0].set_xlim(*frame.window[0])
    return figure


def _maps(frame: Frame) -> Picture:
    card, seen, limit = frame.rivals.problem.card, frame.near, error_limit(frame)
    page = Page.of(frame.window, frame.axes)
    units = fill(card.units, 34)
    figure, axes = picture(2, 3, size=(9.2, 7.4 + 0.5 * units.count("\n")), sharex=True, sharey=True)
    fields = style.FIELD_MAP, *value_limits(frame)
    answers = [(s.draws if as_draws(frame) else s.mean) for s in (frame.ruler, frame.model)]
    cells = ((truth_title(frame), frame.truth, fields, style.INK), (seen_title(frame), None, fields, style.INK),
             (rival_title(frame, frame.rivals.ruler_name), answers[0], fields, ruler_colour(frame)),
             (rival_title(frame, frame.rivals.model_name), answers[1], fields, style.MODEL),
             (error_title(frame), frame.model.mean - frame.truth, (style.ERROR_MAP, -limit, limit), style.INK),
             (spread_title(frame), frame.model.std, (style.SPREAD_MAP, 0.0, limit), style.INK))
    places = seen.coords[:, page.across].numpy(), seen.coords[:, page.up].numpy()
    extent = [page.left, page.right, page.bottom, page.top]
    for i, (ax, (title, values, (name, low, high), ink)) in enumerate(zip(axes.flat, cells, strict=True)):
        if values is None:
            ax.set_facecolor(style.EMPTY)
            dots(ax, *places, 20 if seen.m < 150 else 9, seen.values[:, 0].numpy(), cmap=name, vmin=low, vmax=high)
            shown = ax.collections[-1]
        else:
            tile = _tile(values.reshape(-1, frame.side, frame.side).numpy())
            shown = ax.imshow(tile, extent=extent, cmap=name, vmin=low, vmax=high, interpolation="nearest")
            if i == 5:
                dots(ax, *places, 3)
        dress(ax, title=title, ink=ink, x=frame.axes[page.across] if i > 2 else None,
              y=frame.axes[page.up] if i % 3 == 0 else None)
        ax.locator_params(nbins=4)
        ax.set_xlim(extent[:2])
        ax.set_ylim(extent[2:])
        ax.set_aspect("equal")
        bar = figure.colorbar(shown, ax=ax, location="bottom", fraction=0.05, pad=0.03, aspect=32)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=style.FONT - 1, length=2, labelcolor=style.SOFT)
        bar.ax.locator_params(nbins=4)
        bar.set_label(units, fontsize=style.FONT - 1, color=style.SOFT)
    return figure


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
