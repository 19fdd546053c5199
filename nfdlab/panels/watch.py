"""A live view of a training: the loss, the field that forms, and a button that stops it and keeps the model so far.

    watch = LossWatch("a field of curves", problem)
    model = nfdlab.train("sparse_conditional", problem, watch=watch)

In a report it only records the losses, and the last step draws the pictures.
"""

import math
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, replace

import ipywidgets as W
import numpy as np
from IPython import get_ipython
from IPython.display import display

from ..core.types import Fields, Observations, Problem, Step
from . import style
from .forming import FormingField
from .kernel import answer_while_busy, headless
from .matplotlib_figure import grid, stack
from .plate import Plate, sheet, text
from .status import error_box
from .style import Picture

_WIDE, _HIGH = 620.0, 190.0


@dataclass
class Pace:
    """When some work is done: at most every `every` seconds, and in at most one part of `share` of the time."""

    every: float
    share: float
    due_at: float = -math.inf

    def __call__(self, work: Callable[[], None], at_once: bool) -> None:
        """Do the work if it is due, or at once."""
        began = time.perf_counter()
        if at_once or began >= self.due_at:
            work()
            self.due_at = began + max(self.every, self.share * (time.perf_counter() - began))


class LossWatch(W.VBox):
    """Call it with each `Step`; it returns True once Cancel was pressed. It shows itself at the first step.

    With a `problem` it also shows draws of the model so far, always for the same observations: those given as `seen`,
    of the function `truth` if that is known; or of a function of the problem that training never sees.

    It draws the losses at most every `every` seconds, in a thirtieth of the time, the field at most every `draws_every`
    seconds, in a twentieth of the time, and both at the last step. The training is the same, watched or not.
    """

    def __init__(self, title: str = "training", problem: Problem | None = None, *, seen: Observations | None = None,
                 truth: Fields | None = None, every: float = 0.25, draws_every: float = 3.0):
        self.title, self.painting, self.drawing = title, Pace(every, 30), Pace(draws_every, 20)
        self.field = None if problem is None else FormingField.of(problem, seen, truth)
        self.steps: list[Step] = []
        self.draws, self.words = None, "nothing to draw from yet"
        self.error: Exception | None = None
        self.cancelled, self._displayed, self._report = False, False, None
        self.picture, self.forming = W.HTML(), W.HTML()
        self.button = W.Button(description="Cancel", tooltip="stop training and keep the model so far",
                               layout=W.Layout(width="90px"))
        self.button.on_click(self._pressed)
        super().__init__([self.picture, *([] if self.field is None else [self.forming]), self.button])
        self.add_class("nfdlab-watch")
        answer_while_busy(self.button)
        if headless():
            self._ipython_display_ = self._reserve

    def __call__(self, step: Step) -> bool:
        """Record a step; True asks the training to stop."""
        self.steps.append(replace(step, model=None))
        cancelled = self.cancelled
        last = cancelled or step.progress > 1 - 1e-9
        if not headless() and not self._displayed and get_ipython() is not None:
            display(self)
        if self.field is not None and step.model is not None and (last or not headless()):
            self.drawing(lambda: self._draw(step), last)
        if not headless():
            self.painting(self.paint, last)
        elif last and self._report is not None:                     # the report's display, made before the first step
            self._report.update(self._bundle(), raw=True)
        return cancelled

    def paint(self) -> None:
        """Draw the losses so far, and the draws that there are."""
        steps = list(self.steps)                                    # the training may append to it
        self.picture.value = curve(steps, self.title, self.cancelled)
        self.button.disabled = self.cancelled or bool(steps) and steps[-1].progress > 1 - 1e-9
        if self.field is not None and not self.forming.value:
            self.forming.value = self.field.svg(self.draws, self.words)

    def figure(self) -> Picture:
        """The losses of the whole run as a matplotlib figure."""
        shown = plates(self.steps, every=True) or [Plate(0, 1, 0, 1, "training", "seconds", "loss")]
        return grid(shown, len(shown), (3.6 * len(shown) + 0.6, 2.6))

    def _draw(self, step: Step) -> None:
        """Draw from the model so far; what goes wrong is shown, and costs the training nothing."""
        try:
            with step.model() as model:
                self.draws = self.field.draws(model)
            self.words = f"{len(self.draws)} draws after {clock(step.seconds)}"
            self.forming.value = "" if headless() else self.field.svg(self.draws, self.words)
        except Exception as error:                                  # noqa: BLE001 - a panel shows every error
            self.error, self.forming.value = error, error_box(error)

    def _pressed(self, button) -> None:
        self.cancelled = True
        self.button.description, self.button.disabled = "stopping …", True

    def _bundle(self) -> dict:
        """What a report shows: one line, and the losses and the last draws once there are some."""
        found = {"text/plain": summary(self.steps, self.cancelled) + (f" · {self.error}" if self.error else "")}
        pictures = [self.figure()] * bool(self.steps)
        pictures += [] if self.draws is None else [self.field.figure(self.draws, self.words)]
        return found | {"image/png": b64encode(stack(pictures, 100)).decode()} if pictures else found

    def _repr_mimebundle_(self, **kwargs):
        self._displayed = True
        return self._bundle() if headless() else super()._repr_mimebundle_(**kwargs)

    def _reserve(self) -> None:
        """A report's display, which the last step fills."""
        self._report = display(self._bundle(), raw=True, display_id=True)


