"""The types that travel between the parts of the kit. Letters: n draws, b functions in a batch, p query points,
m observed points, d coordinates, c channels."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from .cards import Card, ProblemCard
from .checks import require, require_coords, require_finite, require_name, require_number


@runtime_checkable
class Fields(Protocol):
    """n functions from [-1, 1]^d to c channels, evaluated at any coordinates."""

    n: int
    d: int
    c: int

    def __call__(self, coords: Tensor) -> Tensor:
        """coords (p, d) shared, or (n, p, d) each its own points -> values (n, p, c)."""
        ...


@dataclass(frozen=True, eq=False)
class Observations:
    """Noisy values of one function: coords (m, d), values (m, c), the noise's standard deviation in their units."""

    coords: Tensor
    values: Tensor
    noise_std: float = 0.05

    def __post_init__(self):
        require_coords(self.coords)
        require(isinstance(self.values, Tensor), kind=TypeError, must="Observations.values: a torch tensor (m, c).",
                came=self.values, why="Values are what was measured.", do="torch.as_tensor(values).")
        require(self.values.is_floating_point() and self.values.ndim == 2 and len(self.values) == len(self.coords),
                must=f"Observations.values: floats of shape (m={len(self.coords)}, c).", came=self.values,
                why="Each row of values belongs to one row of coords.",
                do="values[:, None] for one channel; check that both were masked alike.")
        require_finite(self.values, "Observations.values")
        object.__setattr__(self, "noise_std", require_number(self.noise_std, "noise_std", 0.0))

    @classmethod
    def none(cls, d: int, c: int) -> "Observations":
        """No observations of a function of d coordinates and c channels. Its noise level means nothing."""
        return cls(torch.zeros(0, d), torch.zeros(0, c))

    @property
    def m(self) -> int:
        """Number of observed points."""
        return len(self.coords)

    def sorted(self) -> "Observations":
        """The same observations sorted by place, so that their order means nothing, to the last bit."""
        keys = torch.cat([self.coords, self.values], 1)
        order = torch.arange(self.m)
        for key in keys.T.flip(0).cpu():
            order = order[key[order].sort(stable=True).indices]
        return replace(self, coords=self.coords[order], values=self.values[order])


def require_seen(seen, d: int | None = None, c: int | None = None) -> Observations | None:
    """`seen` if it is None (the prior) or Observations of fields with d coordinates and c channels; else refused."""
    if seen is None:
        return None
    require(isinstance(seen, Observations), kind=TypeError, must="seen: Observations, or None for the prior.",
            came=seen, why="It needs places, values and their noise.", do="nfdlab.observe(truth, pattern, seed=1).")
    right = d in (None, seen.coords.shape[1]) and c in (None, seen.values.shape[1])
    require(right, must=f"seen: coords (m, {d or 'd'}), values (m, {c or 'c'}).",
            came=f"coords {tuple(seen.coords.shape)}, values {tuple(seen.values.shape)}",
            why="They belong to another kind of field.", do="Observe a field of the problem of this posterior.")
    return seen


@dataclass(frozen=True, eq=False)
class ObservationBatch:
    """Observations of b functions, each with its own points, padded to the longest.

    coords (b, m, d), values (b, m, c), mask (b, m) True where a row is real, noise_std (b,).
    """

    coords: Tensor
    values: Tensor
    mask: Tensor
    noise_std: Tensor

    def __post_init__(self):
        b, m = self.mask.shape
        right = self.coords.shape[:2] == (b, m) and self.values.shape[:2] == (b, m) and self.noise_std.shape == (b,)
        require(right, must=f"ObservationBatch: coords ({b}, {m}, d), values ({b}, {m}, c), noise_std ({b},).",
                came=f"coords {tuple(self.coords.shape)}, values {tuple(self.values.shape)}, "
                     f"noise_std {tuple(self.noise_std.shape)}",
                why="The batch is padded to one length.", do="ObservationBatch.of([...]) pads for you.")

    @classmethod
    def of(cls, seen: "list[Observations]") -> "ObservationBatch":
        """Pad several observations to one batch."""
        b, m = len(seen), max(s.m for s in seen)
        d, c = seen[0].coords.shape[1], seen[0].values.shape[1]
        coords, values, mask = torch.zeros(b, m, d), torch.zeros(b, m, c), torch.zeros(b, m, dtype=torch.bool)
        for i, s in enumerate(seen):
            coords[i, :s.m], values[i, :s.m], mask[i, :s.m] = s.coords, s.values, True
        return cls(coords, values, mask, torch.tensor([s.noise_std for s in seen]))

    def dropped(self, share: float, rng: torch.Generator) -> "ObservationBatch":
        """Observation dropout: all observations of a function are masked with probability `share`, so that a model
        also learns the prior (Ho & Salimans 2022, sec. 3.2)."""
        mask = self.mask & (torch.rand(len(self.mask), 1, generator=rng) >= share)
        real = mask[..., None]
        return ObservationBatch(self.coords * real, self.values * real, mask, self.noise_std)

    def to(self, device) -> "ObservationBatch":
        """The same batch on another device."""
        return ObservationBatch(*(t.to(device) for t in (self.coords, self.values, self.mask, self.noise_std)))


