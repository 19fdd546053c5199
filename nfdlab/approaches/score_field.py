"""Approach 3: a neural field predicts the score, in function space.

Noise is added to the function itself, which is known at the points of a fixed lattice. The denoiser encodes the noisy
lattice and the observations as one set and says what the clean function is at any query, D(q | x, sigma, observations);
the score is (D − x)/sigma². A sampler takes the lattice from noise to data; then any query asks the last lattice. So a
draw is one function at every resolution, and zooming in draws nothing anew.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..core import single
from ..core.checks import require
from ..core.config import NetworkConfig
from ..core.fields import EvaluatedFields
from ..core.grid import cell_centres, interpolate
from ..core.rng import child
from ..core.types import (
    Budget,
    Card,
    LinearObservations,
    ObservationBatch,
    Seen,
    Source,
    Views,
    Watch,
    quiet,
)
from ..diffusion.denoiser import Conditioning, DenoiseFn, Denoiser, GaussianPrior, ResidualNetwork, WhitePrior, like
from ..diffusion.guidance import Measurement, gauss_newton
from ..diffusion.samplers import SamplerStep
from ..gaussian.karhunen_loeve import KarhunenLoeve, WeightPosterior
from ..inference.posterior import TrainedModel
from ..nn.networks import Fourier, Level, zeroed
from ..nn.set_attention import SetBlock, even_lengthscales
from ..training import Losses, Run, Stage

TOGETHER = 2048                  # functions drawn at a time while statistics are measured


def read(values: Tensor, coords: Tensor) -> Tensor:
    """Values (b, N, c) at a lattice, linear between its points, at coords (p, d) or (b, p, d): (b, p, c)."""
    d = coords.shape[-1]
    return interpolate(values.mT.unflatten(-1, (round(values.shape[1] ** (1 / d)),) * d), coords)


# Priors of a function seen as x (b, N, c), noisy values at the lattice. `posterior(x, sigma, given)` is what x and the
# observations say, `given` being `condition(observations)`; the call gives the clean function's mean (b, p, c) and std
# (1 or b, p, c) at any coords, where condition = (posterior, coords). `sigma_data` is the functions' own size, and
# `covariance` that of clean values at the lattice, for guidance.

class WhiteLattice(WhitePrior):
    """White Gaussian at the lattice, read between its points; it ignores the observations."""

    def __init__(self, lattice: Tensor):
        nn.Module.__init__(self)
        self.size = len(lattice)
        self.register_buffer("sigma_data", single.ones(()))

    @property
    def covariance(self) -> str:
        """From the network, at the cost of its gradients: a white Gaussian's would be wrong."""
        return "tweedie"

    def condition(self, observations: ObservationBatch) -> None:
        """None: they are ignored."""

    def posterior(self, x: Tensor, sigma: Tensor, given: None) -> None:
        """None: it is read off x."""

    def forward(self, x: Tensor, sigma, condition: tuple[None, Tensor]) -> tuple[Tensor, Tensor]:
        coords = condition[1]
        sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).reshape(-1)
        mean, std = super().forward(x[:, :self.size], sigma)
        return read(mean, coords), std.expand(len(std), coords.shape[-2], x.shape[2])


class ExpansionLattice(nn.Module):
    """The Karhunen-Loève expansion of functions, given a noisy lattice and observations: exact for Gaussian fields."""

    def __init__(self, lattice: Tensor, c: int, side: int, rank: int):
        super().__init__()
        self.expansion = KarhunenLoeve(lattice.shape[1], c, side, rank)
        self.register_buffer("lattice", lattice, persistent=False)
        self.register_buffer("sigma_data", single.ones(()))

    @property
    def covariance(self) -> GaussianPrior:
        """The expansion's Gaussian of values at the lattice."""
        rows, left = self.expansion.rows(self.lattice).double(), self.expansion.residual_variance(self.lattice).double()
        lam, Q = torch.linalg.eigh(rows @ rows.T + left.flatten().diag())
        found = GaussianPrior(len(lam)).to(rows.device)
        found.lam.copy_(lam), found.Q.copy_(Q), found.mean.copy_(self.expansion.mean(self.lattice).flatten())
        return found

    def condition(self, observations: ObservationBatch) -> WeightPosterior:
        return self.expansion.condition(observations)

    def posterior(self, x: Tensor, sigma: Tensor, given: WeightPosterior) -> WeightPosterior:
        """The expansion's weights given the observations, then x (b, N, c) at sigma () or (b,)."""
        away = (x - self.expansion.mean(self.lattice)).flatten(1)
        variance = (like(sigma.reshape(-1), x) ** 2 + self.expansion.residual_variance(self.lattice)).flatten(1)
        return given.updated(self.expansion.rows(self.lattice), away, variance)

    def forward(self, x: Tensor, sigma, condition: tuple[WeightPosterior, Tensor]) -> tuple[Tensor, Tensor]:
        mean, variance = self.expansion.predict(*condition)
        return mean, variance.sqrt()


