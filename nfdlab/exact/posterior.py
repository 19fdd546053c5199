"""The exact posterior of a problem as a `Fitted`: the ruler, asked the same way as any model."""

from dataclasses import dataclass

from torch import Tensor

from ..core.checks import require, require_count, require_seed
from ..core.fields import Evaluated
from ..core.types import Observations


@dataclass(frozen=True, eq=False)
class Exact:
    """`prior` is any of Gaussian, Mixture, Enumerated."""

    prior: object

    def _given(self, seen: Observations | None):
        if seen is None or seen.m == 0:
            return self.prior
        require(isinstance(seen, Observations), kind=TypeError, must="seen: Observations, or None for the prior.",
                came=seen, why="The posterior needs places, values and their noise.",
                do="nfdlab.observe(truth, pattern, seed=1).")
        require(seen.coords.shape[1] == self.prior.d, must=f"seen.coords: shape (m, {self.prior.d}).", came=seen.coords,
                why="The observations must live in this problem's domain.", do="Observe a field of this problem.")
        return self.prior.posterior(seen)

    def draw(self, seen: Observations | None, n: int, *, seed: int, steps: int | None = None) -> Evaluated:
        """n exact posterior draws as Fields. `steps` is accepted and has no meaning: nothing is iterated."""
        require_count(n), require_seed(seed)
        return self._given(seen).draw(n, seed=seed)

    def moments(self, seen: Observations | None, coords: Tensor) -> tuple[Tensor, Tensor]:
        """Exact pointwise mean and standard deviation: (p, c), (p, c)."""
        return self._given(seen).moments(coords)

    def at(self, seen: Observations | None, coords: Tensor):
        """The joint posterior of the values at coords, with its exact `denoiser()`."""
        return self._given(seen).at(coords)
