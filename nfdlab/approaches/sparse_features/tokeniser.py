"""Tokeniser of point sets: any points of a function -> a few tokens, each for what lies near its anchor.

The points give a linear estimate of the whole function (`KarhunenLoeve`), and a token holds the principal components of
that estimate around its anchor. The estimate is an attention over the points: each value enters linearly, with a weight
that depends on where *all* points are, so that many points in one corner count no more than they tell. Attention by
softmax, which knows each point's distance alone, takes density for evidence.
"""

import torch
from torch import Tensor

from ...core import single
from ...core.grid import cell_centres
from ...core.types import ObservationBatch
from ...gaussian.karhunen_loeve import LatentGaussian

CANDIDATES = {1: 256, 2: 40, 3: 14}      # points a side among which anchors are chosen
LEAST_OWN = 0.02                         # lower bound of the std of a token's own noise: latents mean nothing finer


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


class SetTokeniser(LatentGaussian):
    """Point sets of functions of c channels over [-1, 1]^d -> latents (b, k, tokens) of unit scale, k numbers a token.

    A token covers 3^d places around its anchor, `reach` (half the anchors' usual distance) apart. The latent is linear
    in the expansion's weights, so the tokeniser is also the joint Gaussian of latent and field.
    """

    def __init__(self, d: int, c: int, side: int, rank: int, tokens: int, k: int):
        super().__init__(d, c, side, rank, (k, tokens))
        self.reach = tokens ** (-1 / d)
        around = torch.cartesian_prod(*[single.tensor([-1.0, 0.0, 1.0])] * d).reshape(-1, d)
        self.register_buffer("anchors", farthest(tokens, d), persistent=False)
        self.register_buffer("around", self.reach * around, persistent=False)
        self.register_buffer("gain", single.zeros(rank, k * tokens), persistent=False)
        self.register_buffer("scale", single.ones(()))                # unused: weights files hold it
        self.register_load_state_dict_post_hook(SetTokeniser.precompute)

    @property
    def patches(self) -> Tensor:
        """The places that tokens cover: (tokens, 3^d, d)."""
        return (self.anchors[:, None] + self.around).clamp(-1, 1)

    @torch.no_grad()
    def measure(self, draws: Tensor, *, seed: int) -> None:
        """Measure the expansion from values (b, side^d, c) of fresh functions at `places`, and from it the principal
        components of a patch, of all anchors together, each brought to unit variance."""
        self.expansion.calibrate(draws, seed=seed)
        k, tokens = self.shape
        rows = self.expansion.rows(self.patches.flatten(0, 1)).unflatten(0, (tokens, -1)).double()  # (tokens, 3^d c, r)
        variance, basis = torch.linalg.eigh((rows @ rows.mT).mean(0))
        basis, variance = basis.flip(1)[:, :k], variance.flip(0)[:k].clamp_min(1e-8)
        matrix = torch.einsum("qk,mqr->kmr", basis / variance.sqrt(), rows).flatten(0, 1)
        self.measurement.matrix.copy_(matrix), self.measurement.own.fill_(LEAST_OWN**2)
        self.precompute()

    @torch.no_grad()
    def measure_own(self, points: ObservationBatch, draws: Tensor) -> None:
        """Measure the variance that the choice of points adds to a latent, from point sets of some of the functions of
        `measure`."""
        exact = self.expansion.weights(draws) @ self.measurement.matrix.T
        away = self.encode(points).flatten(1) - exact
        self.measurement.own.copy_(away.square().mean(0).clamp_min(LEAST_OWN**2))
        self.precompute()

    @torch.no_grad()
    def precompute(self, *_) -> None:
        """The map from latents to the functions' weights, the best linear estimate; anew with new weights."""
        own_std = self.measurement.own.double().sqrt()
        A = self.measurement.matrix.double() / own_std[:, None]
        inverse = torch.linalg.inv(single.eye(A.shape[1]).to(A) + A.T @ A)
        self.gain.copy_(inverse @ A.T / own_std)

    def encode(self, points: ObservationBatch) -> Tensor:
        """Point sets -> latents (b, k, tokens)."""
        return (self.expansion.condition(points).mean @ self.measurement.matrix.T).unflatten(1, self.shape)

    def reading(self, coords: Tensor, latent: Tensor) -> Tensor:
        """The best linear estimate of the fields of latents (b, k, tokens): coords (p, d) or (b, p, d) -> (b, p, c)."""
        weights, rows = latent.flatten(1) @ self.gain.T, self.expansion.rows(coords)
        found = weights @ rows.T if rows.ndim == 2 else (rows @ weights[..., None])[..., 0]
        return self.expansion.mean(coords) + found.unflatten(1, (-1, self.expansion.c))