def summary(steps: list[Step], cancelled: bool = False) -> str:
    """Stage, step, loss and time of a training, in one line."""
    if not steps:
        return "no step yet"
    last, recent = steps[-1], np.median([s.loss for s in steps[-50:] if s.stage == steps[-1].stage])
    left = last.seconds * (1 / last.progress - 1) if last.progress > 0 else math.inf
    ahead = ("cancelled" if cancelled else "done" if last.progress >= 1 else
             f"about {clock(left)} left" if math.isfinite(left) else "")
    return (f"{last.stage} · step {last.index} · loss {style.number(float(recent))} · {clock(last.seconds)} · "
            f"{100 * last.progress:.0f} % · {ahead}")


def clock(seconds: float) -> str:
    """A duration as text: 8 s, 1 min 40 s, 2 h 5 min."""
    s = round(seconds)
    if s < 60:
        return f"{s} s"
    return f"{s // 60} min {s % 60} s" if s < 3600 else f"{s // 3600} h {s % 3600 // 60} min"


def plates(steps: list[Step], *, every: bool = False) -> list[Plate]:
    """The losses of each stage on their own scale over seconds: medians of neighbours, and faintly `every` step."""
    found = []
    for stage in dict.fromkeys(s.stage for s in steps):
        x, y = np.array([(s.seconds, s.loss) for s in steps if s.stage == stage]).T
        log = y.min() > 0
        y = np.log10(y) if log else y
        parts = np.array_split(np.arange(len(y)), min(80, len(y) // 6 + 1))
        at, medians = (np.array([reduce(z[part]) for part in parts]) for z, reduce in ((x, np.mean), (y, np.median)))
        low, high = np.quantile(y if every else medians, (0.0, 0.98))
        air = 0.05 * (high - low) + 1e-3
        plate = Plate(x[0], max(x[-1], x[0] + 1e-3), low - air, high + air, stage, "seconds",
                      "log10 loss" if log else "loss")
        found.append((plate.curve(x, y, style.MODEL, 0.5, 0.3) if every else plate).curve(at, medians, style.MODEL))
    return found


def curve(steps: list[Step], title: str, cancelled: bool = False) -> str:
    """The losses as one `<svg>`: each stage over its own share of the width; a bar of progress."""
    progress = steps[-1].progress if steps else 0.0
    words, shown = summary(steps, cancelled), plates(steps)
    room = (_WIDE - 24) / max(1, len(shown))
    parts = [text(12, 18, title, size=12, bold=True, colour=style.MODEL), text(_WIDE - 12, 18, words, anchor="end"),
             f'<rect x="12" y="26" width="{_WIDE - 24:g}" height="5" rx="2.5" fill="{style.EMPTY}"/>',
             f'<rect x="12" y="26" width="{(_WIDE - 24) * progress:.1f}" height="5" rx="2.5" fill="{style.MODEL}"/>',
             *(plate.svg(58 + i * room, 58, room - 66, 92) for i, plate in enumerate(shown))]
    return sheet(_WIDE, _HIGH, parts, f"{title}: {words}")
