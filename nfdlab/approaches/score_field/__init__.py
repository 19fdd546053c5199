"""Approach 3: the field predicts the score, in function space.

Noise is added to the function itself: a noisy function is known at the points of a fixed lattice, and a network says
what the clean one is at any place, D(q | noisy lattice, sigma, observations). The score is (D − x)/sigma². A sampler walks the
lattice from noise to data; then any query asks the last lattice once. So a draw is one function at every resolution,
and looking closer draws nothing anew. The network starts at the best linear answer, which is exact for Gaussian fields,
and learns what is left; `linear=False` lets it learn everything.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from ...core.checks import require, require_count, require_name, require_seed
from ...core.fields import EvaluatedFields
from ...core.rng import child, seeded, stream
from ...core.types import Budget, Card, ObservationBatch, Observations, Source, Views, Watch, quiet, require_seen
from ...diffusion.denoiser import DenoiseFn
from ...diffusion.noise import white
from ...diffusion.samplers import METHODS, SamplerStep, fresh_noise, path
from ...diffusion.schedule import NoiseLevels
from ...inference.restoring import rebuilt
from ...training import Stage, resolve_device, train
from .networks import DenoisedField

CHUNK = 16_384                  # values decoded at a time: each asks the whole lattice


@dataclass(frozen=True)
class ScoreField:
    """Sizes of the network. None chooses by dimension."""

    card: ClassVar[Card] = Card(
        3, "Score field",
        "noise the function itself; a set transformer says what the clean one is; walk a lattice, ask anywhere",
        "Dutordoir et al. 2023 (neural diffusion processes); Zhuang et al. 2023 (DPF); Lim et al. 2023 (noise as a "
        "function); Mardani et al. 2023 (residual)",
        "scores and denoised fields at any set of points; inverse problems by guidance, without training anew",
        "on Gaussian fields the best linear answer is all of it; attention costs the square of the lattice, and "
        "detail finer than the lattice is its posterior mean, not a draw")
    context: int | None = None           # points of the lattice, an axis: 64 in 1D, 12 in 2D, 6 in 3D
    linear: bool = True                  # start at the best linear answer, from two-point statistics
    statistics: int | None = None        # points of their grid, an axis: 128, 48, 12,
    rank: int | None = None              # their directions: 40, 112, 160,
    measured: int = 8192                 # and the functions they are measured from
    width: int = 64
    depth: int = 3
    heads: int = 4
    octaves: int = 4
    unconditional_share: float = 0.1                   # share of the functions of which no observation is told
    batch: int = 32
    queries: int = 64                    # free places, beside the lattice
    lr: float = 1e-3
    steps: int = 20                      # of the sampler, unless told

    def context_for(self, d: int) -> int:
        return self.context or {1: 64, 2: 12, 3: 6}[d]

    def statistics_for(self, d: int) -> tuple[int, int]:
        return self.statistics or {1: 128, 2: 48, 3: 12}[d], self.rank or {1: 40, 2: 112, 3: 160}[d]

    def build(self, d: int, c: int, *, seed: int = 0) -> DenoisedField:
        with seeded(seed):
            return DenoisedField(self, d, c)

    def fit(self, source: Source, *, views: Views, budget: Budget, seed: int, device: str = "auto",
            watch: Watch = quiet) -> "FittedScoreField":
        """Measure two-point statistics, then train on endless fresh functions, seen as `views` hides them. Cancelled
        early, it returns what it has."""
        require_seed(seed)
        place, probe = resolve_device(device), source.draw(1, seed=child(seed, "probe"))
        d, c = probe.d, probe.c
        net = self.build(d, c, seed=seed)
        lattice = net.lattice

        def values(use: str, many: int, places: Tensor) -> Tensor:
            parts = range(0, many, 2048)
            return torch.cat([source.draw(min(2048, many - i), seed=child(seed, use, i))(places) for i in parts])

        at_lattice = values("range", 1024, lattice)
        net.scale.copy_(at_lattice.std().clamp_min(1e-6))
        usual = NoiseLevels.of(at_lattice / net.scale)
        net.noise_levels = NoiseLevels(*(float(net.scale) * level for level in (usual.low, usual.high, usual.half)))
        if net.linear is not None:
            net.linear.calibrate(values("statistics", self.measured, net.linear.places), seed=child(seed, "directions"))
        net = net.to(place)

        def denoise(i: int) -> Tensor:
            fields = source.draw(self.batch, seed=child(seed, "data", i))
            noise = stream(seed, "noise", i)
            free = 2 * torch.rand(self.batch, self.queries, d, generator=noise) - 1
            clean = fields(lattice)
            seen = views(fields, seed=child(seed, "views", i))
            mask = seen.mask & (torch.rand(self.batch, 1, generator=noise) >= self.unconditional_share)
            seen = ObservationBatch(seen.coords * mask[..., None], seen.values * mask[..., None], mask, seen.noise_std)
            sigma = net.noise_levels.for_training(torch.randn(self.batch, generator=noise))
            white_noise = torch.randn(clean.shape, generator=noise)
            return net.loss(clean.to(place), white_noise.to(place), sigma.to(place), seen.to(place), free.to(place),
                            fields(free).to(place))

        train(net, [Stage("denoise", denoise, net.parameters(), 1.0, self.lr)], budget, watch)
        about = {"approach": "score_field", "config": asdict(self), "d": d, "c": c, "noise_levels": asdict(net.noise_levels)}
        return FittedScoreField(net, about, self.steps)

    @classmethod
    def restore(cls, about: dict, tensors: dict[str, Tensor], device: str = "auto") -> "FittedScoreField":
        """The inverse of `tensors`: same draws, no code executed."""
        config, net = rebuilt(cls, about, tensors, device)
        return FittedScoreField(net, about, config.steps)


@dataclass(frozen=True, eq=False)
class FittedScoreField:
    """A trained approach 3. What walks is x (n, N, c): noisy functions at the N points of `lattice`."""

    net: DenoisedField = field(repr=False)
    about: dict
    steps: int

    @property
    def device(self) -> torch.device:
        return self.net.lattice.device

    @property
    def lattice(self) -> Tensor:
        """Where noisy functions are known: (N, d)."""
        return self.net.lattice.cpu()

    def tensors(self) -> dict[str, Tensor]:
        """All that is learned, by name."""
        return self.net.state_dict()

    def _told(self, seen: Observations | None) -> ObservationBatch:
        d, c = self.about["d"], self.about["c"]
        if require_seen(seen, d, c) is None or seen.m == 0:          # of nothing, the noise does not matter
            seen = Observations(torch.zeros(0, d), torch.zeros(0, c))
        return ObservationBatch.of([seen]).to(self.device)

    def denoiser(self, seen: Observations | None = None) -> DenoiseFn:
        """D(x, sigma) at the lattice, of the prior or given observations; x (n, N, c) or flat (n, N c), the shape of what comes
        back. Differentiable, so that any guidance may wrap it."""
        told = self._told(seen)
        return lambda x, sigma: self.net.denoise(x.reshape(len(x), *self.net.shape), sigma, told).reshape(x.shape)

    @torch.no_grad()
    def denoise(self, x: Tensor, sigma: float, seen: Observations | None = None) -> EvaluatedFields:
        """Noisy x (n, N, c) at one sigma -> what the clean functions are on average, as Fields."""
        x = x.to(self.device, torch.float32)
        size, c = self.net.shape
        require(x.ndim == 3 and x.shape[1:] == (size, c), must=f"x: shape (n, {size}, {c}).", came=x,
                why="Noisy functions are known at the lattice.", do="x = fields(model.lattice) + sigma * noise.")
        heard = self.net.condition(x, sigma, self._told(seen))

        def rule(coords: Tensor, part: slice | Tensor) -> Tensor:
            own = heard[part]
            step = max(1, CHUNK // len(own.x))
            pieces = [self.net.values(own, piece.to(x)).to(coords) for piece in coords.split(step, dim=-2)]
            return torch.cat(pieces, 1) if coords.shape[-2] else coords.new_zeros(len(own.x), 0, self.net.c)

        return EvaluatedFields(rule, len(x), self.about["d"], self.about["c"])

    @torch.no_grad()
    def score(self, x: Tensor, sigma: float, seen: Observations | None = None) -> Tensor:
        """∇ log p of noisy x (n, N, c) at the lattice: (D − x)/sigma²."""
        x = x.to(self.device, torch.float32)
        return (self.denoiser(seen)(x, sigma) - x) / sigma**2

    def path(self, seen: Observations | None, n: int, *, seed: int, steps: int | None = None,
             sampler: str = "dpmpp") -> Iterator[SamplerStep]:
        """From noise to functions at the lattice, a Visit a step; `fields(seen, visit.denoised)` shows what it has in
        mind. It starts about what would be denoised from nothing."""
        require_count(n), require_seed(seed), require_name(sampler, METHODS, "sampler")
        sigmas = self.net.noise_levels.sigmas(require_count(self.steps if steps is None else steps, "steps", at_least=2))
        denoise, sigmas = self.denoiser(seen), sigmas.to(self.device)
        with torch.no_grad():
            mean = denoise(torch.zeros(1, *self.net.shape, device=self.device), sigmas[0])
        start = mean + sigmas[0] * white(n, self.net.shape, seed=seed).to(self.device)
        return path(denoise, start, sigmas, method=sampler, noise=fresh_noise(seed))

    def fields(self, seen: Observations | None, x: Tensor) -> EvaluatedFields:
        """Clean functions x (n, N, c) at the lattice -> the same anywhere, as Fields."""
        return self.denoise(x, self.net.noise_levels.low, seen)

    def draw(self, seen: Observations | None, n: int, *, seed: int, steps: int | None = None,
             sampler: str = "dpmpp") -> EvaluatedFields:
        """n functions given what was seen, as Fields; None gives the prior.

        `sampler`: euler, heun, dpmpp or ancestral; `steps` noise levels, those of the config unless told.
        """
        for visit in self.path(seen, n, seed=seed, steps=steps, sampler=sampler):
            x = visit.x
        return self.fields(seen, x)


APPROACH = ScoreField
