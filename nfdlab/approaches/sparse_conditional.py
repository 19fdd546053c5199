"""Approach 5: sparse observations -> encoder -> conditional diffusion over a local latent -> neural field.

Three networks. An *autoencoder* learns what a field looks like as a latent, a few numbers on each cell of a coarse grid.
An *observation encoder* (SetConv, then convolutions) turns any set of observations into features on the same cells, and says
what they alone tell of the latent: its mean and spread. A *denoiser* samples what is left, the unit-scale residual, given
the features. The field is decoded from latent and features near the query, so one draw is one function at any resolution.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..core.checks import require_count, require_name, require_seed
from ..core.fields import EvaluatedFields
from ..core.grid import cell_centres, to_grid
from ..core.rng import child, seeded, stream
from ..core.types import Budget, Card, ObservationBatch, Observations, Source, Views, Watch, quiet, require_seen
from ..diffusion.denoiser import Denoiser
from ..diffusion.noise import white
from ..diffusion.samplers import METHODS, SamplerStep, fresh_noise, path
from ..diffusion.schedule import NoiseLevels
from ..inference.restoring import rebuilt
from ..latents.autoencoder import Autoencoder
from ..latents.grid_latent import GridLatent
from ..latents.observation_encoder import GridObservationEncoder
from ..nn.networks import ConvNet
from ..training import Stage, resolve_device, train


class Network(GridObservationEncoder):
    """All that is learned. Shapes: latent and residual (b, k, *cells), features (b, w, *cells)."""

    def __init__(self, config: "SparseConditional", d: int, c: int):
        super().__init__(config, d, c)
        cells, side, w, k = config.cells_for(d), config.side_for(d), config.width, self.k
        self.auto = GridLatent(d, c, side, cells, w, w, config.octaves) if config.krigings else \
            Autoencoder(d, c, side, cells, k, w, w, config.octaves, config.linear)
        self.denoiser = Denoiser(ConvNet(d, k, w, w, config.denoiser))
        self.shape = (k, *[cells] * d)
        self.noise_levels: NoiseLevels | None = None                # measured on latents, once there are any

    def look(self, seen: ObservationBatch) -> tuple[Tensor, Tensor, Tensor]:
        """What the observations say: features, and the mean and spread of the latent."""
        return self.listen(seen, self.auto.unit)


@dataclass(frozen=True)
class SparseConditional:
    """Sizes of the networks. `cells` and `fine` of None choose by dimension: 32 cells of 4 in 1D, 16 of 2 in 2D."""

    card: ClassVar[Card] = Card(
        5, "Sparse conditional field",
        "read the dots with a set encoder, diffuse a local code given them, decode a field",
        "Gordon et al. 2020 (SetConv); Karras et al. 2022 (diffusion); Chen et al. 2021 (local field); "
        "Mardani et al. 2023 (residual)",
        "fast, calibrated answers for any number and layout of observations like those it was trained on",
        "amortised: layouts, noise levels or kinds of function outside training are answered with misplaced confidence")
    cells: int | None = None
    fine: int | None = None              # points of the training grid per cell and axis, a power of two
    latent: int = 4                        # numbers per cell
    linear: bool = True                  # a linear latent, whose mean the kriging channels may speak of directly
    width: int = 64
    octaves: int = 3
    widths: tuple[float, ...] = (0.7, 2.0, 6.0)          # of SetConv, in points of the training grid
    kernels: tuple[float, ...] = (0.1, 0.3, 0.9)         # lengthscales of the kriging channels,
    smoothness: float = 2.5                              # their Matérn smoothness, 2.5 or 1.5,
    level: float = 0.0                                   # and the spread of a constant that raises each field
    krigings: tuple[tuple[float, float], ...] = ()       # instead, where fields are rough: smoothness and lengthscale
                                                         # of kernels pooled cell by cell; the latent is the training grid
    reader: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4, 8)   # dilations of the blocks
    denoiser: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4, 1)
    batch: int = 96
    queries: int = 128
    lr: float = 1.5e-3
    steps: int = 20                      # of the sampler, unless told

    def cells_for(self, d: int) -> int:
        return self.cells or {1: 32, 2: 16, 3: 8}[d]

    def side_for(self, d: int) -> int:
        return self.cells_for(d) * (self.fine or {1: 4, 2: 2, 3: 2}[d])

    def build(self, d: int, c: int, *, seed: int = 0) -> Network:
        with seeded(seed):
            return Network(self, d, c)

    def fit(self, source: Source, *, views: Views, budget: Budget, seed: int, device: str = "auto",
            watch: Watch = quiet) -> "FittedSparseConditional":
        """Train on endless fresh functions, seen as `views` hides them. Cancelled early, it returns what it has."""
        require_seed(seed)
        place, probe = resolve_device(device), source.draw(1, seed=child(seed, "probe"))
        d, c = probe.d, probe.c
        net = self.build(d, c, seed=seed).to(place)
        side = self.side_for(d)
        grid = cell_centres((side,) * d)

        def batch(*use, size=self.batch) -> tuple[Any, Tensor]:
            fields = source.draw(size, seed=child(seed, "data", *use))
            return fields, to_grid(fields(grid), (side,) * d).movedim(-1, 1).to(place)

        def reconstruct(fields, latent: Tensor, features: Tensor | None, noise: torch.Generator) -> Tensor:
            coords = 2 * torch.rand(len(latent), self.queries, d, generator=noise) - 1
            truth = fields(coords).to(place)
            latent = latent + 0.05 * torch.randn(latent.shape, generator=noise).to(place)
            return (net.auto(coords.to(place), latent, features) - truth).square().mean()

        def autoencode(i: int) -> Tensor:
            fields, values = batch("auto", i)
            return reconstruct(fields, net.auto.encode(values), None, stream(seed, "noise", "auto", i))

        @torch.no_grad()
        def raw_latents(use: str) -> Tensor:
            return torch.cat([net.auto.encoder(batch(use, j)[1]) for j in range(8)])

        def calibrate() -> None:
            net.auto.eval().unit.calibrate(raw_latents("calibrate"))

        def measure() -> None:                      # also where training is resumed, or cancelled, between the stages
            net.auto.eval()
            net.noise_levels = NoiseLevels.of(net.auto.unit(raw_latents("range")))

        def look(use: str, i: int) -> tuple[Any, ...]:
            fields, values = batch(use, i)
            with torch.no_grad():
                latent = net.auto.eval().encode(values)
            return fields, latent, *net.look(views(fields, seed=child(seed, "views", i)).to(place))

        def listen(i: int) -> Tensor:
            _, latent, _, mean, spread = look("listen", i)
            return net.given.loss(latent, mean, spread)

        def diffuse(i: int) -> Tensor:
            if net.noise_levels is None:
                measure()
            fields, latent, features, mean, spread = look("diffuse", i)
            noise = stream(seed, "noise", "diffuse", i)
            sigma = net.noise_levels.training(torch.randn(len(latent), generator=noise)).to(place)
            clean = net.given.residual(latent, mean, spread).detach()
            white_noise = torch.randn(latent.shape, generator=noise).to(place)
            return (net.denoiser.loss(clean, sigma, white_noise, features) + net.given.loss(latent, mean, spread)
                    + reconstruct(fields, latent, features, noise))

        trained = nn.ModuleList([net.reader, net.given, net.denoiser, net.auto.decoder]).parameters()
        first = Stage("autoencode", autoencode, net.auto.parameters(), 0.2, 2e-3, after=calibrate)
        if self.krigings:                               # the latent is known, and what observations say of it can be learnt alone
            calibrate()
            first = Stage("listen", listen, [*net.reader.parameters(), *net.given.parameters()], 0.5, self.lr)
        train(net, [first, Stage("diffuse", diffuse, list(trained), 1 - first.share, self.lr)], budget, watch)
        if net.noise_levels is None:
            measure()
        about = {"approach": "sparse_conditional", "config": asdict(self), "d": d, "c": c, "noise_levels": asdict(net.noise_levels)}
        return FittedSparseConditional(net, about, self.steps)

    @classmethod
    def restore(cls, about: dict, tensors: dict[str, Tensor], device: str = "auto") -> "FittedSparseConditional":
        """The inverse of `FittedSparseConditional.tensors`: same draws, no code executed."""
        config, net = rebuilt(cls, about, tensors, device)
        return FittedSparseConditional(net, about, config.steps)


@dataclass(frozen=True, eq=False)
class FittedSparseConditional:
    """A trained approach 5. `about` says what it was trained on and how well it did."""

    net: Network = field(repr=False)
    about: dict
    steps: int

    @property
    def device(self) -> torch.device:
        return next(self.net.parameters()).device

    def tensors(self) -> dict[str, Tensor]:
        return self.net.state_dict()

    def look(self, seen: Observations | None) -> tuple[Tensor, Tensor, Tensor]:
        """What the observations say: features (1, w, *cells), mean and spread of the latent (1, k, *cells)."""
        d, c = self.about["d"], self.about["c"]
        if require_seen(seen, d, c) is None or seen.m == 0:          # of nothing, the noise does not matter
            seen = Observations(torch.zeros(0, d), torch.zeros(0, c))
        with torch.no_grad():
            return self.net.look(ObservationBatch.of([seen]).to(self.device))

    def path(self, seen: Observations | None, n: int, *, seed: int, steps: int | None = None,
             sampler: str = "dpmpp") -> Iterator[SamplerStep]:
        """From noise to residuals, a Visit a step; `fields(seen, visit.denoised)` shows what it has in mind."""
        return self._walk(self.look(seen)[0], n, seed, steps, sampler)

    def _walk(self, features: Tensor, n: int, seed: int, steps: int | None, sampler: str) -> Iterator[SamplerStep]:
        require_count(n), require_seed(seed), require_name(sampler, METHODS, "sampler")
        steps = require_count(self.steps if steps is None else steps, "steps", at_least=2)
        sigmas = self.net.noise_levels.sigmas(steps).to(self.device)
        start = sigmas[0] * white(n, self.net.shape, seed=seed).to(self.device)
        return path(lambda x, s: self.net.denoiser(x, s, features), start, sigmas, method=sampler,
                    noise=fresh_noise(seed))

    @torch.no_grad()
    def fields(self, seen: Observations | None, residual: Tensor) -> EvaluatedFields:
        """Residuals (n, k, *cells) -> the functions they stand for, given what was seen."""
        features, mean, spread = self.look(seen)
        return self.decode(self.net.given.restore(residual, mean, spread), features)

    def decode(self, latent: Tensor, features: Tensor) -> EvaluatedFields:
        """Codes (n, k, *cells) and features (1, w, *cells) -> Fields."""
        return self.net.auto.fields(latent, features)

    @torch.no_grad()
    def draw(self, seen: Observations | None, n: int, *, seed: int, steps: int | None = None,
             sampler: str = "dpmpp") -> EvaluatedFields:
        """n functions given what was seen, as Fields; None gives the prior.

        `sampler`: euler, heun, dpmpp or ancestral; `steps` noise levels, those of the config unless told.
        """
        features, mean, spread = self.look(seen)
        for visit in self._walk(features, n, seed, steps, sampler):
            residual = visit.x
        return self.decode(self.net.given.restore(residual, mean, spread), features)


APPROACH = SparseConditional
