"""A frame as a matplotlib figure: for reports, print, and front ends that show no widgets."""

from io import BytesIO
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from PIL import Image

from . import captions, style
from .axes import colour_bar, draw_map, draw_observations, fit_page
from .page import Page
from .style import Picture, dress, picture
from .view import Frame, Summary


def still(frame: Frame) -> Picture:
    """The picture of a frame."""
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


def _summary(ax: Axes, xs, summary: Summary, colour: str, draws: bool) -> None:
    """The draws as thin curves, or mean, band and a few of them."""
    if draws:
        ax.plot(xs, summary.draws.T.numpy(), color=colour, lw=style.THIN, alpha=style.DRAW_ALPHA)
        return
    ax.fill_between(xs, summary.low.numpy(), summary.high.numpy(), color=colour, alpha=style.BAND_ALPHA, lw=0)
    ax.plot(xs, summary.draws[:5].T.numpy(), color=colour, lw=0.6, alpha=0.45)
    ax.plot(xs, summary.mean.numpy(), color=colour, lw=style.THICK)


def _curves(frame: Frame) -> Picture:
    comparison, blue, draws = frame.comparison, captions.reference_colour(frame), captions.as_draws(frame)
    xs, truth, limit = frame.coords[:, 0].numpy(), frame.truth.numpy(), captions.error_limit(frame)
    figure, axes = picture(2, 2, size=(9.2, 4.7), sharex=True, height_ratios=(2.9, 1))
    both = ((frame.reference, blue, comparison.reference_name), (frame.model, style.MODEL, comparison.model_name))
    for ax, (summary, colour, name) in zip(axes[0], both, strict=True):
        _summary(ax, xs, summary, colour, draws)
        if summary is frame.model and not draws:
            for end in (frame.reference.low, frame.reference.high):
                ax.plot(xs, end.numpy(), color=blue, lw=0.9, ls=(0, (4, 3)))
        ax.plot(xs, truth, color=style.TRUTH, lw=1.4)
        draw_observations(ax, frame.drawn.task.seen, clip_on=False)
        dress(ax, title=captions.draws_title(frame, name), ink=colour,
              y=f"value ({comparison.problem.card.units})" if ax is axes[0, 0] else None)
        ax.set_ylim(*captions.value_limits(frame))
        ax.locator_params(nbins=6)
    for summary, colour, _ in both:
        axes[1, 0].plot(xs, summary.mean.numpy() - truth, color=colour, lw=1.3)
        axes[1, 1].plot(xs, summary.std.numpy(), color=colour, lw=1.3)
    axes[1, 0].set_ylim(-limit, limit)
    axes[1, 1].set_ylim(0, limit)
    for ax, title in zip(axes[1], (captions.error_title(frame), captions.STD_TITLE), strict=True):
        dress(ax, title=title, x=comparison.problem.card.axes[0])
        ax.locator_params(axis="y", nbins=3)
    axes[0, 0].set_xlim(*frame.window[0])
    return figure


def _maps(frame: Frame) -> Picture:
    page, seen, units = Page.of(frame.window, frame.axes), frame.near, fill(frame.comparison.problem.card.units, 34)
    figure, axes = picture(2, 3, size=(9.2, 7.4 + 0.5 * units.count("\n")), sharex=True, sharey=True)
    for i, (ax, (title, values, colours, ink)) in enumerate(zip(axes.flat, captions.map_cells(frame), strict=True)):
        if values is None:
            ax.set_facecolor(style.EMPTY)
            shown = draw_observations(ax, seen, page, size=20 if seen.m < 150 else 9, colours=colours)
        else:
            shown = draw_map(ax, _tile(values.reshape(-1, frame.side, frame.side).numpy()), page, *colours)
            if i == 5:
                draw_observations(ax, seen, page, size=3)
        dress(ax, title=title, ink=ink, x=frame.axes[page.across] if i > 2 else None,
              y=frame.axes[page.up] if i % 3 == 0 else None)
        fit_page(ax, page, 4, equal=True)
        bar = colour_bar(figure, shown, ax, aspect=32, font=style.FONT - 1, bins=4)
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
