"""Where to look next: any `Fitted` is asked for draws, and the next look goes where a reading would settle most.

A `Search` is a value: `ask` says where to look, `tell` gives the search with one reading more, `run` lets it look at a
truth. Its seed says everything, so two searches of one seed that ask the same places read the same noise.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..core.acquisition import WORTHS, conditioned, worth
from ..core.checks import require, require_coords, require_count, require_name, require_number, require_seed
from ..core.grid import cell_centres
from ..core.rng import child, stream, uniforms
from ..core.types import Fields, Fitted, HasSequential, Observations

POLICIES = (*WORTHS, "random", "grid")
SIDES = {1: 256, 2: 32, 3: 12}       # candidates a side, unless told
TIED = 1e-6                          # share of the best worth that counts as equal to it


@dataclass(frozen=True, eq=False)
class Search:
    """Looks at one function of d coordinates and c channels, chosen by what `fitted` believes of it.

    `policy`: "variance", "entropy" or "gain" of `draws` draws at `candidates` (p, d), cell centres unless told; or
    "random" places, or the cells of the smallest "grid" that has `looks` of them; or a callable(search, k) -> (k, d).
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
        require_seed(self.seed), require_number(self.noise_std, "noise_std", 0.0)
        require_count(self.draws, "draws", at_least=2), require_count(self.looks, "looks")
        if not callable(self.policy):
            require_name(self.policy, POLICIES, "policy")
        if self.candidates is None:
            object.__setattr__(self, "candidates", cell_centres((SIDES[self.d],) * self.d))
        require_coords(self.candidates, self.d)
        if self.carry and self.particles is None and self.seen is None and isinstance(self.fitted, HasSequential):
            object.__setattr__(self, "particles", self.fitted.sequential(seed=child(self.seed, "cloud")))

    @property
    def m(self) -> int:
        """Looks so far."""
        return 0 if self.seen is None else self.seen.m

    def draw(self, n: int) -> Fields:
        """n draws of what is believed now; the first `draws` of them chose the next look."""
        who, own = self.particles, child(self.seed, "draws", self.m)
        return self.fitted.draw(self.seen, n, seed=own) if who is None else who.draw(n, seed=own)

    @cached_property
    def values(self) -> Tensor:
        """The draws at the candidates: (draws, p, c)."""
        return self.draw(self.draws)(self.candidates).cpu()

    @cached_property
    def spacing(self) -> float:
        """The distance between candidates that lie evenly: looks nearer than half of it are at one place."""
        return 2 / len(self.candidates) ** (1 / self.d)

    def worth(self, by: str | None = None) -> Tensor:
        """What a look at each candidate promises, (p,), −inf where it is settled that another look would be wasted."""
        by = by or (self.policy if self.policy in WORTHS else "variance")
        return self._open(worth(by, self.values, self.noise_std), self.values)

    def _open(self, found: Tensor, values: Tensor) -> Tensor:
        """A reading leaves a variance of at most noise²: draws that differ more where one looked already are wrong of
        themselves, and asking there again would not mend them. Where they differ less, a second look is as good as it
        is worth."""
        if self.m == 0:
            return found
        looked = torch.cdist(self.candidates, self.seen.coords).min(1).values < self.spacing / 2
        wrong = values.var(0).sum(-1) > self.noise_std**2 * self.c
        return found.masked_fill(looked & wrong, -math.inf)

    def ask(self, k: int = 1) -> Tensor:
        """The next k places (k, d), chosen before any of them is read: each as if the ones before had been, which for
        draws of a Gaussian is exact and keeps them apart for all."""
        require_count(k, "k")
        if callable(self.policy):
            return self.policy(self, k)
        if self.policy == "random":
            return self._anywhere(k)
        if self.policy == "grid":
            order = spread_out(cell_centres((math.ceil(self.looks ** (1 / self.d) - 1e-9),) * self.d))
            return order[torch.arange(self.m, self.m + k) % len(order)]
        values, chosen = self.values, []
        found = self.worth()
        for i in range(k):
            if i:
                values = conditioned(values, chosen[-1], self.noise_std)
                found = self._open(worth(self.policy, values, self.noise_std), values)
            chosen.append(best(found))
        return self.candidates[chosen]

    def tell(self, coords: Tensor, values: Tensor) -> "Search":
        """The search once values (k, c) were read at coords (k, d); history is kept, in order."""
        news = Observations(coords, values, self.noise_std)
        seen = news if self.seen is None else Observations(torch.cat([self.seen.coords, coords]),
                                                           torch.cat([self.seen.values, values]), self.noise_std)
        return replace(self, seen=seen, particles=None if self.particles is None else self.particles.tell(news))

    def look(self, truth: Fields, k: int = 1) -> "Search":
        """Ask, read one function `truth` there with noise, tell. The noise of look i is the same for every policy."""
        require(truth.n == 1 and truth.d == self.d, must=f"truth: one function of {self.d} coordinates.", came=truth,
                why="One looks at one function.", do="problem.draw(1, seed=0).")
        coords = self.ask(k)
        return self.tell(coords, truth(coords)[0].cpu() + self.noise_std * self._noise(k))

    def _anywhere(self, k: int) -> Tensor:
        """Places of looks m, m + 1, …, each from its own stream."""
        return 2 * uniforms(self.seed, self.m + k, (self.d,), "look")[self.m:].float() - 1

    def _noise(self, k: int) -> Tensor:
        return torch.stack([torch.randn(self.c, generator=stream(self.seed, "noise", self.m + i)) for i in range(k)])

    def run(self, truth: Fields, looks: int | None = None) -> "Search":
        """After so many looks more, those that are planned unless told."""
        now = self
        for _ in range(self.looks - self.m if looks is None else looks):
            now = now.look(truth)
        return now


def best(found: Tensor) -> int:
    """The index of the highest worth; of several that tie, as on a plateau between two draws' steps, the middle one."""
    top = found.max()
    tied = (found >= top - TIED * top.abs()).nonzero()[:, 0]
    return int(tied[len(tied) // 2])


def spread_out(places: Tensor) -> Tensor:
    """The same places (p, d) in an order that is even at every length: each is farthest from all before it."""
    chosen = [int(places.square().sum(1).argmin())]
    gap = torch.cdist(places, places[chosen]).min(1).values
    while len(chosen) < len(places):
        chosen.append(int(gap.argmax()))
        gap = torch.minimum(gap, torch.cdist(places, places[chosen[-1:]])[:, 0])
    return places[chosen]


def interval(seen: Observations | None) -> tuple[float, float]:
    """Where a rising step on [-1, 1] may still be: the last look that said low (below ½) and the first after it that
    said high."""
    if seen is None or seen.m == 0:
        return -1.0, 1.0
    x, high = seen.coords[:, 0], seen.values[:, 0] > 0.5
    low_end = max([-1.0, *x[~high].tolist()])
    return low_end, min([1.0, *[v for v in x[high].tolist() if v > low_end]])
