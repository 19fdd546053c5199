"""What problems share: draws and posterior of a `prior` from exact/, or data with two sides."""

from dataclasses import replace
from typing import ClassVar

from torch import Tensor

from ..core.checks import require_count, require_name, require_seed
from ..core.fields import EvaluatedFields
from ..exact.posterior import Exact
from .patches import patches, require_cells


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


class PictureProblem:
    """Real pictures with two `sides`: the first to train on, the second never seen in training."""

    d: ClassVar[int] = 2
    c: ClassVar[int] = 1
    sides: ClassVar[tuple[str, str]]

    def standardised(self, sides: dict[str, Tensor]) -> Tensor:
        """This problem's side of the data, in standard deviations of the first."""
        first = next(iter(sides.values()))
        return (sides[self.side] - first.double().mean()) / first.double().std()

    def held_out(self):
        """The side that training never sees."""
        return replace(self, side=self.sides[1])

    def oracle(self) -> None:
        """None: the distribution of real pictures is unknown."""
        return None


class PatchProblem(PictureProblem):
    """Patches of `cells`² points from anywhere on `_picture`; those of the training side are rotated and mirrored."""

    shortest: ClassVar[int]              # shorter side of the smallest picture

    def __post_init__(self):
        require_name(self.side, self.sides, "side of the data"), require_cells(self.cells, self.shortest)

    def draw(self, n: int, *, seed: int) -> EvaluatedFields:
        """n patches of this side."""
        return patches(self._picture, self.cells, n, seed=seed, turned=self.side == self.sides[0])
