"""Trained models: what all approaches do alike, and the posterior of latent diffusion, by conditioning or guidance."""

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import chain
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from ..core.checks import require, require_count, require_finite, require_name, require_seed
from ..core.fields import EvaluatedFields
from ..core.grid import grid_values
from ..core.rng import normals, stream
from ..core.types import Fields, LinearObservations, ObservationBatch, Observations, Seen, require_seen
from ..diffusion.denoiser import NOTHING, Conditioning, DenoiseFn, Denoiser, GaussianPrior
from ..diffusion.guidance import Measurement, dps, gauss_newton, linearised, pigdm, tweedie
from ..diffusion.samplers import METHODS, SamplerStep, fresh_noise, path
from ..diffusion.smc import annealed_smc, reweighted
from ..gaussian.karhunen_loeve import LatentGaussian
from ..training import Undertrained

LARGEST = 1e6                               # of observed values and noise levels, in standard deviations
CHUNK = 32_768                              # values decoded at a time while gradients are taken
NUM_PARTICLES, ROUNDS = 512, 24             # of sequential Monte Carlo, unless the config says
CANDIDATES = 8                              # prior draws for each particle, from which the first ones are resampled
CONDITIONAL = 4                             # conditional draws for each particle, where they are reweighted
REFINEMENTS, REFINING_RATE = 6, 0.25        # steps of Adam that make draws meet observations; the config may say more
AMORTISED = ("encoder", "reweighted")       # guides that condition the denoiser on the observations
GUIDES = ("particles", "linearised", "linearised_pigdm", "gauss_newton", "tweedie", "pigdm", "gaussian_pigdm", "dps")
KNOBS = {"guide": 0, "num_particles": 8, "rounds": 2}     # how observations enter; the least value of a count


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A trained approach: its network, what it says of itself, and how many sampling steps it takes by default.

    Nothing in it changes while it draws, so that threads may share one.
    """

    net: nn.Module = field(repr=False)
    about: dict
    steps: int

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(chain(self.net.parameters(), self.net.buffers())).device

    def tensors(self) -> dict[str, Tensor]:
        """All that was learned or measured, by name."""
        return self.net.state_dict()

    def accepted(self, seen: Seen | None, *, linear: bool = False) -> Seen | None:
        """`seen` if it is of the fields that it was trained on, and of a size that single precision can hold."""
        seen = require_seen(seen, self.about["d"], self.about["c"], linear=linear)
        if seen is not None and seen.m > 0:
            size = max(float(seen.values.abs().max()), seen.noise_std)
            require(size <= LARGEST, must=f"Observations in standard deviations, values and noise below {LARGEST:g}.",
                    came=f"{size:.3g}", why="Networks were trained on values of about unit size.",
                    do="Scale them by the problem's mean and std; nfdlab.problems.arrays does it for data files.")
        return seen

    def observations(self, seen: Observations | None) -> ObservationBatch:
        """What was seen of one function, as a batch of one on the device; None is no observations."""
        if self.accepted(seen) is None or seen.m == 0:               # of nothing, the noise level does not matter
            seen = Observations.none(self.about["d"], self.about["c"])
        return ObservationBatch.of([seen]).to(self.device)

    def request(self, n: int, *, seed: int, steps: int | None, sampler: str) -> int:
        """Refuse what no draw can be made of, warn of an undertrained approach; the number of sampling steps."""
        if "undertrained" in self.about:
            warnings.warn(f"{self.about['approach']}: {self.about['undertrained']}", Undertrained, stacklevel=4)
        require_count(n), require_seed(seed), require_name(sampler, METHODS, "sampler")
        return require_count(self.steps if steps is None else steps, "steps", at_least=2)

    def sample(self, denoise: DenoiseFn, n: int, shape: tuple[int, ...], levels: Tensor, *, seed: int, sampler: str,
               mean: Tensor | float = 0.0) -> Iterator[SamplerStep]:
        """From mean + highest level · noise, n draws of a shape, down the noise levels: a SamplerStep a step."""
        levels = levels.to(self.device)
        start = mean + levels[0] * normals(seed, n, shape, "white").to(self.device)
        return path(denoise, start, levels, method=sampler, noise=fresh_noise(seed))

    def evaluated(self, rule: Callable[[Tensor, slice | Tensor], Tensor], n: int, each: int = 16) -> EvaluatedFields:
        """n Fields of `rule(coords, draws)`, which is asked on the device in float32, some points at a time: `each` is
        how many numbers it holds for one point of one draw."""
        d, c = self.about["d"], self.about["c"]

        def moved(coords: Tensor, part: slice | Tensor) -> Tensor:
            if coords.shape[-2] == 0:
                return coords.new_zeros(len(range(n)[part]) if isinstance(part, slice) else len(part), 0, c)
            return rule(coords.to(self.device, torch.float32), part).to(coords)

        return EvaluatedFields(moved, n, d, c, each=each)


@dataclass(frozen=True)
class DecoderError:
    """Model of a decoder's errors: a mixture of two zero-mean Gaussians, of std `large` with probability `share`, of
    std `small` otherwise. Observation noise adds to both variances.

    Near an edge a decoder errs much more than elsewhere. One Gaussian of the same variance would either let a single
    observation there outweigh all others, or trust none of them.
    """

    small: float
    large: float
    share: float

    @classmethod
    def of(cls, errors: Tensor) -> "DecoderError":
        """Fit to errors of any shape, by expectation-maximisation. Dempster, Laird & Rubin 1977."""
        e2 = errors.flatten().double().square().clamp_min(1e-12)
        small2, large2, share = e2.median() / 2, 4 * e2.mean(), torch.tensor(0.1, dtype=torch.float64)
        for _ in range(100):
            logs = torch.stack([(1 - share).log() - 0.5 * small2.log() - e2 / (2 * small2),
                                share.log() - 0.5 * large2.log() - e2 / (2 * large2)])
            odds = logs.softmax(0)[1]
            share = odds.mean().clamp(1e-6, 1 - 1e-6)
            small2, large2 = ((1 - odds) * e2).sum() / (1 - odds).sum(), (odds * e2).sum() / odds.sum()
        return cls(float(small2) ** 0.5, float(large2) ** 0.5, float(share))

    @staticmethod
    def record(errors: Tensor) -> dict:
        """Entries of `about`: `floor`, the root mean square error, and `decoder_error`, the mixture."""
        return {"floor": float(errors.square().mean().sqrt()), "decoder_error": asdict(DecoderError.of(errors))}

    def log_density(self, miss: Tensor, noise_std: float) -> Tensor:
        """Log density of misfits (…), decoder's error and observation noise together, one by one: (…)."""
        parts = []
        for std, odds in ((self.small, 1 - self.share), (self.large, self.share)):
            total = (std**2 + noise_std**2) ** 0.5
            parts.append(math.log(odds) - 0.5 * (miss / total).square() - math.log(total * math.sqrt(2 * math.pi)))
        return torch.logaddexp(*parts)


