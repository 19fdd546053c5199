"""The types that travel between the parts of the kit. Letters: n draws, b functions in a batch, p query points,
m observed points, d coordinates, c channels."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from . import single
from .cards import Card, ProblemCard
from .checks import require, require_coords, require_finite, require_name, require_number

AGREE = 1e-4             # of the largest value: what arithmetic in float32 may add to equal ones
LARGEST = 1e15           # of what is observed; its square is a number in single precision


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
        _require_measured(self, len(self.coords), "Each row of values belongs to one row of coords.")
        require_agreement(self.coords, self.values, self.noise_std)

    @classmethod
    def none(cls, d: int, c: int) -> "Observations":
        """No observations of a function of d coordinates and c channels. Its noise level means nothing."""
        return cls(single.zeros(0, d), single.zeros(0, c))

    @property
    def m(self) -> int:
        """Number of observed points."""
        return len(self.coords)

    @property
    def points(self) -> Tensor:
        """Where a function is asked before it is compared with the values: `coords`."""
        return self.coords

    def measure(self, values: Tensor) -> Tensor:
        """What is measured, without noise, of values (…, m, c) at `points`: the values themselves."""
        return values

    def take(self, index: Tensor | slice) -> "Observations":
        """Some of the observations, or all in another order."""
        return replace(self, coords=self.coords[index], values=self.values[index])

    def to(self, device, dtype: torch.dtype) -> "Observations":
        """The same observations on a device, in a floating point type."""
        return replace(self, coords=self.coords.to(device, dtype), values=self.values.to(device, dtype))

    def sorted(self) -> "Observations":
        """The same observations sorted by place, so that their order means nothing, to the last bit."""
        return self.take(_order(torch.cat([self.coords, self.values], 1)))


@dataclass(frozen=True, eq=False)
class LinearObservations:
    """Noisy linear measurements of one function f, y = W f(points) + noise: averages, blurs, line integrals.

    points (q, d), W = weights (m, q), y = values (m, c), every channel measured alike; the noise's standard deviation
    in units of the values.
    """

    points: Tensor
    weights: Tensor
    values: Tensor
    noise_std: float = 0.05

    def __post_init__(self):
        require_coords(self.points)
        q = len(self.points)
        require(isinstance(self.weights, Tensor), kind=TypeError, must="weights: a torch tensor (m, q).",
                came=self.weights, why="Each row weighs the points for one value.", do="torch.as_tensor(weights).")
        require(self.weights.is_floating_point() and self.weights.ndim == 2 and self.weights.shape[1] == q,
                must=f"weights: floats of shape (m, q={q}).", came=self.weights,
                why="Each row weighs the points for one value.", do="weights[None] for one value; or weights.T.")
        require_finite(self.weights, "weights")
        _require_measured(self, len(self.weights), "Each row of values belongs to one row of weights.")
        require_agreement(self.weights, self.values, self.noise_std)

    @property
    def m(self) -> int:
        """Number of measurements."""
        return len(self.weights)

    @property
    def coords(self) -> Tensor:
        """The middle of each measurement, for pictures: (m, d)."""
        sizes = self.weights.abs()
        return sizes @ self.points / sizes.sum(1, keepdim=True).clamp_min(1e-12)

    def measure(self, values: Tensor) -> Tensor:
        """What is measured, without noise, of values (…, q, c) at `points`: (…, m, c)."""
        return self.weights.to(values) @ values

    def take(self, index: Tensor | slice) -> "LinearObservations":
        """Some of the measurements, or all in another order, with the points that they weigh."""
        weights = self.weights[index]
        used = (weights != 0).any(0)
        return LinearObservations(self.points[used], weights[:, used], self.values[index], self.noise_std)

    def to(self, device, dtype: torch.dtype) -> "LinearObservations":
        """The same measurements on a device, in a floating point type."""
        points, weights, values = (t.to(device, dtype) for t in (self.points, self.weights, self.values))
        return LinearObservations(points, weights, values, self.noise_std)

    def sorted(self) -> "LinearObservations":
        """The same measurements sorted by place, so that their order means nothing, to the last bit."""
        index = _order(self.points)
        found = replace(self, points=self.points[index], weights=self.weights[:, index])
        return found.take(_order(torch.cat([found.weights, found.values], 1)))


def _require_measured(seen: "Observations | LinearObservations", m: int, why: str) -> None:
    """Refuse values that are not finite floats (m, c), and a noise level that is negative; keep it as a float."""
    name, values = f"{type(seen).__name__}.values", seen.values
    require(isinstance(values, Tensor), kind=TypeError, must=f"{name}: a torch tensor (m, c).", came=values,
            why="Values are what was measured.", do="torch.as_tensor(values).")
    require(values.is_floating_point() and values.ndim == 2 and len(values) == m and values.shape[1] > 0,
            must=f"{name}: floats of shape (m={m}, c), c at least 1.", came=values, why=why,
            do="values[:, None] for one channel; check that both were masked alike.")
    require_finite(values, name)
    object.__setattr__(seen, "noise_std", require_number(seen.noise_std, "noise_std", 0.0))


def require_agreement(keys: Tensor, values: Tensor, noise_std: float, unit: float = 1.0) -> None:
    """Refuse values (m, c) that differ far beyond the noise where rows of `keys` (m, k), what was measured, are equal.
    `unit`: of the noise, for the text."""
    size = float(values.abs().max()) if len(values) else 0.0
    if keys.shape[1] == 0 or 50 * noise_std >= size:         # nothing is asked, or no two differ by 100 noise_std
        return
    _, which, counts = keys.unique(dim=0, return_inverse=True, return_counts=True)
    means = values.new_zeros(len(counts), values.shape[1]).index_add(0, which, values) / counts[:, None]
    squares = (values - means[which]).square().sum(0).max() / max(1, len(values) - len(counts))
    least = float(squares.sqrt())
    require(least <= max(100 * noise_std, AGREE * size), must="noise_std: at least what repeated measurements show.",
            came=f"noise_std={noise_std * unit:g}, and {len(values) - len(counts)} repeated places whose values differ "
            f"by a standard deviation of {least * unit:.3g}", why="No function has two values at one place.",
            do=f"noise_std={least * unit:.3g}, or one value for each place.")


def _order(keys: Tensor) -> Tensor:
    """Indices that sort rows (m, k) by their first number, then by the next."""
    order = torch.arange(len(keys))
    for key in keys.T.flip(0).cpu():
        order = order[key[order].sort(stable=True).indices]
    return order


Seen = Observations | LinearObservations


def require_seen(seen, d: int | None = None, c: int | None = None, *, linear: bool = False) -> Seen | None:
    """`seen` if it is None (the prior) or Observations of fields with d coordinates and c channels; else refused.
    `linear`: LinearObservations are accepted too."""
    if seen is None:
        return None
    require(linear or not isinstance(seen, LinearObservations), kind=TypeError, came=seen,
            must="seen: Observations at points, or None for the prior.",
            why="Averages, blurs and integrals need a posterior that weighs many points at once; here observations are "
                "read point by point.",
            do="Exact posteriors, optimal_interpolation and approaches guided by a likelihood take them: latent_field, "
               "score_field, weight_diffusion, adaptive_sampling; modulated_field, temporal_field and sparse_features "
               'with guide="linearised" or "particles"; averages over boxes: coarse_to_fine.')
    require(isinstance(seen, Seen), kind=TypeError, must="seen: Observations, or None for the prior.",
            came=seen, why="It needs places, values and their noise.", do="nfdlab.observe(truth, pattern, seed=1).")
    right = d in (None, seen.points.shape[1]) and c in (None, seen.values.shape[1])
    require(right, must=f"seen: places (m, {d or 'd'}), values (m, {c or 'c'}).",
            came=f"places {tuple(seen.points.shape)}, values {tuple(seen.values.shape)}",
            why="They belong to another kind of field.", do="Observe a field of the problem of this posterior.")
    sizes = [seen.values, *([seen.weights] if isinstance(seen, LinearObservations) else [])]
    size = max(seen.noise_std, *(float(t.abs().max()) for t in sizes if t.numel()), 0.0)
    require(size <= LARGEST, must=f"seen: values, noise and weights below {LARGEST:g}.", came=f"{size:.3g}",
            why="Fields are of about unit size, and squares of larger numbers are lost.",
            do="Scale them by the problem's mean and std; nfdlab.problems.arrays does it for data files.")
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
        coords, values, mask = single.zeros(b, m, d), single.zeros(b, m, c), torch.zeros(b, m, dtype=torch.bool)
        for i, s in enumerate(seen):
            coords[i, :s.m], values[i, :s.m], mask[i, :s.m] = s.coords, s.values, True
        return cls(coords, values, mask, single.tensor([s.noise_std for s in seen]))

    @classmethod
    def exact(cls, coords: Tensor, values: Tensor) -> "ObservationBatch":
        """Values (b, m, c) at coords (b, m, d) without noise."""
        return cls(coords, values, torch.ones_like(coords[..., 0], dtype=torch.bool), values.new_zeros(len(values)))

    def take(self, index: Tensor | slice) -> "ObservationBatch":
        """Some of the points of each function, by one slice of the columns or by indices (b, q) of each."""
        if isinstance(index, Tensor):
            coords, values = (t.gather(1, index[..., None].expand(-1, -1, t.shape[2]))
                              for t in (self.coords, self.values))
            return replace(self, coords=coords, values=values, mask=self.mask.gather(1, index))
        return replace(self, coords=self.coords[:, index], values=self.values[:, index], mask=self.mask[:, index])

    def dropped(self, share: float, rng: torch.Generator) -> "ObservationBatch":
        """Observation dropout: all observations of a function are masked with probability `share`, so that a model
        also learns the prior (Ho & Salimans 2022, sec. 3.2)."""
        mask = self.mask & (single.rand(len(self.mask), 1, generator=rng) >= share)
        real = mask[..., None]
        return ObservationBatch(self.coords * real, self.values * real, mask, self.noise_std)

    def repeated(self, times: int) -> "ObservationBatch":
        """The whole batch several times over, (times b, …)."""
        parts = (self.coords, self.values, self.mask, self.noise_std)
        return ObservationBatch(*(t.repeat(times, *[1] * (t.ndim - 1)) for t in parts))

    def split(self, size: int) -> "list[ObservationBatch]":
        """Parts of at most `size` functions."""
        parts = (t.split(size) for t in (self.coords, self.values, self.mask, self.noise_std))
        return [ObservationBatch(*part) for part in zip(*parts, strict=True)]

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
class PointSource(Protocol):
    """A source of functions that were never seen whole: scattered points of each, noisy or not."""

    def points(self, n: int, *, seed: int) -> ObservationBatch:
        """Scattered points of n fresh functions."""
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
    """One training step. `progress` runs from 0 to 1 over the whole budget.

    `model`, in stages that leave something to draw from, opens the approach as it would be if training ended now:
    `with step.model() as fitted`. It draws within the block, between this step and the next, and leaves training as it
    was.
    """

    index: int
    stage: str
    loss: float
    seconds: float
    progress: float
    model: Callable[[], AbstractContextManager[Fitted]] | None = field(default=None, compare=False, repr=False)


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
        sizes = {"smoke": (None, 8), "lesson": (110.0, None), "reference": (2400.0, None)}
        seconds, steps = sizes[require_name(name, sizes, "budget")]
        return cls(seconds, steps, checkpoint, name)


Views = Callable[..., ObservationBatch]      # views(fields, seed=) -> how data will be hidden at test time


@runtime_checkable
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
