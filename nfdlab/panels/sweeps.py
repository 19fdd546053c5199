"""Displays of a panel in a report, where its sliders do not work: pictures, and sweeps over one control each.

A sweep is {"label", "values", "fmt", "start", "frames"}: pictures computed ahead, behind a slider that needs no kernel.
"""

from base64 import b64encode

from .figure import describe
from .matplotlib_figure import stack, still
from .state import MAX_SCALE, timed
from .svg import paint

MIME = "application/vnd.nfdlab.sweep+json"
_SIDE = {1: 201, 2: 96, 3: 80, 4: 80}
# few: a report waits for each
_COUNTS = {1: (1, 3, 5, 8, 12, 20, 30), 2: (5, 20, 80, 205), 3: (20, 80, 400), 4: (20, 80, 200)}
_GAPS = {1: (1, 2, 3, 5, 7), 2: (1, 2, 3, 5, 7), 3: (3, 5, 7), 4: (3, 5, 7)}
_TIMES = tuple(-0.9375 + 0.25 * i for i in range(8))                  # every other frame
_SCALES = (1.0, 2.0, 4.0, 8.0, MAX_SCALE)


def display_of(label: str, words: str, sheet: bytes, values: list[str], frames: list[bytes], fmt: str,
               start: int) -> dict:
    """One display: the sweep over a control, its values in words and a picture (a file's bytes) for each; and `words`
    and a PNG for where there is no slider."""
    sweep = {"label": label, "values": values, "fmt": fmt, "start": start,
             "frames": [b64encode(frame).decode() for frame in frames]}
    return {"text/plain": f"nfdlab panel, {label}{words}", "image/png": b64encode(sheet).decode(), MIME: sweep}


def bundles(panel) -> list[dict]:
    """The displays of a panel: its contact sheet with the sweep over observations, then the sweep over the query scale;
    of three coordinates a third, over the first. Patterns sized by share are swept by the count they come to."""
    state, problem = panel.state, panel.lineup.find(panel.state.problem)
    d = problem.d
    knob, start = state.size(d)
    swept = [("frames, one in", "every", _GAPS[d], start, str)]
    if knob != "every":
        swept = [("points seen", "count", _COUNTS[d], state.sized_pattern(d).size(d), str)]
    swept.append(("query scale", "scale", _SCALES, state.scale, lambda v: f"×{v:g}"))
    if d > 2:
        label = "time" if timed(problem) else problem.card.axes[0]
        swept.append((label, "time", _TIMES, state.time, lambda v: f"{v:.2f}".replace("-", "−")))
    out = []
    for label, knob, offered, now, words in swept:
        values = sorted({*offered, now})
        start, frames = values.index(now), [panel.frame(_SIDE[d], **{knob: value}) for value in values]
        few = [frames[-1]] if knob == "scale" else dict.fromkeys([frames[0], frames[start], frames[-1]])
        out.append(display_of(label, f": {describe(frames[start])}", stack([still(frame) for frame in few]),
                              [words(v) for v in values], [paint(f).encode() for f in frames], "svg", start))
    return out
