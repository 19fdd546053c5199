"""Climatology: draws of the training side, whatever was observed."""

from dataclasses import dataclass

from ..core.capabilities import HasHeldOut
from ..core.checks import require, require_count, require_seed
from ..core.types import Fields, Problem, Seen, Source, require_seen


def require_training_side(problem: Problem, use: str) -> None:
    """Refuse what is not a problem, and a problem's held-out side; `use` says what its draws are for."""
    require(isinstance(problem, Source), kind=TypeError, must="problem: a Problem.", came=problem, why=use,
            do="nfdlab.baselines.get(name, problem).")
    train = not isinstance(problem, HasHeldOut) or problem.held_out() != problem
    require(train, must="problem: its training side.", came=problem,
            why="A baseline may not be measured on what it is tested on.",
            do="Pass the problem itself, not nfdlab.problems.held_out(problem).")


@dataclass(frozen=True)
class Climatology:
    """Draws of a `problem`'s training side, whatever was observed: what is known before the first observation.

    Who is not better than this has learned nothing from observations. Source: Wilks 2011, sec. 8.1.
    """

    problem: Problem

    def __post_init__(self):
        require_training_side(self.problem, "Its training draws are the answer.")

    def draw(self, seen: Seen | None, n: int, *, seed: int, steps: int | None = None) -> Fields:
        """n training draws; `seen` and `steps` have no effect."""
        require_count(n), require_seed(seed)
        fields = self.problem.draw(n, seed=seed)
        require_seen(seen, fields.d, fields.c, linear=True)
        return fields


BASELINES = {"climatology": Climatology}
