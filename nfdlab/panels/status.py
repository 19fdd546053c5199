"""The lines of text of a panel: scores of this task, the ratio measured over many tasks, notes and errors."""

from html import escape

from ..core.types import Trained
from . import style
from .figure import rival_colour
from .view import Frame

MEASURED_NOISE = 0.05            # of the tasks that `evaluate.stamp` measures ratios on
STALE = "nfdlab-stale"           # the class of a picture of another state; what follows quickly does not flicker
GREY = f"<style>.{STALE} {{opacity: 0.4; filter: grayscale(1); transition: opacity 0s 0.25s, filter 0s 0.25s}}</style>"
_BOX = "padding:4px 10px;margin:2px 0;border-radius:6px;line-height:1.45;font-size:13px"


def scores_line(frame: Frame) -> str:
    """CRPS of model and reference on this task, and their ratio over many tasks where the weights store it."""
    model, reference = frame.comparison.model_name, frame.comparison.reference_name
    stand_in = " in place of an exact posterior, which is unknown" if reference == "kriging" else ""
    task = (f"This task, CRPS: {_ink(model, style.MODEL)} <b>{style.number(frame.task.score)}</b>, "
            f"{_ink(reference, style.colour_of(reference))} <b>{style.number(frame.task.reference_score)}</b>"
            f"{stand_in}{_rival(frame)} (the ratio of one task is mostly noise).")
    return (f'<div class="nfdlab-scores" style="{_BOX};background:{style.PAPER};color:{style.INK}">{task} '
            f"{many_tasks(frame)}</div>")


def _rival(frame: Frame) -> str:
    """The score of the second contestant on this task, if there is one."""
    name = frame.comparison.rival_name
    score = style.number(frame.task.rival_score)
    return "" if frame.rival is None else f", {_ink(name, rival_colour(name))} <b>{score}</b>"


def many_tasks(frame: Frame) -> str:
    """The ratio to the reference over many tasks, with the setting it was measured at: the stored number of random
    points, or gap between frames, nearest to that of the frame. None where pattern or noise is another."""
    model, state, m = frame.comparison.model, frame.state, frame.task.seen.m
    scores = model.about.get("scores") or {} if isinstance(model, Trained) else {}
    ratios = scores.get("crps") or {}
    if state.own is not None or state.truth is not None:
        return "Of what is placed by hand no ratio over many tasks is known."
    if isinstance(model, Trained) and "undertrained" in model.about:
        return f"<b>{escape(model.about['undertrained'])}</b>"
    if not ratios:
        return "No ratio over many tasks is stored with this model; nfdlab.score measures one."
    kind, now, where = ("every ", state.size(frame.comparison.problem.d)[1], "one frame in {}") if (
        state.pattern == "frames" and m) else ("", m, "m = {}")
    known = [int(label.removeprefix(kind)) for label in ratios if label.removeprefix(kind).isdigit()
             and label.startswith(kind)]
    if not known or state.noise != MEASURED_NOISE or not (m == 0 or state.pattern in ("random", "frames")):
        return (f"No ratio over many tasks was measured with the pattern {state.pattern} and noise {state.noise:g}; "
                "nfdlab.score measures one.")
    nearest = min(known, key=lambda count: (abs(count - now), count))
    tasks = f"Over {scores['tasks']} tasks" if "tasks" in scores else "Over many tasks"
    return (f"{tasks} at {where.format(nearest)}: <b>{ratios[f'{kind}{nearest}']:.2f} ×</b> the CRPS of "
            f"{escape(frame.comparison.reference_name)} ({state.pattern}, noise {state.noise:g}).")


def _ink(words: str, colour: str) -> str:
    return f'<span style="color:{colour};font-weight:600">{escape(words)}</span>'


def note(words: str) -> str:
    """A small grey line of HTML: what the panel is doing."""
    return f'<span class="nfdlab-note" style="font-size:12px;opacity:0.75">{escape(words)}</span>'


def error_box(error: BaseException) -> str:
    """An error as HTML: red, in full, its line breaks kept."""
    words = escape(f"{type(error).__name__}: {error}")
    return (f'<div class="nfdlab-error" role="alert" style="{_BOX};background:#fdecea;color:{style.ALERT};'
            f'white-space:pre-wrap;font-family:monospace">{words}</div>')