@runtime_checkable
class Fitted(Protocol):
    """Posterior over functions: a trained approach, the exact posterior or a classical baseline."""

    def draw(self, seen: Observations | None, n: int, *, seed: int, steps: int | None = None) -> Fields:
        """n posterior draws given `seen`; the prior where it is None or empty. Draw i depends on seed and i only."""
        ...


@runtime_checkable
class Source(Protocol):
    """All that an approach sees of a problem: fresh functions without end."""

    def draw(self, n: int, *, seed: int) -> Fields:
        """n fresh functions; a larger n only appends."""
        ...


@runtime_checkable
class Problem(Source, Protocol):
    """A distribution of functions. A frozen dataclass whose fields are its knobs."""

    card: ClassVar[ProblemCard]

    def oracle(self) -> Fitted | None:
        """The exact posterior, or None where there is none."""
        ...


@dataclass(frozen=True)
class Step:
    """One training step. `progress` runs from 0 to 1 over the whole budget."""

    index: int
    stage: str
    loss: float
    seconds: float
    progress: float


Watch = Callable[[Step], Any]        # a true result cancels training


def quiet(step: Step) -> None:
    """A watcher that does nothing."""


@dataclass(frozen=True)
class Budget:
    """How long to train: until `seconds` of wall time or `steps` steps, whichever comes first.

    `checkpoint` is a file that training writes every minute and at its end, and resumes from if it exists; remove it
    once the result is saved.
    """

    seconds: float | None = None
    steps: int | None = None
    checkpoint: str | Path | None = None
    name: str = "own"

    def __post_init__(self):
        require(self.seconds is not None or self.steps is not None, must="Budget: seconds, steps, or both.",
                came="neither", why="Training on fresh data has no end of its own.", do="Budget(seconds=120).")
        if self.seconds is not None:
            require_number(self.seconds, "Budget.seconds", 0.0, open_low=True)
        if self.steps is not None:
            require_number(self.steps, "Budget.steps", 1)

    @classmethod
    def named(cls, name: str, checkpoint: str | Path | None = None) -> "Budget":
        """"smoke" (seconds, for CI), "lesson" (two minutes, live) or "reference" (what ships)."""
        sizes = {"smoke": (None, 8), "lesson": (110.0, None), "reference": (1800.0, None)}
        seconds, steps = sizes[require_name(name, sizes, "budget")]
        return cls(seconds, steps, checkpoint, name)


Views = Callable[..., ObservationBatch]      # views(fields, seed=) -> how data will be hidden at test time


class Approach(Protocol):
    """A frozen dataclass whose fields are its config; `fit` returns a new, finished object."""

    card: ClassVar[Card]

    def fit(self, source: Source, *, views: Views, budget: Budget, seed: int, device: str = "auto",
            watch: Watch = quiet) -> Fitted:
        """Train on the source's functions, observed through `views`; return a new, finished object."""
        ...


@runtime_checkable
class Trained(Fitted, Protocol):
    """What store, tests and panels may ask of a trained approach, beside `Fitted`."""

    about: dict
    device: torch.device

    def path(self, seen: Observations | None, n: int, *, seed: int, steps: int | None = None,
             sampler: str = "dpmpp") -> Iterator:
        """The way from noise to sample: an iterator of `diffusion.samplers.SamplerStep`."""

    def fields(self, seen: Observations | None, latent: Tensor) -> Fields:
        """The functions that latents (n, …) decode to."""

    def tensors(self) -> dict[str, Tensor]:
        """The weights by name, as they are saved."""
