"""The transport map f(x) = mean(x) + std(x) T(x, w(x)): noise functions w, marginal heads that give T, its table.

A marginal head models the distribution of one number at one place, r = T(w) with w standard normal and T rising:
*diffusion*, the probability flow of a one-dimensional denoiser, any distribution; *quantile*, a network trained by the
fair CRPS of its own draws; *gaussian*, T(w) = m + s w. All start as T(w) = w, which is right where the best linear
answer is all there is. Draws differ in their noise function alone, so T is tabulated once and looked up by each.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...core import single
from ...core.grid import cell_centres, interpolate
from ...core.rng import child, normals
from ...diffusion.denoiser import Conditioning, Denoiser, ResidualNetwork
from ...diffusion.samplers import SamplerStep, path
from ...gaussian.karhunen_loeve import KarhunenLoeve, WeightPosterior
from ...latents.gaussian_loss import gaussian_loss
from ...nn.networks import Fourier, Level, zeroed

NOISES = ("posterior", "prior", "white", "shared")
CELLS = {1: 1024, 2: 128, 3: 24}            # of white noise: no finer than this, or it would be no function
STRETCH = 1.5                               # knots are quantiles of a normal this wide: dense where w is likely


@dataclass(frozen=True, eq=False)
class NoiseFunction:
    """n noise functions w (n, p, c) of unit variance at every place, given by `numbers(n)`, a few of them each.

    "posterior": correlated as what the observations leave open, (a draw of the Gaussian posterior − its mean)/its std.
    "prior": as fields without observations. "white": independent from one cell of a fine grid to the next. "shared":
    one number, the same at every place. `posterior` is of one function.
    """

    kind: str
    expansion: KarhunenLoeve
    posterior: WeightPosterior

    @property
    def _source(self) -> WeightPosterior:
        return self.expansion.prior() if self.kind == "prior" else self.posterior

    @property
    def _grid(self) -> tuple[int, ...]:
        """Of the white part: what the expansion leaves, at its resolution, or everything."""
        cells = CELLS[self.expansion.d] if self.kind == "white" else self.expansion.side
        return (self.expansion.c, *[cells + 1] * self.expansion.d)

    def numbers(self, n: int, *, seed: int) -> Tensor:
        """(n, k), row i from its own stream; its entries are what a whole noise function is."""
        device = self.expansion.centre.device
        if self.kind == "shared":
            return normals(seed, n, (1,), "shared").to(device)
        white = normals(seed, n, self._grid, "white").flatten(1).to(device)
        return white if self.kind == "white" else torch.cat(
            [self._source.draw(n, seed=child(seed, "noise")), white], 1)

    def __call__(self, numbers: Tensor, coords: Tensor) -> Tensor:
        """Numbers (n, k) at coords (p, d) or (n, p, d) -> w (n, p, c)."""
        n, c, p = len(numbers), self.expansion.c, coords.shape[-2]
        if self.kind == "shared":
            return numbers[..., None].expand(n, p, c)
        grid = numbers[:, -torch.Size(self._grid).numel():].unflatten(1, self._grid)
        white = white_at(grid, coords)
        if self.kind == "white":
            return white
        rows, left = self.expansion.rows(coords), self.expansion.residual_variance(coords)
        a = numbers[:, :self.expansion.rank]
        smooth = a @ rows.T if rows.ndim == 2 else (rows @ a[..., None])[..., 0]
        variance = self._source.predict(rows)[1].unflatten(-1, (p, c))
        return (smooth.unflatten(-1, (p, c)) + left.sqrt() * white) / (variance + left).sqrt()


def white_at(corners: Tensor, coords: Tensor) -> Tensor:
    """White noise at the corners (n, c, *[cells + 1]*d), linear between them, scaled to unit variance everywhere."""
    cells = corners.shape[-1] - 1
    t = (coords + 1) / 2 * cells
    t = t - t.floor()
    power = (t.square() + (1 - t).square()).prod(-1, keepdim=True)
    return interpolate(corners, coords * (cells / (cells + 1))) / power.sqrt()


class MarginalNetwork(nn.Module):
    """F(y (k, *s), level (k or 1, *s or ones), h (*s, H)) -> (k, *s): a residual network of each entry by itself.

    The features h of a place enter every layer by a sum, computed once for all k. The output starts at zero. `features`
    are the last hidden layer.
    """

    def __init__(self, features: int, width: int, depth: int, octaves: int = 3):
        super().__init__()
        self.level, self.encode = Level(width), Fourier(1, octaves)
        self.input = nn.Linear(self.encode.out, width)
        self.condition = nn.ModuleList(nn.Linear(features, width) for _ in range(depth + 1))
        self.modulate = nn.ModuleList(nn.Linear(width, width) for _ in range(depth + 1))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth + 1))
        self.one = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.two = nn.ModuleList(zeroed(nn.Linear(width, width)) for _ in range(depth))
        self.output = zeroed(nn.Linear(width, 1))

    def features(self, y: Tensor, level: Tensor, h: Tensor) -> Tensor:
        """The last hidden layer: (k, *s, width)."""
        embedded = self.level(level.flatten()).unflatten(0, level.shape)
        x = self.input(self.encode(y[..., None] / 2)) + self.condition[0](h) + self.modulate[0](embedded)
        for norm, one, two, condition, modulate in zip(self.norms, self.one, self.two, self.condition[1:],
                                                       self.modulate[1:], strict=False):
            hidden = one(nn.functional.silu(norm(x))) + condition(h) + modulate(embedded)
            x = x + two(nn.functional.silu(hidden))
        return nn.functional.silu(self.norms[-1](x))

    def forward(self, y: Tensor, level: Tensor, h: Tensor) -> Tensor:
        return self.output(self.features(y, level, h))[..., 0]


class ScalarResidual(ResidualNetwork):
    """A MarginalNetwork as the residual F of a denoiser of scalars: y (k, *s), sigma () or (k, *s or ones)."""

    def __init__(self, net: MarginalNetwork):
        super().__init__()
        self.net = net

    def scaled(self, y: Tensor, sigma) -> tuple[Tensor, Tensor]:
        """What the network is given: y at unit variance, and ¼ ln sigma."""
        sigma = torch.as_tensor(sigma, dtype=y.dtype, device=y.device)
        sigma = sigma.reshape([1] * y.ndim) if sigma.ndim == 0 else sigma
        return y / (1 + sigma.square()).sqrt(), sigma.log() / 4

    def forward(self, x: Tensor, sigma, mean: Tensor, std: Tensor, h: Tensor) -> Tensor:
        return self.net(*self.scaled(x, sigma), h)


class DiffusionHead(nn.Module):
    """Marginal head by diffusion: a denoiser D(y, sigma, h) of the clean r, place by place, with r ~ N(0, 1) as its
    white prior."""

    def __init__(self, features: int, width: int, depth: int):
        super().__init__()
        self.denoiser = Denoiser(ScalarResidual(MarginalNetwork(features, width, depth)))
        self.denoiser.noise_levels.set(0.01, 6.0, 0.5)

    def loss(self, r: Tensor, h: Tensor, rng: torch.Generator, many: int) -> Tensor:
        """The denoiser's loss per entry of r (b, p, c), h (b, p, c, H); `many` noise levels for each function."""
        sigma = self.denoiser.noise_levels.for_training(single.randn(many, len(r), 1, 1, generator=rng)).to(r)
        noise = single.randn(many, *r.shape, generator=rng).to(r)
        return self.denoiser.loss(r.expand(many, *r.shape), sigma, noise, Conditioning((h,)))

    def walk(self, w: Tensor, h: Tensor, steps: int, sampler: str, noise=None) -> Iterator[SamplerStep]:
        """T(w) for w (k, *s), a SamplerStep a step. The start has the variance of noise and data together, so that a
        highest sigma of 6 loses nothing."""
        sigmas = self.denoiser.noise_levels.sigmas(steps).to(w)
        start = (1 + sigmas[0].square()).sqrt() * w
        return path(self.denoiser.given(Conditioning((h,))), start, sigmas, method=sampler, noise=noise)


