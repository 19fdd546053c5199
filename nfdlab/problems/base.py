"""What problems share: draws and posterior of a `prior` from exact/, or the lack of an exact posterior."""

from typing import ClassVar

from ..core.checks import require_count, require_seed
from ..core.fields import EvaluatedFields
from ..exact.posterior import Exact


class ExactProblem:
    """A problem with a `prior`, any of exact/: it draws from the prior, and its oracle is the exact posterior."""

    d: ClassVar[int]
    c: ClassVar[int] = 1

    def draw(self, n: int, *, seed: int) -> EvaluatedFields:
        """n fresh functions."""
        return self.prior.draw(require_count(n), seed=require_seed(seed))

    def oracle(self) -> Exact:
        """The exact posterior."""
        return Exact(self.prior)


class NoPosterior:
    """A problem whose exact posterior is unknown; its card says why."""

    def oracle(self) -> None:
        """None."""
        return None