def gain(seen: Seen) -> float:
    """Factor by which a decoder's errors at points are enlarged in a linear measurement; 1 for observations at points.

    Of a row of weights it is the norm where errors are independent, the sum of sizes where they are all alike. Errors
    of shipped decoders lie between (0.16 to 0.93 of a point's error for block averages, whose norm is 0.25 to 0.5), so
    it is the geometric mean of the two.
    """
    if not isinstance(seen, LinearObservations):
        return 1.0
    found = float((seen.weights.norm(dim=1) * seen.weights.abs().sum(1)).mean().sqrt())
    return max(found, 1e-6)                                  # weights may be nought


class LatentNetwork(nn.Module):
    """Base of the networks of latent diffusion: what `LatentPosterior` asks of them.

    `shape` is that of one latent; `denoiser` works on latents of unit scale; `gaussian` is that of the latents, kept
    beside a prior of another kind; `gaussian_channels`, if there are any, show an encoder the best linear answer.
    `amortised` says whether `condition` depends on observations, so that the guide "encoder" is open.
    """

    shape: tuple[int, ...]
    denoiser: Denoiser
    gaussian: GaussianPrior | None
    amortised: ClassVar[bool] = False

    def __init__(self):
        super().__init__()
        self.gaussian, self.gaussian_channels = None, None

    @property
    def covariance(self) -> GaussianPrior | None:
        """The latents' Gaussian, for guidance: the denoiser's prior, or the one kept beside it, or None."""
        prior = self.denoiser.prior
        return prior if isinstance(prior, GaussianPrior) else self.gaussian

    def condition(self, observations: ObservationBatch) -> Conditioning:
        """Observations of b functions -> conditioning of the denoiser and the decoder."""
        return NOTHING

    def given(self, conditioning: Conditioning) -> DenoiseFn:
        """D(x, sigma) of latents, for a conditioning."""
        return self.denoiser.given(conditioning)

    def prepare(self, latent: Tensor, conditioning: Conditioning = NOTHING) -> tuple[Tensor, ...]:
        """What the decoder computes once for latents (n, *shape), before any query: tensors (n, …)."""
        return (latent,)

    def evaluate(self, coords: Tensor, prepared: tuple[Tensor, ...]) -> Tensor:
        """The decoded fields at coords (p, d) or (n, p, d): (n, p, c)."""
        raise TypeError(f"{type(self).__name__} has no `evaluate`")

    def values(self, coords: Tensor, latent: Tensor, conditioning: Conditioning = NOTHING) -> Tensor:
        """The fields of latents (n, *shape) at coords (p, d) or (n, p, d): (n, p, c), differentiable in the latents."""
        return self.evaluate(coords, self.prepare(latent, conditioning))

    def conditioned(self, found: Conditioning, observations: ObservationBatch) -> Conditioning:
        """An encoder's conditioning; where the prior is a LatentGaussian, its posterior for the encoder's Gaussian."""
        prior = self.denoiser.prior
        if not isinstance(prior, LatentGaussian):
            return found
        return Conditioning(found.features, prior.condition(observations))


