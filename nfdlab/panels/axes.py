"""What figures of fields share on matplotlib axes: observations, maps, their colour bars and limits."""

import torch
from matplotlib.axes import Axes
from torch import Tensor

from ..core.checks import require
from ..core.types import Fields, Observations
from . import style
from .page import Page


def draw_observations(ax: Axes, seen: Observations, page: Page | None = None, *, size: float = 26,
                      colours: tuple[str, float, float] | None = None, **rest):
    """Observations as white circles ringed black, at (coordinate, value) in 1D or at their places on a page in 2D.

    `colours` (colour map, low, high) fills them by value.
    """
    x, y = (seen.coords[:, 0], seen.values[:, 0]) if page is None else (seen.coords[:, page.across],
                                                                        seen.coords[:, page.up])
    fills = {"c": style.DOT}
    if colours is not None:
        fills = {"c": seen.values[:, 0].numpy(), "cmap": colours[0], "vmin": colours[1], "vmax": colours[2]}
    return ax.scatter(x.numpy(), y.numpy(), s=size, edgecolors=style.RING, linewidths=0.9, zorder=5, **fills, **rest)


def draw_map(ax: Axes, values, page: Page, cmap: str, low: float, high: float, interpolation: str | None = "nearest"):
    """A field (rows, columns), first row on top, as an image on a page."""
    return ax.imshow(values, extent=page.extent, cmap=cmap, vmin=low, vmax=high, interpolation=interpolation)


def colour_bar(figure, shown, ax: Axes, *, aspect: float, font: float, bins: int):
    """A thin colour bar under an axes."""
    bar = figure.colorbar(shown, ax=ax, location="bottom", fraction=0.05, pad=0.03, aspect=aspect)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=font, length=2, labelcolor=style.SOFT)
    bar.ax.locator_params(nbins=bins)
    return bar


def map_limits(values: Tensor) -> tuple[float, float]:
    """Limits of a map's colours: all but 0.2 % of the values at either end."""
    return tuple(float(q) for q in torch.quantile(values.flatten().cpu(), torch.tensor([0.002, 0.998])))


def require_d(d: int, do: str, *bundles: Fields | None) -> None:
    """Refuse fields that do not have d coordinates; `do` is what to do instead."""
    words, why = ("one coordinate", "Bands are drawn over an axis.") if d == 1 else (
        "two coordinates", "They are drawn as pictures.")
    for fields in bundles:
        require(fields is None or fields.d == d, must=f"fields of {words}.", came=fields, why=why, do=do)


def fit_page(ax: Axes, page: Page, bins: int | None = None, *, equal: bool = False) -> None:
    """Limits of an axes from a page; `bins`: at most so many ticks; `equal`: one scale on both axes."""
    ax.set_xlim(page.left, page.right)
    ax.set_ylim(page.bottom, page.top)
    if equal:
        ax.set_aspect("equal")
    if bins:
        ax.locator_params(nbins=bins)


def require_some(what: str, values, do: str) -> None:
    """Refuse an empty collection; `do` is an example of one that is not."""
    require(len(values) > 0, must=f"{what}: at least one.", came="none", why="There is nothing to draw.", do=do)
