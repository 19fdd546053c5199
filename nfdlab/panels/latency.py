"""How long a panel takes to answer on a device beside the CPU, without a browser: milliseconds from a move of a control
to its pictures."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from .. import problems, store
from ..core.checks import require
from ..core.device import resolve_device
from .sliders import explore

PAIRS = (("sparse_conditional", "gp1d"), ("sparse_conditional", "digits2d"))
MOVES, SCALES = 5, (2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0)


@dataclass(frozen=True)
class PanelLatency:
    """Milliseconds of a panel, the median of some moves, on the device and on the CPU: of another query scale until its
    last picture, the same draws decoded anew; of another task until its first picture and until its last."""

    approach: str
    problem: str
    scale: tuple[float, float]
    first: tuple[float, float]
    final: tuple[float, float]


def latencies(device: str = "auto", pairs: tuple[tuple[str, str], ...] = PAIRS, *, moves: int = MOVES,
              progress: Callable[[int, int], None] = lambda done, total: None) -> Iterator[PanelLatency]:
    """Panels of shipped pairs, by default one of curves and one of pictures; those that do not ship are left out."""
    place, pairs = resolve_device(device), [pair for pair in pairs if pair in store.shipped()]
    for done, (approach, name) in enumerate(pairs):
        progress(done, len(pairs))
        usual = measured(approach, name, "cpu", moves)
        own = usual if place.type == "cpu" else measured(approach, name, str(place), moves)
        yield PanelLatency(approach, name, *zip(own, usual, strict=True))
    progress(len(pairs), len(pairs))


def measured(approach: str, name: str, device: str, moves: int) -> tuple[float, float, float]:
    """Milliseconds of another scale, and of another task until the first picture and until the last; a first move of
    each is not counted."""
    panel, painted = explore(store.load(approach, name, device=device), problems.get(name)), []
    panel.picture.observe(lambda change: painted.append(time.perf_counter()), "value")

    def move(**changes) -> tuple[float, float]:
        painted.clear()
        began = time.perf_counter()
        panel.move(**changes).wait()
        require(bool(painted), kind=RuntimeError, must=f"A picture of {name} on {device}.",
                came=panel.error.value[-400:], why="The panel stopped by an error.", do="Send this with a report.")
        return 1e3 * (painted[0] - began), 1e3 * (painted[-1] - began)

    try:
        panel.wait()
        scales = [move(scale=SCALES[i % len(SCALES)]) for i in range(moves + 1)]
        tasks = [move(seed=1 + i) for i in range(moves + 1)]
    finally:
        panel.close()
    return float(np.median(scales[1:], 0)[1]), *map(float, np.median(tasks[1:], 0))