class AutoencoderNetwork(LatentNetwork):
    """Base of networks with an `autoencoder` of fields on a grid of `side` points an axis."""

    autoencoder: nn.Module
    side: int

    def grid_values(self, fields: Fields) -> Tensor:
        """What the encoder is given: fields at the points of its grid, (n, c, *side)."""
        return grid_values(fields, self.side)

    def raw(self, values: Tensor) -> Tensor:
        """Values on the grid (n, c, *side) -> latents at the encoder's own scale."""
        return self.autoencoder.encoder(values)

    def encode(self, values: Tensor) -> Tensor:
        """Values on the grid (n, c, *side) -> latents (n, *shape) of unit scale."""
        return self.autoencoder.encode(values)

    def rescale(self, raw: Tensor) -> None:
        """Set the scale to that of raw latents."""
        self.autoencoder.rescale(raw)

    def prepare(self, latent: Tensor, conditioning: Conditioning = NOTHING) -> tuple[Tensor, ...]:
        return self.autoencoder.prepare(latent)

    def evaluate(self, coords: Tensor, prepared: tuple[Tensor, ...], *size: Tensor | float) -> Tensor:
        """The decoded fields at coords; of some autoencoders averaged over boxes `size` wide."""
        return self.autoencoder.evaluate(coords, prepared, *size)


