"""Approach 8: a stochastic neural field f(x, ω): a seeded noise function ω, pushed through a conditional diffusion.

ω is white noise at the points of a lattice. The probability flow of a denoiser that is conditioned on the observations
carries ω as a whole to a function; a *neural field* reads that function at any x. So which places move together is
learned, and a seed stands for one continuous function. What the observations leave open (*aleatoric* uncertainty) is
the spread over ω; what other training functions would have taught (*epistemic* uncertainty) that over the weights.
"""

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..core import single
from ..core.checks import require_count, require_seed
from ..core.fields import EvaluatedFields
from ..core.rng import child, normals, stream
from ..core.types import Budget, Card, Observations, Source, Views, Watch, quiet
from ..diffusion.denoiser import like, stratified_normals
from ..diffusion.samplers import path
from ..inference.lattice import LatticeConfig, LatticeLosses, LatticeNetwork, LatticePosterior
from ..nn.networks import space_to_depth
from ..training import Run

LEVELS, CHUNK = 4, 64        # noise levels of each function in the regression, and functions at a time
RIDGE = 1e-4                 # of the mean square of the features


class StochasticPosterior(LatticePosterior):
    """A trained approach 8: f(x, ω) given what was seen, ω (n, c, *side) standard normal."""

    def noise(self, n: int, *, seed: int) -> Tensor:
        """n noise functions at the lattice, (n, c, *side): those that `draw` pushes with this seed."""
        require_count(n), require_seed(seed)
        return normals(seed, n, self.net.shape, "white").to(self.device)

    def push(self, seen: Observations | None, omega: Tensor, *, steps: int | None = None,
             sampler: str = "dpmpp") -> EvaluatedFields:
        """f(·, ω) for noise functions (n, c, *side), as Fields: a continuous map of ω, by a sampler without noise."""
        omega = self.require_latent(omega)
        steps = self.request(len(omega), seed=0, steps=steps, sampler=sampler)
        conditioning, sigmas = self.conditioning(seen), self.sigmas(steps)
        for step in path(self.denoiser(conditioning), sigmas[0] * omega, sigmas, method=sampler):
            x = step.x
        return self.decode(x, conditioning)


@dataclass(frozen=True)
class StochasticField(LatticeConfig):
    """Config of approach 8. None chooses by dimension."""

    card: ClassVar[Card] = Card(
        8, "Stochastic field",
        "push a seeded noise function through a conditional diffusion: one seed, one continuous function",
        "Dutordoir et al. 2023 (neural diffusion processes); Zhang & Wonka 2024 (functional diffusion); Daxberger et "
        "al. 2021 (last-layer Laplace)",
        "whole curves as likely as they should be: integrals, maxima and jumps, not single places alone",
        "uncertainty about the weights is that of the last layer alone; it is given points, and no linear measurements")
    trained: ClassVar[type] = StochasticPosterior
    network: ClassVar[type] = LatticeNetwork

    unconditional_share: float = 0.05

    def fit(self, source: Source, *, views: Views, budget: Budget, seed: int, device: str = "auto",
            watch: Watch = quiet) -> StochasticPosterior:
        """Train on fresh functions, observed as `views` hides them. Cancelled early, it returns what it has."""
        run = Run(source, views, budget, seed, device, watch)
        net = run.build(self)
        learn = LatticeLosses(self, run, net)

        def model() -> StochasticPosterior:
            return StochasticPosterior(net, run.record("stochastic_field", self), self.steps)

        run.train(net, *learn.stages(model))
        return model()


# Epistemic uncertainty. The last layer of the U-Net is a least-squares fit on its features. The covariance of its
# weights is the sandwich H⁻¹ J H⁻¹ / N (Huber 1967; as a posterior of a last layer, Daxberger et al. 2021), with J from
# whole functions, because the cells of one function are not independent.

