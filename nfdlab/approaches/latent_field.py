"""Approach 1: latent diffusion, and a neural field that decodes.

An autoencoder squeezes a field into a latent latent, a few numbers on each cell of a coarse grid or one flat vector, at
unit scale. Diffusion learns the law of the latents, and knows nothing of resolution. A local field decodes: it is asked
at any place, and told how wide a pixel it is asked for. Observations never enter the training; they steer the draw.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..core.types import Budget, Card, Source, Views, Watch, quiet
from ..inference.latent_diffusion import LatentDiffusionConfig, LatentDiffusionPosterior, squeeze
from ..inference.restoring import rebuilt


@dataclass(frozen=True)
class LatentField(LatentDiffusionConfig):
    """Sizes of the networks, as `LatentDiffusionConfig` says: `flat` numbers in one vector, or, where 0, `latent` on each cell."""

    card: ClassVar[Card] = Card(
        1, "Latent diffusion with a field decoder",
        "compress fields into codes, diffuse the codes, decode each at any resolution; data steer the draw",
        "Rombach et al. 2022 (latent diffusion); Chen et al. 2024 (image neural fields); Chen et al. 2021 (field)",
        "one prior for many questions: generation at any resolution, and any data a decoder can be compared with",
        "a draw is never better than the autoencoder; steering is approximate where codes are far from Gaussian")

    def fit(self, source: Source, *, views: Views, budget: Budget, seed: int, device: str = "auto",
            watch: Watch = quiet) -> "FittedLatentField":
        """Train on endless fresh functions; `views` is not asked. Cancelled early, it returns what it has."""
        net, about = squeeze(self, "latent_field", source, budget=budget, seed=seed, device=device, watch=watch)
        return FittedLatentField(net, about, self.steps)

    @classmethod
    def restore(cls, about: dict, tensors: dict[str, Tensor], device: str = "auto") -> "FittedLatentField":
        """The inverse of `tensors`: same draws, no code executed."""
        config, net = rebuilt(cls, about, tensors, device)
        return FittedLatentField(net, about, config.steps)


class FittedLatentField(LatentDiffusionPosterior):
    """A trained approach 1."""

    sizes = LatentField


APPROACH = LatentField
