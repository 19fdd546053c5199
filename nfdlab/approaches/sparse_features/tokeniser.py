"""Point sets as tokens: what stands near each of a few anchors, whatever the number and the places of the points.

The points give a best estimate of the whole function (`KarhunenLoeve`), and a token holds the principal components of
that estimate round its anchor. The estimate is an attention over the points: each value enters linearly, with a weight
that knows where *all* points are, so that a crowd of points in one corner does not outvote a lonely one. Attention by
softmax, which knows each point's distance alone, reads the crowd as well as the function.
"""

import torch
from torch import Tensor, nn

from ...core.grid import cell_centres
from ...core.types import ObservationBatch
from ...gaussian.karhunen_loeve import KarhunenLoeve, LatentMeasurement

CANDIDATES = {1: 256, 2: 40, 3: 14}      # points a side among which anchors are chosen
LEAST_OWN = 0.02                         # a standard deviation of a token's own noise: latents mean nothing finer


def farthest(many: int, d: int) -> Tensor:
    """Anchors (many, d): from the middle on, always the candidate that lies farthest from those chosen.

    Gonzalez 1985. More anchors only append.
    """
    places = cell_centres((CANDIDATES[d],) * d)
    chosen = [int(places.square().sum(1).argmin())]
    away = (places - places[chosen[0]]).square().sum(1)
    while len(chosen) < many:
        chosen.append(int(away.argmax()))
        away = torch.minimum(away, (places - places[chosen[-1]]).square().sum(1))
    return places[chosen]


class SetTokeniser(nn.Module):
    """Point sets of functions of c channels over [-1, 1]^d -> latents (b, k, many) of unit scale, k numbers an anchor.

    A token looks at 3^d places, `reach` (half the anchors' usual distance) apart, round its anchor.
    """

    def __init__(self, d: int, c: int, side: int, rank: int, many: int, k: int):
        super().__init__()
        self.d, self.c, self.k, self.many = d, c, k, many
        self.kl = KarhunenLoeve(d, c, side, rank)
        self.sensor = LatentMeasurement(k * many, rank)
        self.reach = many ** (-1 / d)
        around = torch.cartesian_prod(*[torch.tensor([-1.0, 0.0, 1.0])] * d).reshape(-1, d)
        self.register_buffer("anchors", farthest(many, d), persistent=False)
        self.register_buffer("around", self.reach * around, persistent=False)
        self.register_buffer("gain", torch.zeros(rank, k * many), persistent=False)
        self.register_buffer("scale", torch.ones(()))

    @property
    def patches(self) -> Tensor:
        """The places that tokens look at: (many, 3^d, d)."""
        return (self.anchors[:, None] + self.around).clamp(-1, 1)

    @torch.no_grad()
    def calibrate(self, draws: Tensor, *, seed: int) -> None:
        """Measure the two-point statistics from values (b, side^d, c) of fresh functions at `kl.places`, and from them
        the principal components of a patch, of all anchors together, each brought to unit variance."""
        self.kl.calibrate(draws, seed=seed)
        rows = self.kl.rows(self.patches.flatten(0, 1)).unflatten(0, (self.many, -1)).double()       # (many, 3^d c, r)
        variance, basis = torch.linalg.eigh((rows @ rows.mT).mean(0))
        basis, variance = basis.flip(1)[:, :self.k], variance.flip(0)[:self.k].clamp_min(1e-8)
        self.sensor.matrix.copy_(torch.einsum("qk,mqr->kmr", basis / variance.sqrt(), rows).flatten(0, 1))
        self.sensor.own.fill_(LEAST_OWN**2)
        self.precompute()

    @torch.no_grad()
    def hear_own(self, points: ObservationBatch, draws: Tensor) -> None:
        """Measure what the choice of points adds to a latent, from point sets of some of the functions of `calibrate`."""
        kl, places = self.kl, self.kl.places.to(draws)
        exact = kl.prior().updated(kl.rows(places), (draws - kl.mean(places)).flatten(1), kl.residual_variance(places).flatten())
        away = self.encode(points).flatten(1) - exact.mean @ self.sensor.matrix.T
        self.sensor.own.copy_(away.square().mean(0).clamp_min(LEAST_OWN**2))
        self.precompute()

    @torch.no_grad()
    def precompute(self) -> None:
        """After new weights: the map from latents to the functions' weights, the best linear answer to a latent alone."""
        A = self.sensor.matrix.double() / self.sensor.own.double().sqrt()[:, None]
        inverse = torch.linalg.inv(torch.eye(A.shape[1]).to(A) + A.T @ A)
        self.gain.copy_(inverse @ A.T / self.sensor.own.double().sqrt())

    def encode(self, points: ObservationBatch) -> Tensor:
        """(b, k, many)."""
        return (self.kl.condition(points).mean @ self.sensor.matrix.T).unflatten(1, (self.k, self.many))

    def reading(self, coords: Tensor, latent: Tensor) -> Tensor:
        """The best linear answer to a latent alone: coords (p, d) or (b, p, d), latents (b, k, many) -> (b, p, c)."""
        weights, rows = latent.flatten(1) @ self.gain.T, self.kl.rows(coords)
        found = weights @ rows.T if rows.ndim == 2 else (rows @ weights[..., None])[..., 0]
        return self.kl.mean(coords) + found.unflatten(1, (-1, self.c))
