"""Optional capabilities of posteriors, problems and patterns, as protocols: ask with isinstance."""

from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from .types import Fields, Observations, Problem, Source


@runtime_checkable
class HasMoments(Protocol):
    """Offers pointwise moments without sampling."""

    def moments(self, seen: Observations | None, coords: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (p, c) and standard deviation (p, c) of the function itself, without observation noise."""


@runtime_checkable
class HasAsk(Protocol):
    """Offers an acquisition function."""

    def ask(self, seen: Observations | None, candidates: Tensor, *, seed: int) -> Tensor:
        """Acquisition value at each of candidates (p, d): (p,)."""


@runtime_checkable
class HasLatents(Protocol):
    """Offers encoder and decoder of a diffusion over latents."""

    def encode(self, fields: Fields) -> Tensor:
        """Functions -> their latents (n, …)."""

    def decode(self, latents: Tensor) -> Fields:
        """The inverse of `encode`."""


@runtime_checkable
class HasSequential(Protocol):
    """Offers sequential Monte Carlo over observations."""

    def sequential(self, *, seed: int) -> Any:
        """Particles of the prior, with tell(seen) -> particles and draw(n, seed=) -> Fields."""


@runtime_checkable
class HasHeldOut(Protocol):
    """A problem with a side that training never sees."""

    def held_out(self) -> Problem:
        """The other side of the data, as a problem."""


@runtime_checkable
class Silenceable(Protocol):
    """A learned part that adds to a closed form: a denoiser's network, or a field beside a linear reading."""

    def silence(self, part: str) -> bool:
        """Make the part "network" or "field" add nothing from now on; whether there was such a part to silence."""


@runtime_checkable
class HasTrainingParts(Protocol):
    """A problem whose training data are finite."""

    def training_part(self, low: float, high: float, *, augmented: bool) -> Source:
        """A part of the training data in their order, from share `low` to share `high`; without augmentation as they
        are."""


@runtime_checkable
class Pattern(Protocol):
    """Places of observations."""

    def coords(self, d: int, *, seed: int) -> Tensor:
        """Places (m, d) in [-1, 1]^d."""


@runtime_checkable
class FollowsField(Protocol):
    """A pattern whose places depend on the field."""

    def places(self, fields: Fields, *, seed: int) -> Tensor:
        """Places (m, d) in [-1, 1]^d, for one function."""


@runtime_checkable
class MeasuresLinearly(Protocol):
    """A pattern of linear measurements, each of which weighs many points."""

    def size(self, d: int) -> int:
        """Number of measurements in d dimensions."""

    def rows(self, d: int, *, seed: int) -> tuple[Tensor, Tensor]:
        """Points (q, d) in [-1, 1]^d, and their weights (m, q) in each measurement."""


def record_of(fitted) -> dict:
    """The record that a trained approach carries, {} for the exact posterior and baselines."""
    return getattr(fitted, "about", None) or {}
