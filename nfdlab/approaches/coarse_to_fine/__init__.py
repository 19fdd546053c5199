"""Approach 4: diffusion on the coarse level, a field for the average detail, diffusion again for the rest.

What is large is drawn first, on a coarse lattice, given the observations. A local field adds the detail that is to be expected
there; a regression gives that, and nothing of what was not to be expected. A second diffusion draws the rest on a
finer lattice, and waves with the measured spectrum go on below it, so that a draw is one function at any zoom. Each
step starts at its closed form, exact for Gaussian fields; its network learns what is left.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...core.checks import require_seed
from ...core.grid import cell_centres
from ...core.rng import child, seeded, stream
from ...core.types import Budget, Card, Fields, Observations, Source, Views, Watch, quiet
from ...diffusion.schedule import NoiseLevels
from ...training import Stage, resolve_device, train
from .networks import CascadeNetwork
from .posterior import CascadePosterior

MEASURED_ON = {1: 128, 2: 64, 3: 16}         # points an axis that spectra are measured on


@dataclass(frozen=True)
class CoarseToFine:
    """Sizes of lattices and networks. None chooses by dimension."""

    card: ClassVar[Card] = Card(
        4, "Coarse to fine",
        "diffuse coarse values, add the detail to be expected by a field, diffuse what regression loses; waves below",
        "Saharia et al. 2023 (cascade); Mardani et al. 2023 (residual); Chen et al. 2021 (LIIF); Bar-Tal et al. 2023 "
        "(tiles)",
        "detail at many scales: enlarging by any factor, draws whose spectrum is right at every zoom, wide domains",
        "one spectrum for all places: edges and flat parts are not told apart below the fine lattice; on Gaussian "
        "fields its closed forms do all the work")
    coarse: int | None = None            # points of the coarse lattice, an axis: 16 in 1D, 8 in 2D, 4 in 3D
    fine: int | None = None              # of the fine one: 64, 32, 8
    reach: int | None = None             # waves at most, in half-cycles an axis: 64, 64, 8
    linear: bool = True                  # average detail starts at the best linear answer
    augment: tuple[float, ...] = (0.0, 0.1, 0.3)         # noise on coarse values that the next step is told of
    usual: float = 0.0                   # and what they are given unless told
    stages: str = "all"                  # where draws stop unless told: "all", "mean" or "coarse"
    measured: int = 2048                 # functions that spectra are measured from
    width: int = 32
    depth: int = 3                       # blocks of the reader of coarse values
    octaves: int = 3
    dilations: tuple[int, ...] = (1, 2, 1)
    batch: int = 16
    queries: int = 128
    reuse: int = 12                      # steps of the first diffusion on one batch of observations
    shares: tuple[float, float, float] = (0.2, 0.3, 0.5)         # of the budget
    unconditional_share: float = 0.1                   # share of the functions of which no observation is told
    lr: float = 1.5e-3
    steps: int = 24                      # of each diffusion, unless told

    def lattices_for(self, d: int) -> tuple[int, int]:
        return self.coarse or {1: 16, 2: 8, 3: 4}[d], self.fine or {1: 64, 2: 32, 3: 8}[d]

    def reach_for(self, d: int) -> int:
        return self.reach or {1: 64, 2: 64, 3: 8}[d]

    def build(self, d: int, c: int, *, seed: int = 0) -> CascadeNetwork:
        with seeded(seed):
            return CascadeNetwork(self, d, c)

    def fit(self, source: Source, *, views: Views, budget: Budget, seed: int, device: str = "auto",
            watch: Watch = quiet) -> "FittedCoarseToFine":
        """Measure the spectrum, then train each step on endless fresh functions, the first seen as `views` hides them.
        Cancelled early, it returns what it has."""
        require_seed(seed)
        place, probe = resolve_device(device), source.draw(1, seed=child(seed, "probe"))
        d, c = probe.d, probe.c
        net, held = self.build(d, c, seed=seed).to(place), {}
        side = MEASURED_ON[d]
        grid, parts = cell_centres((side,) * d), range(0, self.measured, 128)
        net.waves.calibrate(torch.cat([source.draw(min(128, self.measured - i), seed=child(seed, "spectrum", i))(grid)
                                       for i in parts]), side, seed=child(seed, "luck"))
        net.precompute()
        sites, fine = net.places
        drawn = source.draw(512, seed=child(seed, "range"))
        net.coarse_range = NoiseLevels.of(net.units(drawn(sites).to(place)).cpu())

        def functions(*use) -> tuple[Fields, torch.Generator, Tensor]:
            """Fresh functions, and how loud each is: by its fine values, and the luck of those who know observations alone."""
            fields, noise = source.draw(self.batch, seed=child(seed, "data", *use)), stream(seed, "noise", *use)
            luck = torch.exp(0.1 * torch.randn(self.batch, generator=noise))
            return fields, noise, self.loudness(net, fields, luck)

        def diffuse_coarse(i: int) -> Tensor:
            batch = i // self.reuse
            if batch not in held:
                fields, noise, a = functions("coarse", batch)
                seen = views(fields, seed=child(seed, "views", batch))
                unconditional_share = torch.rand(self.batch, generator=noise) < self.unconditional_share
                mask = seen.mask & ~unconditional_share[:, None]
                seen = type(seen)(seen.coords * mask[..., None], seen.values * mask[..., None], mask, seen.noise_std)
                with torch.no_grad():
                    told = [net.lattices.told(Observations(x[k], y[k], float(s))) for x, y, k, s in
                            zip(seen.coords, seen.values, mask, seen.noise_std, strict=True)]
                    known = net.known(told, seen.to(place), a.tolist())
                held.clear()
                held[batch] = net.units(fields(sites), a).to(place), known
            clean, known = held[batch]
            noise = stream(seed, "noise", "coarse again", i)
            sigma = net.coarse_range.for_training(torch.randn(self.batch, generator=noise)).to(place)
            return net.coarse_loss(clean, torch.randn(clean.shape, generator=noise).to(place), sigma, known)

        def given_coarse(fields: Fields, a: Tensor, noise: torch.Generator) -> tuple[float, Tensor, Tensor]:
            """A noise level, noisy coarse values, fine values."""
            s = self.augment[int(torch.randint(len(self.augment), (), generator=noise))]
            coarse = net.units(fields(sites), a)
            coarse = coarse + s * torch.randn(coarse.shape, generator=noise)
            return s, coarse.to(place), net.units(fields(fine), a).to(place)

        def learn_average(i: int) -> Tensor:
            fields, noise, a = functions("average", i)
            s, coarse, values = given_coarse(fields, a, noise)
            free = 2 * torch.rand(self.batch, self.queries, d, generator=noise) - 1
            pick = torch.randint(len(fine), (self.queries,), generator=noise)
            target = torch.cat([net.units(fields(free), a).mT.to(place) - net.linear_at(coarse, s, free.to(place)),
                                (values - net.average(coarse, s)).mT[:, pick]], 1)
            both = torch.cat([free, fine[pick].expand(self.batch, -1, -1)], 1).to(place)
            found = net.field(both, net.memory(coarse, s))
            return ((found - target) / net.lattices.detail(s).size).square().mean()

        def diffuse_left(i: int) -> Tensor:
            fields, noise, a = functions("left", i)
            s, coarse, values = given_coarse(fields, a, noise)
            with torch.no_grad():
                memory, average = net.memory(coarse, s), net.average(coarse, s)
                average = average + net.field(fine.to(place), memory).mT
                features = net.features(coarse, s, memory, average)
            sigma = net.detail_noise_levels(s).for_training(torch.randn(self.batch, generator=noise)).to(place)
            return net.residual_loss(values - average, torch.randn(values.shape, generator=noise).to(place), sigma, s,
                                     features)

        def learned(*modules: torch.nn.Module) -> list[torch.nn.Parameter]:
            return [p for module in modules for p in module.parameters()]

        losses: dict[str, tuple[Callable, list]] = {
            "coarse": (diffuse_coarse, learned(net.coarse)),
            "average": (learn_average, learned(net.input, net.blocks, net.field)),
            "left": (diffuse_left, learned(net.detail))}
        train(net, [Stage(name, loss, weights, share, self.lr) for (name, (loss, weights)), share in
                    zip(losses.items(), self.shares, strict=True)], budget, watch)
        about = {"approach": "coarse_to_fine", "config": asdict(self), "d": d, "c": c,
                 "noise_levels": asdict(net.coarse_range)}
        return FittedCoarseToFine(net, about, self.steps)

    @staticmethod
    def loudness(net: CascadeNetwork, fields: Fields, luck: Tensor) -> Tensor:
        """How loud functions are (b,), by what coarse values leave of their fine ones, along its main directions."""
        a, _ = net.waves.loudnesses()
        if len(a) == 1:
            return torch.ones(fields.n)
        sites, fine = net.places
        detail, many = net.lattices.detail(0.0), 2 * len(sites)
        left = net.units(fields(fine)).cpu() - net.units(fields(sites)).cpu() @ detail.gain.T.float()
        along = left @ detail.spectrum.Q[:, -many:]
        found = (along.square() / detail.spectrum.lam[-many:]).mean((1, 2)).sqrt()
        return (found * luck).clamp(float(a[0]), float(a[-1]))

    @classmethod
    def restore(cls, about: dict, tensors: dict[str, Tensor], device: str = "auto") -> "FittedCoarseToFine":
        """The inverse of `tensors`: same draws, no code executed."""
        config = cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in about["config"].items()})
        net = config.build(about["d"], about["c"])
        net.load_state_dict({k: v.float() for k, v in tensors.items()})
        net.precompute()
        net.coarse_range = NoiseLevels(**about["noise_levels"])
        return FittedCoarseToFine(net.to(resolve_device(device)).eval(), about, config.steps)


class FittedCoarseToFine(CascadePosterior):
    """A trained approach 4. `draw(…, stages=, augment=)` stops at a step, or mistrusts coarse values; `refine` starts
    from coarse values of your own."""


APPROACH = CoarseToFine
