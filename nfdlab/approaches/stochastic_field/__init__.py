"""Approach 8: a field with chance built in, f(x, w): a seeded noise function pushed through a diffusion at each place.

An encoder reads the observations. At each place a one-dimensional diffusion learns the law of f(x): what the best linear answer
leaves open there. Its flow from noise to data is a rising map T(x, ·), and a draw is f(x) = mean(x) + spread(x)
T(x, w(x)) with w a *function*, standard normal at every x. So every margin can be right, and a draw is a function at
any resolution; which places share their luck is not learned but chosen, with w: by default as two-point statistics say.
"""

from dataclasses import asdict, dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ...core.checks import require_name, require_seed
from ...core.rng import child, seeded, stream
from ...core.types import Budget, Card, Source, Views, Watch, quiet
from ...inference.restoring import rebuilt
from ...training import Stage, resolve_device, train
from .marginal_heads import HEADS
from .noise_function import NOISES
from .pointwise_encoder import PointwiseEncoder
from .posterior import PushForwardPosterior
from .transport_table import Table


class Network(nn.Module):
    """All that is learned."""

    def __init__(self, config: "StochasticField", d: int, c: int):
        super().__init__()
        self.reader = PointwiseEncoder(config, d, c)
        self.heads = nn.ModuleDict({name: HEADS[name](self.reader.H, config.layers[0], config.layers[1])
                                    for name in config.heads})
        self.table = Table(d, c, config.places_for(d), config.knots)


@dataclass(frozen=True)
class StochasticField:
    """Sizes of the networks. None chooses by dimension."""

    card: ClassVar[Card] = Card(
        8, "Stochastic field",
        "push a seeded noise function through a one-dimensional diffusion at each place, told the dots",
        "Han et al. 2022 (CARD); Dutordoir et al. 2023 (neural diffusion processes); Zhang & Wonka 2024 (functional "
        "diffusion)",
        "calibrated uncertainty at every place, of any shape, at the cost of a small network; draws by the thousand",
        "which places move together is chosen, not learned: right for Gaussian fields, where the linear answer is all "
        "there is; nonsense curves where whole functions are alternatives (sawtooths)")
    linear: bool = True                  # start from the best linear answer; without, from the prior's mean and spread
    noise: str = "belief"                # the noise function: belief, prior, white or shared
    head: str = "diffusion"              # the law at a place: diffusion, or its rivals quantile and gaussian
    heads: tuple[str, ...] = ("diffusion", "quantile", "gaussian")         # the first learns with the features, the
                                                                           # others afterwards, from the same ones
    modes: int | None = None             # a side, of the grid on which two-point statistics are measured,
    rank: int | None = None              # and the directions that are kept
    measured: int = 16384                # functions they are measured from
    cells: int | None = None             # a side, of the features
    fine: int | None = None              # points of the reader's grid per cell and axis, a power of two
    width: int = 64
    widths: tuple[float, ...] = (0.7, 2.0, 6.0)          # of SetConv, in points of that grid
    reader: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4, 8)   # dilations
    octaves: int = 3
    evidence: int = 0                    # width of a sum over observations that every cell hears; 0 for none
    features: int = 62                   # that a head hears of a place,
    layers: tuple[int, int] = (96, 3)    # its width and depth
    places: int | None = None            # a side, of the table that draws look up,
    knots: int = 65                      # and its values of w
    batch: int = 64
    queries: int = 64                    # places of each function,
    noises: int = 2                      # and noise levels of each place,
    draws: int = 4                       # or, of the quantile head, draws
    lr: float = 1.5e-3
    steps: int = 24                      # of the sampler, unless told

    def cells_for(self, d: int) -> int:
        return self.cells or {1: 32, 2: 16, 3: 8}[d]

    def side_for(self, d: int) -> int:
        return self.cells_for(d) * (self.fine or {1: 4, 2: 2, 3: 2}[d])

    def modes_side_for(self, d: int) -> int:
        return self.modes or {1: 128, 2: 48, 3: 12}[d]

    def rank_for(self, d: int) -> int:
        return self.rank or {1: 40, 2: 112, 3: 128}[d]

    def places_for(self, d: int) -> int:
        return self.places or {1: 128, 2: 32, 3: 12}[d]

    def build(self, d: int, c: int, *, seed: int = 0) -> Network:
        for name in (*self.heads, self.head):
            require_name(name, HEADS, "head")
        require_name(self.noise, NOISES, "noise"), require_name(self.head, self.heads, "trained head")
        with seeded(seed):
            return Network(self, d, c)

    def fit(self, source: Source, *, views: Views, budget: Budget, seed: int, device: str = "auto",
            watch: Watch = quiet) -> "FittedStochasticField":
        """Train on endless fresh functions, seen as `views` hides them. Cancelled early, it returns what it has."""
        require_seed(seed)
        place, probe = resolve_device(device), source.draw(1, seed=child(seed, "probe"))
        d, c = probe.d, probe.c
        net = self.build(d, c, seed=seed)
        modes = net.reader.modes
        modes.calibrate(source.draw(self.measured, seed=child(seed, "measure"))(modes.places),
                        seed=child(seed, "directions"))
        net.to(place)

        def places(use: str, i: int) -> tuple[Tensor, Tensor, torch.Generator]:
            """What the linear answer leaves open at random places (b, p, c), in spreads, and h there."""
            fields = source.draw(self.batch, seed=child(seed, "data", use, i))
            seen = views(fields, seed=child(seed, "views", use, i)).to(place)
            noise = stream(seed, "noise", use, i)
            coords = 2 * torch.rand(self.batch, self.queries, d, generator=noise) - 1
            truth, coords = fields(coords).to(place), coords.to(place)
            with torch.no_grad():
                belief = net.reader.believe(seen)
                mean, spread = net.reader.answer(belief, coords, self.batch)
            h = net.reader.read(net.reader.prepare(seen, belief), mean, spread, coords)
            return (truth - mean) / spread, h, noise

        def learn(i: int) -> Tensor:
            return net.heads[self.heads[0]].loss(*places("learn", i), self.noises)

        def follow(i: int) -> Tensor:
            with torch.no_grad():
                left, h, noise = places("follow", i)
            return sum(net.heads[name].loss(left, h, noise, self.draws) for name in self.heads[1:])

        stages = [Stage("learn", learn, [*net.reader.parameters(), *net.heads[self.heads[0]].parameters()], 0.85,
                        self.lr)]
        if self.heads[1:]:
            rivals = [parameter for name in self.heads[1:] for parameter in net.heads[name].parameters()]
            stages.append(Stage("rivals", follow, rivals, 0.15, self.lr))
        train(net, stages, budget, watch)
        return FittedStochasticField(net, {"approach": "stochastic_field", "config": asdict(self), "d": d, "c": c},
                                     self.steps)

    @classmethod
    def restore(cls, about: dict, tensors: dict[str, Tensor], device: str = "auto") -> "FittedStochasticField":
        """The inverse of `FittedStochasticField.tensors`: same draws, no code executed."""
        config, net = rebuilt(cls, about, tensors, device)
        return FittedStochasticField(net, about, config.steps)


class FittedStochasticField(PushForwardPosterior):
    """A trained approach 8."""


APPROACH = StochasticField
