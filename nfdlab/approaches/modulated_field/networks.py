"""The networks of approach 9: one shared field, what makes latents of functions, what hears observations, a denoiser of latents."""

from torch import Tensor, nn

from ...core.grid import cell_centres
from ...core.types import ObservationBatch
from ...diffusion.denoiser import Denoiser
from ...diffusion.gaussian_prior import GaussianPrior
from ...diffusion.schedule import NoiseLevels
from ...fields.modulated import ModulatedSiren
from ...gaussian.mixture import ExpansionMixture
from ...inference.posterior import Heard
from ...latents.autoencoder import GridEncoder, LinearEncoder, VectorEncoder
from ...latents.observation_encoder import GridObservationEncoder
from ...latents.standardise import Standardise
from ...nn.networks import MLP, ConvNet
from .meta_learning import MetaLearnedEncoder
from .observation_encoder import VectorObservationEncoder

CODERS = ("encoder", "cavia")


class ModulationNetwork(nn.Module):
    """`config` is a ModulatedField: a flat latent (b, k) for each function, or a latent on a grid (b, k, *cells)."""

    def __init__(self, config, d: int, c: int):
        super().__init__()
        cells, side, k, w = config.cells_for(d), config.side_for(d), config.latent_channels_for(d), config.width
        self.flat, self.cavia = config.flat_for(d), config.coder == "cavia"
        self.shape = (k,) if self.flat else (k, *[cells] * d)
        self.field = ModulatedSiren(d, k, c, config.sines, config.depth, config.omega, config.scales)
        self.register_buffer("grid", cell_centres((side,) * d), persistent=False)
        self.encoder = MetaLearnedEncoder(k, config.inner_steps, config.inner_rate) if self.cavia else \
            (VectorEncoder if self.flat else LinearEncoder if config.linear else GridEncoder)(d, c, side, cells, k, w)
        self.unit = Standardise(k)
        kinds = ExpansionMixture(d, c, side, cells, *config.kinds) if config.kinds and not self.flat else None
        self.listener = VectorObservationEncoder(config, d, c, k) if self.flat else GridObservationEncoder(config, d, c, kinds)
        self.denoiser = Denoiser(MLP(k, *config.layers, features=256) if self.flat else
                                       ConvNet(d, k, w, w, config.denoiser))
        self.spectrum = GaussianPrior(k) if self.flat else None
        self.noise_levels: NoiseLevels | None = None                # measured on latents, once there are any

    @property
    def kinds(self) -> ExpansionMixture | None:
        """What sorts functions of a few kinds, to be measured before training."""
        return None if self.flat else self.listener.kinds

    def raw(self, values: Tensor, learn: bool = False) -> Tensor:
        """Values on the grid (b, c, *[side]*d) -> latents at their own scale."""
        if self.cavia:
            return self.encoder(self.field, self.grid, values.flatten(2).mT, learn=learn)
        return self.encoder(values)

    def encode(self, values: Tensor) -> Tensor:
        """Values on the grid (b, c, *[side]*d) -> latents of unit scale (b, *shape)."""
        return self.unit(self.raw(values))

    def modulation(self, latent: Tensor) -> Tensor:
        """The latent as the field reads it: latents of gradient descent have a scale of their own."""
        return self.unit.restore(latent) if self.cavia else latent

    def values(self, coords: Tensor, latent: Tensor) -> Tensor:
        """The field of latents of unit scale at coords (p, d) or (b, p, d): (b, p, c)."""
        return self.field(coords, self.modulation(latent))

    def listen(self, seen: ObservationBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Features, mean and spread of the latent."""
        return self.listener.listen(seen) if self.flat else self.listener.listen(seen, self.unit)

    def condition(self, seen: ObservationBatch) -> Heard:
        """What the observations say, for the denoiser."""
        features, mean, spread = self.listen(seen)
        return Heard((features,), mean, spread)
