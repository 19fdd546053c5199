"""What a panel leaves in a report, where nobody moves its sliders: a contact sheet, and two sweeps of finished frames.

A sweep is {"label", "values", "fmt", "start", "frames"}: pictures made ahead, behind a slider that needs no kernel.
"""

from base64 import b64encode

from .captions import describe
from .matplotlib_figure import stack, still
from .state import CLOSEST
from .svg import paint
from .view import Frame

MIME = "application/vnd.nfdlab.sweep+json"
_SIDE = {1: 201, 2: 112, 3: 96}
_COUNTS = {1: (1, 3, 5, 8, 12, 20, 30), 2: (5, 20, 80, 205), 3: (20, 80, 400)}    # few: a report waits for each
_GAPS = {1: (1, 2, 3, 5, 7), 2: (1, 2, 3, 5, 7), 3: (3, 5, 7)}
_TIMES = tuple(-0.9375 + 0.25 * i for i in range(8))                  # every other frame
_SCALES = (1.0, 2.0, 4.0, 8.0, CLOSEST)


def sweep(panel, label: str, knob: str, values: tuple, start, words) -> tuple[dict, list[Frame]]:
    """A panel's sweep over the values of one knob, and the frames it shows."""
    side = _SIDE[panel.cast.find(panel.state.problem).d]
    frames = [panel.frame(side, **{knob: value}) for value in values]
    return {"label": label, "values": [words(v) for v in values], "fmt": "svg", "start": values.index(start),
            "frames": [b64encode(paint(frame).encode()).decode() for frame in frames]}, frames


def kept_sweep(panel) -> tuple[dict, list[Frame]]:
    """Over how much is seen. Patterns sized by share are swept by the count they come to."""
    d = panel.cast.find(panel.state.problem).d
    knob, start = panel.state.sized(d)
    if knob == "every":
        return sweep(panel, "frames, one in", knob, tuple(sorted({*_GAPS[d], start})), start, str)
    start = panel.state.hide(d).size(d)
    values = tuple(sorted({*_COUNTS[d], start}))
    return sweep(panel, "points seen", "count", values, start, str)


def scale_sweep(panel) -> tuple[dict, list[Frame]]:
    """Over the query scale: the same draws, closer and closer."""
    start = panel.state.scale
    values = tuple(sorted({*_SCALES, start}))
    return sweep(panel, "query scale", "scale", values, start, lambda v: f"×{v:g}")


def time_sweep(panel) -> tuple[dict, list[Frame]]:
    """Over a film's time: the same draws, frame by frame."""
    start = panel.state.time
    values = tuple(sorted({*_TIMES, start}))
    return sweep(panel, "time", "time", values, start, lambda v: f"{v:.2f}".replace("-", "−"))


def bundles(panel) -> list[dict]:
    """Two displays, the contact sheet with the sweep over what is seen, and the sweep over the query scale; of a film a
    third, over time."""
    out, film = [], panel.cast.find(panel.state.problem).d == 3
    for payload, frames in (kept_sweep(panel), scale_sweep(panel), *([time_sweep(panel)] if film else [])):
        few = [frames[-1]] if len(out) == 1 else [frames[0], frames[payload["start"]], frames[-1]]
        sheet = stack([still(f) for f in dict.fromkeys(few)])
        out.append({"text/plain": f"nfdlab panel, {payload['label']}: {describe(frames[payload['start']])}",
                    "image/png": b64encode(sheet).decode(), MIME: payload})
    return out
