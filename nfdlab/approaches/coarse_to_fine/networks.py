"""The networks of the cascade: coarse values by diffusion, the average detail by regression, the rest by diffusion.

Saharia et al. 2023 (a cascade with noise conditioning augmentation), Mardani et al. 2023 (diffuse what a regression
leaves), Chen et al. 2021 (a local field). Every network starts at zero.
"""

import torch
from torch import Tensor, nn

from ...core import single
from ...core.grid import cell_centres
from ...core.types import Fields, ObservationBatch
from ...diffusion.denoiser import Conditioning, DenoiseFn, Denoiser, ResidualNetwork, WhitePrior
from ...encoders.grid_channels import SetConv
from ...fields.liif import LIIF
from ...nn.networks import CONV, ConvBlock, ConvNet, depth_to_space, refresh, space_to_depth, zeroed
from .spectral import LEAST, LEAST_STD, ConditionedPoints, Detail, Lattices, SpectralPrior

SETCONV_WIDTHS = (0.5, 1.5, 4.0)     # lengthscales of the observations' channels, in cells of the coarse lattice


class CoarsePrior(nn.Module):
    """Mean and std of clean coarse values of b functions, given x = clean + sigma · noise and the Gaussian that their
    observations leave: mean (b, c, N), eigenvectors (b, c, N, N), eigenvalues (b, c, N)."""

    def forward(self, x: Tensor, sigma, condition: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """x (b, c, N), sigma () or (b,) -> mean (b, c, N) and std (1 or b, c, N)."""
        mean, Q, lam = condition
        s = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).reshape(-1, 1, 1)
        left = lam / (lam + s**2)
        clean = mean + (Q @ (left * (Q.mT @ (x - mean)[..., None])[..., 0])[..., None])[..., 0]
        return clean, (Q.square() @ (left * s**2)[..., None])[..., 0].sqrt().clamp_min(LEAST_STD)


def as_grid(flat: Tensor, d: int) -> Tensor:
    """(…, N) on a lattice -> (…, *[side]*d)."""
    return flat.unflatten(-1, (round(flat.shape[-1] ** (1 / d)),) * d)


class CoarseNetwork(ResidualNetwork):
    """F of coarse values x (b, c, N), shown the prior's mean and std and the observations' channels (1 or b, k,
    *[side]*d): (b, c, N)."""

    def __init__(self, d: int, c: int, observed: int, width: int, dilations: tuple[int, ...]):
        super().__init__()
        self.d, self.net = d, ConvNet(d, c, 2 * c + observed, width, dilations)

    def forward(self, x: Tensor, sigma, mean: Tensor, std: Tensor, observed: Tensor) -> Tensor:
        s = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).reshape(-1, 1, 1)
        features = torch.cat([as_grid(mean, self.d), as_grid(std.log().expand_as(x), self.d),
                              observed.expand(len(x), *[-1] * (self.d + 1))], 1)
        standardised = (x - mean) / (s**2 + std**2).sqrt()
        return self.net(as_grid(standardised, self.d), s.reshape(-1).log() / 4, features).flatten(2)


class AverageDetail(nn.Module):
    """The average of a function given its coarse values, less a linear part: a local field of encoded coarse values."""

    def __init__(self, d: int, c: int, width: int, depth: int, octaves: int):
        super().__init__()
        self.d = d
        self.input = CONV[d](c + 1, width, 3, padding=1)
        self.blocks = nn.ModuleList(ConvBlock(d, width) for _ in range(depth))
        self.field = LIIF(d, width, c, width, octaves)
        zeroed(self.field.answer[-1])

    def encode(self, coarse: Tensor, s: float) -> Tensor:
        """Features (b, w, *[side]*d) of coarse values (b, c, N) that carry noise s."""
        grid = as_grid(coarse, self.d)
        h = self.input(torch.cat([grid, torch.full_like(grid[:, :1], s)], 1))
        for block in self.blocks:
            h = block(h)
        return h

    def silence(self, part: str) -> bool:
        """The linear part alone from now on, if the part is "field"."""
        if part == "field":
            zeroed(self.field.answer[-1])
        return part == "field"