@torch.no_grad()
def regression(fitted: StochasticPosterior, source: Source, views: Views, functions: int, *,
               seed: int) -> tuple[Tensor, Tensor]:
    """The last layer's regression from fresh functions: features (b, q, w + 1), the last one 1, targets (b, q, k)."""
    net, parts = fitted.net, []
    for j, start in enumerate(range(0, functions, CHUNK)):
        n, rng = min(CHUNK, functions - start), stream(seed, "levels", j)
        fields = source.draw(n, seed=child(seed, "functions", j))
        clean = net.unit(net.grid_values(fields).to(fitted.device)).repeat(LEVELS, *[1] * len(net.shape))
        conditioning = net.condition(views(fields, seed=child(seed, "views", j)).repeated(LEVELS).to(fitted.device))
        sigma = net.denoiser.noise_levels.for_training(stratified_normals(len(clean), rng)).to(clean)
        noise, given = net.noise.colour(single.randn(clean.shape, generator=rng).to(clean)), []
        with last_layer(net).register_forward_pre_hook(lambda _, args, given=given: given.append(args[0])):
            mean, std, _, _ = net.at_lattice(clean + like(sigma, clean) * noise, sigma, conditioning)
        features = torch.cat([given[0], torch.ones_like(given[0][:, :1])], 1)
        target = space_to_depth((clean - mean) / std, net.cells)
        parts.append([t.flatten(2).mT.unflatten(0, (LEVELS, n)).movedim(0, 1).flatten(1, 2)
                      for t in (features, target)])
    features, target = (torch.cat(t) for t in zip(*parts, strict=True))
    return features, target


def last_layer(net: LatticeNetwork) -> nn.Module:
    """The convolution that gives F at the lattice (its first outputs), and what the field reads."""
    return net.denoiser.net.unet.output[-1]


@dataclass(frozen=True, eq=False)
class EpistemicUncertainty:
    """Epistemic uncertainty of the last layer's weights and biases (w + 1, k), had they been learned from one function:
    their covariance R Rᵀ, laid flat, with `root` R ((w + 1) k, …), falling as 1/N."""

    fitted: StochasticPosterior
    root: Tensor

    @classmethod
    def of(cls, fitted: StochasticPosterior, source: Source, views: Views, *, functions: int = 512,
           seed: int) -> "EpistemicUncertainty":
        """Measured from fresh functions, observed as in training."""
        require_seed(seed), require_count(functions, "functions", at_least=2)
        features, target = regression(fitted, source, views, functions, seed=seed)
        last, k = last_layer(fitted.net), target.shape[-1]
        weights = torch.cat([last.weight.detach()[:k].flatten(1), last.bias.detach()[:k, None]], 1)
        return cls(fitted, scatter(features, target - features @ weights.T))

    @torch.no_grad()
    def models(self, n: int, *, learned_from: int, seed: int) -> list[StochasticPosterior]:
        """n models as they might have come out, had the last layer been learned from that many functions."""
        require_count(n), require_count(learned_from, "learned_from")
        moves = normals(seed, n, (self.root.shape[1],), "doubt").to(self.root) @ self.root.T / learned_from**0.5
        models = [replace(self.fitted, net=deepcopy(self.fitted.net)) for _ in moves]
        for move, model in zip(moves, models, strict=True):
            last = last_layer(model.net)
            move = move.unflatten(0, (last.in_channels + 1, -1))
            last.weight[:move.shape[1]] += move[:-1].T.reshape(move.shape[1], *last.weight.shape[1:])
            last.bias[:move.shape[1]] += move[-1]
        return models

    @torch.no_grad()
    def split(self, seen: Observations | None, coords: Tensor, *, learned_from: int, seed: int, models: int = 8,
              draws: int = 64) -> tuple[Tensor, Tensor]:
        """Aleatoric and epistemic standard deviation (p, c) at coords (p, d): the root mean variance of the models'
        draws, and the std of their means. All models push the same noise functions, so that means differ by weights
        alone. The squares add up to the variance of a draw by a random model."""
        require_count(models, "models", at_least=2), require_count(draws, "draws", at_least=2)
        values = torch.stack([model.draw(seen, draws, seed=seed)(coords)
                              for model in self.models(models, learned_from=learned_from, seed=seed)])
        return values.var(1).mean(0).sqrt(), values.mean(1).std(0)


def scatter(features: Tensor, residuals: Tensor) -> Tensor:
    """A root R (w k, …), R Rᵀ = H⁻¹ J H⁻¹, for features (b, q, w) and residuals (b, q, k) of b functions."""
    features, residuals = features.double(), residuals.double()
    H = (features.mT @ features).mean(0) / features.shape[1]
    H = H + RIDGE * H.diagonal().mean() * single.eye(len(H)).to(H)
    slopes = features.mT @ residuals / features.shape[1]                                              # (b, w, k)
    root = torch.linalg.solve(H, slopes - slopes.mean(0)).flatten(1) / (len(slopes) - 1) ** 0.5       # (b, w k)
    return torch.linalg.qr(root, mode="r").R.T.float()


APPROACH = StochasticField
