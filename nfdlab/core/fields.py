"""Functions as values: `Evaluated` is n functions given by one rule, checked at its door."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .checks import require_coords


@dataclass(frozen=True, eq=False)
class Evaluated:
    """n functions that can be asked anywhere; the `Fields` that every problem and posterior returns.

    `rule(coords, draws)` takes coords (p, d) shared or (k, p, d) own points, and a slice of draws of length k,
    and gives values (k, p, c). Values at a point may depend on nothing else that is asked (law of consistency).
    """

    rule: Callable[[Tensor, slice], Tensor]
    n: int
    d: int
    c: int = 1

    def __call__(self, coords: Tensor) -> Tensor:
        """Values (n, p, c) at coords (p, d) shared, or (n, p, d) each its own points, in the coords' dtype."""
        require_coords(coords, self.d, self.n)
        with torch.no_grad():
            return self.rule(coords, slice(0, self.n))

    def __getitem__(self, draws) -> "Evaluated":
        """One draw or a slice of them, as fields again: truth[3], draws[:8]."""
        start, stop, step = (slice(draws, draws + 1) if isinstance(draws, int) and draws >= 0 else
                             slice(draws, draws + 1 or None) if isinstance(draws, int) else draws).indices(self.n)
        if step != 1 or stop <= start:
            raise IndexError(f"draws are taken singly or as a forward slice of 0..{self.n - 1}; came {draws!r}")
        rule = self.rule
        return Evaluated(lambda coords, part: rule(coords, slice(start + part.start, start + part.stop)),
                         stop - start, self.d, self.c)
