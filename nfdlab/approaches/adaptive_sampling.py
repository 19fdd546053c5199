"""Approach 7: the diffusion says where to look, the field says what is there.

A generative model whose draws can be asked anywhere knows what it does not know: where its draws disagree. So each
measurement is taken where a reading would settle most, the draws hear it, and disagree elsewhere. The model itself is a
small one made to be asked often: a field squeezed into a few numbers, a diffusion over those, and a cloud of draws that
weighs what was read, carried from look to look.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..core.acquisition import acquisition
from ..core.checks import require_coords, require_count
from ..core.types import Budget, Card, Observations, Source, Views, Watch, quiet
from ..inference.latent_diffusion import LatentDiffusionConfig, LatentDiffusionPosterior, squeeze
from ..inference.restoring import rebuilt
from ..inference.sequential import SequentialPosterior


@dataclass(frozen=True)
class AdaptiveSampling(LatentDiffusionConfig):
    """Sizes of the networks, as `LatentDiffusionConfig` says, made for few true dimensions and quick answers."""

    card: ClassVar[Card] = Card(
        7, "Looking where draws disagree",
        "draw from the posterior, measure where the draws disagree most, draw again: few looks, well placed",
        "Nolan et al. 2025 (active diffusion subsampling); Elata et al. 2024 (AdaSense); Chopin 2002 (carried draws)",
        "costly measurements one at a time, of things that are local or have edges: steps, bumps, shapes",
        "it never looks for what its prior has not met; for Gaussian fields where to look does not depend on what was "
        "read, and a grid made beforehand is better; clouds hold codes of few true dimensions")
    flat: int = 8
    joint: int = 3
    linear: bool = False
    sized: bool = False
    width: int = 48
    layers: tuple[int, int] = (96, 2)
    queries: int = 96
    importance_sampled: float = 0.5
    latents: int = 512
    jitter: float = 0.003
    reuse: int = 8
    share: float = 0.7
    auto_lr: float = 1e-2
    steps: int = 8
    guide: str = "particles"
    num_particles: int = 256
    rounds: int = 12                     # in which the cloud hears of what was seen, and moves

    def fit(self, source: Source, *, views: Views, budget: Budget, seed: int, device: str = "auto",
            watch: Watch = quiet) -> "FittedAdaptiveSampling":
        """Train on endless fresh functions; `views` is not asked. Cancelled early, it returns what it has."""
        net, about = squeeze(self, "adaptive_sampling", source, budget=budget, seed=seed, device=device, watch=watch)
        return FittedAdaptiveSampling(net, about, self.steps)

    @classmethod
    def restore(cls, about: dict, tensors: dict[str, Tensor], device: str = "auto") -> "FittedAdaptiveSampling":
        """The inverse of `tensors`: same draws, no code executed."""
        config, net = rebuilt(cls, about, tensors, device)
        return FittedAdaptiveSampling(net, about, config.steps)


class FittedAdaptiveSampling(LatentDiffusionPosterior):
    """A trained approach 7."""

    sizes = AdaptiveSampling

    def ask(self, seen: Observations | None, candidates: Tensor, *, seed: int, draws: int = 16, by: str = "variance",
            noise_std: float | None = None) -> Tensor:
        """Acquisition value at each of candidates (p, d): (p,). Higher is better.

        `by`: "variance", "mutual_information" or "expected_error_reduction" (`core.acquisition`), from `draws` draws.
        `noise_std` of the next measurement: that of `seen` unless given.
        """
        require_coords(candidates, self.about["d"]), require_count(draws, "draws", at_least=2)
        noise = noise_std if noise_std is not None else 0.05 if seen is None else seen.noise_std
        return acquisition(by, self.draw(seen, draws, seed=seed)(candidates), noise)

    def carried(self, *, seed: int, believe: Callable[[Tensor], Tensor] | None = None) -> SequentialPosterior:
        """A cloud that has seen nothing yet: `tell` it readings as they come, `draw` from what it believes then; for
        `believe` see `SequentialPosterior.start`."""
        return SequentialPosterior.start(self, seed=seed, believe=believe)


APPROACH = AdaptiveSampling
