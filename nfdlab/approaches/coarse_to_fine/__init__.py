"""Approach 4: diffusion at the coarse level, a local field for the expected detail, diffusion again for the rest of it.

A function is drawn in three stages. *Coarse values*, averages over the blocks of a coarse picture, by diffusion given
the observations. The *average detail* given these and the observations, by a local implicit field: a regression, which
has no texture. The *rest of the detail* on a fine lattice, by a second diffusion, and a field between its points. What
is observed may be a coarse picture, scattered points, or both.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import ClassVar, NamedTuple, Self

import torch
from torch import Tensor

from ...core import single
from ...core.checks import require, require_name, require_number
from ...core.config import NetworkConfig
from ...core.fields import EvaluatedFields
from ...core.grid import cell_centres, interpolate, to_grid
from ...core.rng import child, normals
from ...core.types import (
    Budget,
    Card,
    Fields,
    LinearObservations,
    ObservationBatch,
    Observations,
    Seen,
    Source,
    Views,
    Watch,
    quiet,
)
from ...diffusion.denoiser import Conditioning, like, stratified_normals
from ...diffusion.samplers import SamplerStep
from ...gaussian.karhunen_loeve import LatentGaussian
from ...inference.lattice import LEAST_OPEN
from ...inference.posterior import TrainedModel
from ...latents.box_averages import box_averages
from ...latents.two_stage import LatentLosses
from ...training import Run, Stage
from .networks import CascadeNetwork, block_averages, boxes_of

STAGES = ("all", "mean", "coarse", "regression")
HOLES = 0.25                         # share of the coarse pictures in training of which some averages are missing


class CascadeState(NamedTuple):
    """What x on the path holds of n functions: coarse values (n, c, *coarse), with the noise of augmentation; the rest
    of the detail on the fine lattice (n, c, *side); the augmentation level (n,)."""

    coarse: Tensor
    rest: Tensor
    level: Tensor

    def pack(self) -> Tensor:
        """Laid flat (n, …)."""
        return torch.cat([part.reshape(len(part), -1).to(self.coarse) for part in self], 1)


class Context(NamedTuple):
    """What a network makes of observations, once for all draws: channels on the fine lattice, features on the cells,
    and the conditioning of the coarse denoiser."""

    channels: Tensor
    features: Tensor
    coarse: Conditioning


@dataclass(frozen=True, eq=False)
class CascadePosterior(TrainedModel):
    """A trained cascade: observations -> coarse values -> average detail -> rest of the detail -> functions. x (n, …)
    on its path is a `CascadeState`, laid flat."""

    net: CascadeNetwork = field(repr=False)

    def using(self, **knobs) -> Self:
        """The same weights, draws stopping after other `stages`: "all", "mean", "coarse" or "regression"."""
        for name in knobs:
            require_name(name, ("stages",), "knob"), self.stages(knobs[name])
        return replace(self, about={**self.about, "config": {**self.about["config"], **knobs}})

    def stages(self, name: str | None = None) -> str:
        """Where draws stop, by name; None is where the config says."""
        return require_name(self.about["config"]["stages"] if name is None else name, STAGES, "stage")

    def augmentation(self, level: float | None = None) -> float:
        """The augmentation level of draws; None is that of the config."""
        config = self.about["config"]
        return require_number(config["augmentation"] if level is None else level, "augmentation", 0.0,
                              config["most_augmentation"])

    def draw(self, seen: Seen | None, n: int, *, seed: int, steps: int | None = None, sampler: str = "dpmpp",
             stages: str | None = None, augmentation: float | None = None) -> EvaluatedFields:
        """n functions given what was seen, as Fields; None gives the prior.

        `sampler`: euler, heun, dpmpp or ancestral; `steps` noise levels of each diffusion; `stages`: "coarse", drawn
        coarse values enlarged bicubically, "mean", the average detail on them, "all", the rest of the detail too, or
        "regression", the average detail on the coarse values' mean, one best answer; `augmentation`: std of noise that
        is added to coarse values, of unit scale, before detail is drawn given that level. Those of the config unless
        given.
        """
        for step in self.path(seen, n, seed=seed, steps=steps, sampler=sampler, stages=stages,
                              augmentation=augmentation):
            x = step.x
        return self.fields(seen, x, stages)

    def path(self, seen: Seen | None, n: int, *, seed: int, steps: int | None = None, sampler: str = "dpmpp",
             stages: str | None = None, augmentation: float | None = None) -> Iterator[SamplerStep]:
        """From noise to coarse values, then from noise to the rest of the detail: a SamplerStep a step, `steps` for
        each diffusion. `fields(seen, step.denoised)` shows the estimate so far."""
        steps, stages = self.request(n, seed=seed, steps=steps, sampler=sampler), self.stages(stages)
        context, level = self.context(seen), self.augmentation(augmentation) * (stages == "all")
        total, levels = steps * (1 + (stages == "all")), self.net.coarse.noise_levels.sigmas(steps)

        def walk() -> Iterator[SamplerStep]:
            empty = CascadeState(*(t.to(self.device) for t in (
                single.zeros(n, *self.net.shape), single.zeros(n, *self.net.detail.shape), single.full((n,), level))))
            D = self.net.coarse.given(context.coarse)
            if stages == "regression":                        # the answer to nothing but noise is the mean of all draws
                with torch.no_grad():
                    x = empty._replace(coarse=D(empty.coarse, levels[0].to(self.device))).pack()
                yield SamplerStep(0, 1, single.zeros(()), x, x)
                return
            for step in self.sample(D, n, self.net.shape, levels, seed=child(seed, "coarse"), sampler=sampler):
                yield replace(step, total=total, x=empty._replace(coarse=step.x).pack(),
                              denoised=empty._replace(coarse=step.denoised).pack())
            if stages == "all":
                noise = level * normals(seed, n, self.net.shape, "augment").to(self.device)
                state = empty._replace(coarse=step.x + noise)
                for step in self._rest(context, state, seed, steps, sampler):
                    yield replace(step, index=steps + step.index, total=total)

        return walk()

    def observed(self, seen: Seen | None) -> tuple[ObservationBatch, ObservationBatch]:
        """What was seen of one function: its values at points, and its averages over boxes with the boxes' widths."""
        seen, d, c = self.accepted(seen, linear=True), self.about["d"], self.about["c"]
        nothing = ObservationBatch.of([Observations.none(d, c + 1)]).to(self.device)
        if not isinstance(seen, LinearObservations) or seen.m == 0:
            return self.observations(None if isinstance(seen, LinearObservations) else seen), nothing
        seen = seen.to("cpu", torch.float32)
        middle, width = boxes_of(seen)
        point, box = width == 0, width > 0
        points = ObservationBatch.of([Observations(middle[point], seen.values[point], seen.noise_std)])
        values = torch.cat([seen.values, width[:, None]], 1)[box]              # boxes may share a middle
        boxes = ObservationBatch(middle[box][None], values[None], box[box][None], points.noise_std)
        return points.to(self.device), boxes.to(self.device)

    @torch.no_grad()
    def context(self, seen: Seen | None) -> Context:
        """What the network makes of observations: of none if None."""
        points, averages = self.observed(seen)
        channels = self.net.channels(points, averages)
        return Context(channels, *self.net.condition(channels, points))

    @torch.no_grad()
    def detail_conditioning(self, context: Context, state: CascadeState) -> tuple[Tensor, Conditioning]:
        """Features of the average detail on the coarse values of n draws, and the conditioning of the last denoiser."""
        memory = self.net.average.encode(state.coarse, state.level, context.features)
        return memory, self.net.detail_conditioning(memory, context.channels)

    def _rest(self, context: Context, state: CascadeState, seed: int, steps: int,
              sampler: str) -> Iterator[SamplerStep]:
        """From noise to the rest of the detail, on coarse values."""
        denoiser, (_, conditioning) = self.net.detail.denoiser, self.detail_conditioning(context, state)
        for step in self.sample(denoiser.given(conditioning), len(state.coarse), self.net.detail.shape,
                                denoiser.noise_levels.sigmas(steps), seed=child(seed, "fine"), sampler=sampler):
            yield replace(step, x=state._replace(rest=step.x).pack(),
                          denoised=state._replace(rest=step.denoised).pack())

    def unpacked(self, x: Tensor) -> CascadeState:
        """x (n, …) of the path, as the state that it holds."""
        shapes = self.net.shape, self.net.detail.shape
        sizes = [int(torch.tensor(shape).prod()) for shape in shapes]
        require(isinstance(x, Tensor) and x.ndim == 2 and x.shape[1] == sum(sizes) + 1 and bool(x.isfinite().all()),
                must=f"x: finite, of shape (n, {sum(sizes) + 1}).", came=x,
                why="A row holds coarse values, the rest of the detail, and the augmentation level.",
                do="The x of a step of `path`.")
        coarse, rest, level = x.to(self.device, torch.float32).split([*sizes, 1], 1)
        return CascadeState(coarse.unflatten(1, shapes[0]), rest.unflatten(1, shapes[1]), level[:, 0])

    @torch.no_grad()
    def fields(self, seen: Seen | None, x: Tensor, stages: str | None = None, *, size: float = 0.0) -> EvaluatedFields:
        """The functions that x (n, …) of the path stands for, as Fields. Of the average detail also averages over
        pixels `size` wide, in units of the coordinates."""
        stages, state, net = self.stages(stages), self.unpacked(x), self.net
        require(require_number(size, "size", 0.0) == 0 or stages in ("mean", "regression"), came=size,
                must='size: 0, but for stages="mean" or "regression".', why="Only the average detail knows its pixel.",
                do='fields(seen, x, "mean", size=0.1); or average a finer picture of the draw.')
        if stages == "coarse":
            return self.evaluated(lambda at, part: net.enlarged(at, state.coarse[part], cubic=True), len(x))
        memory, conditioning = self.detail_conditioning(self.context(seen), state)
        projected = net.average.field.project(memory)
        rest = net.detail.prepare(state.rest, conditioning) if stages == "all" else ()

        def rule(coords: Tensor, part: slice | Tensor) -> Tensor:
            found = net.mean(coords, state.coarse[part], projected[part], size)
            return found + net.detail.evaluate(coords, tuple(t[part] for t in rest)) if rest else found

        return self.evaluated(rule, len(x), each=2**net.d * projected.shape[2])

    @torch.no_grad()
    def refine(self, coarse: Tensor, n: int, *, seed: int, seen: Seen | None = None, augmentation: float = 0.0,
               stages: str = "all", steps: int | None = None) -> EvaluatedFields:
        """n functions given coarse values (*coarse, c), averages over the blocks of a coarse grid, which carry noise of
        std `augmentation`, in units of their own standard deviation, and given what else was seen."""
        steps, stages = self.request(n, seed=seed, steps=steps, sampler="dpmpp"), self.stages(stages)
        shape = (*self.net.shape[1:], self.net.c)
        require(isinstance(coarse, Tensor) and coarse.shape == shape and bool(coarse.isfinite().all()), came=coarse,
                must=f"coarse: finite values {shape} of the coarse grid.", why="Detail is drawn to coarse values.",
                do="model.coarse(truth)[0].")
        context, level = self.context(seen), self.augmentation(augmentation)
        units = self.net.unit(coarse.to(self.device, torch.float32).movedim(-1, 0)[None]).expand(n, *self.net.shape)
        state = CascadeState(units, units.new_zeros(n, *self.net.detail.shape), units.new_full((n,), level))
        x = state.pack()
        if stages == "all":
            for step in self._rest(context, state, seed, steps, "dpmpp"):
                x = step.x
        return self.fields(seen, x, stages)

    def coarse(self, fields: Fields) -> Tensor:
        """Fields -> their coarse values (n, *coarse, c)."""
        return block_averages(self.net.grid_values(fields), self.net.coarse_side).movedim(1, -1)


