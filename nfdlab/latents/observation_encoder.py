"""Observation encoder: scattered observations -> features on the cells of a grid latent, and an amortised Gaussian."""

import torch
from torch import Tensor, nn

from ..core.types import ObservationBatch
from ..diffusion.denoiser import Conditioning
from ..encoders.grid_channels import GPChannels, GPEnsemble, GPEstimates, SetConv
from ..gaussian.karhunen_loeve import ExpansionMixture
from ..nn.networks import CONV, Fourier, GridEncoder, Standardise, space_to_depth, zeroed

Estimates = GPChannels | GPEnsemble | ExpansionMixture


def closed_form_estimates(config, d: int, c: int) -> Estimates | None:
    """What `config.estimates` names: "gp_channels", a "gp_ensemble", a "mixture" of measured Gaussians, or "none"."""
    cells, side = config.cells, config.cells * config.points_per_cell
    if config.estimates == "gp_channels":
        return GPChannels(d, c, cells, config.kernels, config.offset_std)
    if config.estimates == "gp_ensemble":
        return GPEnsemble(d, side, cells, config.kernels)
    if config.estimates == "mixture":
        return ExpansionMixture(d, c, side, cells, config.mixture_components, config.mixture_rank)
    return None


class GridObservationEncoder(nn.Module):
    """ObservationBatch -> Conditioning of a grid latent: features (b, w, *cells), mean and std (b, k, *cells).

    SetConv on a fine grid of `side` points an axis, then convolutions down to `cells`. `estimates` adds closed-form
    estimates of the field as channels: GPChannels beside the coarse features; ExpansionMixture on both grids; or a
    GPEnsemble, whose members a learned gate mixes to the mean of a latent that is the fine grid itself (GridLatent).
    With `direct` the mean also adds linear maps of the coarse estimates; only a linear autoencoder can use them.
    """

    def __init__(self, d: int, c: int, *, cells: int, side: int, latent_channels: int, width: int,
                 setconv_widths: tuple[float, ...], dilations: tuple[int, ...], estimates: Estimates | None = None,
                 direct: bool = False):
        super().__init__()
        self.setconv = SetConv(d, c, side, tuple(r * 2 / side for r in setconv_widths))
        self.estimates = estimates
        fine, beside = self.setconv.channels, 0
        if isinstance(estimates, GPEnsemble):
            fine, beside = fine + c * estimates.K, 2 * estimates.K + 1
        elif isinstance(estimates, ExpansionMixture):
            fine, beside = fine + estimates.fine, estimates.beside
        elif isinstance(estimates, GPChannels):
            beside = estimates.channels
        self.reader = GridEncoder(d, fine, side, cells, width, width, dilations, beside)
        if isinstance(estimates, GPEnsemble):
            self.gaussian = GatedEnsemble(CONV[d], width, latent_channels, estimates.K)
        else:
            self.gaussian = AmortisedGaussian(CONV[d], width, latent_channels, beside if direct else 0)

    def forward(self, seen: ObservationBatch, unit: Standardise) -> Conditioning:
        """`unit` is the scale of the latent."""
        if isinstance(self.estimates, GPEnsemble):
            seen, estimates = self.estimates(seen)
            channels = torch.cat([self.setconv(seen), estimates.means.flatten(1, 2)], 1)
            features = self.reader(channels, estimates.beside())
            return Conditioning((features,), None, *self.gaussian(features, estimates, unit))
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


