"""What approaches over latents have in common once they are trained: draw latents, by themselves or steered, and decode."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar, Self

import torch
from torch import Tensor

from ..core.checks import require_count, require_name, require_seed
from ..core.fields import EvaluatedFields
from ..core.rng import normals
from ..core.types import ObservationBatch, Observations, require_seen
from ..diffusion.denoiser import DenoiseFn
from ..diffusion.noise import white
from ..diffusion.samplers import METHODS, SamplerStep, fresh_noise, path
from .decoder_guidance import GUIDES, guided, measured, smc_path, sorted_observations

CHUNK = 32_768                      # values decoded at a time
KNOBS = "guide", "num_particles", "rounds"  # that change how observations enter, and nothing that was learned


@dataclass(frozen=True)
class Heard:
    """What a network makes of observations: features for the denoiser, and latent = mean + spread · x."""

    features: tuple = ()
    mean: Tensor | float = 0.0
    spread: Tensor | float = 1.0

    def latent(self, x: Tensor) -> Tensor:
        return self.mean + self.spread * x


@dataclass(frozen=True, eq=False)
class LatentPosterior:
    """A trained approach whose diffusion runs over latents x (n, *shape) of unit scale.

    Its network `net` offers `denoiser`, `shape` (of one latent), `range` (its noise levels), `spectrum` (the covariance
    of its latents) and `values(coords, latent)`: the field, at coords (p, d) or (n, p, d), as (n, p, c), differentiable in
    the latent. Where it also offers `hear(ObservationBatch) -> Heard`, the guide "encoder" is open: the denoiser itself
    has been told. Every other guide steers the prior, which is what is heard of nothing. `about` says how it was
    trained; "config" which guide is usual; "floor" how far decoded latents are from the truth (a standard deviation, in
    units of the values) and "misfit" the same as a Misfit.
    """

    net: torch.nn.Module = field(repr=False)
    about: dict
    steps: int
    guides: ClassVar[tuple[str, ...]] = GUIDES

    @property
    def device(self) -> torch.device:
        return next(self.net.parameters()).device

    def tensors(self) -> dict[str, Tensor]:
        """All that is learned, by name."""
        return self.net.state_dict()

    def using(self, **knobs) -> Self:
        """The same weights, observations entering otherwise: `guide`, or of the particles `cloud` and `rounds`. A small
        cloud that moves seldom is rough and quick, for a slider."""
        for name, value in knobs.items():
            require_name(name, KNOBS, "knob")
            self._guide(value) if name == "guide" else require_count(value, name, at_least=8 if name == "num_particles" else 2)
        return replace(self, about={**self.about, "config": {**self.about["config"], **knobs}})

    def condition(self, seen: Observations | None) -> Heard:
        """What the network makes of observations; of nothing if None."""
        if not hasattr(self.net, "condition"):
            return Heard()
        d, c = self.about["d"], self.about["c"]
        if seen is None or seen.m == 0:                              # of nothing, the noise does not matter
            seen = Observations(torch.zeros(0, d), torch.zeros(0, c))
        with torch.no_grad():
            return self.net.condition(ObservationBatch.of([seen]).to(self.device))

    @cached_property
    def nothing(self) -> Heard:
        return self.condition(None)

    def denoiser(self, heard: Heard | None = None) -> DenoiseFn:
        """D(x, sigma) of the prior, or given what was heard."""
        features = (self.nothing if heard is None else heard).features
        return lambda x, sigma: self.net.denoiser(x, sigma, *features)

    def values(self, coords: Tensor, x: Tensor) -> Tensor:
        """The field of prior latents x (n, *shape) at coords (p, d): (n, p, c), differentiable in x, a part at a time."""
        step = max(1, CHUNK // max(1, len(coords)))
        return torch.cat([self.net.values(coords, self.nothing.latent(part)) for part in x.split(step)])

    def path(self, seen: Observations | None, n: int, *, seed: int, steps: int | None = None, sampler: str = "dpmpp",
             guide: str | None = None) -> Iterator[SamplerStep]:
        """From noise to latents, a Visit a step; `fields(seen, visit.denoised)` shows what it has in mind."""
        require_count(n), require_seed(seed), require_name(sampler, METHODS, "sampler")
        guide = self._guide(guide)
        steps = require_count(self.steps if steps is None else steps, "steps", at_least=2)
        if require_seen(seen, self.about["d"], self.about["c"]) is None or seen.m == 0:
            return self._walk(self.denoiser(), n, seed, steps, sampler)
        if guide == "encoder":
            return self._walk(self.denoiser(self.condition(seen)), n, seed, steps, sampler)
        seen = sorted_observations(seen)
        if guide == "particles":
            return smc_path(self, seen, n, seed=seed, steps=steps, sampler=sampler)
        steered = guided(self.denoiser(), measured(self, seen), guide, self.net.spectrum, self.net.shape)
        return self._walk(steered, n, seed, steps, sampler)

    def _guide(self, guide: str | None) -> str:
        return require_name(self.about["config"]["guide"] if guide is None else guide, self.guides, "guide")

    def sigmas(self, steps: int) -> Tensor:
        """The noise levels of a sampler."""
        return self.net.noise_levels.sigmas(steps).to(self.device)

    def _walk(self, denoise: DenoiseFn, n: int, seed: int, steps: int, sampler: str) -> Iterator[SamplerStep]:
        sigmas = self.sigmas(steps)
        start = sigmas[0] * white(n, self.net.shape, seed=seed).to(self.device)
        return path(denoise, start, sigmas, method=sampler, noise=fresh_noise(seed))

    def push(self, steps: int, sampler: str) -> tuple[Callable[[Tensor], Tensor], int]:
        """The sampler of the prior as a map from normals (n, s, *shape) to latents, and s: one, or one more a step with
        `ancestral`, which adds fresh noise."""
        sigmas, denoise = self.sigmas(steps), self.denoiser()

        def run(u: Tensor) -> Tensor:
            noise = None if sampler != "ancestral" else lambda i, x: u[:, 1 + i]
            for visit in path(denoise, sigmas[0] * u[:, 0], sigmas, method=sampler, noise=noise):
                x = visit.x
            return x

        return run, 1 + (steps if sampler == "ancestral" else 0)

    @cached_property
    def banks(self) -> dict[tuple[int, int, str, int], tuple[Tensor, Tensor]]:
        """Noise and the prior latents it becomes, as `bank` was asked for: made once, weighed for every observation."""
        return {}

    def bank(self, n: int, steps: int, sampler: str, *, seed: int) -> tuple[Tensor, Tensor]:
        """n prior latents and the noise that makes them, kept for who asks again."""
        key = n, steps, sampler, seed
        if key not in self.banks:
            run, s = self.push(steps, sampler)
            u = normals(seed, n, (s, *self.net.shape), "bank").to(self.device)
            self.banks[key] = u, torch.cat([run(part) for part in u.split(1024)])
        return self.banks[key]

    def fields(self, seen: Observations | None, x: Tensor, guide: str | None = None) -> EvaluatedFields:
        """Codes x (n, *shape) of the path -> the functions they stand for."""
        told = self._guide(guide) == "encoder" and require_seen(seen, self.about["d"], self.about["c"]) is not None
        return self.decode((self.condition(seen) if told else self.nothing).latent(x))

    def decode(self, latent: Tensor) -> EvaluatedFields:
        """Codes (n, *shape) of unit scale -> Fields."""
        device, c = self.device, self.about["c"]

        def rule(coords: Tensor, part: slice | Tensor) -> Tensor:
            own = latent[part]
            step = max(1, CHUNK // len(own))
            with torch.no_grad():
                pieces = [self.net.values(piece.to(device, torch.float32), own) for piece in coords.split(step, dim=-2)]
            return torch.cat(pieces, 1).to(coords) if pieces else coords.new_zeros(len(own), 0, c)

        return EvaluatedFields(rule, len(latent), self.about["d"], c)

    def draw(self, seen: Observations | None, n: int, *, seed: int, steps: int | None = None, sampler: str = "dpmpp",
             guide: str | None = None) -> EvaluatedFields:
        """n functions given what was seen, as Fields; None gives the prior.

        `sampler`: euler, heun, dpmpp or ancestral; `steps` noise levels, those of the config unless told; `guide`: how
        observations enter, that of the config unless told.
        """
        for visit in self.path(seen, n, seed=seed, steps=steps, sampler=sampler, guide=guide):
            x = visit.x
        return self.fields(seen, x, guide)
