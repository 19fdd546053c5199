"""Coarse to fine: networks for what a Gaussian of known waves leaves, at each of three steps.

Coarse values given observations, by diffusion; the average detail given coarse values, by a local field; fine values less that
detail, by diffusion again. Every step starts at its closed form (`lattices`), and its network at zero. Saharia et al.
2023 (a cascade; coarse values come with noise, and the next step is told how much), Mardani et al. 2023 (diffuse what a
regression leaves), Chen et al. 2021 (a local field).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...core.grid import cell_centres
from ...core.types import ObservationBatch
from ...diffusion.denoiser import DenoiseFn, Denoiser
from ...diffusion.schedule import NoiseLevels
from ...encoders.setconv import SetConv
from ...fields.liif import LIIF
from ...nn.networks import CONV, Block, ConvNet
from ...nn.space_to_depth import depth_to_space, space_to_depth
from .lattices import LEAST_SPREAD, ConditionedPoints, Detail, Lattices
from .spectral_prior import SpectralPrior

WIDTHS = (0.5, 1.5, 4.0)             # of what gathers observations round a coarse point, in its cells


class Known(NamedTuple):
    """Coarse values of b functions given observations: mean (b, c, N), eigenvectors (b, c, N, N), eigenvalues (b, c, N), and
    the observations gathered round each (b, k, *[side]*d)."""

    mean: Tensor
    Q: Tensor
    lam: Tensor
    gathered: Tensor


class CascadeNetwork(nn.Module):
    """Networks and waves for functions of c channels over [-1, 1]^d. Values on lattices are channels-first,
    (b, c, *[side]*d), in units of the waves and of the function's own loudness."""

    def __init__(self, config, d: int, c: int):
        super().__init__()
        w, self.d, self.c, self.linear = config.width, d, c, config.linear
        (self.side, self.fine), self.augment = config.lattices_for(d), tuple(config.augment)
        self.waves = SpectralPrior(d, c, config.reach_for(d))
        self.gather = SetConv(d, c, self.side, tuple(2 / self.side * width for width in WIDTHS))
        self.coarse = ConvNet(d, c, 2 * c + self.gather.channels, w, config.dilations)
        self.input = CONV[d](c + 1, w, 3, padding=1)
        self.blocks = nn.ModuleList(Block(d, w) for _ in range(config.depth))
        self.field = LIIF(d, w, c, w, config.octaves)
        self.per_cell = 2 if (self.fine // self.side) % 2 == 0 else 1
        k = c * self.per_cell**d
        self.detail = ConvNet(d, k, w + k, w, config.dilations)
        nn.init.zeros_(self.field.answer[-1].weight), nn.init.zeros_(self.field.answer[-1].bias)
        self.precompute()

    def precompute(self) -> None:
        """Make what follows from the waves: after they were measured or loaded."""
        self.waves.precompute()
        self.lattices, self._denoisers = Lattices(self.waves, self.side, self.fine), {}

    @property
    def places(self) -> tuple[Tensor, Tensor]:
        """Of the coarse lattice and of the fine one: (N_C, d), (N_F, d)."""
        return cell_centres((self.side,) * self.d), cell_centres((self.fine,) * self.d)

    def grid(self, flat: Tensor) -> Tensor:
        """(…, N) on either lattice -> (…, *[side]*d)."""
        return flat.unflatten(-1, (round(flat.shape[-1] ** (1 / self.d)),) * self.d)

    def units(self, values: Tensor, a: Tensor | float = 1.0) -> Tensor:
        """Values (b, p, c) of functions -> (b, c, p) in units of the waves and of loudness a, a number or (b,)."""
        a = torch.as_tensor(a, dtype=values.dtype, device=values.device).reshape(-1, 1, 1)
        return ((values - self.waves.mean.to(values)) / self.waves.scale.to(values) / a).mT

    def values(self, units: Tensor, a: Tensor) -> Tensor:
        """The inverse of `units`: (b, c, p) -> (b, p, c)."""
        return units.mT * a.to(units).reshape(-1, 1, 1) * self.waves.scale.to(units) + self.waves.mean.to(units)

    # Step 1: coarse values given observations

    def known(self, told: list[ConditionedPoints], seen: ObservationBatch, a: list[float]) -> Known:
        """What closed forms make of the observations of b functions, each as loud as its a. `seen` are the same observations."""
        mean, Q, lam = (torch.stack(part).float().to(self.waves.mean) for part in
                        zip(*(t.coarse(x) for t, x in zip(told, a, strict=True)), strict=True))
        loud = torch.tensor(a, dtype=torch.float32, device=seen.values.device)
        values = self.units(seen.values, loud).mT * seen.mask[..., None]
        noise = seen.noise_std / loud / self.waves.scale.mean()
        return Known(mean, Q, lam, self.gather(ObservationBatch(seen.coords, values, seen.mask, noise)))

    def start(self, x: Tensor, s: Tensor, known: Known) -> tuple[Tensor, Tensor]:
        """The Gaussian's own answer to coarse x (b, c, N) at s (b, 1, 1), and its spread."""
        mean, Q, lam, _ = known
        left = lam / (lam + s**2)
        clean = mean + (Q @ (left * (Q.mT @ (x - mean)[..., None])[..., 0])[..., None])[..., 0]
        return clean, (Q.square() @ (left * s**2)[..., None])[..., 0].sqrt().clamp_min(LEAST_SPREAD)

    def answer(self, x: Tensor, sigma, known: Known) -> tuple[Tensor, Tensor, Tensor]:
        """Linear answer, its spread, and what the network adds in units of it: (b, c, N) each."""
        s = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).reshape(-1, 1, 1)
        clean, spread = self.start(x, s, known)
        told = torch.cat([self.grid(clean), self.grid(spread.log()).expand(len(x), *[-1] * (self.d + 1)),
                          known.gathered.expand(len(x), *[-1] * (self.d + 1))], 1)
        surprise = (x - clean) / (s**2 + spread**2).sqrt()
        return clean, spread, self.coarse(self.grid(surprise), s.reshape(-1).log() / 4, told).flatten(2)

    def coarse_denoiser(self, known: Known) -> DenoiseFn:
        """D of coarse x (n, c, N), given the observations of one function."""
        def D(x: Tensor, sigma) -> Tensor:
            clean, spread, found = self.answer(x, sigma, known)
            return clean + spread * found

        return D

    def coarse_loss(self, clean: Tensor, noise: Tensor, sigma: Tensor, known: Known) -> Tensor:
        """Mean |F − (clean − linear)/spread|² at clean + sigma·noise, (b, c, N) each, sigma (b,)."""
        linear, spread, found = self.answer(clean + sigma[:, None, None] * noise, sigma, known)
        return (found - (clean - linear) / spread).square().mean()

    # Step 2: the average detail given coarse values

    def memory(self, coarse: Tensor, s: float) -> Tensor:
        """Features (b, w, *[side]*d) of coarse values (b, c, N) that carry noise s."""
        grid = self.grid(coarse)
        h = self.input(torch.cat([grid, torch.full_like(grid[:, :1], s)], 1))
        for block in self.blocks:
            h = block(h)
        return h

    def average(self, coarse: Tensor, s: float) -> Tensor:
        """The linear part of the average detail, on the fine lattice: (b, c, N_F). Without `linear` it is nought."""
        return coarse @ self.lattices.detail(s).gain.T.to(coarse) if self.linear else \
            coarse.new_zeros(*coarse.shape[:2], self.fine**self.d)

    def linear_at(self, coarse: Tensor, s: float, coords: Tensor) -> Tensor:
        """The same anywhere, at coords (b, p, d): (b, p, c)."""
        if not self.linear:
            return coords.new_zeros(*coords.shape[:2], self.c)
        waves, at = self.waves, self.lattices
        K = at.among_coarse + (s**2 + 9e-6) * torch.eye(len(at.among_coarse)).double()
        pull = torch.linalg.solve(K, coarse.double().cpu().mT).float()                                # (b, N_C, c)
        across = waves.to_lattice(waves.axes(coords.float().cpu()), at.ticks[self.side].float())      # (b, p, N_C)
        return (across @ pull).to(coords)

    # Step 3: what is left on the fine lattice

    def features(self, coarse: Tensor, s: float, memory: Tensor, average: Tensor) -> Tensor:
        """What the third step hears: (b, w + k, *[cells]*d). Average detail of the whole, (b, c, N_F)."""
        cells = self.fine // self.per_cell
        wide = memory
        for axis in range(2, 2 + self.d):
            wide = wide.repeat_interleave(cells // self.side, axis)
        return torch.cat([wide, space_to_depth(self.grid(average), cells)], 1)

    def _residual(self, s: float) -> Denoiser:
        """The denoiser where coarse values carry noise s; all share one network."""
        if s not in self._denoisers:
            detail: Detail = self.lattices.detail(s)
            self._denoisers[s] = Denoiser(_Folded(self), detail.size, detail.spectrum)
        return self._denoisers[s]

    def residual_denoiser(self, s: float, features: Tensor) -> DenoiseFn:
        """D of what is left, x (n, c, N_F), where coarse values carry noise s."""
        D = self._residual(s)
        return lambda x, sigma: D(x.flatten(0, 1), sigma, features).reshape(x.shape)

    def residual_loss(self, left: Tensor, noise: Tensor, sigma: Tensor, s: float, features: Tensor) -> Tensor:
        """EDM's loss of what is left (b, c, N_F), at left + sigma·noise, sigma (b,)."""
        sigma = sigma.repeat_interleave(self.c)
        return self._residual(s).loss(left.flatten(0, 1), sigma, noise.flatten(0, 1), features)

    def detail_noise_levels(self, s: float) -> NoiseLevels:
        """Noise levels of the third step."""
        return self.lattices.detail(s).noise_levels


class _Folded(nn.Module):
    """The network of the third step, on points folded into cells: x (b c, N_F), level (b c,) or (1,) -> as x."""

    def __init__(self, net: CascadeNetwork):
        super().__init__()
        self.net = (net,)                                            # a tuple: it is not part of this module

    def forward(self, x: Tensor, level: Tensor, features: Tensor) -> Tensor:
        net = self.net[0]
        flat = x.reshape(-1, net.c, net.fine**net.d)
        cells = net.fine // net.per_cell
        latent = net.detail(space_to_depth(net.grid(flat), cells), level[::net.c] if len(level) > 1 else level, features)
        return depth_to_space(latent, net.c, net.per_cell).reshape(x.shape)
