"""The lines of text of a panel: scores of this task, the ratio measured over many tasks, notes and errors."""

from html import escape

from ..core.types import Trained
from . import style
from .captions import reference_colour
from .view import Frame

_BOX = "padding:4px 10px;margin:2px 0;border-radius:6px;line-height:1.45;font-size:13px"


def scores_line(frame: Frame) -> str:
    """CRPS of model and reference on this task, and their ratio over many tasks where the weights store it."""
    comparison = frame.comparison
    stand_in = "" if comparison.exact else " in place of an exact posterior, which is unknown"
    task = (f"This task, CRPS: {_ink(comparison.model_name, style.MODEL)} <b>{style.number(frame.drawn.score)}</b>, "
            f"{_ink(comparison.reference_name, reference_colour(frame))} "
            f"<b>{style.number(frame.drawn.task.reference_score)}</b>{stand_in} "
            "(the ratio of one task is mostly noise).")
    return (f'<div class="nfdlab-scores" style="{_BOX};background:{style.PAPER};color:{style.INK}">{task} '
            f"{many_tasks(frame)}</div>")


def many_tasks(frame: Frame) -> str:
    """The ratio to the reference over many tasks, at the stored number of observations nearest to that of the frame."""
    model = frame.comparison.model
    scores = model.about.get("scores") or {} if isinstance(model, Trained) else {}
    ratios = {int(m): float(r) for m, r in (scores.get("crps") or {}).items() if str(m).isdigit()}
    if not ratios:
        return "No ratio over many tasks is stored with this model; nfdlab.score measures one."
    m = frame.drawn.task.seen.m
    nearest = min(ratios, key=lambda count: (abs(count - m), count))
    tasks = f"Over {scores['tasks']} tasks" if "tasks" in scores else "Over many tasks"
    reference = escape(frame.comparison.reference_name)
    return f"{tasks} at m = {nearest}: <b>{ratios[nearest]:.2f} ×</b> the CRPS of {reference}."


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