@dataclass(frozen=True)
class CoarseToFine(NetworkConfig):
    """Config of approach 4. None chooses by dimension."""

    card: ClassVar[Card] = Card(
        4, "Coarse to fine",
        "diffuse coarse values, add the expected detail by a local field, diffuse the detail that regression loses",
        "Saharia et al. 2023 (SR3); Ho et al. 2022 (cascades); Mardani et al. 2023 (residual diffusion); Chen et al. "
        "2021 (LIIF); Bar-Tal et al. 2023 (tiles)",
        "enlarging coarse pictures by any factor with detail that is drawn, not blurred; wide domains, by tiles",
        "two diffusions, two samplers; detail finer than the fine lattice is its mean, not a draw; it is given points "
        "and averages over boxes, no other measurement")
    trained: ClassVar[type] = CascadePosterior
    network: ClassVar[type] = CascadeNetwork
    choices: ClassVar[dict] = {"stages": STAGES}
    usual: ClassVar[dict] = {"cells": {1: 32, 2: 16, 3: 8}, "points_per_cell": {1: 2, 2: 2, 3: 2},
                             "coarse_side": {1: 16, 2: 8, 3: 4}}

    # "white"; or "gaussian": both diffusions start at Gaussians measured on draws, the coarse one conditioned on points
    prior: str = "white"
    cells: int | None = None                 # cells a side on which networks work: 32 in 1D, 16 in 2D, 8 in 3D
    points_per_cell: int | None = None       # points of the fine lattice per cell and axis, a power of two: 2
    coarse_side: int | None = None           # blocks of the coarse picture an axis: 16 in 1D, 8 in 2D, 4 in 3D
    setconv_widths: tuple[float, ...] = (0.7, 2.0, 6.0)  # lengthscales of SetConv, in points of the fine lattice
    encoder_width: int = 24                  # channels of the observations' encoders on the cells
    coarse_widths: tuple[int, ...] = (64, 64)  # channels of the coarse U-Net on the blocks, on twice as large ones, ...
    width: int = 40                          # channels of the average detail
    dilations: tuple[int, ...] = (1, 2, 1)   # dilations of its residual blocks
    widths: tuple[int, ...] = (48, 64)       # channels of the second U-Net on the cells, on half of them, ...
    depth: int = 2                           # residual blocks of both U-Nets on each, on the way down and again up
    memory: int = 16                         # features on each cell that the last field reads
    field_width: int = 24                    # channels of both fields
    octaves: int = 3                         # Fourier octaves of their local coordinates
    stages: str = "all"                      # where draws stop: "all", "mean", "coarse" or "regression"
    augmentation: float = 0.0                # noise on coarse values before detail is drawn (Ho et al. 2022)
    most_augmentation: float = 0.5           # the most of it in training, in standard deviations of coarse values
    pictured: float = 0.5                    # share of training functions seen as a coarse picture
    also_points: float = 0.3                 # share of these that are seen at points too
    unconditional_share: float = 0.1         # share of training functions of which nothing is seen
    average_share: float = 0.45              # share of the budget for coarse values and the average detail
    batch: int = 32                          # functions in a batch
    queries: int = 64                        # query points of each function in a training step
    lr: float = 2e-3                         # learning rate
    steps: int = 12                          # sampling steps of each diffusion

    def fit(self, source: Source, *, views: Views, budget: Budget, seed: int, device: str = "auto",
            watch: Watch = quiet) -> CascadePosterior:
        """Learn coarse values and the average detail together, then the rest of the detail, from fresh functions, seen
        at points as `views` hides them or as a coarse picture. Cancelled early, it returns what it has."""
        run = Run(source, views, budget, seed, device, watch)
        net = run.build(self)
        learn = CoarseToFineLosses(self, run, net)
        learn.measure()
        first = [*net.encoder.parameters(), *net.coarse.parameters(), *net.average.parameters()]
        rest = [*net.detail_encoder.parameters(), *net.detail.parameters()]

        def model() -> CascadePosterior:
            return CascadePosterior(net, run.record("coarse_to_fine", self), self.steps)

        run.train(net, Stage("average", learn.average, first, self.average_share, self.lr, after=learn.measure_rest,
                             model=lambda: model().using(stages="mean")),
                  Stage("rest", learn.rest, rest, 1 - self.average_share, self.lr, model=model))
        return model()


