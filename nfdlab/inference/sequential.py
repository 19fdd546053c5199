"""A cloud of draws carried from look to look: each reading weighs it anew, and only a thin cloud moves.

Sequential Monte Carlo with one observation at a time (Chopin 2002): the posterior of m looks is the prior for look
m + 1. It starts as the bank of prior latents that `particles` chooses from; while enough of them explain what was seen,
weights are all that changes and nothing is sampled. Where too few are left they are doubled, and each then moves by
steps that keep the posterior of everything seen so far. Exact for the prior that the sampler really draws from, as
`particles` is, but the readings come in an order, and members remember it: at the level of their Monte Carlo error.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..core.checks import require, require_count, require_seed
from ..core.fields import EvaluatedFields
from ..core.rng import child, stream
from ..core.types import Observations, require_seen
from ..diffusion.smc import annealed_smc, resampled
from ..exact.normal import effective_sample_size
from .decoder_guidance import BANK, likelihood
from .posterior import LatentPosterior

ROUNDS, LEAST = 12, 4                # half of these moves, once the cloud is thin: it starts from the last posterior


@dataclass(frozen=True, eq=False)
class SequentialPosterior:
    """What a trained approach believes after the looks so far: latents x (N, *shape), the noise they come from, and how
    likely each is (N,), in logs."""

    model: LatentPosterior
    seed: int
    noise: Tensor = field(repr=False)
    x: Tensor = field(repr=False)
    logs: Tensor = field(repr=False)
    seen: Observations | None = None
    believe: Callable[[Tensor], Tensor] | None = None

    @classmethod
    def start(cls, model: LatentPosterior, *, seed: int, believe: Callable[[Tensor], Tensor] | None = None) -> "SequentialPosterior":
        """Before anything was seen. `believe`, latents (n, *shape) -> (n,) in logs, is what else is held of them: the
        prior is then the model's times its exponential, −1e4 where a latent is held to be impossible."""
        require_seed(seed)
        noise, x = model.bank(BANK * model.about["config"]["num_particles"], model.steps, "dpmpp", seed=0)
        logs = x.new_zeros(len(x), dtype=torch.float64) if believe is None else believe(x).double()
        return cls(model, seed, noise, x, logs, None, believe)

    @property
    def effective(self) -> float:
        """How many equal draws the weighed ones are worth."""
        return effective_sample_size(self.logs)

    @torch.no_grad()
    def tell(self, news: Observations) -> "SequentialPosterior":
        """What is believed once these readings came in too."""
        about = self.model.about
        if require_seen(news, about["d"], about["c"]) is None or news.m == 0:
            return self
        if self.seen is not None:
            require(news.noise_std == self.seen.noise_std, must=f"noise_std: {self.seen.noise_std}, as before.",
                    came=news.noise_std, why="What was seen has one noise.", do="Start a cloud of its own.")
        seen = news if self.seen is None else Observations(torch.cat([self.seen.coords, news.coords]),
                                                           torch.cat([self.seen.values, news.values]), news.noise_std)
        logs = self.logs + likelihood(self.model, news)(self.x).double()
        count = about["config"]["num_particles"]
        if effective_sample_size(logs) >= (count if len(logs) > count else count / 2):
            return replace(self, logs=logs, seen=seen)
        own = child(self.seed, "look", seen.m)
        noise, x = self._copied(own)
        moved = annealed_smc(self._push, likelihood(self.model, news), noise, seed=own, pushed=x, count=count,
                          rounds=max(LEAST, about["config"].get("rounds", ROUNDS) // 2), already=self._heard)
        for visit in moved:
            noise, x = visit.noise, visit.x
        return replace(self, noise=noise, x=x, logs=x.new_zeros(len(x), dtype=torch.float64), seen=seen)

    def _copied(self, seed: int) -> tuple[Tensor, Tensor]:
        """Noise and latents with weights turned into numbers of copies: what was heard before counts as drawn."""
        if float(self.logs.max() - self.logs.min()) == 0:
            return self.noise, self.x
        chosen = resampled(self.logs, len(self.x), stream(seed, "before"))
        return self.noise[chosen], self.x[chosen]

    def _push(self, u: Tensor) -> Tensor:
        return self.model.push(self.model.steps, "dpmpp")[0](u)

    def _heard(self, x: Tensor) -> Tensor:
        """The logs of what was held, and seen, before the news."""
        found = x.new_zeros(len(x)) if self.believe is None else self.believe(x)
        return found if self.seen is None else found + likelihood(self.model, self.seen)(x)

    def draw(self, n: int, *, seed: int) -> EvaluatedFields:
        """n of its members by their weights, as Fields; more only append."""
        require_count(n), require_seed(seed)
        which = torch.multinomial(self.logs.softmax(0).cpu(), 4 * self.model.about["config"]["num_particles"], True,
                                  generator=stream(seed, "members"))
        return self.model.fields(None, self.x[which[torch.arange(n) % len(which)]])
