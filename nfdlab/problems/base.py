"""What problems with an exact posterior share: draw from the prior, condition the prior."""

from typing import ClassVar

from ..core.checks import require_count, require_seed
from ..core.fields import EvaluatedFields
from ..exact.posterior import Exact


class Known:
    """A problem that has a `prior`, any of exact/: draws are its draws, the ruler is its posterior."""

    d: ClassVar[int]
    c: ClassVar[int] = 1

    def draw(self, n: int, *, seed: int) -> EvaluatedFields:
        """n fresh functions."""
        return self.prior.draw(require_count(n), seed=require_seed(seed))

    def oracle(self) -> Exact:
        """The exact posterior."""
        return Exact(self.prior)