class QuantileHead(nn.Module):
    """Marginal head by a quantile network: T(w) = w + F(w, h)."""

    def __init__(self, features: int, width: int, depth: int):
        super().__init__()
        self.net = MarginalNetwork(features, width, depth)

    def transport(self, w: Tensor, h: Tensor) -> Tensor:
        return w + self.net(w, w.new_zeros([1] * w.ndim), h)

    def loss(self, r: Tensor, h: Tensor, rng: torch.Generator, many: int) -> Tensor:
        """Fair CRPS of `many` draws at each place (Gneiting & Raftery 2007, eq. 20)."""
        q = self.transport(single.randn(many, *r.shape, generator=rng).to(r), h)
        apart = (q[:, None] - q[None]).abs().sum((0, 1)) / (many * (many - 1))
        return ((q - r).abs().mean(0) - apart / 2).mean()

    def walk(self, w: Tensor, h: Tensor, steps: int, sampler: str, noise=None) -> Iterator[SamplerStep]:
        """One step, whatever is asked."""
        found = self.transport(w, h)
        yield SamplerStep(0, 1, w.new_zeros(()), found, found)


class GaussianHead(nn.Module):
    """Marginal head by regression: T(w) = m(h) + s(h) w."""

    def __init__(self, features: int, width: int, depth: int):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(features, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(),
                                 zeroed(nn.Linear(width, 2)))

    def gaussian(self, h: Tensor) -> Conditioning:
        """Mean and std of r, each shaped as r."""
        mean, log_std = self.net(h).unbind(-1)
        return Conditioning(mean=mean, std=log_std.clamp(-6, 2).exp())

    def transport(self, w: Tensor, h: Tensor) -> Tensor:
        return self.gaussian(h).latent(w)

    def loss(self, r: Tensor, h: Tensor, rng: torch.Generator, many: int) -> Tensor:
        """Gaussian log score of r."""
        return gaussian_loss(r, self.gaussian(h))

    walk = QuantileHead.walk