class GatedEnsemble(AmortisedGaussian):
    """Mixture of Gaussian-process experts -> mean and std of a grid latent (b, k, *cells), k the points of a cell.

    A softmax gate weights the experts point by point: their local log weights plus a learned correction. The features
    also shift the mean and stretch the std. Before training it is the experts' own average. Jacobs et al. 1991.
    """

    def __init__(self, conv: type[nn.Module], features: int, k: int, experts: int):
        nn.Module.__init__(self)
        self.least = 0.01
        self.head = zeroed(conv(features, k * (experts + 2), 1))

    def forward(self, features: Tensor, estimates: GPEstimates, unit: Standardise) -> tuple[Tensor, Tensor]:
        """Mean and std of the latent at unit scale."""
        cells, K = features.shape[2], estimates.log_weights.shape[1]
        means = torch.stack([space_to_depth(estimates.means[:, j], cells) for j in range(K)], 1)     # (b, K, k, *cells)
        shifted, stretched, *gate = self.head(features).chunk(K + 2, 1)
        weights = torch.softmax(estimates.log_weights[:, :, None] + torch.stack(gate, 1), 1)
        mean = (weights * means).sum(1)
        variance = (weights * (estimates.stds[:, :, None].square() + (means - mean[:, None]).square())).sum(1)
        scale, like = estimates.scale.reshape(-1, *[1] * (mean.ndim - 1)), (1, -1, *[1] * (mean.ndim - 2))
        shift = estimates.shift.repeat_interleave(mean.shape[1] // estimates.shift.shape[1], 1)
        raw = shift.reshape(*shift.shape, *[1] * (mean.ndim - 2)) + scale * (mean + shifted)
        std = scale * variance.sqrt() * stretched.exp() / unit.std.reshape(like)
        return unit(raw), std.clamp(self.least, self.MOST)


class VectorObservationEncoder(nn.Module):
    """ObservationBatch -> Conditioning of a vector latent: features (b, features), mean and std (b, k).

    The sum of two encoders: convolutions over SetConv channels, and a deep set, a sum over observations of a network of
    each (Zaheer et al. 2017), which adds up as the log likelihood of a family of curves does.
    """

    def __init__(self, d: int, c: int, *, cells: int, side: int, latent_channels: int, width: int,
                 setconv_widths: tuple[float, ...], dilations: tuple[int, ...], least_std: float = 0.01,
                 features: int = 256, octaves: int = 5):
        super().__init__()
        self.setconv = SetConv(d, c, side, tuple(r * 2 / side for r in setconv_widths))
        self.reader = GridEncoder(d, self.setconv.channels, side, cells, width, width, dilations)
        self.whole = nn.Sequential(nn.Flatten(), nn.Linear(width * cells**d, features))
        self.place = Fourier(d, octaves)
        self.point = nn.Sequential(nn.Linear(self.place.out + c + 1, features), nn.SiLU(),
                                   nn.Linear(features, features), nn.SiLU(), nn.Linear(features, features, bias=False))
        self.mix = nn.Sequential(nn.SiLU(), nn.Linear(features, features), nn.SiLU(), nn.Linear(features, features))
        self.gaussian = AmortisedGaussian(nn.Linear, features, latent_channels, least=least_std)

    def forward(self, seen: ObservationBatch) -> Conditioning:
        level = seen.noise_std.clamp_min(1e-2).log()[:, None, None].expand(*seen.mask.shape, 1)
        each = self.point(torch.cat([self.place(seen.coords), seen.values, level], -1)) * seen.mask[..., None]
        features = self.mix(self.whole(self.reader(self.setconv(seen))) + each.sum(1) / 4)
        return Conditioning((features,), None, *self.gaussian(features))


def gaussian_loss(latent: Tensor, conditioning: Conditioning, by_function: bool = False) -> Tensor:
    """Gaussian log score of latents under a conditioning's mean and std, each element weighted by its own std (β-NLL,
    β = ½), so that sharp elements do not drown the rest. Seitzer et al. 2022, eq. 5.

    `by_function`: weights are divided by their mean over each latent, so that each function counts alike.
    """
    mean, std = conditioning.mean, conditioning.std
    weight = std.detach()
    if by_function:
        weight = weight / weight.mean(tuple(range(1, latent.ndim)), keepdim=True)
    return (weight * (0.5 * ((latent - mean) / std).square() + std.log())).mean()
