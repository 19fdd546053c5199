"""A picture that can be touched: a view that tells where, and what a hand does to a state.

The browser side (`touch.js`) says where a pointer or key is, in the coordinates of a plate; `Hand` turns that into a
change of the state: a click adds an observation, a drag moves it, a double click removes it; or it paints the truth,
picks a draw, moves the window.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import anywidget
import torch
import traitlets

from ..core import single
from ..core.grid import cell_centres
from ..evaluate.calibration import interval
from . import figure, style
from .page import Page
from .state import DRAWN, MAX_SCALE, State
from .view import Frame

TOOLS = {"observe": "A click sees the truth there. Drag a point to move it; double click to remove it.",
         "place": "A click sees what you say: in 1D where you click, on a map the value of the slider.",
         "draw": "Drag to draw a truth of your own; on a map with the value of the slider.",
         "pick": "A click picks the draw nearest to it, and shows it everywhere; another click lets it go."}
NEAR = 10.0                      # pixels: a point this near is taken hold of
BRUSH = 0.16                     # half of the width of a stroke on a map, in units of the box


class TouchView(anywidget.AnyWidget):
    """A picture as HTML, `value`, with a line of text below it, `tip`; it is saved as `name`.svg. Where it is touched
    is sent as a message."""

    _esm = Path(__file__).with_name("touch.js")
    value = traitlets.Unicode("").tag(sync=True)
    tip = traitlets.Unicode("").tag(sync=True)
    name = traitlets.Unicode("nfdlab").tag(sync=True)


@dataclass
class Hand:
    """What a hand holds between two messages, and the tool in it: `tool`, and the `brush`'s value on maps."""

    tool: str = "observe"
    brush: float = 1.0
    held: int | None = None              # number of the observation that is dragged
    start: tuple[float, float] | None = None
    moved: bool = False
    added: tuple[bool, bool] = False, False      # whether the last two clicks added an observation

    def respond(self, event: dict, state: State, frame: Frame) -> dict | None:
        """The change of the state that a message asks for; None for none. Messages are of `touch.js`."""
        x, y = float(event["x"]), float(event["y"])
        here = x, y, float(event["px"]), float(event["py"])
        kind, points = event["kind"], self.tool in ("observe", "place")
        if kind == "down":
            self.held, self.start, self.moved = _nearest(state, frame, *here) if points else None, (x, y), False
            return _painted(state, frame, (x, y), (x, y), self.brush) if self.tool == "draw" else None
        if kind == "move" and self.start is not None:
            return self._drag(x, y, here[2:], state, frame)
        if kind == "up" and self.start is not None:
            clicked, self.start = not self.moved and self.held is None, None
            self.added = self.added[1], clicked and points
            return self._click(event, x, y, state, frame) if clicked else None
        if kind == "double" and points:
            return self._remove(rows(state, frame), _nearest(state, frame, *here))
        return _zoomed(state, frame, x, y, event["by"]) if kind == "wheel" else None

    def _drag(self, x: float, y: float, pixel: tuple[float, float], state: State, frame: Frame) -> dict | None:
        far = math.hypot((x - self.start[0]) / pixel[0], (y - self.start[1]) / pixel[1])
        if not self.moved and far < 3:
            return None                                                  # a click that trembles
        self.moved = True
        if self.tool == "draw":
            before, self.start = self.start, (x, y)
            return _painted(state, frame, before, (x, y), self.brush)
        if self.held is not None:
            seen = rows(state, frame)
            seen[self.held] = self._row(x, y, frame, dragged=seen[self.held])
            return {"own": tuple(seen)}
        return _moved(frame, self.start[0] - x, self.start[1] - y)

    def _remove(self, seen: list[tuple], nearest: int | None) -> dict | None:
        """A double click is two clicks first: what these added goes, else the point under the pointer."""
        new, self.added = sum(self.added), (False, False)
        if new:
            return {"own": tuple(seen[:-new])}
        return None if nearest is None else {"own": tuple(row for i, row in enumerate(seen) if i != nearest)}

    def _click(self, event: dict, x: float, y: float, state: State, frame: Frame) -> dict | None:
        if self.tool == "pick":
            return {"pick": _picked(event, x, y, state, frame)}
        return None if self.tool == "draw" else {"own": (*rows(state, frame), self._row(x, y, frame))}

    def _row(self, x: float, y: float, frame: Frame, dragged: tuple | None = None) -> tuple[float, ...]:
        """An observation at a place of a plate: its coordinates, and its values; of more than one channel the first is
        the hand's, the others the truth's."""
        at = place(frame, x, y)
        values = frame.task.truth(torch.tensor([at]))[0, 0].tolist()
        if len(frame.window) == 1 and (self.tool == "place" or dragged is not None):
            values[0] = y
        elif self.tool == "place":
            values[0] = self.brush
        return *at, *values


def rows(state: State, frame: Frame) -> list[tuple[float, ...]]:
    """The observations of a state as rows that a hand can change."""
    seen = frame.task.seen
    return list(state.own if state.own is not None else
                map(tuple, torch.cat([seen.coords, seen.values], 1).tolist()))