HEADS = {"diffusion": DiffusionHead, "quantile": QuantileHead, "gaussian": GaussianHead}


class TransportTable(nn.Module):
    """A map T(x, w) at knots (K,) of w and places (side^d, d) of the box, walls included, linear between them."""

    def __init__(self, d: int, c: int, side: int, knots: int):
        super().__init__()
        self.d, self.c, self.side = d, c, side
        share = (torch.arange(knots, dtype=torch.float64) + 0.5) / knots
        self.register_buffer("knots", (STRETCH * torch.special.ndtri(share)).float(), persistent=False)
        self.register_buffer("places", cell_centres((side,) * d) * (side / (side - 1)), persistent=False)

    def fan(self) -> Tensor:
        """Every knot at every place: (K, side^d, c), what a map is made from."""
        return self.knots[:, None, None].expand(-1, len(self.places), self.c)

    def forward(self, values: Tensor, w: Tensor, coords: Tensor) -> Tensor:
        """T at w (n, p, c) and coords (p, d) or (n, p, d): (n, p, c).

        `values` (K, side^d, c): one map for all draws; or (n, 1, side^d, c): each draw's own, whatever w.
        """
        grid = coords * ((self.side - 1) / self.side)
        shape = (self.side,) * self.d
        if values.ndim == 4:
            return interpolate(values[:, 0].mT.unflatten(2, shape), grid)
        rising = values.sort(0).values                                   # the flow never crosses; steps may, slightly
        table = rising.permute(2, 0, 1).reshape(1, -1, *shape)           # (1, c K, *side)
        own = coords.ndim == 3
        found = interpolate(table, grid.flatten(0, -2) if own else grid)[0].unflatten(-1, (self.c, -1))    # (p, c, K)
        found = (found.unflatten(0, coords.shape[:2]) if own else found[None].expand(len(w), -1, -1, -1))
        low = torch.bucketize(w.contiguous(), self.knots).clamp(1, len(self.knots) - 1) - 1
        left, right = self.knots[low], self.knots[low + 1]
        a, b = found.gather(-1, low[..., None])[..., 0], found.gather(-1, low[..., None] + 1)[..., 0]
        return a + (b - a) * (w - left) / (right - left)                 # beyond the last knots, straight on
