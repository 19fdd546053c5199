"""Surfaces of solids in three coordinates, where a field is zero: shaded stills, and films in which they turn."""

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from ..core import single
from ..core.checks import require, require_count, require_number
from ..core.grid import grid_values
from ..core.types import Fields, Observations
from . import style
from .film import Film, sheets
from .matplotlib_figure import require_some
from .shading import FAR, screen, shade
from .style import Picture, colour_of

GRID = 48                            # points a side at which a field is asked once
MARGIN = 4                           # pixels round what is seen of solids


def _tile(values: Tensor, angle: float, side: int, ink: str, seen: Observations | None) -> np.ndarray:
    """One tile (side, side, 3) in bytes; observations are dots, but those behind the solid are not shown."""
    light, depth = shade(values, angle, side)
    colour = single.tensor([int(ink[i:i + 2], 16) / 255 for i in (1, 3, 5)])
    picture = (0.75 * colour + light[..., None] * (0.9 - 0.55 * colour)).clamp(0, 1)
    picture = torch.where(light.isnan()[..., None], single.ones(3), picture)
    if seen is not None:
        right, up, near = (seen.coords.cpu().float() @ screen(angle).T).T
        column, row = (((x / FAR + 1) / 2 * (side - 1)).round().long().clamp(1, side - 2) for x in (right, -up))
        shown = ~(depth[row, column] > near + 0.15)
        for dx, dy in ((0, 0), (0, 1), (1, 0), (1, 1)):
            picture[row[shown] + dy, column[shown] + dx] = 0.0
    return (255 * picture).byte().numpy()


def _grids(answers: Mapping[str, Fields]) -> dict[str, Tensor]:
    """Each entry's first draw on the grid."""
    require_some("answers", answers, 'turning({"truth": truth, "a draw": draws[0]}).')
    d = {fields.d for fields in answers.values()}
    require(d == {3}, must="fields of (x, y, z).", came=f"d = {sorted(d)}", why="They are shown as solids.",
            do="plots.film for space and time, plots.row for the plane.")
    return {name: grid_values(fields[0], GRID)[:, :1].cpu().float() for name, fields in answers.items()}


def turning(answers: Mapping[str, Fields], *, frames: int = 24, rate: float = 8.0, side: int = 112,
            seen: Observations | None = None) -> Film:
    """A tile for each entry, its name above it: the surface of its first draw, which turns once about the third axis.
    `seen`: its places are dots."""
    grids = _grids(answers)
    require_count(frames, "frames"), require_count(side, "side", 16), require_number(rate, "rate", 0.1, 240.0)
    angles = [2 * math.pi * i / frames for i in range(frames)]
    tiles = [np.stack([_tile(values, angle, side, colour_of(name), seen) for angle in angles])
             for name, values in grids.items()]
    return Film(sheets(list(answers), tiles), rate)


def _cropped(tiles: list[np.ndarray]) -> list[np.ndarray]:
    """The tiles without the white edge that all of them share."""
    places = np.argwhere((np.stack(tiles) < 255).any((0, 3)))
    edge = max(0, min(places.min(), len(tiles[0]) - 1 - places.max()) - MARGIN) if len(places) else 0
    return [tile[edge:len(tile) - edge, edge:len(tile) - edge] for tile in tiles]


def solids(answers: Mapping[str, Fields], *, angle: float = 0.6, side: int = 160, seen: Observations | None = None,
           title: str | None = None) -> Picture:
    """A still of the surfaces of each entry's first draw, side by side."""
    grids = _grids(answers)
    require_count(side, "side", 16)
    tiles = [_tile(values, angle, side, colour_of(name), seen) for name, values in grids.items()]
    figure, (axes,) = style.picture(1, len(answers), size=(2.2 * len(answers), 2.5))
    for ax, name, tile in zip(axes, grids, _cropped(tiles), strict=True):
        ax.imshow(tile)
        style.dress(ax, title=name, ink=colour_of(name)).set_axis_off()
    style.headline(figure, title)
    return figure
