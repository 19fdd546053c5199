"""`families1d`, `step1d`, `sawtooth1d`: curves with a kind and one or two parameters. Posteriors are multimodal."""

from dataclasses import dataclass
from functools import cached_property
from math import pi
from typing import ClassVar

import torch
from torch import Tensor

from ..core.checks import require_count, require_seed
from ..core.fields import EvaluatedFields
from ..core.rng import uniforms
from ..core.types import ProblemCard
from ..exact.enumerated import Enumerated, member
from ..exact.mixture import Mixture
from ..exact.threshold import Threshold
from .base import ExactProblem


def _turns(params: Tensor, coords: Tensor) -> Tensor:
    """u = f·x + φ with f = 0.5 + params₀, φ = params₁: params (h, 2), coords (p, 1) or (h, p, 1) -> (h, p, 1)."""
    return ((0.5 + params[:, 0, None]) * coords[..., 0] + params[:, 1, None])[..., None]


def sine(params: Tensor, coords: Tensor) -> Tensor:
    """sin 2πu."""
    return torch.sin(2 * pi * _turns(params, coords))


def square(params: Tensor, coords: Tensor) -> Tensor:
    """sign(sin 2πu)."""
    return torch.sin(2 * pi * _turns(params, coords)).sign()


def triangle(params: Tensor, coords: Tensor) -> Tensor:
    """4·|frac(u) − ½| − 1."""
    u = _turns(params, coords)
    return 4 * (u - u.floor() - 0.5).abs() - 1


def bump(params: Tensor, coords: Tensor) -> Tensor:
    """2·exp(−(x − c)²/2w²) with c = −0.8 + 1.6·params₀, w = 0.08 + 0.17·params₁."""
    c, w = 1.6 * params[:, 0, None] - 0.8, 0.08 + 0.17 * params[:, 1, None]
    return 2 * torch.exp(-0.5 * ((coords[..., 0] - c) / w).square())[..., None]


def sawtooth(params: Tensor, coords: Tensor) -> Tensor:
    """frac(f·x + φ) − 0.5 with f = 1.5 + params₀, φ = params₁: params (h, 2) in [0, 1), coords (p, 1) or (h, p, 1)."""
    f, phase = 1.5 + params[:, 0, None], params[:, 1, None]
    return torch.frac(f * coords[..., 0] + phase + 4)[..., None] - 0.5      # + 4 keeps the argument positive


@dataclass(frozen=True)
class Families1D(ExactProblem):
    """A sine, a square wave, a triangle wave or a bump, equal odds; no knobs."""

    card: ClassVar[ProblemCard] = ProblemCard(
        name="families1d", title="A sine, a square, a triangle or a bump",
        equation="one of four, equal odds, u = f x + phi, f ~ U[0.5, 1.5], phi ~ U[0, 1): sin 2 pi u; "
                 "sign(sin 2 pi u); 4 |frac(u) - 1/2| - 1; 2 exp(-(x - c)^2 / 2 w^2), c ~ U[-0.8, 0.8], "
                 "w ~ U[0.08, 0.25]",
        domain="[-1, 1]", units="amplitudes of a wave", axes=("x",),
        hard="Which kind of curve is it? Four humps that no Gaussian, in values or in weights, can hold.",
        source="the wave families of few-shot regression, e.g. Finn et al. 2017",
        exact="enumerated: kind, then two numbers")
    d: ClassVar[int] = 1

    @cached_property
    def prior(self) -> Mixture:
        """Sine, square, triangle, bump."""
        return Mixture.equal(*(Enumerated.uniform(kind, 1, 1, (120, 120)) for kind in (sine, square, triangle, bump)))


@dataclass(frozen=True)
class Step1D(ExactProblem):
    """A step up at an unknown place; no knobs."""

    card: ClassVar[ProblemCard] = ProblemCard(
        name="step1d", title="A step at an unknown place", equation="1[x > theta], theta ~ U(-1, 1)",
        domain="[-1, 1]", units="heights of the step", axes=("x",),
        hard="One number is unknown, and each observation halves it at best, in the middle of what is left.",
        source="bisection; Castro & Nowak 2008 for the noisy case", exact="closed form: constant between observations")
    d: ClassVar[int] = 1

    prior = cached_property(lambda self: Threshold.uniform())


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

    prior = cached_property(lambda self: Enumerated.uniform(sawtooth, 1, 1, (160, 160)))

    def draw(self, n: int, *, seed: int) -> EvaluatedFields:
        """n fresh functions."""
        params = uniforms(require_seed(seed), require_count(n), (2,), "sawtooth", dtype=torch.float32)
        return member(sawtooth, params, 1, 1)


PROBLEMS = {"families1d": Families1D, "step1d": Step1D, "sawtooth1d": Sawtooth1D}
