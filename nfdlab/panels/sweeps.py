"""What a panel leaves in a report, where nobody moves its sliders: a contact sheet, and two sweeps of finished frames.

A sweep is {"label", "values", "fmt", "start", "frames"}: pictures made ahead, behind a slider that needs no kernel.
"""

import time
from base64 import b64encode

from .pictures import paint
from .reading import describe
from .state import CLOSEST
from .stills import stack, still
from .view import Frame

MIME = "application/vnd.nfdlab.sweep+json"
SECONDS = 4.0                    # a sweep stops growing after this long; values near the start come first
_SIDE = {1: 201, 2: 112}
_COUNTS = {1: (1, 2, 3, 5, 8, 12, 20, 30), 2: (5, 12, 20, 40, 80, 160, 300)}
_SCALES = (1.0, 2.0, 4.0, 8.0, 16.0, CLOSEST)


def sweep(panel, label: str, knob: str, values: tuple, start, words) -> tuple[dict, list[Frame]]:
    """Frames of a panel over one knob, the start's neighbours first, and the frames themselves."""
    began, found = time.perf_counter(), {}
    side = _SIDE[panel.cast.find(panel.state.problem).d]
    for value in sorted(values, key=lambda v: abs(values.index(v) - values.index(start))):
        if found and time.perf_counter() - began > SECONDS:
            break
        found[value] = panel.frame(side, **{knob: value})
    kept = [v for v in values if v in found]
    frames = [b64encode(paint(found[v]).encode()).decode() for v in kept]
    return {"label": label, "values": [words(v) for v in kept], "fmt": "svg", "start": kept.index(start),
            "frames": frames}, [found[v] for v in kept]


def kept_sweep(panel) -> tuple[dict, list[Frame]]:
    """Over how much is seen. Patterns sized by share are swept by the count they come to."""
    d = panel.cast.find(panel.state.problem).d
    start = panel.state.hide(d).size(d)
    values = tuple(sorted({*_COUNTS[d], start}))
    return sweep(panel, "points seen", "count", values, start, str)


def scale_sweep(panel) -> tuple[dict, list[Frame]]:
    """Over the query scale: the same draws, closer and closer."""
    start = panel.state.scale
    values = tuple(sorted({*_SCALES, start}))
    return sweep(panel, "query scale", "scale", values, start, lambda v: f"×{v:g}")


def bundles(panel) -> list[dict]:
    """Two displays: the contact sheet with the sweep over what is seen, and the sweep over the query scale."""
    out = []
    for payload, frames in (kept_sweep(panel), scale_sweep(panel)):
        few = [frames[0], frames[payload["start"]], frames[-1]] if not out else [frames[-1]]
        sheet = stack([still(f) for f in dict.fromkeys(few)])
        out.append({"text/plain": f"nfdlab panel, {payload['label']}: {describe(frames[payload['start']])}",
                    "image/png": b64encode(sheet).decode(), MIME: payload})
    return out
