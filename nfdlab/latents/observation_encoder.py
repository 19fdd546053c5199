"""Observation encoder: scattered observations -> features on the cells of a grid latent, and an amortised Gaussian."""

import torch
from torch import Tensor, nn

from ..core.types import ObservationBatch
from ..diffusion.denoiser import Conditioning
from ..encoders.deep_set import DeepSet
from ..encoders.grid_channels import GPChannels, SetConv
from ..gaussian.karhunen_loeve import ExpansionMixture
from ..nn.networks import CONV, GridEncoder, zeroed


def closed_form_estimates(config, d: int, c: int) -> GPChannels | ExpansionMixture | None:
    """What `config.estimates` names: "gp_channels", a "mixture" of measured Gaussians, or "none"."""
    cells, side = config.cells, config.cells * config.points_per_cell
    if config.estimates == "gp_channels":
        return GPChannels(d, c, cells, config.kernels, config.offset_std)
    if config.estimates == "mixture":
        return ExpansionMixture(d, c, side, cells, config.mixture_components, config.mixture_rank)
    return None


class GridObservationEncoder(nn.Module):
    """ObservationBatch -> Conditioning of a grid latent: features (b, w, *cells), mean and std (b, k, *cells).

    SetConv on a fine grid of `side` points an axis, then convolutions down to `cells`. `estimates` adds closed-form
    estimates of the field as channels: GPChannels beside the coarse features, ExpansionMixture on both grids. With
    `direct` the mean also adds linear maps of the coarse estimates; only a linear autoencoder can use them.
    """

    def __init__(self, d: int, c: int, *, cells: int, side: int, latent_channels: int, width: int,
                 setconv_widths: tuple[float, ...], dilations: tuple[int, ...],
                 estimates: GPChannels | ExpansionMixture | None = None, direct: bool = False):
        super().__init__()
        self.setconv = SetConv(d, c, side, tuple(r * 2 / side for r in setconv_widths))
        self.estimates = estimates
        fine, beside = self.setconv.channels, 0
        if isinstance(estimates, ExpansionMixture):
            fine, beside = fine + estimates.fine, estimates.beside
        elif isinstance(estimates, GPChannels):
            beside = estimates.channels
        self.reader = GridEncoder(d, fine, side, cells, width, width, dilations, beside)
        self.gaussian = AmortisedGaussian(CONV[d], width, latent_channels, beside if direct else 0)

    def forward(self, seen: ObservationBatch) -> Conditioning:
        channels, beside = self.setconv(seen), None
        if isinstance(self.estimates, ExpansionMixture):
            fine, beside = self.estimates(seen)
            channels = torch.cat([channels, fine], 1)
        elif self.estimates is not None:
            beside = self.estimates(seen)
        features = self.reader(channels, beside)
        return Conditioning((features,), None, *self.gaussian(features, beside))


class AmortisedGaussian(nn.Module):
    """Amortised Gaussian over a latent: features (b, w, *cells) of observations -> mean and std (b, k, *cells).

    Diffusion then runs over the residual (latent − mean)/std, of unit scale whether nothing was observed or everything,
    so that one sigma_data serves all. The residual keeps what mean and std cannot say: which elements vary together.
    Mardani et al. 2023 (CorrDiff) diffuse the residual of a regression; here its scale is predicted too.
    """

    MOST = 2.0                           # upper bound of the std, in standard deviations of the latent

    def __init__(self, conv: type[nn.Module], features: int, channels: int, direct: int = 0, least: float = 0.01):
        super().__init__()
        self.least = least               # lower bound of the std
        self.head = zeroed(conv(features, 2 * channels, 1))
        self.direct = conv(direct, direct * channels, 3, padding=1) if direct else None
        self.gate = conv(features, direct * channels, 1) if direct else None

    def forward(self, features: Tensor, direct: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and std. `direct` channels are estimates of the field: the mean adds linear maps of them, each gated by
        the features, so that the network chooses among estimates and need not compute one."""
        mean, log_std = self.head(features).chunk(2, 1)
        if self.direct is not None:
            gated = (self.gate(features) * self.direct(direct)).unflatten(1, (mean.shape[1], -1))
            mean = mean + gated.sum(2)
        return mean, log_std.exp().clamp(self.least, self.MOST)


class VectorObservationEncoder(DeepSet):
    """ObservationBatch -> Conditioning of a vector latent: features (b, features), mean and std (b, k).

    A deep set, to whose sum is added what convolutions over SetConv channels find.
    """

    def __init__(self, d: int, c: int, *, cells: int, side: int, latent_channels: int, width: int,
                 setconv_widths: tuple[float, ...], dilations: tuple[int, ...], least_std: float = 0.01,
                 features: int = 256):
        super().__init__(d, c, features)
        self.setconv = SetConv(d, c, side, tuple(r * 2 / side for r in setconv_widths))
        self.reader = GridEncoder(d, self.setconv.channels, side, cells, width, width, dilations)
        self.whole = nn.Sequential(nn.Flatten(), nn.Linear(width * cells**d, features))
        self.gaussian = AmortisedGaussian(nn.Linear, features, latent_channels, least=least_std)

    def forward(self, seen: ObservationBatch) -> Conditioning:
        features = self.mix(self.whole(self.reader(self.setconv(seen))) + self.total(seen))
        return Conditioning((features,), None, *self.gaussian(features))


def gaussian_loss(latent: Tensor, conditioning: Conditioning) -> Tensor:
    """Gaussian log score of latents under a conditioning's mean and std, each element weighted by its own std (β-NLL,
    β = ½), so that sharp elements do not drown the rest. Seitzer et al. 2022, eq. 5."""
    mean, std = conditioning.mean, conditioning.std
    return (std.detach() * (0.5 * ((latent - mean) / std).square() + std.log())).mean()
