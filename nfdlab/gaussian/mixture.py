"""A family of a few kinds of function, told how many and not which is which: each kind has an expansion of its own.

One covariance for all kinds is a compromise that suits none; observations that betray the kind deserve that kind's answer. The
draws are sorted by a mixture of Gaussians over their leading weights (Tipping & Bishop 1999 mix expansions in the same
way), and each kind's `KarhunenLoeve` then says what it makes of the observations and how well it
foretold them.
"""

import torch
from torch import Tensor, nn

from ..core.grid import cell_centres, to_grid
from ..core.rng import seeded
from ..core.types import ObservationBatch
from ..nn.space_to_depth import space_to_depth
from .karhunen_loeve import KarhunenLoeve

SORTED = 40                  # leading weights by which draws are sorted


class ExpansionMixture(nn.Module):
    """ObservationBatch -> `fine` channels (b, kinds c, *[side]*d) and coarse ones (b, `beside`, *[cells]*d).

    Fine are each kind's means. Coarse are their average by evidence and each kind's mean, folded into the cells, then
    each kind's spread at the cells' centres and its log share of the evidence.
    """

    def __init__(self, d: int, c: int, side: int, cells: int, kinds: int, rank: int):
        super().__init__()
        self.each = nn.ModuleList(KarhunenLoeve(d, c, side, rank) for _ in range(kinds))
        self.register_buffer("share", torch.full((kinds,), 1 / kinds))
        self.fine, self.shape, self.cells = kinds * c, (side,) * d, (cells,) * d
        self.beside = (kinds + 1) * c * (side // cells) ** d + kinds * c + kinds
        self.register_buffer("grid", cell_centres(self.shape), persistent=False)
        self.register_buffer("centres", cell_centres(self.cells), persistent=False)

    @property
    def places(self) -> Tensor:
        """Where `calibrate` wants values: (side^d, d)."""
        return self.each[0].places

    @torch.no_grad()
    def calibrate(self, draws: Tensor, *, seed: int) -> None:
        """From values (b, side^d, c) of fresh functions at `places`."""
        kind = sort(draws.flatten(1), len(self.each), seed=seed)
        for j, expansion in enumerate(self.each):
            expansion.calibrate(draws[kind == j], seed=seed)
            self.share[j] = (kind == j).float().mean()

    @torch.no_grad()
    def forward(self, seen: ObservationBatch) -> tuple[Tensor, Tensor]:
        means, spreads, evidence = [], [], []
        for expansion in self.each:
            belief = expansion.heard(seen)
            evidence.append(expansion.evidence(seen, belief))
            moved = belief.at_mean(expansion.rows(self.grid)).unflatten(-1, (-1, expansion.c))
            means.append(to_grid(expansion.mean(self.grid) + moved, self.shape).movedim(-1, 1))
            variance = expansion.field(belief, self.centres)[1].expand(len(moved), -1, -1)
            spreads.append(to_grid(variance, self.cells).movedim(-1, 1).log() / 2)
        votes = torch.log_softmax(torch.stack(evidence, 1) + self.share.log(), 1)                    # (b, kinds)
        means = torch.stack(means, 1)                                                                # (b, kinds, c, …)
        pooled = (votes.exp().reshape(*votes.shape, *[1] * (means.ndim - 2)) * means).sum(1)
        folded = [space_to_depth(part, self.cells[0]) for part in (pooled, *means.unbind(1))]
        votes = votes.clamp_min(-8) / 4
        votes = votes.reshape(*votes.shape, *[1] * len(self.cells)).expand(-1, -1, *self.cells)
        return means.flatten(1, 2), torch.cat([*folded, *spreads, votes], 1)


def sort(flat: Tensor, kinds: int, *, seed: int) -> Tensor:
    """Which kind each of b vectors is, by a mixture of Gaussians of their leading weights: (b,) whole numbers."""
    from sklearn.mixture import GaussianMixture

    x = flat.double() - flat.double().mean(0)
    with seeded(seed):
        weights = torch.pca_lowrank(x, q=SORTED, center=False, niter=4)[0] * len(x) ** 0.5           # whitened
    found = GaussianMixture(kinds, max_iter=200, random_state=seed % 2**32).fit_predict(weights.cpu().numpy())
    return torch.as_tensor(found).to(flat.device)
