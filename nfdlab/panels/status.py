"""The lines under a picture: this task's two scores, the ratio measured over many tasks, errors in red."""

from html import escape

from . import style
from .view import Frame

_BOX = "padding:4px 10px;margin:2px 0;border-radius:6px;line-height:1.45;font-size:13px"


def scores_line(frame: Frame) -> str:
    """This task's CRPS of both, and the ratio over many tasks where the weights carry it."""
    mine, ruler = frame.drawn.score, frame.drawn.given.ruler_score
    name, other = frame.rivals.model_name, frame.rivals.ruler_name
    blue = style.EXACT if frame.rivals.exact else style.BASELINE
    task = (f"This task, CRPS: {_ink(name, style.MODEL)} <b>{style.number(mine)}</b>, "
            f"{_ink(other, blue)} <b>{style.number(ruler)}</b>{_stand_in(frame)} (one task's ratio is mostly luck).")
    return (f'<div class="nfdlab-scores" style="{_BOX};background:{style.PAPER};color:{style.INK}">{task} '
            f"{many_tasks(frame)}</div>")


def many_tasks(frame: Frame) -> str:
    """The ratio to the ruler that was measured over many tasks, at the count nearest to what is seen now."""
    about = getattr(frame.rivals.model, "about", None) or {}
    scores = about.get("scores") or {}
    ratios = {int(m): float(r) for m, r in (scores.get("crps") or {}).items() if str(m).isdigit()}
    if not ratios:
        return "No ratio over many tasks is stored with this model; nfdlab.score measures one."
    m = frame.drawn.given.seen.m
    nearest = min(ratios, key=lambda count: (abs(count - m), count))
    tasks = f"Over {scores['tasks']} tasks" if "tasks" in scores else "Over many tasks"
    return f"{tasks} at m = {nearest}: <b>{ratios[nearest]:.2f} ×</b> the CRPS of {escape(frame.rivals.ruler_name)}."


def _stand_in(frame: Frame) -> str:
    """Says so where nobody knows the exact answer."""
    return "" if frame.rivals.exact else " in place of an exact answer, which nobody knows"


def _ink(words: str, colour: str) -> str:
    return f'<span style="color:{colour};font-weight:600">{escape(words)}</span>'


def note(words: str) -> str:
    """A small grey line: what the panel is doing."""
    return f'<span class="nfdlab-note" style="font-size:12px;opacity:0.75">{escape(words)}</span>'


def error_box(error: BaseException) -> str:
    """An error in red, in full, in its own lines."""
    words = escape(f"{type(error).__name__}: {error}")
    return (f'<div class="nfdlab-error" role="alert" style="{_BOX};background:#fdecea;color:{style.ALERT};'
            f'white-space:pre-wrap;font-family:monospace">{words}</div>')
