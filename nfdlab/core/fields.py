"""Functions as values: `EvaluatedFields` is n functions given by one rule, checked at its door."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .checks import is_whole, require, require_coords

CHUNK = 4_000_000            # numbers held at a time: 16 MB in float32


@dataclass(frozen=True, eq=False)
class EvaluatedFields:
    """n functions that can be asked anywhere; the `Fields` that every problem and posterior returns.

    `rule(coords, draws)` takes coords (p, d) shared or (k, p, d) own points, and which k draws are asked, as a slice or
    as indices (k,), and gives values (k, p, c). Values at a point may depend on nothing else that is asked (law of
    consistency). Many points are asked a piece at a time: `width` is how many numbers the rule holds for one point,
    and `each` how many for one point of one draw.
    """

    rule: Callable[[Tensor, slice | Tensor], Tensor]
    n: int
    d: int
    c: int = 1
    width: int = 1
    each: int = 0

    def __call__(self, coords: Tensor) -> Tensor:
        """Values (n, p, c) at coords (p, d) shared, or (n, p, d) each its own points, in the coords' dtype."""
        require_coords(coords, self.d, self.n)
        own, p = coords.ndim == 3, coords.shape[-2]
        step = max(1, CHUNK // max(self.n * max(self.c, self.each), self.width * (self.n if own else 1)))
        with torch.no_grad():
            if p <= step:
                return self.rule(coords, slice(0, self.n))
            out = coords.new_empty(self.n, p, self.c)
            for i in range(0, p, step):
                out[:, i:i + step] = self.rule(coords[..., i:i + step, :], slice(0, self.n))
            return out

    def __getitem__(self, draws) -> "EvaluatedFields":
        """One draw or a slice of them, as fields again: truth[3], draws[:8]."""
        wanted = slice(int(draws), int(draws) + 1 or None) if is_whole(draws) else draws
        start, stop, step = wanted.indices(self.n) if isinstance(wanted, slice) else (0, 0, 1)
        require(step == 1 and start < stop, kind=IndexError, came=repr(draws),
                must=f"draws: a number or a forward slice within 0..{self.n - 1}, at least one draw.",
                why="Draws are taken singly, or some in a row.", do="draws[0], draws[-1] or draws[:8].")
        rule = self.rule
        return EvaluatedFields(lambda coords, part: rule(coords, slice(start + part.start, start + part.stop)),
                         stop - start, self.d, self.c, self.width, self.each)

    def __reduce__(self):
        """The rule, a function made on the spot, travels by value: draws can be kept, and sent to workers."""
        import cloudpickle

        return _restored, (cloudpickle.dumps((self.rule, self.n, self.d, self.c, self.width, self.each)),)


def _restored(held: bytes) -> EvaluatedFields:
    import cloudpickle

    return EvaluatedFields(*cloudpickle.loads(held))
