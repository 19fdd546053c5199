"""Sequential Monte Carlo over observations: the posterior as weighted particles, updated one measurement at a time.

The posterior of m observations is the prior for observation m + 1 (Chopin 2002). It starts as the bank of prior draws
that the guide "particles" resamples from. While the effective sample size is large enough only weights change. Where
it is not, the particles are resampled and moved by MCMC steps that keep the posterior of all observations so far.
Exact, as the number of particles grows, for the prior that the sampler really draws from; observations in another order
give the same posterior up to Monte Carlo error.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..core.checks import require, require_count, require_seed
from ..core.fields import EvaluatedFields
from ..core.rng import child, stream
from ..core.types import Observations
from ..diffusion.smc import annealed_smc, resampled
from ..exact.normal import effective_sample_size
from .posterior import CANDIDATES, LatentPosterior

LEAST_ROUNDS = 4                     # of moves


@dataclass(frozen=True, eq=False)
class SequentialPosterior:
    """The posterior of a trained model after some observations: particles x (N, *shape), the sampler's noise that they
    come from, and their unnormalised log weights (N,)."""

    model: LatentPosterior
    seed: int
    noise: Tensor = field(repr=False)
    x: Tensor = field(repr=False)
    log_weights: Tensor = field(repr=False)
    seen: Observations | None = None
    log_prior: Callable[[Tensor], Tensor] | None = None

    @classmethod
    def start(cls, model: LatentPosterior, *, seed: int,
              log_prior: Callable[[Tensor], Tensor] | None = None) -> "SequentialPosterior":
        """The prior, before any observation. `log_prior` x (n, *shape) -> (n,): the model's prior is multiplied by its
        exponential; −1e4 excludes a latent."""
        require_seed(seed)
        noise, x = model.bank(CANDIDATES * model.about["config"]["num_particles"], model.steps, "dpmpp", seed=0)
        log_weights = x.new_zeros(len(x), dtype=torch.float64) if log_prior is None else log_prior(x).double()
        return cls(model, seed, noise, x, log_weights, None, log_prior)

    @property
    def effective_sample_size(self) -> float:
        """How many equally weighted draws the particles are worth."""
        return effective_sample_size(self.log_weights)

    @torch.no_grad()
    def tell(self, news: Observations) -> "SequentialPosterior":
        """The posterior given these observations too."""
        about = self.model.about
        if self.model.accepted(news) is None or news.m == 0:
            return self
        if self.seen is not None:
            require(news.noise_std == self.seen.noise_std, must=f"noise_std: {self.seen.noise_std}, as before.",
                    came=news.noise_std, why="All observations have one noise level.", do="Start another posterior.")
        seen = news if self.seen is None else Observations(torch.cat([self.seen.coords, news.coords]),
                                                           torch.cat([self.seen.values, news.values]), news.noise_std)
        log_weights = self.log_weights + self.model.log_likelihood(news)(self.x).double()
        count = about["config"]["num_particles"]
        if effective_sample_size(log_weights) >= (count if len(log_weights) > count else count / 2):
            return replace(self, log_weights=log_weights, seen=seen)
        seed, rounds = child(self.seed, "look", seen.m), about["config"]["rounds"] // 2      # it starts near its target
        noise, x = self._resampled(seed)
        push = self.model.push(self.model.steps, "dpmpp")[0]
        for step in annealed_smc(push, self.model.log_likelihood(news), noise, seed=seed, pushed=x, count=count,
                                 rounds=max(LEAST_ROUNDS, rounds), already=self._log_density):
            noise, x = step.noise, step.x
        return replace(self, noise=noise, x=x, log_weights=x.new_zeros(len(x), dtype=torch.float64), seen=seen)

    def _resampled(self, seed: int) -> tuple[Tensor, Tensor]:
        """Noise and particles of equal weight, before the new observations."""
        if float(self.log_weights.max() - self.log_weights.min()) == 0:
            return self.noise, self.x
        chosen = resampled(self.log_weights, len(self.x), stream(seed, "before"))
        return self.noise[chosen], self.x[chosen]

    def _log_density(self, x: Tensor) -> Tensor:
        """`log_prior` plus the log likelihood of the observations so far: x (n, *shape) -> (n,)."""
        found = x.new_zeros(len(x)) if self.log_prior is None else self.log_prior(x)
        return found if self.seen is None else found + self.model.log_likelihood(self.seen)(x)

    def draw(self, n: int, *, seed: int) -> EvaluatedFields:
        """n draws, particles by their weights, as Fields; a larger n only appends."""
        require_count(n), require_seed(seed)
        which = torch.multinomial(self.log_weights.softmax(0).cpu(), 4 * self.model.about["config"]["num_particles"],
                                  True, generator=stream(seed, "members"))
        return self.model.fields(None, self.x[which[torch.arange(n) % len(which)]])
