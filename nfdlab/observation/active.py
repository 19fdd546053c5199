"""Active learning: where to measure next, chosen by an acquisition function of any `Fitted`'s draws.

A `Search` is a value with an ask-and-tell interface: `ask` gives the next places, `tell` the search with new
measurements, `run` measures a truth. Everything follows from its seed, the noise of each measurement too.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..core import single
from ..core.acquisition import ACQUISITIONS, acquisition, conditioned
from ..core.capabilities import HasSequential
from ..core.checks import require, require_coords, require_count, require_name, require_number, require_seed
from ..core.grid import cell_centres, farthest_first
from ..core.rng import child, stream, uniforms
from ..core.types import Fields, Fitted, Observations, require_seen

POLICIES = (*ACQUISITIONS, "random", "grid")
SIDES = {1: 256, 2: 32, 3: 12}       # candidates a side, unless given
TIED = 1e-6                          # share of the best value within which values count as equal


@dataclass(frozen=True, eq=False)
class Search:
    """Sequential measurements of one function of d coordinates and c channels, planned with the draws of `fitted`.

    `policy`: an acquisition function by name, over `draws` draws at `candidates` (p, d), cell centres unless given; or
    "random" places; or "grid", the smallest grid with `looks` cells; or a callable(search, k) -> (k, d).
    `carry`: keep the particles of a `fitted` that offers sequential Monte Carlo; else each step draws anew.
    """

    fitted: Fitted
    d: int
    seed: int
    policy: str | Callable[["Search", int], Tensor] = "variance"
    c: int = 1
    draws: int = 16
    looks: int = 16
    noise_std: float = 0.05
    carry: bool = True
    candidates: Tensor | None = None
    seen: Observations | None = None
    particles: Any = field(default=None, repr=False)

    def __post_init__(self):
        require(isinstance(self.fitted, Fitted), kind=TypeError, must="fitted: something with draw(seen, n, seed=).",
                came=self.fitted, why="Its draws plan the search.", do='nfdlab.load("adaptive_sampling", "step1d").')
        require_count(self.d, "d"), require_count(self.c, "c"), require_seen(self.seen, self.d, self.c)
        require(self.d in SIDES or self.candidates is not None, came="none",
                must="candidates: given, in more than three dimensions.", why="Grids of cell centres grow too fast.",
                do="candidates=places (p, d).")
        require_seed(self.seed), require_number(self.noise_std, "noise_std", 0.0)
        require_count(self.draws, "draws", at_least=2), require_count(self.looks, "looks")
        if not callable(self.policy) or isinstance(self.policy, type):       # a class is no function of a search
            require_name(self.policy, POLICIES, "policy")
        if self.candidates is None:
            object.__setattr__(self, "candidates", cell_centres((SIDES[self.d],) * self.d))
        object.__setattr__(self, "candidates", require_coords(self.candidates, self.d).float())
        require(len(self.candidates) > 0, must="candidates: at least one place.",
                came=self.candidates, why="The next place is one of them.", do="nfdlab.cell_centres((64,)).")
        if self.carry and self.particles is None and self.seen is None and isinstance(self.fitted, HasSequential):
            object.__setattr__(self, "particles", self.fitted.sequential(seed=child(self.seed, "cloud")))

    @property
    def m(self) -> int:
        """Number of measurements so far."""
        return 0 if self.seen is None else self.seen.m

    def draw(self, n: int) -> Fields:
        """n posterior draws; the first `draws` of them chose the next place."""
        who, own = self.particles, child(self.seed, "draws", self.m)
        return self.fitted.draw(self.seen, n, seed=own) if who is None else who.draw(n, seed=own)

    @cached_property
    def values(self) -> Tensor:
        """The draws at the candidates: (draws, p, c)."""
        return self.draw(self.draws)(self.candidates).cpu()

    def acquisition(self, by: str | None = None) -> Tensor:
        """Acquisition value at each candidate, by the policy unless given: (p,). −inf where repeating is useless."""
        by = by or (self.policy if self.policy in ACQUISITIONS else "variance")
        return self._open(acquisition(by, self.values, self.noise_std), self.values)

    def _open(self, found: Tensor, values: Tensor) -> Tensor:
        """Exclude measured places at which the draws vary by more than noise²: a posterior there varies by less, so the
        draws are wrong and a second measurement would not correct them. Where they vary less, repeating is allowed."""
        if self.m == 0:
            return found
        half = 1 / len(self.candidates) ** (1 / self.d)              # of the distance between evenly spaced candidates
        looked = torch.cdist(self.candidates, self.seen.coords.to(self.candidates)).min(1).values < half
        wrong = values.var(0).sum(-1) > self.noise_std**2 * self.c
        return found.masked_fill(looked & wrong, -math.inf)

    def ask(self, k: int = 1) -> Tensor:
        """The next k places (k, d), chosen before any is measured: each given the ones before it (`conditioned`)."""
        require_count(k, "k")
        if callable(self.policy):
            return self.policy(self, k)
        if self.policy == "random":
            return self._uniform(k)
        if self.policy == "grid":
            order = farthest_first(cell_centres((math.ceil(self.looks ** (1 / self.d) - 1e-9),) * self.d))
            return order[torch.arange(self.m, self.m + k) % len(order)]
        values, chosen = self.values, []
        found = self.acquisition()
        for i in range(k):
            if i:
                values = conditioned(values, chosen[-1], self.noise_std)
                found = self._open(acquisition(self.policy, values, self.noise_std), values)
            chosen.append(best(found))
        return self.candidates[chosen]

    def tell(self, coords: Tensor, values: Tensor) -> "Search":
        """The search after measuring values (k, c) at coords (k, d); the order of measurements is kept."""
        news = Observations(coords, values, self.noise_std)
        seen = news if self.seen is None else Observations(torch.cat([self.seen.coords, coords]),
                                                           torch.cat([self.seen.values, values]), self.noise_std)
        return replace(self, seen=seen, particles=None if self.particles is None else self.particles.tell(news))

    def look(self, truth: Fields, k: int = 1) -> "Search":
        """Ask, measure one function `truth` with noise, tell. Measurement i has the same noise for every policy."""
        require(isinstance(truth, Fields) and truth.n == 1 and truth.d == self.d,
                must=f"truth: one function of {self.d} coordinates.", came=truth,
                why="A search measures one function.", do="problem.draw(1, seed=0).")
        coords = self.ask(k)
        return self.tell(coords, truth(coords)[0].cpu() + self.noise_std * self._noise(k))

    def _uniform(self, k: int) -> Tensor:
        """Random places (k, d), that of each measurement from its own stream."""
        return 2 * uniforms(self.seed, self.m + k, (self.d,), "look")[self.m:].float() - 1

    def _noise(self, k: int) -> Tensor:
        return torch.stack([single.randn(self.c, generator=stream(self.seed, "noise", self.m + i)) for i in range(k)])

    def run(self, truth: Fields, looks: int | None = None) -> "Search":
        """The search after `looks` more measurements of `truth`, those that are planned unless given."""
        now = self
        for _ in range(self.looks - self.m if looks is None else looks):
            now = now.look(truth)
        return now


def planned(places: Tensor) -> Callable[[Search, int], Tensor]:
    """A policy that reads nothing: the places (m, d), in their order. `Search(...).ask(m)`, of a Gaussian's draws, are
    the greedy ones for that Gaussian, whose variance no reading changes."""
    return lambda search, k: places[search.m:search.m + k]


def best(found: Tensor) -> int:
    """Index of the highest value (p,); of several equal ones (a plateau between the steps of draws) the middle one."""
    top = found.max()
    tied = (found >= top - TIED * top.abs()).nonzero()[:, 0]
    return int(tied[len(tied) // 2])


def interval(seen: Observations | None) -> tuple[float, float]:
    """Where a rising step on [-1, 1] may be: between the last low value (below ½) and the first high one after it."""
    if seen is None or seen.m == 0:
        return -1.0, 1.0
    x, high = seen.coords[:, 0], seen.values[:, 0] > 0.5
    low_end = max([-1.0, *x[~high].tolist()])
    return low_end, min([1.0, *[v for v in x[high].tolist() if v > low_end]])
