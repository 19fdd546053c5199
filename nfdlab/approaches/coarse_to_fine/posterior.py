"""What a trained cascade does: coarse values given observations, fine ones given both, then one function for each draw."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Self

import torch
from torch import Tensor

from ...core.checks import require, require_count, require_name, require_number, require_seed
from ...core.fields import EvaluatedFields
from ...core.grid import interpolate
from ...core.rng import child, choose, normals
from ...core.types import ObservationBatch, Observations, require_seen
from ...diffusion.denoiser import DenoiseFn
from ...diffusion.noise import white
from ...diffusion.samplers import METHODS, SamplerStep, fresh_noise, path
from ...inference.decoder_guidance import sorted_observations
from .conditioning import guided, rest_of
from .lattices import ConditionedPoints
from .networks import CascadeNetwork

CHUNK = 40_000_000                   # numbers held while a picture is decoded
STAGES = ("all", "mean", "coarse")


class Parts(NamedTuple):
    """What x holds of n functions: coarse values (n, c, N_C), noise and all; what is left on the fine lattice (n, c,
    N_F); normals of all waves (n, c, E) and of the observations (n, c, m); loudness (n,); the noise s (n,)."""

    coarse: Tensor
    left: Tensor
    waves: Tensor
    dots: Tensor
    a: Tensor
    s: Tensor

    def pack(self, coarse: Tensor | None = None, left: Tensor | None = None) -> Tensor:
        """Laid flat (n, …), with other coarse values or another rest."""
        parts = (self.coarse if coarse is None else coarse, self.left if left is None else left, *self[2:])
        return torch.cat([part.reshape(len(part), -1).to(parts[0]) for part in parts], 1)


@dataclass(frozen=True, eq=False)
class CascadePosterior:
    """A trained cascade. x (n, …) on its path holds coarse values, what is left of the fine ones, and the normals of
    all that is below."""

    net: CascadeNetwork = field(repr=False)
    about: dict
    steps: int

    @property
    def device(self) -> torch.device:
        return self.net.waves.mean.device

    def tensors(self) -> dict[str, Tensor]:
        """All that is learned, by name."""
        return self.net.state_dict()

    def _told(self, seen: Observations | None) -> tuple[ConditionedPoints, ObservationBatch]:
        d, c = self.about["d"], self.about["c"]
        if require_seen(seen, d, c) is None or seen.m == 0:              # of nothing, the noise does not matter
            seen = Observations(torch.zeros(0, d), torch.zeros(0, c))
        at = self.net.lattices
        if at.asked[0] is not seen:                                      # the same question is asked more than once
            ordered = sorted_observations(seen)
            at.asked = seen, at.told(ordered), ObservationBatch.of([ordered]).to(self.device)
        return at.asked[1:]

    def _begin(self, told: ConditionedPoints, n: int, seed: int, s: float) -> Parts:
        (sites, fine), c, net = (len(x) for x in self.net.places), self.net.c, self.net
        which = choose(told.loudness(), n, seed=child(seed, "loudness"))
        a = net.lattices.waves.loudnesses()[0][which].float()
        return Parts(white(n, (c, sites), seed=child(seed, "coarse")), torch.zeros(n, c, fine),
                     net.waves.noise(n, seed=seed).flatten(2), normals(seed, n, (c, told.m), "dots"), a,
                     torch.full((n,), s))

    def using(self, **knobs) -> Self:
        """The same weights, stopping elsewhere: `stages`, "all", "mean" or "coarse"."""
        for name in knobs:
            require_name(name, ("stages",), "knob"), self._stage(knobs[name])
        return replace(self, about={**self.about, "config": {**self.about["config"], **knobs}})

    def _stage(self, stages: str | None) -> str:
        return require_name(self.about["config"]["stages"] if stages is None else stages, STAGES, "stage")

    def _noise(self, s: float | None) -> float:
        s = self.about["config"]["usual"] if s is None else float(s)
        require(s in self.net.augment, must=f"augment: one of {self.net.augment}.", came=f"{s}",
                why="The network has practised those.", do=f"augment={self.net.augment[-1]}.")
        return s

    def path(self, seen: Observations | None, n: int, *, seed: int, steps: int | None = None, sampler: str = "dpmpp",
             stages: str | None = None, augment: float | None = None) -> Iterator[SamplerStep]:
        """From noise to coarse values, then from noise to what is left on the fine lattice: a Visit a step, `steps` for
        each, or one for a mean. `fields(seen, visit.denoised)` shows what it has in mind."""
        require_count(n), require_seed(seed), require_name(sampler, METHODS, "sampler")
        steps, stages = require_count(self.steps if steps is None else steps, "steps", at_least=2), self._stage(stages)
        told, batch = self._told(seen)
        parts = self._begin(told, n, seed, 0.0 if stages == "coarse" else self._noise(augment))
        return self._walk(told, batch, parts, seed, steps, sampler, stages)

    def _walk(self, told, batch, parts: Parts, seed: int, steps: int, sampler: str, stages: str) -> Iterator[SamplerStep]:
        total = steps + {"all": steps, "mean": 1, "coarse": 0}[stages]
        for visit in self._coarse(told, batch, parts, seed, steps, sampler):
            x = visit.x
            yield SamplerStep(visit.index, total, visit.sigma, parts.pack(x), parts.pack(visit.denoised))
        parts = self._noisy(parts, x, seed)
        if stages == "mean":
            left = parts.pack(left=self._mean(told, parts))
            yield SamplerStep(steps, total, torch.zeros(()), left, left)
        elif stages == "all":
            for visit in self._fine(told, parts, seed, steps, sampler):
                x, clean = parts.pack(left=visit.x), parts.pack(left=visit.denoised)
                yield SamplerStep(steps + visit.index, total, visit.sigma, x, clean)

    def _coarse(self, told: ConditionedPoints, batch: ObservationBatch, parts: Parts, seed: int, steps: int, sampler: str):
        D = self._each(parts.a, lambda a, own: self.net.coarse_denoiser(self.net.known([told], batch, [a])))
        return self._from_noise(D, parts.coarse, self.net.coarse_range.sigmas(steps), child(seed, "coarse"), sampler)

    def _noisy(self, parts: Parts, coarse: Tensor, seed: int) -> Parts:
        extra = parts.s[:, None, None] * normals(seed, len(coarse), coarse.shape[1:], "augment")
        return parts._replace(coarse=coarse + extra.to(coarse))

    def _mean(self, told: ConditionedPoints, parts: Parts) -> Tensor:
        """What is left on average, given coarse values and observations: the denoiser's answer to nothing but noise."""
        with torch.no_grad():
            D = self.left_denoiser(told, parts)
            return D(torch.zeros_like(parts.left).to(self.device), torch.tensor(self.net.detail_noise_levels(float(parts.s[0])).high))

    def _fine(self, told: ConditionedPoints, parts: Parts, seed: int, steps: int, sampler: str) -> Iterator[SamplerStep]:
        start = white(len(parts.a), parts.left.shape[1:], seed=child(seed, "fine"))
        sigmas = self.net.detail_noise_levels(float(parts.s[0])).sigmas(steps)
        return self._from_noise(self.left_denoiser(told, parts), start, sigmas, child(seed, "fine"), sampler)

    def _from_noise(self, D: DenoiseFn, noise: Tensor, sigmas: Tensor, seed: int, sampler: str) -> Iterator[SamplerStep]:
        noise = noise.to(self.device)
        with torch.no_grad():
            start = D(torch.zeros_like(noise), sigmas[0]) + sigmas[0] * noise
        return path(D, start, sigmas.to(self.device), method=sampler, noise=fresh_noise(seed))

    def _each(self, a: Tensor, make) -> DenoiseFn:
        """One denoiser from those of each loudness: make(a, mask)."""
        ways = {float(x): (own, make(float(x), own)) for x in a.unique() for own in [a == x]}
        if len(ways) == 1:
            return next(iter(ways.values()))[1]

        def D(x: Tensor, sigma) -> Tensor:
            out = torch.empty_like(x)
            for own, way in ways.values():
                out[own] = way(x[own], sigma)
            return out

        return D

    @torch.no_grad()
    def left_denoiser(self, told: ConditionedPoints, parts: Parts) -> DenoiseFn:
        """D of what is left on the fine lattice, given coarse values and observations."""
        net, s, fine = self.net, float(parts.s[0]), self.net.places[1].to(self.device)
        coarse = parts.coarse.to(self.device)
        memory, linear = net.memory(coarse, s), net.average(coarse, s)
        features = net.features(coarse, s, memory, linear + net.field(fine, memory).mT)

        def make(a: float, own: Tensor) -> DenoiseFn:
            D = net.residual_denoiser(s, features[own])
            if told.m == 0:
                return D
            place = told.places.to(self.device)
            at_dots = net.field(place, memory[own]).mT + linear[own] @ told.rows.T.to(linear)
            target = told.values / a - at_dots.double().cpu()
            return guided(D, net.lattices.detail(s).spectrum, told.rows, told.rest(a), target)

        return self._each(parts.a, make)

    def _unpack(self, x: Tensor, m: int) -> Parts:
        (sites, fine), c, E = (len(p) for p in self.net.places), self.net.c, self.net.waves.root.numel()
        sizes = [c * sites, c * fine, c * E, c * m, 1, 1]
        require(x.shape[-1] == sum(sizes), must=f"x: {sum(sizes)} numbers a draw.", came=x,
                why="It holds lattices, and the normals of waves and dots.", do="Pass a visit's x with the same seen.")
        coarse, left, waves, dots, a, s = x.split(sizes, 1)
        return Parts(*(part.unflatten(1, (c, -1)) for part in (coarse, left, waves, dots)), a[:, 0], s[:, 0])

    @torch.no_grad()
    def fields(self, seen: Observations | None, x: Tensor, stages: str | None = None) -> EvaluatedFields:
        """What x (n, …) of the path stands for, as Fields; "coarse" reads coarse values bicubically, as pictures are
        enlarged, "mean" has no texture."""
        stages, told, net = self._stage(stages), self._told(seen)[0], self.net
        parts = self._unpack(x.to(self.device), told.m)
        a = parts.a
        if stages == "coarse":
            grid = net.grid(parts.coarse)
            return EvaluatedFields(lambda coords, part: net.values(
                interpolate(grid[part], coords.to(grid), net.d < 3).mT, a[part]).to(coords), len(x), net.d, net.c)
        s = float(parts.s[0])
        memory = net.memory(parts.coarse, s)
        fine = parts.left.double().cpu() + net.average(parts.coarse.double().cpu(), s)       # what follows is steep
        waves, noise = ((0.0 if stages == "mean" else 1.0) * z for z in (parts.waves, parts.dots))
        weights = waves.unflatten(2, net.waves.root.shape).cpu()
        tick, inverse = net.lattices.ticks[net.fine], net.lattices.inverse
        for value in a.unique():
            own = (a == value).cpu()
            dots = told.values / float(value) - net.field(told.places.to(memory), memory[own]).mT.double().cpu()
            weights[own] = rest_of(net.waves, weights[own], fine[own], tick, inverse, told, float(value), dots,
                                   noise[own].cpu())
        return self._whole(weights.to(self.device), memory, a)

    def _whole(self, weights: Tensor, memory: Tensor, a: Tensor) -> EvaluatedFields:
        net, cells = self.net, (self.net.side,) * self.net.d
        known, row = net.field.project(memory), weights.shape[1] * weights[0, 0].numel() // len(net.waves.root)

        def rule(coords: Tensor, part: slice | Tensor) -> Tensor:
            own, out = weights[part], []
            step = max(1, CHUNK // max(1, len(own) * max(row, 2**net.d * known.shape[2])))
            for piece in coords.to(self.device, torch.float32).split(step, dim=-2):
                found = net.waves(piece, own) + net.field.read(piece, known[part], cells)
                out.append(net.values(found.mT, a[part]))
            return torch.cat(out, 1).to(coords) if out else coords.new_zeros(len(own), 0, net.c)

        return EvaluatedFields(rule, len(a), net.d, net.c)

    def draw(self, seen: Observations | None, n: int, *, seed: int, steps: int | None = None, sampler: str = "dpmpp",
             stages: str | None = None, augment: float | None = None) -> EvaluatedFields:
        """n functions given what was seen, as Fields; None gives the prior.

        `sampler`: euler, heun, dpmpp or ancestral; `steps` noise levels of each diffusion; `stages`: "coarse", drawn
        coarse values enlarged, "mean", the average detail on them, a regression's answer, or "all"; `augment`: noise
        that coarse values are given before detail is drawn, which is told of it. Those of the config unless told.
        """
        for visit in self.path(seen, n, seed=seed, steps=steps, sampler=sampler, stages=stages, augment=augment):
            x = visit.x
        return self.fields(seen, x, stages)

    @torch.no_grad()
    def refine(self, coarse: Tensor, n: int, *, seed: int, augment: float = 0.0, stages: str = "all", a: float = 1.0,
               steps: int | None = None) -> EvaluatedFields:
        """n functions as loud as a, with coarse values (N_C, c) that carry noise `augment` in units of the waves."""
        require_count(n), require_seed(seed), require_number(a, "a", 0.0, open_low=True)
        require(coarse.shape == (len(self.net.places[0]), self.net.c), came=coarse,
                must=f"coarse: values ({len(self.net.places[0])}, {self.net.c}) on the coarse lattice.",
                why="Detail is drawn to coarse values.", do="truth(model.net.places[0])[0].")
        told, loud = self._told(None)[0], torch.full((n,), float(a))
        units = self.net.units(coarse.expand(n, -1, -1).to(self.device), loud.to(self.device))
        parts = self._begin(told, n, seed, self._noise(augment))._replace(coarse=units, a=loud)
        if self._stage(stages) != "all":
            return self.fields(None, parts.pack(left=self._mean(told, parts)), stages)
        for visit in self._fine(told, parts, seed, self.steps if steps is None else steps, "dpmpp"):
            left = visit.x
        return self.fields(None, parts.pack(left=left), stages)
