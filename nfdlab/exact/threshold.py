"""Posterior of a step at an unknown place θ: piecewise constant between observations."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..core import single
from ..core.fields import EvaluatedFields
from ..core.rng import choose, uniforms
from ..core.types import Seen
from .enumerated import LEAST_NOISE, member
from .finite import Finite
from .normal import Conditional


def step(params: Tensor, coords: Tensor) -> Tensor:
    """1[x > θ]: θ (h, 1), coords (p, 1) or (h, p, 1) -> (h, p, 1)."""
    return (coords > params[:, None]).to(coords)


@dataclass(frozen=True, eq=False)
class Threshold(Conditional):
    """1[x > θ] on [-1, 1], θ uniform within pieces between `edges` (h + 1,), with log_weights (h,) of the pieces."""

    edges: Tensor = field(repr=False)
    log_weights: Tensor = field(repr=False)
    d: int = 1
    c: int = 1

    @classmethod
    def uniform(cls) -> "Threshold":
        """θ anywhere in the box."""
        return cls(torch.tensor([-1.0, 1.0], dtype=torch.float64), torch.zeros(1, dtype=torch.float64))

    def draw(self, n: int, *, seed: int) -> EvaluatedFields:
        """n steps: a piece by weight, a place in it."""
        low, width = self.edges[:-1], self.edges.diff()
        which = choose(self.log_weights, n, seed=seed)
        theta = low[which] + uniforms(seed, n, (), "place") * width[which]
        return member(step, theta[:, None], 1, 1)

    def update(self, seen: Seen) -> tuple["Threshold", Tensor]:
        """Posterior given `seen`, and the log marginal likelihood.

        A piece's weight is its length times its likelihood, and between two observed points the likelihood is constant.
        """
        s = max(seen.noise_std, LEAST_NOISE)
        x, y = seen.points[:, 0].double().cpu().clamp(-1, 1), seen.values[:, 0].double().cpu()
        edges = torch.cat([self.edges, x]).unique()
        middles, lengths = (edges[:-1] + edges[1:]) / 2, edges.diff()
        held = torch.searchsorted(self.edges, middles) - 1               # the old piece around each new one
        inside = self.log_weights.log_softmax(0)[held] + (lengths / self.edges.diff()[held]).log()
        clean = seen.measure((x > middles[:, None]).to(y)[..., None])[..., 0]
        misfit = (y - clean).square().sum(-1) / s**2
        constant = len(y) * torch.log(torch.tensor(2 * torch.pi * s * s, dtype=torch.float64))
        logs = inside - 0.5 * (misfit + constant)
        return Threshold(edges, logs - logs.logsumexp(0)), logs.logsumexp(0)

    def below(self, x: Tensor) -> Tensor:
        """P(θ < x), the probability that the value at x is 1: x (p,) -> (p,) in float64."""
        steps = torch.cat([torch.zeros(1, dtype=torch.float64), self.log_weights.softmax(0).cumsum(0)])
        x = x.double().cpu().clamp(-1, 1)
        i = torch.searchsorted(self.edges, x).clamp(1, len(self.edges) - 1)
        share = (x - self.edges[i - 1]) / (self.edges[i] - self.edges[i - 1])
        return torch.lerp(steps[i - 1], steps[i], share)

    def at(self, coords: Tensor) -> Finite:
        """Joint distribution of the values at coords (p, 1): a finite set, as p places show p + 1 steps."""
        order = coords[:, 0].argsort()
        chance = self.below(coords[order, 0])
        ends = torch.cat([single.zeros(1).double(), chance, single.ones(1).double()])
        sorted_views = single.ones(len(order) + 1, len(order)).triu().to(coords)       # θ below all, …, above all
        views = torch.empty_like(sorted_views)
        views[:, order] = sorted_views
        return Finite(views, ends.diff().clamp_min(1e-300).log().to(coords))

    def moments(self, coords: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation at coords: (p, 1), (p, 1)."""
        chance = self.below(coords[:, 0])[:, None]
        return chance.to(coords), (chance * (1 - chance)).clamp_min(0).sqrt().to(coords)