@dataclass(frozen=True, eq=False)
class EncodedLattice:
    """Noisy functions and their observations, encoded once: all that a query needs, of b functions.

    x (b, N, c) at sigma () or (b,), the prior's posterior of it, features of the level (1 or b, w), keys and values of
    the tokens, and the residual (x − mean)/std of x under the prior (b, N, c). `scale` is the functions' size.
    """

    x: Tensor
    sigma: Tensor
    scale: Tensor
    posterior: WeightPosterior | None
    level: Tensor
    memory: tuple[Tensor, Tensor]
    residual: Tensor

    def __getitem__(self, part: slice | Tensor) -> "EncodedLattice":
        """Some of the functions, where sigma and observations are the same for all."""
        posterior = self.posterior
        if posterior is not None:
            posterior = replace(posterior, information=posterior.information[part])
        return replace(self, x=self.x[part], posterior=posterior, residual=self.residual[part],
                       memory=tuple(t[part] for t in self.memory))


class QueryTransformer(ResidualNetwork):
    """F at queries: tokens of lattice points and observations attend to each other, and each query attends to them."""

    def __init__(self, config: "ScoreField", d: int, c: int):
        super().__init__()
        w, lengthscales = config.width, even_lengthscales(config.heads)
        self.place, self.level = Fourier(d, config.octaves), Level(w)
        self.point, self.observation, self.query = (nn.Linear(self.place.out + n, w) for n in (4 * c, 4 * c + 1, 3 * c))
        self.blocks = nn.ModuleList(SetBlock(w, lengthscales, w) for _ in range(config.depth))
        self.last = SetBlock(w, lengthscales, w, ("others", "mlp"))
        self.output = nn.Sequential(nn.LayerNorm(w), nn.SiLU(), zeroed(nn.Linear(w, c)))

    def embed(self, layer: nn.Linear, coords: Tensor, *features: Tensor) -> Tensor:
        """Points (1 or b, p, d) and their features (1 or b, p, …) through one layer: (b, p, w)."""
        parts = [self.place(coords), *features]
        b, p = max(len(f) for f in parts), coords.shape[-2]
        return layer(torch.cat([f.expand(b, p, f.shape[-1]) for f in parts], -1))

    def encode(self, tokens: Tensor, coords: Tensor, mask: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (b, k, w) -> keys and values for queries."""
        for block in self.blocks:
            tokens = block(tokens, coords, level=level, mask=mask)
        return self.last.others.prepare(tokens, coords, mask)

    def forward(self, x: Tensor, sigma, mean: Tensor, std: Tensor, encoded: EncodedLattice, coords: Tensor) -> Tensor:
        at = coords if coords.ndim == 3 else coords[None]
        query = self.embed(self.query, at, mean / encoded.scale, read(encoded.residual, coords),
                           (std / encoded.scale).log())
        return self.output(self.last(query, at, level=encoded.level, memory=encoded.memory))


class ScoreFieldNetwork(nn.Module):
    """D at any points, of functions of c channels over [-1, 1]^d known at a `lattice` (N, d) of cell centres.

    `condition` once for all steps, `prepare` once for all queries of one step, `evaluate` at queries.
    """

    def __init__(self, config: "ScoreField", d: int, c: int):
        super().__init__()
        self.register_buffer("lattice", cell_centres((config.lattice,) * d), persistent=False)
        self.shape = (len(self.lattice), c)
        prior = WhiteLattice(self.lattice) if config.prior == "white" else \
            ExpansionLattice(self.lattice, c, config.expansion_side, config.expansion_rank)
        self.denoiser = Denoiser(QueryTransformer(config, d, c), prior)

    def condition(self, observations: ObservationBatch) -> Conditioning:
        return Conditioning((observations,), self.denoiser.prior.condition(observations))

    def prepare(self, x: Tensor, sigma, conditioning: Conditioning) -> EncodedLattice:
        """Noisy x (b, N, c) at sigma () or (b,), and observations, of each function or of one that all stand for."""
        prior, net, (seen,) = self.denoiser.prior, self.denoiser.net, conditioning.features
        sigma, scale = torch.as_tensor(sigma, dtype=x.dtype, device=x.device), prior.sigma_data
        s = sigma.reshape(-1, 1, 1)
        posterior, lattice = prior.posterior(x, sigma, conditioning.prior), self.lattice[None]
        mean, std = prior(x, sigma, (posterior, self.lattice))
        residual = (x - mean) / (s**2 + std**2).sqrt()
        points = net.embed(net.point, lattice, x / (s**2 + scale**2).sqrt(), mean / scale, residual,
                           (std / scale).log())
        mean, std = prior(x, sigma, (posterior, seen.coords))
        noise_std = (seen.noise_std.reshape(-1, 1, 1) ** 2 + (1e-3 * scale) ** 2).sqrt()
        observed = net.embed(net.observation, seen.coords, seen.values / scale, mean / scale,
                             (seen.values - mean) / (noise_std**2 + std**2).sqrt(), (std / scale).log(),
                             (noise_std / scale).log())
        coords = torch.cat([lattice.expand(len(seen.coords), -1, -1), seen.coords], 1)
        mask = torch.cat([seen.mask.new_ones(len(seen.mask), len(self.lattice)), seen.mask], 1)
        level = net.level((s / scale).log().reshape(-1) / 4)
        memory = net.encode(torch.cat([points, observed], 1), coords, mask, level)
        return EncodedLattice(x, sigma, scale, posterior, level, memory, residual)

    @staticmethod
    def at(encoded: EncodedLattice, coords: Tensor) -> Conditioning:
        """The denoiser's conditioning at queries (p, d) or (b, p, d)."""
        return Conditioning((encoded, coords), (encoded.posterior, coords))

    def evaluate(self, coords: Tensor, encoded: EncodedLattice) -> Tensor:
        """D at queries (p, d) or (b, p, d): (b, p, c)."""
        return self.denoiser(encoded.x, encoded.sigma, self.at(encoded, coords))

    def denoise(self, x: Tensor, sigma, conditioning: Conditioning) -> Tensor:
        """D at the lattice itself: x (b, N, c) -> (b, N, c)."""
        return self.evaluate(self.lattice, self.prepare(x, sigma, conditioning))

    def loss(self, clean: Tensor, sigma: Tensor, noise: Tensor, free: Tensor, conditioning: Conditioning) -> Tensor:
        """The denoiser's loss of functions that are `clean` (b, N + p, c) at the lattice and then at free places (b, p,
        d). Of the noise, as long, only that at the lattice is seen."""
        x = (clean + like(sigma, clean) * noise)[:, :len(self.lattice)]
        coords = torch.cat([self.lattice.expand(len(free), -1, -1), free], 1)
        return self.denoiser.loss(clean, sigma, noise, self.at(self.prepare(x, sigma, conditioning), coords))


@dataclass(frozen=True, eq=False)
class ScoreFieldModel(TrainedModel):
    """A trained approach 3. What diffuses is x (n, N, c): noisy functions at the N points of `lattice`."""

    net: ScoreFieldNetwork

    @property
    def lattice(self) -> Tensor:
        """Where noisy functions are known: (N, d)."""
        return self.net.lattice.cpu()

    def denoiser(self, seen: Seen | None = None) -> DenoiseFn:
        """D(x, sigma) at the lattice, of the prior or given observations; x (n, N, c) or flat (n, N c), the shape of
        what comes back. Differentiable, so that any guidance may wrap it. Linear observations guide that of the prior
        (`guidance.gauss_newton`)."""
        if isinstance(seen, LinearObservations) and seen.m:
            covariance = self.net.denoiser.prior.covariance
            return gauss_newton(self.denoiser(), self.measurement(seen), covariance=covariance)
        conditioning = self.conditioning(seen)
        return lambda x, sigma: self.net.denoise(x.reshape(-1, *self.net.shape), sigma, conditioning).reshape(x.shape)

    @torch.no_grad()
    def conditioning(self, seen: Seen | None) -> Conditioning:
        """What the network computes from observations; of none if None, and if they are linear, for those guide."""
        linear = isinstance(seen, LinearObservations)
        self.accepted(seen, linear=True)
        return self.net.condition(self.observations(None if linear else seen))

    @torch.no_grad()
    def measurement(self, seen: Seen) -> Measurement:
        """Observations as a linear measurement of x, the functions at the lattice: between its points they are read as
        the prior reads them, which is affine in x."""
        self.accepted(seen, linear=True)
        prior, low = self.net.denoiser.prior, self.net.denoiser.noise_levels.low
        seen = seen.to(self.device, torch.float32)
        size = math.prod(self.net.shape)
        x = single.eye(1 + size, size, device=self.device).roll(1, 0).reshape(-1, *self.net.shape)    # 0, unit vectors
        posterior = prior.posterior(x, single.as_tensor(low), self.conditioning(None).prior)
        read = seen.measure(prior(x, low, (posterior, seen.points))[0]).flatten(1)
        return Measurement.linear((read[1:] - read[0]).T, seen.values.flatten() - read[0], seen.noise_std)

    @torch.no_grad()
    def denoise(self, x: Tensor, sigma: float, seen: Seen | None = None) -> EvaluatedFields:
        """Noisy x (n, N, c) at one sigma -> the mean of the clean functions, as Fields."""
        x = x.to(self.device, torch.float32)
        size, c = self.net.shape
        require(x.ndim == 3 and x.shape[1:] == (size, c), must=f"x: shape (n, {size}, {c}).", came=x,
                why="Noisy functions are known at the lattice.", do="x = fields(model.lattice) + sigma * noise.")
        encoded = self.net.prepare(x, sigma, self.conditioning(seen))
        return self.evaluated(lambda coords, part: self.net.evaluate(coords, encoded[part]), len(x), 1024)

    @torch.no_grad()
    def score(self, x: Tensor, sigma: float, seen: Seen | None = None) -> Tensor:
        """∇ log p of noisy x (n, N, c) at the lattice: (D − x)/sigma²."""
        x = x.to(self.device, torch.float32)
        return (self.denoiser(seen)(x, sigma) - x) / sigma**2

    def path(self, seen: Seen | None, n: int, *, seed: int, steps: int | None = None,
             sampler: str = "dpmpp") -> Iterator[SamplerStep]:
        """From noise to functions at the lattice, a SamplerStep a step; `fields(seen, step.denoised)` shows the
        estimate so far. It starts around the mean of the clean functions."""
        steps, denoise = self.request(n, seed=seed, steps=steps, sampler=sampler), self.denoiser(seen)
        levels = self.net.denoiser.noise_levels.sigmas(steps).to(self.device)
        with torch.no_grad():
            mean = denoise(single.zeros(1, *self.net.shape, device=self.device), levels[0])
        return self.sample(denoise, n, self.net.shape, levels, seed=seed, sampler=sampler, mean=mean)

    def fields(self, seen: Seen | None, x: Tensor) -> EvaluatedFields:
        """Clean functions x (n, N, c) at the lattice -> the same anywhere, as Fields."""
        return self.denoise(x, self.net.denoiser.noise_levels.low, seen)

    def draw(self, seen: Seen | None, n: int, *, seed: int, steps: int | None = None,
             sampler: str = "dpmpp") -> EvaluatedFields:
        """n functions given what was seen, as Fields; None gives the prior.

        `sampler`: euler, heun, dpmpp or ancestral; `steps` noise levels, by default those of the config.
        """
        for step in self.path(seen, n, seed=seed, steps=steps, sampler=sampler):
            x = step.x
        return self.fields(seen, x)


@dataclass(frozen=True)
class ScoreField(NetworkConfig):
    """Config of approach 3. None chooses by dimension."""

    card: ClassVar[Card] = Card(
        3, "Score field",
        "noise the function itself; a set transformer denoises it at a lattice; ask the last lattice anywhere",
        "Dutordoir et al. 2023 (neural diffusion processes); Zhuang et al. 2023 (DPF); Lim et al. 2023 (noise as a "
        "function); Mardani et al. 2023 (residual)",
        "scores and denoised fields at any set of points; inverse problems by guidance, without training anew",
        "on Gaussian fields the best linear answer is all of it; attention costs the square of the lattice, and "
        "detail finer than the lattice is its posterior mean, not a draw")
    trained: ClassVar[type] = ScoreFieldModel
    network: ClassVar[type] = ScoreFieldNetwork
    usual: ClassVar[dict] = {"lattice": {1: 64, 2: 12, 3: 6}, "expansion_side": {1: 128, 2: 48, 3: 12},
                             "expansion_rank": {1: 40, 2: 112, 3: 160}}

    # "gaussian": a Karhunen-Loève expansion measured on draws; "white": the network has all to learn
    prior: str = "gaussian"
    lattice: int | None = None               # points a side of the lattice: 64 in 1D, 12 in 2D, 6 in 3D
    expansion_side: int | None = None        # points a side at which the expansion is measured: 128, 48, 12
    expansion_rank: int | None = None        # directions that the expansion keeps: 40, 112, 160
    calibration_functions: int = 8192        # functions that it is measured on
    width: int = 64                          # features of a token
    depth: int = 3                           # blocks of attention
    heads: int = 4                           # heads of each attention
    octaves: int = 4                         # Fourier octaves of coordinates
    unconditional_share: float = 0.1         # share of training functions whose observations are dropped
    batch: int = 32                          # functions in a batch
    queries: int = 64                        # free query points of each function in a training step, beside the lattice
    lr: float = 1e-3                         # learning rate
    steps: int = 20                          # sampling steps

    def fit(self, source: Source, *, views: Views, budget: Budget, seed: int, device: str = "auto",
            watch: Watch = quiet) -> ScoreFieldModel:
        """Train on fresh functions, observed as `views` hides them. Cancelled early, it returns what it has."""
        run = Run(source, views, budget, seed, device, watch)
        net = run.build(self)
        learn = ScoreFieldLosses(self, run, net)
        learn.measure()
        run.train(net, Stage("denoise", learn.denoise, net.parameters(), 1.0, self.lr))
        return ScoreFieldModel(net, run.record("score_field", self), self.steps)


class ScoreFieldLosses(Losses):
    """The loss of a training step i, and what is measured before."""

    def values(self, use: str, n: int, places: Tensor) -> Tensor:
        """n fresh functions at places (p, d), drawn some at a time: (n, p, c)."""
        parts = [self.run.functions(min(TOGETHER, n - i), use, i)(places.cpu()) for i in range(0, n, TOGETHER)]
        return torch.cat(parts).to(self.run.device)

    def measure(self) -> None:
        """The functions' size, noise levels in units of it, and the expansion."""
        denoiser, values = self.net.denoiser, self.values("range", 1024, self.net.lattice)
        scale = denoiser.prior.sigma_data.copy_(values.std().clamp_min(1e-6))
        denoiser.noise_levels.calibrate(values / scale, scale=float(scale))
        if isinstance(denoiser.prior, ExpansionLattice):
            expansion = denoiser.prior.expansion
            expansion.calibrate(self.values("statistics", self.config.calibration_functions, expansion.places),
                                seed=child(self.run.seed, "directions"))

    def denoise(self, i: int) -> Tensor:
        """Denoise functions at the lattice and at free places, given observations or, at times, none."""
        config, run, device = self.config, self.run, self.run.device
        fields, rng = run.functions(config.batch, i), run.rng(i)
        seen = run.observe(fields, i).dropped(config.unconditional_share, rng)
        free = run.queries(config.batch, config.queries, rng)
        clean = torch.cat([fields(self.net.lattice.cpu()), fields(free)], 1)
        sigma = self.net.denoiser.noise_levels.for_training(single.randn(config.batch, generator=rng))
        noise = single.randn(clean.shape, generator=rng)
        return self.net.loss(clean.to(device), sigma.to(device), noise.to(device), free.to(device),
                             self.net.condition(seen.to(device)))


APPROACH = ScoreField
