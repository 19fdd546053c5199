"""Lesson figures of fields over two or three coordinates: rows of maps, ladders of query scales, surfaces to turn."""

from collections.abc import Mapping

import torch

from ..core.checks import require
from ..core.grid import cell_centres
from ..core.types import Fields, Observations, ProblemCard
from . import style
from .figure import nice
from .matplotlib_figure import grid, require_d
from .page import BOX, Page, window_around, window_points
from .plate import Plate, first_names, map_limits, map_plate
from .style import Picture, colour_of


def row(card: ProblemCard, *, truth: Fields, seen: Observations, model: Fields, exact: Fields | None = None,
        names: tuple[str, str] = ("exact", "model"), window=BOX, side: int = 160,
        title: str | None = None) -> Picture:
    """Truth, observations, exact mean, model mean, error of the model's mean, its uncertainty: shared limits and axes.

    Without `exact` that picture is left out. `names` are written over the two means; `window` is a part of the box.
    """
    require_d(2, "plots.bands for one coordinate.", truth, model, exact)
    page = Page.of(window, card.axes)
    points = page.points(side)
    target, values = truth(points)[0, :, 0].cpu(), model(points).cpu()[..., 0]
    error, std = values.mean(0) - target, values.std(0) if len(values) > 1 else torch.zeros_like(target)
    rms = float(error.square().mean().sqrt())
    limit, fields = nice(2.5 * rms), (style.FIELD_MAP, *map_limits(target))
    means = [(f"{names[0]}: mean", exact(points).cpu()[..., 0].mean(0), fields)] if exact is not None else []
    cells = [("truth", target, fields), (f"{seen.m} seen", None, fields), *means,
             (f"{names[1]}: mean", values.mean(0), fields),
             (f"error, RMS {style.number(rms, 2)}", error, (style.ERROR_MAP, -limit, limit)),
             ("uncertainty", std, (style.STD_MAP, 0.0, limit))]
    plates = []
    for words, shown, colours in cells:
        ink = colour_of(words.split(":")[0]) if ":" in words else style.INK
        plate = map_plate(page, card.axes, colours, title=words, ink=ink, units=" ")
        plates.append(plate.observed(seen, page, 2.6 if seen.m < 150 else 1.7, filled=True) if shown is None else
                      plate.field(shown, side))
    figure = grid(first_names(plates, len(cells)), len(cells), (2.0 * len(cells), 3.1 if title else 2.9), title,
                  font=style.FONT - 2, bins=3)
    figure.supxlabel(f"values in {card.units}", fontsize=style.FONT - 1, color=style.SOFT)
    return figure


def ladder(card: ProblemCard, rows: Mapping[str, Fields], *, centre: tuple[float, ...] | None = None,
           scales: tuple[float, ...] = (1, 2, 4, 8, 16, 32), side: int = 160, title: str | None = None) -> Picture:
    """The first draw of each entry at growing query scales, in the same number of pixels: a column for each scale.

    rows: {"truth": truth, "model": draws}. In 1D each picture is a curve with limits of its own.
    """
    d = next(iter(rows.values())).d
    require(d in (1, 2), must="fields of one or two coordinates.", came=f"d = {d}", why="Each rung is one picture.",
            do="Freeze the other coordinates first.")
    plates = {name: [] for name in rows}
    for scale in scales:
        window = window_around((0.0,) * d if centre is None else centre, scale)
        points = window_points(window, side if d == 2 else 321, card.axes)
        values = {name: fields(points)[0, :, 0].cpu() for name, fields in rows.items()}
        both = torch.cat(list(values.values()))
        for i, (name, shown) in enumerate(values.items()):
            words = {"title": "" if i else f"×{scale:g}", "y": name}
            plates[name].append(
                Plate(*window[0], None, None, **words).curve(points, shown, colour_of(name), 1.3) if d == 1 else
                Plate(*Page.of(window, card.axes).extent, **words,
                      colours=(style.FIELD_MAP, float(both.min()), float(both.max()))).field(shown, side))
    figure = grid(first_names([plate for row in plates.values() for plate in row], len(scales)), len(scales),
                  (1.75 * len(scales), (1.5 if d == 1 else 1.95) * len(rows) + 0.4), title, bins=3)
    for i, ax in enumerate(figure.axes):
        ax.tick_params(labelsize=style.FONT - 2, labelleft=d == 1 or i % len(scales) == 0)
    return figure


