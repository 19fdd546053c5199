"""What approaches over codes have in common once they are trained: draw codes, by themselves or steered, and decode."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar, Self

import torch
from torch import Tensor

from ..core.checks import require_count, require_name, require_seed
from ..core.fields import Evaluated
from ..core.rng import normals
from ..core.types import ObservationBatch, Observations, require_seen
from ..diffusion.denoiser import Denoiser
from ..diffusion.noise import white
from ..diffusion.samplers import METHODS, Visit, fresh_noise, path
from .steering import GUIDES, guided, in_order, measured, weighed

CHUNK = 32_768                      # values decoded at a time
KNOBS = "guide", "cloud", "rounds"  # that change how observations enter, and nothing that was learned


@dataclass(frozen=True)
class Heard:
    """What a network makes of observations: features for the denoiser, and code = mean + spread · x."""

    features: tuple = ()
    mean: Tensor | float = 0.0
    spread: Tensor | float = 1.0

    def code(self, x: Tensor) -> Tensor:
        return self.mean + self.spread * x


@dataclass(frozen=True, eq=False)
class Coded:
    """A trained approach whose diffusion runs over codes x (n, *shape) of unit scale.

    Its network `net` offers `denoiser`, `shape` (of one code), `range` (its noise levels), `spectrum` (the covariance
    of its codes) and `values(coords, code)`: the field, at coords (p, d) or (n, p, d), as (n, p, c), differentiable in
    the code. Where it also offers `hear(ObservationBatch) -> Heard`, the guide "encoder" is open: the denoiser itself
    has been told. Every other guide steers the prior, which is what is heard of nothing. `about` says how it was
    trained; "config" which guide is usual; "floor" how far decoded codes are from the truth (a standard deviation, in
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
            self._guide(value) if name == "guide" else require_count(value, name, at_least=8 if name == "cloud" else 2)
        return replace(self, about={**self.about, "config": {**self.about["config"], **knobs}})

    def hear(self, seen: Observations | None) -> Heard:
        """What the network makes of observations; of nothing if None."""
        if not hasattr(self.net, "hear"):
            return Heard()
        d, c = self.about["d"], self.about["c"]
        if seen is None or seen.m == 0:                              # of nothing, the noise does not matter
            seen = Observations(torch.zeros(0, d), torch.zeros(0, c))
        with torch.no_grad():
            return self.net.hear(ObservationBatch.of([seen]).to(self.device))

    @cached_property
    def nothing(self) -> Heard:
        return self.hear(None)

    def denoiser(self, heard: Heard | None = None) -> Denoiser:
        """D(x, sigma) of the prior, or given what was heard."""
        features = (self.nothing if heard is None else heard).features
        return lambda x, sigma: self.net.denoiser(x, sigma, *features)

    def values(self, coords: Tensor, x: Tensor) -> Tensor:
        """The field of prior codes x (n, *shape) at coords (p, d): (n, p, c), differentiable in x, a part at a time."""
        step = max(1, CHUNK // max(1, len(coords)))
        return torch.cat([self.net.values(coords, self.nothing.code(part)) for part in x.split(step)])

    def path(self, seen: Observations | None, n: int, *, seed: int, steps: int | None = None, sampler: str = "dpmpp",
             guide: str | None = None) -> Iterator[Visit]:
        """From noise to codes, a Visit a step; `fields(seen, visit.denoised)` shows what it has in mind."""
        require_count(n), require_seed(seed), require_name(sampler, METHODS, "sampler")
        guide = self._guide(guide)
        steps = require_count(self.steps if steps is None else steps, "steps", at_least=2)
        if require_seen(seen, self.about["d"], self.about["c"]) is None or seen.m == 0:
            return self._walk(self.denoiser(), n, seed, steps, sampler)
        if guide == "encoder":
            return self._walk(self.denoiser(self.hear(seen)), n, seed, steps, sampler)
        seen = in_order(seen)
        if guide == "particles":
            return weighed(self, seen, n, seed=seed, steps=steps, sampler=sampler)
        steered = guided(self.denoiser(), measured(self, seen), guide, self.net.spectrum, self.net.shape)
        return self._walk(steered, n, seed, steps, sampler)

    def _guide(self, guide: str | None) -> str:
        return require_name(self.about["config"]["guide"] if guide is None else guide, self.guides, "guide")

    def sigmas(self, steps: int) -> Tensor:
        """The noise levels of a sampler."""
        return self.net.range.sigmas(steps).to(self.device)

    def _walk(self, denoise: Denoiser, n: int, seed: int, steps: int, sampler: str) -> Iterator[Visit]:
        sigmas = self.sigmas(steps)
        start = sigmas[0] * white(n, self.net.shape, seed=seed).to(self.device)
        return path(denoise, start, sigmas, method=sampler, noise=fresh_noise(seed))

    def push(self, steps: int, sampler: str) -> tuple[Callable[[Tensor], Tensor], int]:
        """The sampler of the prior as a map from normals (n, s, *shape) to codes, and s: one, or one more a step with
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
        """Noise and the prior codes it becomes, as `bank` was asked for: made once, weighed for every observation."""
        return {}

    def bank(self, n: int, steps: int, sampler: str, *, seed: int) -> tuple[Tensor, Tensor]:
        """n prior codes and the noise that makes them, kept for who asks again."""
        key = n, steps, sampler, seed
        if key not in self.banks:
            run, s = self.push(steps, sampler)
            u = normals(seed, n, (s, *self.net.shape), "bank").to(self.device)
            self.banks[key] = u, torch.cat([run(part) for part in u.split(1024)])
        return self.banks[key]

    def fields(self, seen: Observations | None, x: Tensor, guide: str | None = None) -> Evaluated:
        """Codes x (n, *shape) of the path -> the functions they stand for."""
        told = self._guide(guide) == "encoder" and require_seen(seen, self.about["d"], self.about["c"]) is not None
        return self.decode((self.hear(seen) if told else self.nothing).code(x))

    def decode(self, code: Tensor) -> Evaluated:
        """Codes (n, *shape) of unit scale -> Fields."""
        device, c = self.device, self.about["c"]

        def rule(coords: Tensor, part: slice | Tensor) -> Tensor:
            own = code[part]
            step = max(1, CHUNK // len(own))
            with torch.no_grad():
                pieces = [self.net.values(piece.to(device, torch.float32), own) for piece in coords.split(step, dim=-2)]
            return torch.cat(pieces, 1).to(coords) if pieces else coords.new_zeros(len(own), 0, c)

        return Evaluated(rule, len(code), self.about["d"], c)

    def draw(self, seen: Observations | None, n: int, *, seed: int, steps: int | None = None, sampler: str = "dpmpp",
             guide: str | None = None) -> Evaluated:
        """n functions given what was seen, as Fields; None gives the prior.

        `sampler`: euler, heun, dpmpp or ancestral; `steps` noise levels, those of the config unless told; `guide`: how
        observations enter, that of the config unless told.
        """
        for visit in self.path(seen, n, seed=seed, steps=steps, sampler=sampler, guide=guide):
            x = visit.x
        return self.fields(seen, x, guide)