def place(frame: Frame, x: float, y: float) -> tuple[float, ...]:
    """The point of the box at a place of a plate; of a film, at its moment."""
    d, inside = frame.comparison.problem.d, lambda v: min(max(v, -1.0), 1.0)
    if len(frame.window) == 1:
        return (inside(x),)
    page, pair = Page.of(frame.window, frame.axes), [0.0, 0.0]
    pair[page.across], pair[page.up] = inside(x), inside(y)
    return tuple(pair) if d == 2 else (frame.state.time, *pair, *[0.0] * (d - 3))


def readout(frame: Frame, x: float, y: float) -> str:
    """What is known at a place of a plate: truth, and of each contestant its mean and 90 % band there."""
    at = torch.tensor([place(frame, x, y)])
    shown = at[0] if frame.comparison.problem.d < 3 else at[0, 1:3]
    where = ", ".join(f"{axis.split()[0]} = {style.number(float(v), 2)}" for axis, v in
                      zip(frame.axes, shown, strict=True))
    task, parts = frame.task, [f"truth {style.number(float(frame.task.truth(at)[0, 0, 0]), 2)}"]
    drawn = task.reference, task.model, task.rival
    for fields, (_, _, name, _) in zip(drawn, figure.contestants(frame), strict=False):
        values = fields(at).cpu()
        low, high = (float(end[0, 0]) for end in interval(values, style.BAND))
        parts.append(f"{name} {style.number(float(values.mean(0)[0, 0]), 2)} "
                     f"({style.number(low, 2)} to {style.number(high, 2)})")
    return f"{where}:   {'   ·   '.join(parts)}".replace("-", "−")


def _nearest(state: State, frame: Frame, x: float, y: float, px: float, py: float) -> int | None:
    """The number of the observation under a pointer, among those that are drawn."""
    seen, d = rows(state, frame), frame.comparison.problem.d
    if not seen:
        return None
    coords = torch.tensor([row[:d + 1] for row in seen])                   # and the first value
    if len(frame.window) > 1:
        page, pair = Page.of(frame.window, frame.axes), coords[:, 1:3] if frame.film else coords[:, :2]
        shown = pair[:, [page.across, page.up]]
    else:
        shown = coords
    away = ((shown - torch.tensor([x, y])) / torch.tensor([px, py])).norm(dim=1)
    away = torch.where(frame.is_near(coords[:, :d]), away, math.inf)
    return int(away.argmin()) if float(away.min()) < NEAR else None


def _picked(event: dict, x: float, y: float, state: State, frame: Frame) -> int | None:
    """The number of the model's draw at a place: in 1D the nearest curve, on maps of draws the one that was clicked;
    None if that one is shown already, or none is."""
    draws = frame.model.draws
    if len(frame.window) == 1:
        column = int((frame.coords[:, 0] - x).abs().argmin())
        pick = int((draws[:, column] - y).abs().argmin())
    elif event["tile"] < len(draws) and event["area"] == frame.comparison.model_name and state.pick is None:
        pick = int(event["tile"])
    else:
        return None
    return None if pick == state.pick else pick


def _moved(frame: Frame, right: float, up: float) -> dict | None:
    """The window moved; in 1D along x only."""
    if frame.state.scale == 1:
        return None
    middle = [(low + high) / 2 for low, high in frame.window]
    if len(middle) == 1:
        shift = [right]
    else:
        page, shift = Page.of(frame.window, frame.axes), [0.0, 0.0]
        shift[page.across], shift[page.up] = right, up
    return {"centre": tuple(min(max(m + s, -1.0), 1.0) for m, s in zip(middle, shift, strict=True))}


def _zoomed(state: State, frame: Frame, x: float, y: float, by: float) -> dict:
    """A closer look, or a wider one, about the place of the pointer."""
    scale = min(max(state.scale * 2 ** (by / 2), 1.0), MAX_SCALE)
    at = place(frame, x, y)
    at = at if len(frame.window) == 1 else at[1:3] if frame.film else at[:2]
    middle = [a + ((low + high) / 2 - a) * state.scale / scale for a, (low, high) in zip(at, frame.window, strict=True)]
    return {"scale": scale, "centre": tuple(min(max(m, -1.0), 1.0) for m in middle) if scale > 1 else ()}


def _painted(state: State, frame: Frame, before: tuple, after: tuple, brush: float) -> dict | None:
    """The truth after a stroke between two places; None where there is no truth to draw."""
    d = frame.comparison.problem.d
    if d not in DRAWN or frame.task.truth.c != 1:
        return None
    points = cell_centres((DRAWN[d],) * d)
    values = torch.tensor(state.truth) if state.truth is not None else frame.task.truth(points)[0, :, 0].clone()
    if d == 1:
        (x0, y0), (x1, y1) = sorted([before, after])
        step = 1.0 / DRAWN[1]
        under = (points[:, 0] >= x0 - step) & (points[:, 0] <= x1 + step)
        share = ((points[under, 0] - x0) / max(x1 - x0, 1e-9)).clamp(0, 1)
        values[under] = y0 + share * (y1 - y0)
    else:
        for t in single.linspace(0, 1, 6):
            at = torch.tensor([place(frame, *(b + float(t) * (a - b) for b, a in zip(before, after, strict=True)))])
            share = torch.exp(-2 * ((points - at) / BRUSH).square().sum(1)).mul(0.5)
            values = values + share * (brush - values)
    return {"truth": tuple(values.tolist())}
