"""The exact posterior of a problem as a `Fitted`: same interface as a trained model."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.checks import require_coords, require_count, require_seed
from ..core.fields import EvaluatedFields
from ..core.types import Seen, require_seen


@dataclass(frozen=True, eq=False)
class Exact:
    """`prior`: a Gaussian, Mixture, Enumerated or Threshold."""

    prior: object

    def _given(self, seen: Seen | None):
        require_seen(seen, self.prior.d, self.prior.c, linear=True)
        if seen is None or seen.m == 0:
            return self.prior
        return self.prior.posterior(seen)

    def draw(self, seen: Seen | None, n: int, *, seed: int, steps: int | None = None) -> EvaluatedFields:
        """n exact posterior draws as Fields. `steps` is accepted and has no meaning: nothing is iterated."""
        require_count(n), require_seed(seed)
        return self._given(seen).draw(n, seed=seed)

    def moments(self, seen: Seen | None, coords: Tensor) -> tuple[Tensor, Tensor]:
        """Exact pointwise mean and standard deviation: (p, c), (p, c), in single precision at least: squares of what
        half precision holds may be beyond it."""
        require_coords(coords, self.prior.d)
        return self._given(seen).moments(coords.to(torch.promote_types(coords.dtype, torch.float32)))

    def at(self, seen: Seen | None, coords: Tensor):
        """The joint posterior of the values at coords, with its exact `denoiser()`."""
        require_coords(coords, self.prior.d)
        return self._given(seen).at(coords)