def surface(card: ProblemCard, fields: Fields, *, seen: Observations | None = None, side: int = 96,
            height: float = 0.35, title: str | None = None):
    """The first draw as a plotly surface that can be turned, observations as white points. `height`: of the tallest.

    Too slow for a live panel.
    """
    import plotly.graph_objects as go

    require_d(2, "plots.bands for one coordinate.", fields)
    page = Page.of(BOX, card.axes)
    points = page.points(side)
    z = fields(points)[0, :, 0].cpu().reshape(side, side).numpy().round(4)
    x, y = points[:side, page.across].numpy(), points[::side, page.up].numpy()
    parts = [go.Surface(x=x, y=y, z=z, colorscale=style.FIELD_MAP, name=card.title,
                        colorbar={"title": {"text": card.units, "side": "right"}, "thickness": 12, "len": 0.7})]
    if seen is not None and seen.m:
        parts.append(go.Scatter3d(x=seen.coords[:, page.across].numpy(), y=seen.coords[:, page.up].numpy(),
                                  z=seen.values[:, 0].numpy(), mode="markers", name=f"{seen.m} seen",
                                  marker={"size": 3, "color": style.DOT, "line": {"color": style.RING, "width": 1}}))
    figure = go.Figure(parts)
    axes = {"xaxis_title": card.axes[page.across], "yaxis_title": card.axes[page.up], "zaxis_title": "value"}
    figure.update_layout(title={"text": title or card.title}, paper_bgcolor=style.PAPER, height=560, showlegend=False,
                         margin={"l": 0, "r": 0, "t": 40, "b": 0}, font={"color": style.INK},
                         scene_camera={"eye": {"x": 0.55, "y": -1.45, "z": 0.95}},        # stand in the south
                         scene={**axes, "aspectmode": "manual", "aspectratio": {"x": 1, "y": 1, "z": height}})
    if page.bottom > page.top:
        figure.update_scenes(yaxis_autorange="reversed")
    return figure


def solid(card: ProblemCard, fields: Fields, *, seen: Observations | None = None, level: float = 0.0, side: int = 32,
          title: str | None = None):
    """The surface where the first draw crosses a level, in plotly, to be turned; observations as white points."""
    import plotly.graph_objects as go

    require(fields.d == 3, must="fields of three coordinates.", came=f"d = {fields.d}",
            why="A surface in space needs three axes.", do="plots.surface for two coordinates.")
    points = cell_centres((side,) * 3)
    value = fields(points)[0, :, 0].cpu().numpy().round(4)
    x, y, z = points.T.numpy().round(4)
    parts = [go.Isosurface(x=x, y=y, z=z, value=value, isomin=level, isomax=level, surface_count=1, showscale=False,
                           colorscale=[[0, style.FAINT], [1, style.FAINT]], name=card.title,
                           caps={f"{axis}_show": False for axis in "xyz"})]
    if seen is not None and seen.m:
        parts.append(go.Scatter3d(**dict(zip("xyz", seen.coords.T.numpy(), strict=True)), mode="markers",
                                  name=f"{seen.m} seen", marker={"size": 3, "color": style.DOT,
                                                                 "line": {"color": style.RING, "width": 1}}))
    figure = go.Figure(parts)
    limits = {f"{axis}axis": {"title": {"text": name}, "range": [-1, 1]}
              for axis, name in zip("xyz", card.axes, strict=True)}
    figure.update_layout(title={"text": title or card.title}, paper_bgcolor=style.PAPER, height=560, showlegend=False,
                         margin={"l": 0, "r": 0, "t": 40, "b": 0}, font={"color": style.INK},
                         scene={**limits, "aspectmode": "cube"}, scene_camera={"eye": {"x": 0.9, "y": -1.1, "z": 0.7}})
    return figure
