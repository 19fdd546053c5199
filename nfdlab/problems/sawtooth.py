"""`sawtooth1d`: a curve of two parameters with jumps, so the mean of the posterior is not a sawtooth."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from ..core.checks import require_count, require_seed
from ..core.fields import EvaluatedFields
from ..core.rng import uniforms
from ..core.types import ProblemCard
from ..exact.enumerated import Enumerated
from .base import ExactProblem


def sawtooth(params: Tensor, coords: Tensor) -> Tensor:
    """frac(f·x + φ) − 0.5 with f = 1.5 + params₀, φ = params₁: params (h, 2) in [0, 1), coords (p, 1) or (h, p, 1)."""
    f, phase = 1.5 + params[:, 0, None], params[:, 1, None]
    return torch.frac(f * coords[..., 0] + phase + 4)[..., None] - 0.5      # + 4 keeps the argument positive


@dataclass(frozen=True)
class Sawtooth1D(ExactProblem):
    """Sawtooths of uniform pitch and phase; no knobs."""

    card: ClassVar[ProblemCard] = ProblemCard(
        name="sawtooth1d", title="A sawtooth of unknown pitch and phase",
        equation="frac(f x + phi) - 1/2, f ~ U[1.5, 2.5], phi ~ U[0, 1)", domain="[-1, 1]", units="heights of a tooth",
        axes=("x",),
        hard="Jumps, and several pitches that fit the same observations: the mean of the posterior is not a sawtooth.",
        source="the neural-process literature, e.g. Bruinsma et al. 2021", exact="enumerated over (f, phi)")
    d: ClassVar[int] = 1

    @cached_property
    def prior(self) -> Enumerated:
        """All pitches and phases, on a grid that the posterior refines."""
        return Enumerated.uniform(sawtooth, 1, 1, (160, 160))

    def draw(self, n: int, *, seed: int) -> EvaluatedFields:
        """n fresh functions."""
        params = uniforms(require_seed(seed), require_count(n), (2,), "sawtooth", dtype=torch.float32)
        return EvaluatedFields(lambda coords, part: sawtooth(params[part].to(coords), coords), n, 1)


PROBLEMS = {"sawtooth1d": Sawtooth1D}