class DetailNetwork(nn.Module):
    """F of fine values x (b c, N), their channels in the batch, by space-to-depth: level (b c,) or (1,) -> as x."""

    def __init__(self, d: int, c: int, per_cell: int, features: int, width: int, dilations: tuple[int, ...]):
        super().__init__()
        self.d, self.c, self.per_cell, k = d, c, per_cell, c * per_cell**d
        self.net = ConvNet(d, k, features + k, width, dilations)

    def folded(self, flat: Tensor) -> Tensor:
        """(b, c, N) -> (b, k, *[cells]*d)."""
        grid = as_grid(flat, self.d)
        return space_to_depth(grid, grid.shape[-1] // self.per_cell)

    def forward(self, x: Tensor, level: Tensor, features: Tensor) -> Tensor:
        latent = self.folded(x.reshape(-1, self.c, x.shape[1]))
        latent = self.net(latent, level[::self.c] if len(level) > 1 else level, features)
        return depth_to_space(latent, self.c, self.per_cell).reshape(x.shape)

    def silence(self, part: str) -> bool:
        """F = 0 from now on, if the part is "network": all augmentation levels share it."""
        if part == "network":
            zeroed(self.net.output[-1])
        return part == "network"


class CascadeNetwork(nn.Module):
    """The three networks, and the spectral prior of functions of c channels over [-1, 1]^d. Values on the coarse and
    the fine lattice are (b, c, N), in units of the prior and of each function's own amplitude."""

    def __init__(self, config, d: int, c: int):
        super().__init__()
        w, self.d, self.c, self.white = config.width, d, c, config.prior == "white"
        self.side, self.fine = config.coarse_side, config.fine_side
        self.spectral_prior = SpectralPrior(d, c, config.max_frequency)
        self.setconv = SetConv(d, c, self.side, tuple(2 / self.side * width for width in SETCONV_WIDTHS))
        coarse = CoarseNetwork(d, c, self.setconv.channels, w, config.denoiser_dilations)
        self.coarse = Denoiser(coarse, WhitePrior() if self.white else CoarsePrior())
        self.average = AverageDetail(d, c, w, config.depth, config.octaves)
        per_cell = 2 if (self.fine // self.side) % 2 == 0 else 1
        self.detail = DetailNetwork(d, c, per_cell, w, w, config.denoiser_dilations)
        self.register_load_state_dict_post_hook(refresh)
        self.precompute()

    def precompute(self) -> None:
        """Compute the covariances on the lattices, which follow from the spectral prior."""
        self.lattices = Lattices(self.spectral_prior, self.side, self.fine)

    @property
    def places(self) -> tuple[Tensor, Tensor]:
        """Points of the coarse lattice and of the fine one: (N_C, d), (N_F, d)."""
        return cell_centres((self.side,) * self.d), cell_centres((self.fine,) * self.d)

    def units(self, values: Tensor, a: Tensor | float = 1.0) -> Tensor:
        """Values (b, p, c) of functions -> (b, c, p) in units of the prior and of amplitude a, a number or (b,)."""
        a, prior = torch.as_tensor(a, dtype=values.dtype, device=values.device).reshape(-1, 1, 1), self.spectral_prior
        return ((values - prior.mean.to(values)) / prior.scale.to(values) / a).mT

    def values(self, units: Tensor, a: Tensor) -> Tensor:
        """The inverse of `units`: (b, c, p) -> (b, p, c)."""
        prior = self.spectral_prior
        return units.mT * a.to(units).reshape(-1, 1, 1) * prior.scale.to(units) + prior.mean.to(units)

    def estimated_amplitude(self, fields: Fields, detail: Detail, rng: torch.Generator | None = None) -> Tensor:
        """Amplitude (b,) of functions, by what coarse values leave open of fine ones along the main directions; with a
        jitter of 10 % if there is a generator, because what observations tell of it is not sharp either."""
        a, _ = self.spectral_prior.amplitudes()
        if len(a) == 1:
            return single.ones(fields.n)
        sites, fine = self.places
        left = self.units(fields(fine)).cpu() - self.units(fields(sites)).cpu() @ detail.gain.T.float()
        along, lam = left @ detail.prior.Q[:, -2 * len(sites):], detail.prior.lam[-2 * len(sites):]
        found = (along.square() / lam).mean((1, 2)).sqrt()
        if rng is not None:
            found = found * torch.exp(0.1 * single.randn(fields.n, generator=rng))
        return found.clamp(float(a[0]), float(a[-1]))

    # Stage 1: coarse values given observations

    def condition(self, points: list[ConditionedPoints], observations: ObservationBatch,
                  a: list[float]) -> Conditioning:
        """Observations of b functions of amplitudes a, in two forms -> conditioning of the coarse denoiser."""
        prior = None
        if not self.white:
            parts = zip(*(p.coarse(x) for p, x in zip(points, a, strict=True)), strict=True)
            prior = tuple(torch.stack(part).float().to(self.spectral_prior.mean) for part in parts)
        amplitude = torch.tensor(a, dtype=torch.float32, device=observations.values.device)
        values = self.units(observations.values, amplitude).mT * observations.mask[..., None]
        noise = observations.noise_std / amplitude / self.spectral_prior.scale.mean()
        seen = ObservationBatch(observations.coords, values, observations.mask, noise)
        return Conditioning((self.setconv(seen),), prior)

    # Stage 2: the average detail given coarse values

    def linear(self, coarse: Tensor, detail: Detail) -> Tensor:
        """The linear part of the average detail on the fine lattice, (b, c, N_F); zero with a white prior."""
        return coarse.new_zeros(*coarse.shape[:2], self.fine**self.d) if self.white else \
            coarse @ detail.gain.T.to(coarse)

    def linear_at(self, coarse: Tensor, s: float, coords: Tensor) -> Tensor:
        """The same anywhere, at coords (b, p, d), where coarse values carry noise s: (b, p, c)."""
        if self.white:
            return coords.new_zeros(*coords.shape[:2], self.c)
        prior, at = self.spectral_prior, self.lattices
        K = at.among_coarse + (s**2 + LEAST**2) * single.eye(len(at.among_coarse)).double()
        pull = torch.linalg.solve(K, coarse.double().cpu().mT).float()                               # (b, N_C, c)
        tick = at.ticks[self.side].float()
        across = prior.kernel_to_grid(prior.axis_features(coords.float().cpu()), tick)               # (b, p, N_C)
        return (across @ pull).to(coords)

    def fine_mean(self, coarse: Tensor, detail: Detail) -> tuple[Tensor, Tensor]:
        """The average detail on the fine lattice (b, c, N_F), and the features of coarse values (b, w, *[side]*d)."""
        features = self.average.encode(coarse, detail.s)
        mean = self.linear(coarse, detail) + self.average.field(self.places[1].to(coarse), features).mT
        return mean, features

    # Stage 3: the rest of the detail on the fine lattice

    def detail_denoiser(self, detail: Detail) -> Denoiser:
        """The denoiser of x (b c, N_F) at one augmentation level; all levels share one network."""
        denoiser = Denoiser(self.detail, WhitePrior(detail.size) if self.white else detail.prior)
        denoiser.noise_levels = detail.noise_levels
        return denoiser

    def detail_conditioning(self, mean: Tensor, features: Tensor) -> Conditioning:
        """Conditioning on what `fine_mean` gives."""
        for axis in range(2, 2 + self.d):
            features = features.repeat_interleave(self.fine // self.detail.per_cell // self.side, axis)
        return Conditioning((torch.cat([features, self.detail.folded(mean)], 1),))

    def denoise_detail(self, detail: Detail, conditioning: Conditioning) -> DenoiseFn:
        """D of the rest of the detail x (n, c, N_F)."""
        D = self.detail_denoiser(detail)
        return lambda x, sigma: D(x.flatten(0, 1), sigma, conditioning).reshape(x.shape)
