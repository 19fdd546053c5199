"""Approach 4: diffusion on a coarse lattice, a field for the average detail, diffusion again for the rest of it.

A function is drawn in three stages. *Coarse values* given the observations, by diffusion on a coarse lattice. The
*average detail* given these, by a local field: a regression, which has no texture. The *rest of the detail* on a finer
lattice, by a second diffusion; below that lattice, a Gaussian with the spectrum measured on draws goes on, so that a
draw is one function at any resolution. With prior="gaussian" each stage starts at the answer of that Gaussian,
conditioned in closed form, and its network learns what is left.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import ClassVar, NamedTuple, Self

import torch
from torch import Tensor

from ...core import single
from ...core.checks import require, require_count, require_name, require_number, require_seed
from ...core.config import NetworkConfig
from ...core.fields import EvaluatedFields
from ...core.grid import cell_centres, interpolate
from ...core.rng import child, choose, normals
from ...core.types import Budget, Card, Fields, Observations, Source, Views, Watch, quiet
from ...diffusion.denoiser import Conditioning, DenoiseFn
from ...diffusion.samplers import SamplerStep
from ...inference.posterior import TrainedModel
from ...training import Losses, Run, Stage, reused
from .networks import CascadeNetwork, as_grid
from .spectral import ConditionedPoints, Detail, guided

STAGES = ("all", "mean", "coarse")
CALIBRATION_SIDE = {1: 128, 2: 64, 3: 16}            # points an axis that spectra are measured on


class CascadeState(NamedTuple):
    """What x on the path holds of n functions: coarse values (n, c, N_C), with the noise of augmentation; the rest of
    the detail (n, c, N_F); normals of all Fourier modes (n, c, E) and of the observations (n, c, m); amplitude (n,);
    the augmentation level (n,)."""

    coarse: Tensor
    detail: Tensor
    modes: Tensor
    observed: Tensor
    amplitude: Tensor
    augmentation: Tensor

    @property
    def level(self) -> float:
        """The augmentation level, which all draws share."""
        return float(self.augmentation[0])

    def pack(self, **parts: Tensor) -> Tensor:
        """Laid flat (n, …), some parts replaced."""
        state = self._replace(**parts)
        return torch.cat([part.reshape(len(part), -1).to(state.coarse) for part in state], 1)


def by_amplitude(a: Tensor, make: Callable[[float, Tensor], DenoiseFn]) -> DenoiseFn:
    """One denoiser of draws of amplitudes a (n,), from those of each amplitude: make(amplitude, mask)."""
    each = [(a == value, make(float(value), a == value)) for value in a.unique()]

    def D(x: Tensor, sigma) -> Tensor:
        out = torch.empty_like(x)
        for own, denoise in each:
            out[own] = denoise(x[own], sigma)
        return out

    return D


@dataclass(frozen=True, eq=False)
class CascadePosterior(TrainedModel):
    """A trained cascade: observations -> coarse values -> fine values -> functions. x (n, …) on its path is a
    `CascadeState`, laid flat."""

    net: CascadeNetwork = field(repr=False)

    def details(self, s: float) -> Detail:
        """Fine values given coarse ones that carry noise of std s."""
        return self.net.lattices.detail(s)

    def using(self, **knobs) -> Self:
        """The same weights, draws stopping after other `stages`: "all", "mean" or "coarse"."""
        for name in knobs:
            require_name(name, ("stages",), "knob"), self.stages(knobs[name])
        return replace(self, about={**self.about, "config": {**self.about["config"], **knobs}})

    def stages(self, name: str | None = None) -> str:
        """Where draws stop, by name; None is where the config says."""
        return require_name(self.about["config"]["stages"] if name is None else name, STAGES, "stage")

    def augmentation(self, level: float | None = None) -> float:
        """The augmentation level of draws; None is that of the config."""
        config = self.about["config"]
        level, levels = config["augmentation"] if level is None else float(level), config["augmentation_levels"]
        require(level in levels, must=f"augmentation: one of {tuple(levels)}.", came=f"{level}",
                why="The network was trained at those levels.", do=f"augmentation={levels[-1]}.")
        return level

    def draw(self, seen: Observations | None, n: int, *, seed: int, steps: int | None = None, sampler: str = "dpmpp",
             stages: str | None = None, augmentation: float | None = None) -> EvaluatedFields:
        """n functions given what was seen, as Fields; None gives the prior.

        `sampler`: euler, heun, dpmpp or ancestral; `steps` noise levels of each diffusion; `stages`: "coarse", drawn
        coarse values enlarged, "mean", the average detail on them, a regression's answer, or "all"; `augmentation`: std
        of noise that is added to coarse values before detail is drawn, on which the detail is conditioned. Those of the
        config unless given.
        """
        for step in self.path(seen, n, seed=seed, steps=steps, sampler=sampler, stages=stages,
                              augmentation=augmentation):
            x = step.x
        return self.fields(seen, x, stages)

    def path(self, seen: Observations | None, n: int, *, seed: int, steps: int | None = None, sampler: str = "dpmpp",
             stages: str | None = None, augmentation: float | None = None) -> Iterator[SamplerStep]:
        """From noise to coarse values, then from noise to the rest of the detail: a SamplerStep a step, `steps` for
        each, or one for a mean. `fields(seen, step.denoised)` shows the estimate so far."""
        steps, stages = self.request(n, seed=seed, steps=steps, sampler=sampler), self.stages(stages)
        points, level = self.condition(seen), 0.0 if stages == "coarse" else self.augmentation(augmentation)
        total = steps + {"all": steps, "mean": 1, "coarse": 0}[stages]

        def walk(state: CascadeState) -> Iterator[SamplerStep]:
            D, levels = self.coarse_denoiser(seen, points, state.amplitude), self.net.coarse.noise_levels.sigmas(steps)
            for step in self._sample(D, state.coarse, levels, child(seed, "coarse"), sampler):
                yield replace(step, total=total, x=state.pack(coarse=step.x), denoised=state.pack(coarse=step.denoised))
            extra = state.augmentation[:, None, None] * normals(seed, n, step.x.shape[1:], "augment")
            state = state._replace(coarse=step.x + extra.to(step.x))
            for step in self._detail(points, state, seed, steps, sampler, stages):
                yield replace(step, index=steps + step.index, total=total)

        return walk(self.start(points, n, level, seed=seed))

    def condition(self, seen: Observations | None) -> ConditionedPoints:
        """The spectral prior conditioned on what was seen, in whatever order."""
        return self.net.lattices.condition(self._sorted(seen))

    def _sorted(self, seen: Observations | None) -> Observations:
        seen, d, c = self.accepted(seen), self.about["d"], self.about["c"]
        return Observations.none(d, c) if seen is None or seen.m == 0 else seen.sorted()

    def start(self, points: ConditionedPoints, n: int, augmentation: float, *, seed: int) -> CascadeState:
        """Of n draws what is known before any diffusion: amplitudes drawn from their posterior, and normals."""
        (sites, fine), c, prior = (len(x) for x in self.net.places), self.net.c, self.net.spectral_prior
        which = choose(points.amplitude_log_weights(), n, seed=child(seed, "loudness"))
        return CascadeState(single.zeros(n, c, sites), single.zeros(n, c, fine), prior.noise(n, seed=seed).flatten(2),
                            normals(seed, n, (c, points.m), "dots"), prior.amplitudes()[0][which].float(),
                            single.full((n,), augmentation))

    def _sample(self, denoise: DenoiseFn, like: Tensor, levels: Tensor, seed: int,
                sampler: str) -> Iterator[SamplerStep]:
        """x shaped as `like` (n, c, N) from noise around the mean."""
        with torch.no_grad():
            mean = denoise(torch.zeros_like(like, device=self.device), levels[0])
        return self.sample(denoise, len(like), like.shape[1:], levels, seed=seed, sampler=sampler, mean=mean)

    @torch.no_grad()
    def coarse_denoiser(self, seen: Observations | None, points: ConditionedPoints, a: Tensor) -> DenoiseFn:
        """D of coarse values (n, c, N_C), given the observations, for draws of amplitudes a (n,)."""
        batch = self.observations(self._sorted(seen))
        return by_amplitude(a, lambda a, own: self.net.coarse.given(self.net.condition([points], batch, [a])))

    def _detail(self, points: ConditionedPoints, state: CascadeState, seed: int, steps: int, sampler: str,
                stages: str) -> Iterator[SamplerStep]:
        """The steps after the coarse values: the rest of the detail from noise, or its mean at once, or none."""
        if stages == "coarse":
            return
        D, levels = self.detail_denoiser(points, state), self.details(state.level).noise_levels.sigmas(steps)
        if stages == "all":
            for step in self._sample(D, state.detail, levels, child(seed, "fine"), sampler):
                yield replace(step, x=state.pack(detail=step.x), denoised=state.pack(detail=step.denoised))
        else:
            with torch.no_grad():                                        # the answer to nothing but noise
                x = state.pack(detail=D(torch.zeros_like(state.detail, device=self.device), levels[0]))
            yield SamplerStep(0, 1, single.zeros(()), x, x)

    @torch.no_grad()
    def detail_denoiser(self, points: ConditionedPoints, state: CascadeState) -> DenoiseFn:
        """D of the rest of the detail (n, c, N_F), given coarse values and observations."""
        net, detail, coarse = self.net, self.details(state.level), state.coarse.to(self.device)
        mean, features = net.fine_mean(coarse, detail)
        features_of_all, linear = net.detail_conditioning(mean, features).features[0], net.linear(coarse, detail)

        def make(a: float, own: Tensor) -> DenoiseFn:
            D = net.denoise_detail(detail, Conditioning((features_of_all[own],)))
            field = net.average.field(points.coords.to(features), features[own]).mT
            at_observations = field + linear[own] @ points.rows.T.to(linear)
            target = points.values / a - at_observations.double().cpu()
            return guided(D, detail.prior, points.rows, points.cholesky_given_fine(a), target)

        return by_amplitude(state.amplitude, make)

    def unpacked(self, x: Tensor, m: int) -> CascadeState:
        """x (n, …) of the path, as the state that it holds where m points were observed."""
        (sites, fine), c, modes = (len(p) for p in self.net.places), self.net.c, self.net.spectral_prior.root.numel()
        *parts, a, s = x.split([c * sites, c * fine, c * modes, c * m, 1, 1], 1)
        return CascadeState(*(part.unflatten(1, (c, -1)) for part in parts), a[:, 0], s[:, 0])

    @torch.no_grad()
    def fields(self, seen: Observations | None, x: Tensor, stages: str | None = None) -> EvaluatedFields:
        """The functions that x (n, …) of the path stands for, as Fields; "coarse" reads coarse values bicubically, as
        pictures are enlarged, "mean" has no texture."""
        stages, points, net = self.stages(stages), self.condition(seen), self.net
        state = self.unpacked(x.to(self.device), points.m)
        a, grid = state.amplitude, as_grid(state.coarse, net.d)
        if stages == "coarse":
            return self.evaluated(lambda coords, part: net.values(
                interpolate(grid[part], coords, net.d < 3).mT, a[part]), len(x))
        detail = self.details(state.level)
        features = net.average.encode(state.coarse, detail.s)
        fine = state.detail.double().cpu() + net.linear(state.coarse.double().cpu(), detail)
        modes, observed = ((0.0 if stages == "mean" else 1.0) * z for z in (state.modes, state.observed))
        weights = modes.unflatten(2, net.spectral_prior.root.shape).cpu()
        for value in a.unique():
            own = (a == value).cpu()
            field = net.average.field(points.coords.to(features), features[own]).mT.double().cpu()
            values = points.values / float(value) - field
            weights[own] = points.matheron(weights[own], fine[own], float(value), values, observed[own].cpu())
        weights, projected = weights.to(self.device), net.average.field.project(features)
        cells, each = (net.side,) * net.d, weights[0].numel() // weights.shape[2]

        def rule(coords: Tensor, part: slice | Tensor) -> Tensor:
            found = net.spectral_prior(coords, weights[part]) + net.average.field.read(coords, projected[part], cells)
            return net.values(found.mT, a[part])

        return self.evaluated(rule, len(a), each=max(each, 2**net.d * projected.shape[2]))

    @torch.no_grad()
    def refine(self, coarse: Tensor, n: int, *, seed: int, augmentation: float = 0.0, stages: str = "all",
               amplitude: float = 1.0, steps: int | None = None) -> EvaluatedFields:
        """n functions of an amplitude, given coarse values (N_C, c) that carry noise of std `augmentation` in units of
        the prior."""
        require_count(n), require_seed(seed), require_number(amplitude, "amplitude", 0.0, open_low=True)
        require(coarse.shape == (len(self.net.places[0]), self.net.c), came=coarse,
                must=f"coarse: values ({len(self.net.places[0])}, {self.net.c}) on the coarse lattice.",
                why="Detail is drawn to coarse values.", do="truth(model.net.places[0])[0].")
        points, a = self.condition(None), single.full((n,), float(amplitude))
        units = self.net.units(coarse.expand(n, -1, -1).to(self.device), a.to(self.device))
        state = self.start(points, n, self.augmentation(augmentation), seed=seed)._replace(coarse=units, amplitude=a)
        x, steps = state.pack(), self.steps if steps is None else steps
        for step in self._detail(points, state, seed, steps, "dpmpp", self.stages(stages)):
            x = step.x
        return self.fields(None, x, stages)


@dataclass(frozen=True)
class CoarseToFine(NetworkConfig):
    """Config of approach 4. None chooses by dimension."""

    card: ClassVar[Card] = Card(
        4, "Coarse to fine",
        "diffuse coarse values, add the average detail by a field, diffuse what regression loses; Fourier modes below",
        "Saharia et al. 2023 (cascade); Mardani et al. 2023 (residual); Chen et al. 2021 (LIIF); Bar-Tal et al. 2023 "
        "(tiles)",
        "detail at many scales: enlarging by any factor, draws whose spectrum is right at every zoom, wide domains",
        "one spectrum for all places: edges and flat parts are not told apart below the fine lattice; on Gaussian "
        "fields its closed forms do all the work")
    trained: ClassVar[type] = CascadePosterior
    network: ClassVar[type] = CascadeNetwork
    choices: ClassVar[dict] = {"stages": STAGES}
    usual: ClassVar[dict] = {"coarse_side": {1: 16, 2: 8, 3: 4}, "fine_side": {1: 64, 2: 32, 3: 8},
                             "max_frequency": {1: 64, 2: 64, 3: 8}}

    # "gaussian": both diffusions and the average detail start at a Gaussian whose spectrum is measured on draws;
    # "white": both denoisers start at a white Gaussian, and the average detail at zero
    prior: str = "gaussian"
    coarse_side: int | None = None           # points of the coarse lattice an axis: 16 in 1D, 8 in 2D, 4 in 3D
    fine_side: int | None = None             # points of the fine lattice an axis: 64 in 1D, 32 in 2D, 8 in 3D
    # largest frequency that is measured, in half-cycles of the box an axis: 64 in 1D and 2D, 8 in 3D
    max_frequency: int | None = None
    # noise conditioning augmentation: std of noise on coarse values in training (Ho et al. 2022)
    augmentation_levels: tuple[float, ...] = (0.0, 0.1, 0.3)
    augmentation: float = 0.0                # the level of draws, one of these
    stages: str = "all"                      # where draws stop: "all", "mean" or "coarse"
    calibration_functions: int = 2048        # functions that the spectrum is measured on
    width: int = 32                          # channels of all networks
    depth: int = 3                           # residual blocks of the encoder of coarse values
    octaves: int = 3                         # Fourier octaves of the field's local coordinates
    denoiser_dilations: tuple[int, ...] = (1, 2, 1)  # dilations of the residual blocks of both denoisers
    batch: int = 16                          # functions in a batch
    queries: int = 128                       # query points of each function in a training step of the average detail
    reuse: int = 12                          # training steps of the first diffusion on one batch of observations
    # shares of the budget: coarse values, average detail, rest of the detail
    budget_shares: tuple[float, float, float] = (0.2, 0.3, 0.5)
    unconditional_share: float = 0.1         # share of the functions that are trained without their observations
    lr: float = 1.5e-3                       # learning rate
    steps: int = 24                          # sampling steps of each diffusion

    def fit(self, source: Source, *, views: Views, budget: Budget, seed: int, device: str = "auto",
            watch: Watch = quiet) -> CascadePosterior:
        """Measure the spectrum, then train each stage on fresh functions, the first observed as `views` hides them.
        Cancelled early, it returns what it has."""
        run = Run(source, views, budget, seed, device, watch)
        net = run.build(self)
        learn = CoarseToFineLosses(self, run, net)
        learn.measure()
        batch = reused(learn.observed, self.reuse)
        losses = {"coarse": lambda i: learn.coarse(i, *batch(i)), "average": learn.average, "detail": learn.detail}
        run.train(net, *(Stage(name, loss, getattr(net, name).parameters(), share, self.lr)
                         for (name, loss), share in zip(losses.items(), self.budget_shares, strict=True)))
        return CascadePosterior(net, run.record("coarse_to_fine", self), self.steps)


class CoarseToFineLosses(Losses):
    """The losses of a training step i, and what is measured before."""

    def measure(self) -> None:
        """The spectrum, and the noise levels of coarse values."""
        config, net, run = self.config, self.net, self.run
        side, count = CALIBRATION_SIDE[run.d], config.calibration_functions
        grid = cell_centres((side,) * run.d)
        values = torch.cat([run.functions(min(128, count - i), "spectrum", i)(grid) for i in range(0, count, 128)])
        net.spectral_prior.calibrate(values, side, seed=child(run.seed, "luck"))
        net.precompute()
        net.coarse.noise_levels.calibrate(net.units(run.functions(512, "range")(net.places[0]).to(run.device)).cpu())

    def batch(self, rng: torch.Generator, *use) -> tuple[Fields, Tensor]:
        """Fresh functions, and their amplitudes (b,), estimated from fine values with a jitter."""
        fields = self.run.functions(self.config.batch, *use)
        return fields, self.net.estimated_amplitude(fields, self.net.lattices.detail(0.0), rng)

    @torch.no_grad()
    def observed(self, batch: int) -> tuple[Tensor, Conditioning]:
        """Coarse values, and the conditioning by observations of a batch of functions."""
        rng = self.run.rng("coarse", batch)
        fields, a = self.batch(rng, "coarse", batch)
        seen = self.run.observe(fields, batch).dropped(self.config.unconditional_share, rng)
        points = [self.net.lattices.condition(Observations(x[k], y[k], float(s))) for x, y, k, s in
                  zip(seen.coords, seen.values, seen.mask, seen.noise_std, strict=True)]
        conditioning = self.net.condition(points, seen.to(self.run.device), a.tolist())
        return self.net.units(fields(self.net.places[0]), a).to(self.run.device), conditioning

    def coarse(self, i: int, clean: Tensor, conditioning: Conditioning) -> Tensor:
        """Stage 1: denoise coarse values given observations."""
        return self.net.coarse.training_loss(clean, self.run.rng("coarse again", i), conditioning)

    def augmented(self, fields: Fields, a: Tensor, rng: torch.Generator) -> tuple[Detail, Tensor, Tensor]:
        """The detail at a random augmentation level, coarse values that carry so much noise, and fine values."""
        (sites, fine), levels = self.net.places, self.config.augmentation_levels
        s = levels[int(torch.randint(len(levels), (), generator=rng))]
        coarse = self.net.units(fields(sites), a)
        coarse = (coarse + s * single.randn(coarse.shape, generator=rng)).to(self.run.device)
        return self.net.lattices.detail(s), coarse, self.net.units(fields(fine), a).to(self.run.device)

    def average(self, i: int) -> Tensor:
        """Stage 2: squared error of the average detail given coarse values, at random queries and at fine points."""
        net, many, device, rng = self.net, self.config.queries, self.run.device, self.run.rng("average", i)
        fields, a = self.batch(rng, "average", i)
        detail, coarse, values = self.augmented(fields, a, rng)
        free, fine = self.run.queries(self.config.batch, many, rng), net.places[1]
        pick = torch.randint(len(fine), (many,), generator=rng)
        left_free = net.units(fields(free), a).mT.to(device) - net.linear_at(coarse, detail.s, free.to(device))
        left_fine = (values - net.linear(coarse, detail)).mT[:, pick]
        both = torch.cat([free, fine[pick].expand(len(free), -1, -1)], 1).to(device)
        found = net.average.field(both, net.average.encode(coarse, detail.s))
        return ((found - torch.cat([left_free, left_fine], 1)) / detail.size).square().mean()

    def detail(self, i: int) -> Tensor:
        """Stage 3: denoise the rest of the detail; the channels of a function share a noise level."""
        rng = self.run.rng("left", i)
        detail, coarse, values = self.augmented(*self.batch(rng, "left", i), rng)
        with torch.no_grad():
            mean, features = self.net.fine_mean(coarse, detail)
        denoiser, left = self.net.detail_denoiser(detail), values - mean
        sigma = denoiser.noise_levels.for_training(single.randn(len(left), generator=rng)).to(left)
        noise = single.randn(left.shape, generator=rng).to(left)
        return denoiser.loss(left.flatten(0, 1), sigma.repeat_interleave(self.run.c), noise.flatten(0, 1),
                             self.net.detail_conditioning(mean, features))


APPROACH = CoarseToFine
