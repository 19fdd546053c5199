"""`families1d`, `step1d`: curves with a kind and one or two parameters. Posteriors are multimodal."""

from dataclasses import dataclass
from functools import cached_property
from math import pi
from typing import ClassVar

import torch
from torch import Tensor

from ..core.types import ProblemCard
from ..exact.enumerated import Enumerated
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

    @cached_property
    def prior(self) -> Threshold:
        """The place, anywhere."""
        return Threshold.uniform()


PROBLEMS = {"families1d": Families1D, "step1d": Step1D}