class CoarseToFineLosses(LatentLosses):
    """The losses of a training step i, and what is measured before and between the stages."""

    @torch.no_grad()
    def measure(self) -> None:
        """The scale, noise levels and Gaussian of coarse values, and what a linear reading of them leaves."""
        net, run, prior = self.net, self.run, self.net.coarse.prior
        batches = [self.batch(64, "measure", j) for j in range(max(4, run.few(64)))]      # more than twice the rank
        coarse = torch.cat([block_averages(fine, net.coarse_side) for _, fine in batches])
        net.unit.calibrate(coarse)
        net.coarse.noise_levels.calibrate(net.unit(coarse))
        left = [(fine - to_grid(net.enlarged(cell_centres((net.side,) * net.d).to(fine), net.coarse_values(fine)),
                                (net.side,) * net.d).movedim(-1, 1)) for _, fine in batches[:8]]
        net.size.copy_(torch.cat(left).transpose(0, 1).flatten(1).std(1).clamp_min(1e-3))
        if isinstance(prior, LatentGaussian):
            draws = torch.cat([functions(prior.places.cpu()) for functions, _ in batches])
            prior.calibrate(draws.to(coarse), net.unit(coarse), seed=child(run.seed, "directions"))

    def seen(self, functions: Fields, fine: Tensor, *use) -> tuple[ObservationBatch, ObservationBatch]:
        """What is seen of b functions: values at points, as the views say; averages over the blocks of coarse pictures
        of one side, of some functions, some of them with holes; or both."""
        config, run, net, rng = self.config, self.run, self.net, self.run.rng("pictures", *use)
        b, d = len(fine), net.d

        def chosen(share: float) -> Tensor:
            return single.rand(b, generator=rng) < share

        points, pictured, also = run.observe(functions, *use), chosen(config.pictured), chosen(config.also_points)
        nothing = chosen(config.unconditional_share)
        sides = [s for s in (net.side >> k for k in range(1, 16)) if s >= 2 and net.side % s == 0] or [net.side]
        side = sides[int(torch.randint(len(sides), (), generator=rng))]
        values = block_averages(fine, side).flatten(2).mT.cpu()                                    # (b, m, c)
        values = values + points.noise_std[:, None, None] * single.randn(values.shape, generator=rng)
        kept = torch.where(chosen(HOLES), single.rand(b, generator=rng), 1.0)[:, None]
        mask = (single.rand(b, side**d, generator=rng) < kept) & (pictured & ~nothing)[:, None]
        values = torch.cat([values, single.full((b, side**d, 1), 2 / side)], -1) * mask[..., None]
        averages = ObservationBatch(cell_centres((side,) * d).expand(b, -1, -1), values, mask, points.noise_std)
        real = points.mask & ((~pictured | also) & ~nothing)[:, None]
        points = replace(points, mask=real, values=points.values * real[..., None])
        return points.to(run.device), averages.to(run.device)

    def augmented(self, fine: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Coarse values with noise of random levels s (b,), and s."""
        s = self.config.most_augmentation * single.rand(len(fine), generator=rng).square().to(fine)
        coarse = self.net.coarse_values(fine)
        return coarse + like(s, coarse) * single.randn(coarse.shape, generator=rng).to(coarse), s

    def average(self, i: int) -> Tensor:
        """Stage 1: denoise coarse values given observations; squared error of the average detail on coarse values, at
        points and, for half of the functions, averaged over pixels."""
        config, net, run, rng = self.config, self.net, self.run, self.run.rng("average", i)
        functions, fine = self.batch(config.batch, "average", i)
        points, averages = self.seen(functions, fine, "average", i)
        features, conditioning = net.condition(net.channels(points, averages), points)
        loss = net.coarse.training_loss(net.coarse_values(fine), rng, conditioning)
        coarse, s = self.augmented(fine, rng)
        coords = run.queries(config.batch, config.queries, rng)
        size = 2 / net.coarse_side * single.rand(config.batch, generator=rng) * (torch.arange(config.batch) % 2)
        truth = box_averages(functions, coords, size, rng).to(fine)
        projected = net.average.field.project(net.average.encode(coarse, s, features))
        found = net.mean(coords.to(fine), coarse, projected, size.to(fine))
        return loss + ((found - truth) / net.size).square().mean()

    @torch.no_grad()
    def left(self, n: int, *use) -> tuple[Tensor, Tensor, Tensor, ObservationBatch, Conditioning]:
        """What the average detail leaves of n functions: on the fine lattice (n, c, *side), at free coords (n, q, d)
        and there (n, q, c); and what is needed for the last denoiser: channels of the observations, features."""
        net, run, rng = self.net, self.run, self.run.rng("left", *use)
        functions, fine = self.batch(n, "left", *use)
        points, averages = self.seen(functions, fine, "left", *use)
        channels = net.channels(points, averages)
        coarse, s = self.augmented(fine, rng)
        memory = net.average.encode(coarse, s, net.condition(channels, points)[0])
        projected, free = net.average.field.project(memory), run.queries(n, self.config.queries, rng)
        lattice = (net.side,) * net.d
        mean = net.mean(cell_centres(lattice).to(fine), coarse, projected)
        rest = fine - to_grid(mean, lattice).movedim(-1, 1)
        at = functions(free).to(fine) - net.mean(free.to(fine), coarse, projected)
        return rest, free.to(fine), at, channels, memory

    @torch.no_grad()
    def measure_rest(self) -> None:
        """After stage 1: the scale, noise levels and Gaussian of what the average detail leaves, and what a linear
        reading of it leaves between the points of the lattice."""
        detail = self.net.detail
        rest, free, at, *_ = (torch.cat(parts) for parts in zip(
            *(self.left(64, "scale", j)[:3] for j in range(self.run.few(16))), strict=True))
        detail.unit.calibrate(rest)
        unit = detail.unit(rest)
        detail.denoiser.noise_levels.calibrate(unit)
        if detail.covariance is not None:
            detail.covariance.calibrate(unit)
        away = interpolate(unit, free) - detail.unit(at.mT).mT
        detail.open.copy_(away.square().mean((0, 1)).sqrt().clamp_min(LEAST_OPEN))

    def rest(self, i: int) -> Tensor:
        """Stage 2: denoise what the average detail leaves, at the lattice and at free points."""
        net, rng = self.net, self.run.rng("rest", i)
        detail = net.detail
        rest, free, at, channels, memory = self.left(self.config.batch, "rest", i)
        clean, values = detail.unit(rest), detail.unit(at.mT).mT
        sigma = detail.denoiser.noise_levels.for_training(stratified_normals(len(clean), rng)).to(clean)
        noise = single.randn(clean.shape, generator=rng).to(clean)
        return detail.loss(clean + like(sigma, clean) * noise, sigma, net.detail_conditioning(memory, channels), free,
                           values, torch.ones_like(free[..., 0], dtype=torch.bool), clean)


APPROACH = CoarseToFine
