"""Approach 8: a stochastic field f(x, w): a seeded noise function pushed through a conditional diffusion at each place.

An encoder reads the observations. At each place a one-dimensional diffusion learns the distribution of what the best
linear answer leaves open there. Its flow from noise to data is a rising map T(x, ·), and a draw is f(x) = mean(x) +
std(x) T(x, w(x)) with w a *function*, standard normal at every x. So every marginal can be right, and a draw is a
function at any resolution; how places vary together is not learned but chosen, with w: by default as the measured
covariance says.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from ...core.checks import require_name
from ...core.config import NetworkConfig
from ...core.fields import EvaluatedFields
from ...core.grid import cell_centres
from ...core.rng import child
from ...core.types import Budget, Card, ObservationBatch, Observations, Source, Views, Watch, quiet
from ...diffusion.samplers import SamplerStep
from ...encoders.grid_channels import SetConv
from ...fields.liif import LIIF
from ...gaussian.karhunen_loeve import KarhunenLoeve, WeightPosterior
from ...inference.posterior import TrainedModel
from ...nn.networks import Fourier, GridEncoder
from ...training import Losses, Run, Stage
from .transport import HEADS, NOISES, NoiseFunction, TransportTable

NODES = 512                                             # of w, for moments


class PointwiseEncoder(nn.Module):
    """ObservationBatch -> features of any place: h (b, p, c, H), with mean and std (b, p, c) of a Gaussian there.

    SetConv channels, mean and std on a fine grid, convolutions down to cells, a LIIF to read between them. With a
    `deep_set_width` a sum over observations of a network of each enters every cell: where a few numbers make the
    function, each observation informs all places at once (Zaheer et al. 2017).
    """

    def __init__(self, config: "StochasticField", d: int, c: int):
        super().__init__()
        cells, side, w = config.cells, config.cells * config.points_per_cell, config.width
        self.c, self.cells, self.side, self.gaussian = c, (cells,) * d, side, config.prior == "gaussian"
        self.expansion = KarhunenLoeve(d, c, config.expansion_side, config.expansion_rank)
        self.setconv = SetConv(d, c, side, tuple(r * 2 / side for r in config.setconv_widths))
        self.reader = GridEncoder(d, self.setconv.channels + 2 * c, side, cells, w, w, config.encoder_dilations)
        self.local = LIIF(d, w, c * config.features, w, config.octaves)
        self.H = config.features + 2
        self.register_buffer("grid", cell_centres((side,) * d), persistent=False)
        self.point = None
        if config.deep_set_width:
            e, self.where = config.deep_set_width, Fourier(d, 5)
            self.point = nn.Sequential(nn.Linear(self.where.out + c + 1, e), nn.SiLU(), nn.Linear(e, e), nn.SiLU(),
                                       nn.Linear(e, e, bias=False))
            self.mix = nn.Sequential(nn.SiLU(), nn.Linear(e, e), nn.SiLU(), nn.Linear(e, cells**d * w),
                                     nn.Unflatten(1, (cells**d, w)))

    def condition(self, seen: ObservationBatch) -> WeightPosterior:
        """The expansion's weights given observations; with the white prior, without them."""
        return self.expansion.condition(seen) if self.gaussian else self.expansion.prior(len(seen.coords))

    def moments(self, posterior: WeightPosterior, coords: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and std (b, p, c) at coords (p, d) or (b, p, d)."""
        mean, variance = self.expansion.predict(posterior, coords)
        return mean, variance.clamp_min(1e-8).sqrt().expand_as(mean)

    def prepare(self, seen: ObservationBatch, posterior: WeightPosterior) -> Tensor:
        """Features of the cells (b, cells, w), once for all places."""
        mean, std = self.moments(posterior, self.grid)
        beside = torch.cat([mean, std.log()], -1).mT.unflatten(2, [self.side] * self.grid.shape[1])
        memory = self.local.project(self.reader(torch.cat([self.setconv(seen), beside], 1)))
        if self.point is not None:
            level = seen.noise_std.clamp_min(1e-2).log()[:, None, None].expand(*seen.mask.shape, 1)
            each = self.point(torch.cat([self.where(seen.coords), seen.values, level], -1)) * seen.mask[..., None]
            memory = memory + self.mix(each.sum(1) / 4)
        return memory

    def residual(self, seen: ObservationBatch, coords: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Values (b, p, c) at coords (b, p, d), in stds of the Gaussian from its mean, and the features h there."""
        with torch.no_grad():
            posterior = self.condition(seen)
            mean, std = self.moments(posterior, coords)
        return (values - mean) / std, self.read(self.prepare(seen, posterior), mean, std, coords)

    def read(self, memory: Tensor, mean: Tensor, std: Tensor, coords: Tensor) -> Tensor:
        """h (b, p, c, H): the last two entries are the mean and the log std."""
        features = self.local.read(coords, memory, self.cells).unflatten(-1, (self.c, -1))
        return torch.cat([features, mean[..., None], std.log()[..., None]], -1)


class StochasticNetwork(nn.Module):
    """Encoder, marginal heads by name, and the table of the transport map."""

    def __init__(self, config: "StochasticField", d: int, c: int):
        super().__init__()
        self.encoder = PointwiseEncoder(config, d, c)
        self.heads = nn.ModuleDict({name: HEADS[name](self.encoder.H, *config.head_layers) for name in config.heads})
        self.table = TransportTable(d, c, config.table_side, config.knots)


class PushForwardPosterior(TrainedModel):
    """A trained approach 8: draws f(x) = mean(x) + std(x) T(x, w(x)) that share the map T and differ in w."""

    def using(self, **knobs) -> Self:
        """The same weights, another `noise` function or another trained `head`."""
        known = {"head": self.net.heads.keys(), "noise": NOISES}
        for name, value in knobs.items():
            require_name(value, known[require_name(name, known, "knob")], name)
        return replace(self, about={**self.about, "config": {**self.about["config"], **knobs}})

    @torch.no_grad()
    def condition(self, seen: Observations | None) -> tuple[WeightPosterior, Tensor]:
        """Observations -> the expansion's posterior, and the encoder's features of cells (1, cells, w)."""
        batch, encoder = self.observations(seen), self.net.encoder
        posterior = encoder.condition(batch)
        return posterior, encoder.prepare(batch, posterior)

    def noise_function(self, posterior: WeightPosterior) -> NoiseFunction:
        """The noise functions that draws are made from."""
        return NoiseFunction(self.about["config"]["noise"], self.net.encoder.expansion, posterior)

    def path(self, seen: Observations | None, n: int, *, seed: int, steps: int | None = None,
             sampler: str = "dpmpp") -> Iterator[SamplerStep]:
        """From noise to draws, a SamplerStep a step; `fields(seen, step.denoised)` shows the estimate so far.

        x (n, k) is all that a draw is: the numbers of its noise function, and the map so far, which all draws share;
        the ancestral sampler adds noise of its own to each, so that they share none.
        """
        walk, numbers, _ = self._walk(seen, n, seed, steps, sampler)

        def packed(x: Tensor) -> Tensor:
            return torch.cat([numbers, x.flatten(1) if sampler == "ancestral" else x.flatten().expand(n, -1)], 1)

        return (replace(step, x=packed(step.x), denoised=packed(step.denoised)) for step in walk)

    def draw(self, seen: Observations | None, n: int, *, seed: int, steps: int | None = None,
             sampler: str = "dpmpp") -> EvaluatedFields:
        """n functions given what was seen, as Fields; None gives the prior.

        `sampler`: euler, heun, dpmpp or ancestral; `steps` noise levels, by default those of the config.
        """
        walk, numbers, posterior = self._walk(seen, n, seed, steps, sampler)
        for step in walk:
            values = step.x
        return self._fields(posterior, numbers, values[:, None] if sampler == "ancestral" else values)

    def fields(self, seen: Observations | None, x: Tensor) -> EvaluatedFields:
        """The functions that noise numbers and maps x (n, k) stand for, given what was seen."""
        posterior, table = self.condition(seen)[0], self.net.table
        size = self.noise_function(posterior).numbers(1, seed=0).shape[1]
        values = x[:, size:].unflatten(1, (-1, len(table.places), table.c))
        return self._fields(posterior, x[:, :size], values if values.shape[1] == 1 else values[0])

    @torch.no_grad()
    def _walk(self, seen, n: int, seed: int, steps,
              sampler: str) -> tuple[Iterator[SamplerStep], Tensor, WeightPosterior]:
        """The steps of the map or, with the ancestral sampler, of each draw's own values at the places of the table."""
        steps = self.request(n, seed=seed, steps=steps, sampler=sampler)
        (posterior, memory), encoder, places = self.condition(seen), self.net.encoder, self.net.table.places
        noise, h = self.noise_function(posterior), encoder.read(memory, *encoder.moments(posterior, places), places)[0]
        numbers = noise.numbers(n, seed=seed)

        def fresh(i: int, x: Tensor) -> Tensor:
            return noise(noise.numbers(n, seed=child(seed, "step", i)), places)

        w = noise(numbers, places) if sampler == "ancestral" else self.net.table.fan()
        head = self.net.heads[self.about["config"]["head"]]
        return head.walk(w, h, steps, sampler, fresh), numbers, posterior

    def _fields(self, posterior: WeightPosterior, numbers: Tensor, values: Tensor) -> EvaluatedFields:
        """Maps `values` as `TransportTable` takes them."""
        encoder, table, noise = self.net.encoder, self.net.table, self.noise_function(posterior)

        def rule(coords: Tensor, part: slice | Tensor) -> Tensor:
            mean, std = encoder.moments(posterior, coords)
            own = values[part] if values.ndim == 4 else values
            return mean + std * table(own, noise(numbers[part], coords), coords)

        return self.evaluated(rule, len(numbers), each=len(table.knots) + encoder.expansion.rank)

    @torch.no_grad()
    def moments(self, seen: Observations | None, coords: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (p, c) of f at coords (p, d), by quadrature over w: no sampling, no noise."""
        w = torch.special.ndtri((torch.arange(NODES, dtype=torch.float64) + 0.5) / NODES).float().to(self.device)
        values = self.quantiles(seen, coords, w)
        return values.mean(0), values.std(0)

    @torch.no_grad()
    def quantiles(self, seen: Observations | None, coords: Tensor, w: Tensor) -> Tensor:
        """f at coords (p, d) where the noise is w (k,): (k, p, c), rising in w."""
        encoder, table, where = self.net.encoder, self.net.table, coords.to(self.device, torch.float32)
        walk, _, posterior = self._walk(seen, 1, 0, None, "dpmpp")
        for step in walk:
            values = step.x
        mean, std = encoder.moments(posterior, where)
        fan = w[:, None, None].expand(-1, len(coords), table.c)
        return (mean + std * table(values, fan, where)).to(coords)


@dataclass(frozen=True)
class StochasticField(NetworkConfig):
    """Config of approach 8. None chooses by dimension."""

    card: ClassVar[Card] = Card(
        8, "Stochastic field",
        "push a seeded noise function through a one-dimensional conditional diffusion at each place",
        "Han et al. 2022 (CARD); Dutordoir et al. 2023 (neural diffusion processes); Zhang & Wonka 2024 (functional "
        "diffusion)",
        "calibrated uncertainty at every place, of any shape, at the cost of a small network; draws by the thousand",
        "which places move together is chosen, not learned: right for Gaussian fields, where the linear answer is all "
        "there is; nonsense curves where whole functions are alternatives (sawtooths)")
    trained: ClassVar[type] = PushForwardPosterior
    network: ClassVar[type] = StochasticNetwork
    choices: ClassVar[dict] = {"noise": NOISES}
    usual: ClassVar[dict] = {
        "expansion_side": {1: 128, 2: 48, 3: 12}, "expansion_rank": {1: 40, 2: 112, 3: 128},
        "cells": {1: 32, 2: 16, 3: 8}, "points_per_cell": {1: 4, 2: 2, 3: 2}, "table_side": {1: 128, 2: 32, 3: 12}}

    # "gaussian": heads start at the best linear answer, measured on draws; "white": at the prior's mean and std
    prior: str = "gaussian"
    noise: str = "posterior"                 # the noise function: posterior, prior, white or shared
    head: str = "diffusion"                  # the marginal head that draws: one of `heads`
    # the heads that are trained: the first with the encoder, the others afterwards on its features
    heads: tuple[str, ...] = ("diffusion", "quantile", "gaussian")
    expansion_side: int | None = None        # points an axis at which the expansion is measured: 128, 48, 12
    expansion_rank: int | None = None        # rank of the expansion: 40, 112, 128
    calibration_functions: int = 16384       # functions it is measured from
    cells: int | None = None                 # cells a side of the encoder's features: 32, 16, 8
    points_per_cell: int | None = None       # points of the encoder's grid per cell and axis, a power of two: 4, 2, 2
    width: int = 64                          # channels of the encoder
    setconv_widths: tuple[float, ...] = (0.7, 2.0, 6.0)  # lengthscales of SetConv, in points of the encoder's grid
    encoder_dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4, 8)  # dilations of the encoder's residual blocks
    octaves: int = 3                         # Fourier octaves of local coordinates
    deep_set_width: int = 0                  # width of a sum over observations that enters every cell; 0 for none
    features: int = 62                       # features of a place and channel
    head_layers: tuple[int, int] = (96, 3)   # width and depth of a head
    table_side: int | None = None            # points a side of the transport table: 128, 32, 12
    knots: int = 65                          # values of w in the transport table
    batch: int = 64                          # functions in a batch
    queries: int = 64                        # query points of each function in a training step
    noise_draws: int = 2                     # noise levels of each query point
    quantile_draws: int = 4                  # draws of the quantile head at each query point
    lr: float = 1.5e-3                       # learning rate
    steps: int = 24                          # sampling steps

    def __post_init__(self):
        super().__post_init__()
        for name in self.heads:
            require_name(name, HEADS, "head")
        require_name(self.head, self.heads, "trained head")

    def fit(self, source: Source, *, views: Views, budget: Budget, seed: int, device: str = "auto",
            watch: Watch = quiet) -> PushForwardPosterior:
        """Train on fresh functions, observed as `views` hides them. Cancelled early, it returns what it has."""
        run = Run(source, views, budget, seed, device, watch)
        net = run.build(self)
        expansion = net.encoder.expansion
        draws = source.draw(self.calibration_functions, seed=child(seed, "measure"))(expansion.places.cpu())
        expansion.calibrate(draws.to(run.device), seed=child(seed, "directions"))
        losses, (first, *others) = StochasticLosses(self, run, net), self.heads
        learned = [*net.encoder.parameters(), *net.heads[first].parameters()]
        stages = [Stage("learn", losses.learn, learned, 0.85, self.lr)]
        if others:
            rivals = [parameter for name in others for parameter in net.heads[name].parameters()]
            stages.append(Stage("rivals", losses.follow, rivals, 0.15, self.lr))
        run.train(net, *stages)
        return PushForwardPosterior(net, run.record("stochastic_field", self), self.steps)


class StochasticLosses(Losses):
    """The losses of a training step i."""

    def places(self, use: str, i: int) -> tuple[Tensor, Tensor, torch.Generator]:
        """Residuals of the Gaussian at random places (b, p, c), in its std, and the features h there."""
        config, run = self.config, self.run
        fields = run.functions(config.batch, use, i)
        seen = run.observe(fields, use, i).to(run.device)
        rng = run.rng(use, i)
        coords = run.queries(config.batch, config.queries, rng)
        return *self.net.encoder.residual(seen, coords.to(run.device), fields(coords).to(run.device)), rng

    def learn(self, i: int) -> Tensor:
        """The encoder with the first head."""
        return self.net.heads[self.config.heads[0]].loss(*self.places("learn", i), self.config.noise_draws)

    def follow(self, i: int) -> Tensor:
        """The other heads, on the encoder's features."""
        with torch.no_grad():
            residual, h, rng = self.places("follow", i)
        return sum(self.net.heads[name].loss(residual, h, rng, self.config.quantile_draws)
                   for name in self.config.heads[1:])


APPROACH = StochasticField