@dataclass(frozen=True, eq=False)
class LatentPosterior(TrainedModel):
    """A trained latent diffusion: observations -> draws of the latent -> fields.

    Diffusion runs over x (n, *shape). With the guide "encoder" the denoiser is conditioned on the observations; with
    "reweighted" its draws are weighted by the likelihood, too; any other guide pulls the prior through the decoder.
    `about` holds in "config" the usual guide, in "floor" the root mean square reconstruction error in units of the
    values, and in "decoder_error" the same as a DecoderError.
    """

    net: LatentNetwork

    def using(self, **knobs) -> Self:
        """The same weights, observations entering otherwise: another `guide`, or of sequential Monte Carlo another
        number of particles, `num_particles`, or of rounds, `rounds`. Few of both are rough and quick."""
        for name, value in knobs.items():
            require_name(name, KNOBS, "knob")
            self.guide(value) if name == "guide" else require_count(value, name, at_least=KNOBS[name])
        return replace(self, about={**self.about, "config": {**self.about["config"], **knobs}})

    def guide(self, name: str | None = None, seen: Seen | None = None) -> str:
        """A guide by name; None is the usual one, for what was seen if that matters. Those that go through the decoder
        need its error, which not all amortised approaches record."""
        name = self.about["config"].get("guide", "encoder") if name is None else name
        known = AMORTISED[:1 + ("floor" in self.about)] * self.net.amortised + GUIDES * ("floor" in self.about)
        return require_name(name, known, "guide")

    def require_seen(self, seen: Seen | None, guide: str) -> Seen | None:
        """`seen`, if it can enter by this guide: an encoder reads observations at points only."""
        return self.accepted(seen, linear=guide not in AMORTISED)

    @torch.no_grad()
    def conditioning(self, seen: Observations | None) -> Conditioning:
        """What the network computes from observations; of none if None."""
        return self.net.condition(self.observations(seen))

    @cached_property
    def unconditional(self) -> Conditioning:
        """The conditioning of the prior."""
        with torch.inference_mode(False):                                # it is kept, and guides pass gradients through
            return self.conditioning(None)

    def denoiser(self, conditioning: Conditioning | None = None) -> DenoiseFn:
        """D(x, sigma) of the prior, or of a conditioning."""
        return self.net.given(self.unconditional if conditioning is None else conditioning)

    def sigmas(self, steps: int) -> Tensor:
        """The noise levels that a sampler visits: (steps + 1,)."""
        return self.net.denoiser.noise_levels.sigmas(steps).to(self.device)

    def draw(self, seen: Seen | None, n: int, *, seed: int, steps: int | None = None, sampler: str = "dpmpp",
             guide: str | None = None) -> EvaluatedFields:
        """n functions given what was seen, as Fields; None gives the prior.

        `sampler`: euler, heun, dpmpp or ancestral; `steps` noise levels, `guide` how observations enter: by default
        those of the config.
        """
        for step in self.path(seen, n, seed=seed, steps=steps, sampler=sampler, guide=guide):
            x = step.x
        return self.fields(seen, x, guide)

    def path(self, seen: Seen | None, n: int, *, seed: int, steps: int | None = None, sampler: str = "dpmpp",
             guide: str | None = None) -> Iterator[SamplerStep]:
        """From noise to latents, a SamplerStep a step; `fields(seen, step.denoised)` shows the estimate so far. Where
        the encoder read observations and the config says `refine`, the last step meets them, by `refined`."""
        steps, guide = self.request(n, seed=seed, steps=steps, sampler=sampler), self.guide(guide, seen)
        if self.require_seen(seen, guide) is None or seen.m == 0:
            denoise = self.denoiser()
        elif guide == "encoder":
            found = self.sample(self.denoiser(self.conditioning(seen)), n, self.net.shape, self.sigmas(steps),
                                seed=seed, sampler=sampler)
            return self._met(found, seen, seed) if self.about["config"].get("refine") else found
        elif guide in ("particles", "reweighted"):
            return getattr(self, f"_{guide}")(seen.sorted(), n, seed, steps, sampler)
        else:
            denoise = self._guided(self.measurement(seen.sorted()), guide)
        return self.sample(denoise, n, self.net.shape, self.sigmas(steps), seed=seed, sampler=sampler)

    def fields(self, seen: Seen | None, x: Tensor, guide: str | None = None) -> EvaluatedFields:
        """x (n, *shape) of the path -> the functions they stand for."""
        guide, x = self.guide(guide, seen), self.require_latent(x)
        conditioned = self.require_seen(seen, guide) is not None and guide in AMORTISED
        conditioning = self.conditioning(seen) if conditioned else self.unconditional
        return self.decode(x, conditioning)

    def require_latent(self, latent: Tensor) -> Tensor:
        """`latent` if it is finite and of shape (n, *shape), n at least 1; on the device."""
        shape = tuple(self.net.shape)
        right = isinstance(latent, Tensor) and latent.is_floating_point() and tuple(latent.shape[1:]) == shape
        require(right and len(latent) > 0, must=f"latent: floats of shape {('n', *shape)}, n at least 1.", came=latent,
                why="Each row is the latent of one function.", do="The x of a step of `path`, or what `encode` gives.")
        return require_finite(latent, "latent").to(self.device, torch.float32)

    @torch.no_grad()
    def decode(self, latent: Tensor, conditioning: Conditioning | None = None) -> EvaluatedFields:
        """Latents (n, *shape) of unit scale -> Fields; what needs no coordinates is computed once."""
        latent = self.require_latent(latent)
        prepared = self.net.prepare(latent, self.unconditional if conditioning is None else conditioning)
        return self.evaluated(lambda coords, part: self.net.evaluate(coords, tuple(t[part] for t in prepared)),
                              len(latent))

    # Guidance and sequential Monte Carlo: the decoder says how likely latents make the observations.

    def values(self, coords: Tensor, x: Tensor) -> Tensor:
        """The prior's fields of x (n, *shape) at coords (p, d): (n, p, c), differentiable in x, some at a time."""
        step = max(1, CHUNK // max(1, len(coords)))
        return torch.cat([self.net.values(coords, part, self.unconditional) for part in x.split(step)])

    def measurement(self, seen: Seen) -> Measurement:
        """Observations as a measurement of x through the decoder; its noise includes the decoder's own error."""
        seen = seen.to(self.device, torch.float32)
        noise_std = (seen.noise_std**2 + (self.about["floor"] * gain(seen)) ** 2) ** 0.5
        return Measurement(lambda x: seen.measure(self.values(seen.points, x)).flatten(1), seen.values.flatten(),
                           noise_std)

    def _guided(self, measurement: Measurement, guide: str) -> DenoiseFn:
        """The prior's denoiser guided by a measurement of x. `gaussian_pigdm` is `pigdm` with the latents' measured
        covariance, which `gauss_newton` takes too. `linearised` and `linearised_pigdm` take the decoder's Jacobian
        once, at the most probable latent; the other guides take it anew at each draw and noise level."""
        denoise, covariance = self.denoiser(), self.net.covariance
        if guide.startswith("linearised"):
            measurement, guide = linearised(measurement, covariance, self.net.shape), guide.removeprefix("linearised_")
        if guide == "gaussian_pigdm":
            return pigdm(denoise, measurement, covariance=covariance)
        if guide in ("tweedie", "pigdm", "dps"):
            return {"tweedie": tweedie, "pigdm": pigdm, "dps": dps}[guide](denoise, measurement)
        return gauss_newton(denoise, measurement, covariance="isotropic" if covariance is None else covariance)

    def refined(self, x: Tensor, seen: Observations, *, seed: int) -> Tensor:
        """Latents x (n, *shape) of conditional draws -> the nearest that meet the observations, each with noise of its
        own: argmin_z |y + noise − f(z)|²/s² + |z − x|²/r², r the config's `refine`, s the noise and the field's error.

        Randomise-then-optimise (Bardsley et al. 2014), by Adam; in latent diffusion, Song et al. 2024 (ReSample).
        """
        seen = seen.sorted().to(self.device, torch.float32)
        noise = seen.noise_std * normals(seed, len(x), tuple(seen.values.shape), "perturbed").to(x)
        step = max(1, CHUNK // max(1, seen.m))
        return torch.cat([self._nearest(*part, seen) for part in zip(x.split(step), noise.split(step), strict=True)])

    def _nearest(self, x: Tensor, noise: Tensor, seen: Observations) -> Tensor:
        """The minimum that `refined` looks for, of some latents."""
        with torch.inference_mode(False), torch.enable_grad():
            start, coords, y = x.clone(), seen.coords.clone(), seen.values.clone() + noise.clone()
            precision, r = 1 / (seen.noise_std**2 + self.about["floor"] ** 2), self.about["config"]["refine"]
            z = start.clone().requires_grad_()
            adam = torch.optim.Adam([z], min(REFINING_RATE, r / 2))     # steps shorter than the way that z may go
            for _ in range(self.about["config"].get("refine_steps", REFINEMENTS)):
                miss = precision * (self.values(coords, z) - y).square().sum() + (z - start).square().sum() / r**2
                z.grad = torch.autograd.grad(miss, z)[0]
                adam.step()
        return z.detach()

    def _met(self, found: Iterator[SamplerStep], seen: Observations, seed: int) -> Iterator[SamplerStep]:
        """The steps of a sampler, the x of the last one `refined`."""
        for step in found:
            if step.index == step.total - 1:
                x = self.refined(step.x, seen, seed=seed)
                step = replace(step, x=x, denoised=x)
            yield step

    def log_likelihood(self, seen: Seen) -> Callable[[Tensor], Tensor]:
        """Log density of the observations given x: x (n, *shape) -> (n,)."""
        floor, seen = self.about["floor"], seen.to(self.device, torch.float32)
        error = DecoderError(**self.about.get("decoder_error", {"small": floor, "large": floor, "share": 0.5}))
        unit = gain(seen)                                    # in units of it the decoder's errors are as at points

        def log_density(x: Tensor) -> Tensor:
            miss = seen.values.flatten() - seen.measure(self.values(seen.points, x)).flatten(1)
            return error.log_density(miss / unit, seen.noise_std / unit).sum(1)

        return log_density

    def push(self, steps: int, sampler: str) -> tuple[Callable[[Tensor], Tensor], int]:
        """The prior's sampler as a map from normals (n, s, *shape) to x, and s."""
        run, s = self.flow(steps, sampler)
        return lambda u: last(run(u)), s

    def flow(self, steps: int, sampler: str,
             conditioning: Conditioning | None = None) -> tuple[Callable[[Tensor], Iterator[SamplerStep]], int]:
        """The sampler, of the prior or of a conditioning, as a map from normals (n, s, *shape) to a SamplerStep a step,
        and s: one, or one more a step with `ancestral`, which adds fresh noise."""
        sigmas, denoise = self.sigmas(steps), self.denoiser(conditioning)

        def run(u: Tensor) -> Iterator[SamplerStep]:
            noise = None if sampler != "ancestral" else lambda i, x: u[:, 1 + i]
            return path(denoise, sigmas[0] * u[:, 0], sigmas, method=sampler, noise=noise)

        return run, 1 + (steps if sampler == "ancestral" else 0)

    @cached_property
    def _banks(self) -> dict[tuple[int, int, str, int], tuple[Tensor, Tensor]]:
        return {}

    def bank(self, n: int, steps: int, sampler: str, *, seed: int) -> tuple[Tensor, Tensor]:
        """n prior draws of x and the normals that make them; kept, since every observation reweights the same ones."""
        key = n, steps, sampler, seed
        if key not in self._banks:
            run, s = self.push(steps, sampler)
            u = normals(seed, n, (s, *self.net.shape), "bank").to(self.device)
            self._banks[key] = u, torch.cat([run(part) for part in u.split(1024)])
        return self._banks[key]

    def _particles(self, seen: Seen, n: int, seed: int, steps: int, sampler: str) -> Iterator[SamplerStep]:
        """Annealed sequential Monte Carlo of a number of particles that does not depend on n; each draw is one."""
        config = self.about["config"]
        count, rounds = config.get("num_particles", NUM_PARTICLES), config.get("rounds", ROUNDS)
        run, (noise, pushed) = self.push(steps, sampler)[0], self.bank(CANDIDATES * count, steps, sampler, seed=0)
        mine = members(count, n, seed=seed)
        for step in annealed_smc(run, self.log_likelihood(seen), noise, seed=seed, rounds=rounds, count=count,
                                 pushed=pushed):
            yield replace(step, x=step.x[mine], denoised=step.denoised[mine])

    def _reweighted(self, seen: Observations, n: int, seed: int, steps: int, sampler: str) -> Iterator[SamplerStep]:
        """Conditional draws as they form, then particles made of them by `reweighted`, of a number that does not depend
        on n. For networks whose draws are wider than the posterior: what they know of the observations is counted
        twice, so that draws that are right become narrower."""
        count = self.about["config"].get("num_particles", NUM_PARTICLES)
        run, s = self.flow(steps, sampler, self.conditioning(seen))
        noise = normals(seed, CONDITIONAL * count, (s, *self.net.shape), "white").to(self.device)
        first = torch.arange(n) % len(noise)                                        # shown while they form
        for step in run(noise):
            if step.index < step.total - 1:
                yield replace(step, x=step.x[first], denoised=step.denoised[first])
        x = reweighted(lambda u: last(run(u)), self.log_likelihood(seen), noise, seed=seed, count=count,
                       pushed=step.x)[0].x[members(count, n, seed=seed)]
        yield replace(step, x=x, denoised=x)


def last(steps: Iterator[SamplerStep]) -> Tensor:
    """The x at which a sampler ends."""
    for step in steps:
        x = step.x
    return x


def members(count: int, n: int, *, seed: int) -> Tensor:
    """Which of `count` particles n draws are: indices (n,), each once before any is there twice."""
    rng = stream(seed, "members")
    return torch.cat([torch.randperm(count, generator=rng) for _ in range(-(-n // count))])[:n]


class AutoencoderPosterior(LatentPosterior):
    """A trained latent diffusion whose network encodes fields on a grid."""

    @torch.no_grad()
    def encode(self, fields: Fields) -> Tensor:
        """Fields -> their latents (n, *shape) of unit scale."""
        return self.net.encode(self.net.grid_values(fields).to(self.device))
