"""Approach 7: active learning with a latent diffusion: measure where posterior draws disagree, update, measure again.

The model is small, because it is asked after each measurement. Of functions with a few parameters an *autoencoder*
makes a short vector, with one field network f(x, latent) as decoder; a *denoiser* learns the distribution of the
vectors; *sequential Monte Carlo* carries weighted draws from one measurement to the next. Functions with hundreds, as
pictures, are known at a *lattice*: a U-Net denoises them, conditioned on all measurements, and a field reads them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..core import single
from ..core.acquisition import acquisition
from ..core.checks import require, require_coords, require_count
from ..core.types import Budget, Card, Fitted, Observations, Source, Views, Watch, quiet
from ..diffusion.denoiser import Denoiser, GaussianPrior
from ..inference.lattice import LatticeConfig, LatticeLosses, LatticeNetwork
from ..inference.posterior import AutoencoderNetwork, AutoencoderPosterior, DecoderError, LatentNetwork
from ..inference.sequential import SequentialPosterior
from ..latents.autoencoder import VectorAutoencoder
from ..latents.importance_sampling import importance_sampled
from ..latents.two_stage import TwoStageLosses
from ..nn.networks import MLP
from ..training import Run, Stage


class AdaptiveSamplingNetwork(AutoencoderNetwork):
    """Autoencoder and denoiser. Shape of a latent: (k,)."""

    def __init__(self, config: "AdaptiveSampling", d: int, c: int):
        super().__init__()
        k, self.side, white = config.latent_channels, config.side, config.prior == "white"
        self.shape, gaussian = (k,), GaussianPrior(k)
        self.autoencoder = VectorAutoencoder(d, c, self.side, k, config.width, config.depth, config.sharpness)
        self.gaussian = gaussian if white else None
        self.denoiser = Denoiser(MLP(k, *config.denoiser_layers), None if white else gaussian)


class AdaptiveSamplingPosterior(AutoencoderPosterior):
    """A trained approach 7."""

    def ask(self, seen: Observations | None, candidates: Tensor, *, seed: int, draws: int = 16, by: str = "variance",
            noise_std: float | None = None) -> Tensor:
        """Acquisition value at each of candidates (p, d): (p,). Higher is better.

        `by`: an acquisition function of `core.acquisition`, from `draws` draws. `noise_std` of the next measurement:
        that of `seen` unless given.
        """
        require_coords(candidates, self.about["d"]), require_count(draws, "draws", at_least=2)
        noise = noise_std if noise_std is not None else 0.05 if seen is None else seen.noise_std
        return acquisition(by, self.draw(seen, draws, seed=seed)(candidates), noise)

    def sequential(self, *, seed: int,
                   log_prior: Callable[[Tensor], Tensor] | None = None) -> SequentialPosterior | None:
        """Weighted draws of the prior, before any observation; `log_prior`: see `SequentialPosterior.start`. None where
        the denoiser is conditioned on observations, so that nothing is to be carried."""
        return None if self.guide() == "encoder" else SequentialPosterior.start(self, seed=seed, log_prior=log_prior)


def network(config: "AdaptiveSampling", d: int, c: int) -> LatentNetwork:
    """The network of a config: one of vectors, or one of functions at a lattice."""
    return (LatticeNetwork if config.latent == "lattice" else AdaptiveSamplingNetwork)(config, d, c)


@dataclass(frozen=True)
class AdaptiveSampling(LatticeConfig):
    """Config of approach 7. None chooses by dimension."""

    card: ClassVar[Card] = Card(
        7, "Looking where draws disagree",
        "draw from the posterior, measure where the draws disagree most, draw again: few measurements, well placed",
        "Nolan et al. 2025 (active diffusion subsampling); Elata et al. 2024 (AdaSense); Chopin 2002 (sequential "
        "Monte Carlo)",
        "costly measurements one at a time, of things that are local or have edges: steps, bumps, shapes",
        "it never looks for what its prior has not met; for Gaussian fields where to look does not depend on what was "
        "read, and a grid made beforehand is better; particles suit latents of few effective dimensions only")
    trained: ClassVar[type] = AdaptiveSamplingPosterior
    network: ClassVar[Callable] = staticmethod(network)
    choices: ClassVar[dict] = {"latent": ("vector", "lattice")}
    usual: ClassVar[dict] = {**LatticeConfig.usual, "side": {1: 128, 2: 32, 3: 16}}

    prior: str = "gaussian"                  # "gaussian": a Gaussian measured on latents; "white": a standard normal
    # "vector": a few learned numbers, weighted by particles; "lattice": the values at the points of a lattice, given
    # the observations; knobs of the one have no effect on the other
    latent: str = "vector"
    latent_channels: int = 8                 # numbers in the latent vector
    side: int | None = None                  # points a side of the encoder's grid: 128 in 1D, 32 in 2D, 16 in 3D
    width: int = 48                          # channels of the field; the encoder has twice as many
    depth: int = 3                           # hidden layers of the field, or residual blocks of the U-Net on each grid
    # factor on the initial weights of the field's first layer; large for fields with sharp edges
    sharpness: float = 4.0
    denoiser_layers: tuple[int, int] = (96, 2)  # width and depth of the denoiser
    batch: int = 32                          # functions in a batch of the autoencoder
    diffusion_batch: int = 512               # latents in a batch of the denoiser
    reuse: int = 8  # training steps of the denoiser that use each batch of latents, with fresh noise
    queries: int = 96                        # query points of each function in a training step
    importance_share: float = 0.5  # share of the query points drawn where the function changes, by importance sampling
    jitter: float = 0.003  # standard deviation of the noise on latents while the decoder learns, in units of theirs
    autoencoder_share: float = 0.7           # share of the budget for the autoencoder
    lr: float = 1.5e-3                       # learning rate of the denoiser
    autoencoder_lr: float = 1e-2             # learning rate of the autoencoder
    steps: int = 8                           # sampling steps
    guide: str = "particles"                 # how observations enter a draw; "encoder" with a lattice
    num_particles: int = 256                 # particles of sequential Monte Carlo
    rounds: int = 12                         # rounds of sequential Monte Carlo

    def __post_init__(self):
        super().__post_init__()
        require((self.guide == "encoder") == (self.latent == "lattice") and self.noise_lengthscale == 0,
                must='guide="encoder" with latent="lattice", another guide with a vector; noise_lengthscale=0.',
                came=f"guide={self.guide!r}, latent={self.latent!r}, noise_lengthscale={self.noise_lengthscale}",
                why="Of a lattice the denoiser is conditioned on observations; of vectors draws are weighted.",
                do='AdaptiveSampling(latent="lattice", guide="encoder", prior="white").')

    def fit(self, source: Source, *, views: Views, budget: Budget, seed: int, device: str = "auto",
            watch: Watch = quiet) -> AdaptiveSamplingPosterior:
        """Train on fresh functions; with a lattice on their observations too, as `views` hides them. Cancelled early,
        it returns what it has."""
        run = Run(source, views, budget, seed, device, watch)
        net, vector = run.build(self), self.latent == "vector"
        learn = (AdaptiveSamplingLosses if vector else LatticeLosses)(self, run, net)

        def model() -> AdaptiveSamplingPosterior:
            floor = DecoderError.record(learn.errors()) if vector else {}
            return AdaptiveSamplingPosterior(net, run.record("adaptive_sampling", self, **floor), self.steps)

        run.train(net, *learn.stages(model))
        return model()


class AdaptiveSamplingLosses(TwoStageLosses):
    """The losses of a training step i, of vectors."""

    def stages(self, model: Callable[[], Fitted]) -> tuple[Stage, Stage]:
        """Those of two stages, from a decoder that starts at the scale of the encoder's latents."""
        self.net.rescale(self.sampled(self.net.raw, "first"))
        return super().stages(model)

    def autoencode(self, i: int) -> Tensor:
        """Stage 1: encode functions, decode them at query points, many of which lie where the function changes."""
        config, auto, device, rng = self.config, self.net.autoencoder, self.run.device, self.run.rng("auto", i)
        fields, values = self.batch(config.batch, "auto", i)
        coords = self.run.queries(config.batch, config.queries, rng)
        coords, weights = importance_sampled(values, coords, config.importance_share, rng)
        latent = auto.encode(values)
        noise = single.randn(latent.shape, generator=rng).to(device)
        latent = latent + config.jitter * latent.detach().std(0) * noise
        errors = (auto(coords.to(device), latent) - fields(coords).to(device)).square()
        return (errors * weights[..., None].to(device)).mean()


APPROACH = AdaptiveSampling
