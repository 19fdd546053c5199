"""Aleatoric and epistemic uncertainty of a diffusion head: what more training would leave, and what it would remove.

Aleatoric is the spread of the distribution at a place, over w: what the observations leave open. Epistemic is that this
distribution was learned from a finite number of functions: others would have taught other weights. Here only the head's
last layer is uncertain, since for it the answer is closed: it is a least-squares fit, and the covariance of its weights
is the sandwich H⁻¹ J H⁻¹ / N (Huber 1967; as a posterior of a last layer, Daxberger et al. 2021), J from whole
functions, because places of one function are not independent.
"""

from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...core import single
from ...core.checks import require, require_count, require_seed
from ...core.rng import child, normals, stream
from ...core.types import Observations, Source, Views
from . import NODES, PushForwardPosterior

PLACES, LEVELS = 32, 4                  # of each function in the regression
RIDGE = 1e-4                            # of the mean square of the features


def regression(fitted: PushForwardPosterior, source: Source, views: Views, functions: int, *,
               seed: int) -> tuple[Tensor, Tensor]:
    """The last layer's regression from fresh functions: features (b, q, width + 1), the last one 1, targets (b, q)."""
    encoder, denoiser, d = fitted.net.encoder, fitted.net.heads["diffusion"].denoiser, fitted.about["d"]
    rng = stream(seed, "lessons")
    fields = source.draw(functions, seed=child(seed, "functions"))
    seen = views(fields, seed=child(seed, "views")).to(fitted.device)
    coords = 2 * single.rand(functions, PLACES, d, generator=rng) - 1
    with torch.no_grad():
        clean, h = encoder.residual(seen, coords.to(fitted.device), fields(coords).to(fitted.device))
        sigma = denoiser.noise_levels.for_training(single.randn(LEVELS, functions, 1, 1, generator=rng)).to(clean)
        noisy = clean + sigma * single.randn(LEVELS, *clean.shape, generator=rng).to(clean)
        prior_mean, prior_std = denoiser.prior(noisy, sigma)
        features = denoiser.net.net.features(*denoiser.net.scaled(noisy, sigma), h).movedim(0, 1).flatten(1, 3)
        target = ((clean - prior_mean) / prior_std).movedim(0, 1).flatten(1)
    return torch.cat([features, torch.ones_like(features[..., :1])], -1), target


@dataclass(frozen=True, eq=False)
class EpistemicUncertainty:
    """Epistemic uncertainty of the last layer's weights and bias (w,), had it been learned from one function: their
    covariance R Rᵀ with `root` R (w, …), falling as 1/N."""

    fitted: PushForwardPosterior
    root: Tensor

    @classmethod
    def of(cls, fitted: PushForwardPosterior, source: Source, views: Views, *, functions: int = 512,
           seed: int) -> "EpistemicUncertainty":
        """Measured from fresh functions, observed as in training."""
        require("diffusion" in fitted.net.heads, must="fitted: with a diffusion head.", came=list(fitted.net.heads),
                why="Its last layer is the uncertain one.", do="StochasticField(), as it is.")
        require_seed(seed), require_count(functions, "functions", at_least=2)
        features, target = regression(fitted, source, views, functions, seed=seed)
        output = fitted.net.heads["diffusion"].denoiser.net.net.output
        weights = torch.cat([output.weight.detach()[0], output.bias.detach()])
        return cls(fitted, scatter(features, target - features @ weights))

    @torch.no_grad()
    def models(self, n: int, *, learned_from: int, seed: int) -> list[PushForwardPosterior]:
        """n models as they might have come out, had the last layer been learned from that many functions."""
        require_count(learned_from, "learned_from")
        moves = normals(seed, n, (self.root.shape[1],), "doubt").to(self.root) @ self.root.T / learned_from**0.5
        models = [replace(self.fitted, net=deepcopy(self.fitted.net)).using(head="diffusion") for _ in moves]
        for move, model in zip(moves, models, strict=True):
            output = model.net.heads["diffusion"].denoiser.net.net.output
            output.weight += move[None, :-1]
            output.bias += move[-1:]
        return models

    @torch.no_grad()
    def split(self, seen: Observations | None, coords: Tensor, *, learned_from: int, seed: int,
              heads: int = 8) -> tuple[Tensor, Tensor]:
        """Aleatoric and epistemic standard deviation (p, c) at coords (p, d): the root mean variance of the heads'
        distributions, and the std of their means. Their squares add up to the variance of a draw by a random head."""
        require_count(heads, "heads", at_least=2)
        w = torch.special.ndtri((single.arange(NODES) + 0.5) / NODES).to(self.root)
        laws = torch.stack([model.quantiles(seen, coords, w)
                            for model in self.models(heads, learned_from=learned_from, seed=seed)])
        return laws.var(1, correction=0).mean(0).sqrt(), laws.mean(1).std(0)


def scatter(features: Tensor, residuals: Tensor) -> Tensor:
    """A root R (w, w or b), R Rᵀ = H⁻¹ J H⁻¹, for features (b, q, w) and residuals (b, q) of b functions."""
    features, residuals = features.double(), residuals.double()
    H = (features.mT @ features).mean(0) / features.shape[1]
    H = H + RIDGE * H.diagonal().mean() * single.eye(len(H)).to(H)
    slopes = (features.mT @ residuals[..., None])[..., 0] / features.shape[1]
    root = torch.linalg.solve(H, (slopes - slopes.mean(0)).T) / (len(slopes) - 1) ** 0.5          # (w, b)
    return torch.linalg.qr(root.T, mode="r").R.T.float()
