"""Approach 9: one shared field, modulated by a latent; diffusion over the latents.

A single SIREN stands for all functions; a latent shifts (and stretches) its sines and so says which function it is. Codes
come from an encoder, or from a few steps of gradient descent (CAVIA). A denoiser learns the law of the latents, alone and
given a set of observations. So observations enter in two ways: told to the denoiser ("encoder"), or by weighing and moving draws of
the prior through the field ("particles" and the other guides). Where functions have a few parameters the latent is one
vector; where they have hundreds it is a vector on each cell of a grid, and shifts vary from place to place.
"""

from dataclasses import asdict, dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...core.checks import require, require_name, require_seed
from ...core.fields import EvaluatedFields
from ...core.grid import to_grid
from ...core.rng import child, seeded, stream
from ...core.types import Budget, Card, ObservationBatch, Source, Views, Watch, quiet
from ...diffusion.interpolation import cross
from ...diffusion.schedule import NoiseLevels
from ...inference.posterior import LatentPosterior
from ...inference.restoring import rebuilt
from ...latents.standardise import AmortisedGaussian
from ...training import Stage, resolve_device, train
from .networks import CODERS, ModulationNetwork

EDGE = 0.03                     # misfits below it count by their square, above it by their size: a jump a hair off
                                # its place should cost its width, not more


@dataclass(frozen=True)
class ModulatedField:
    """Sizes of the networks. None chooses by dimension: a flat latent in 1D, one on a grid in 2D and 3D."""

    card: ClassVar[Card] = Card(
        9, "Modulated field",
        "one shared field; a code shifts its sines; diffuse the codes, told the dots or steered by them",
        "Dupont et al. 2022 (functa); Bauer et al. 2023 (spatial functa); Zintgraf et al. 2019 (CAVIA)",
        "families of curves with a few parameters: sharp draws, a thousand a second, styles that can be crossed",
        "a flat code holds few numbers; fields with hundreds of degrees of freedom need codes on a grid")
    flat: bool | None = None             # one latent for the whole function, or one on each cell
    vector: int = 16                     # numbers in a flat latent,
    latent: int = 4                        # or on each cell
    cells: int | None = None             # a side, of a latent on a grid, or of the last map of a flat encoder
    fine: int | None = None              # points of the encoder's grid per cell and axis, a power of two
    coder: str = "encoder"               # or "cavia", whose knobs are `vector`, and
    inner_steps: int = 3                 # steps of gradient descent from zero,
    inner_rate: float = 1.0              # and their size at first: it is learned
    sines: int = 128                     # width and depth of the shared field,
    depth: int = 4
    omega: float = 15.0                  # and its highest frequency at first, in radians per unit of the box
    scales: bool = True                  # latents also stretch what goes into a sine
    jitter: float = 0.03                 # noise on latents while the field learns: latents near by mean functions near by
    width: int = 48
    widths: tuple[float, ...] = (0.7, 2.0, 6.0)          # of SetConv, in points of the training grid
    reader: tuple[int, ...] = (1, 2, 4, 1)               # dilations
    denoiser: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4, 1)
    layers: tuple[int, int] = (192, 3)                   # width and depth of the denoiser of a flat latent
    kernels: tuple[float, ...] = (0.1, 0.3, 0.9)         # kriging channels beside a grid latent, as in approach 5
    smoothness: float = 2.5
    level: float = 0.0
    linear: bool = True                  # and a linear encoder of it, so that they may speak of its mean directly
    krigings: tuple = ()
    kinds: tuple[int, ...] = ()          # instead of kernels, where functions are of a few kinds: how many, and the
                                         # directions that each kind's own covariance keeps
    least: float = 0.01                  # the least spread a flat latent is given: where observations may suggest a wrong kind of
                                         # function, a small one leaves residuals too long to be learned
    unconditional_share: float = 0.25                  # share of the functions of which the denoiser hears nothing
    share: float = 0.5                   # of the budget, for the field; the rest is for diffusion
    batch: int = 32
    latents: int = 128                     # batch of the diffusion,
    noises: int = 4                      # and how often each latent is noised: a flat denoiser costs less than listening
    queries: int = 64
    lr: float = 1e-3
    steps: int = 20                      # of the sampler, unless told
    guide: str = "encoder"               # how observations enter, unless told
    num_particles: int = 256                     # of the particles, where they are the guide

    def flat_for(self, d: int) -> bool:
        return d == 1 if self.flat is None else self.flat

    def latent_channels_for(self, d: int) -> int:
        return self.vector if self.flat_for(d) else self.latent

    def cells_for(self, d: int) -> int:
        return self.cells or ({1: 8, 2: 4, 3: 4} if self.flat_for(d) else {1: 32, 2: 16, 3: 8})[d]

    def side_for(self, d: int) -> int:
        return self.cells_for(d) * (self.fine or ({1: 16, 2: 8, 3: 4} if self.flat_for(d) else {1: 4, 2: 2, 3: 2})[d])

    def build(self, d: int, c: int, *, seed: int = 0) -> ModulationNetwork:
        require_name(self.coder, CODERS, "coder")
        require(self.coder != "cavia" or self.flat_for(d), must="flat=True with coder='cavia'.", came="a grid code",
                why="Reading a grid between its points has no second derivative.", do="ModulatedField(flat=True, ...).")
        with seeded(seed):
            return ModulationNetwork(self, d, c)

    def fit(self, source: Source, *, views: Views, budget: Budget, seed: int, device: str = "auto",
            watch: Watch = quiet) -> "FittedModulatedField":
        """Train on endless fresh functions, seen as `views` hides them. Cancelled early, it returns what it has."""
        require_seed(seed)
        place, probe = resolve_device(device), source.draw(1, seed=child(seed, "probe"))
        d, c = probe.d, probe.c
        net, side = self.build(d, c, seed=seed).to(place), self.side_for(d)

        if net.kinds is not None:
            places = net.kinds.places.cpu()
            parts = [source.draw(1024, seed=child(seed, "kinds", j))(places) for j in range(8)]
            net.kinds.calibrate(torch.cat(parts).to(place), seed=child(seed, "kinds"))

        def batch(*use, size: int = self.batch):
            fields = source.draw(size, seed=child(seed, "data", *use))
            return fields, to_grid(fields(net.grid.cpu()), (side,) * d).movedim(-1, 1).to(place)

        def misfit(fields, latent: Tensor, noise: torch.Generator) -> Tensor:
            coords = 2 * torch.rand(len(latent), self.queries, d, generator=noise) - 1
            away = net.field(coords.to(place), latent) - fields(coords).to(place)
            return (away.square() + EDGE**2).sqrt().mean()

        def modulate(i: int) -> Tensor:
            fields, values = batch("field", i)
            noise = stream(seed, "noise", "field", i)
            latent = net.raw(values, learn=True) if net.cavia else net.encode(values)
            jitter = 0.0 if net.cavia else self.jitter
            return misfit(fields, latent + jitter * torch.randn(latent.shape, generator=noise).to(place), noise)

        def latents(use: str, many: int) -> Tensor:
            with torch.no_grad():
                return torch.cat([net.raw(batch(use, j)[1]) for j in range(many)])

        def calibrate() -> None:
            net.eval().unit.calibrate(latents("calibrate", 16))

        def measure() -> None:                      # also where training is resumed, or cancelled, between the stages
            net.unit.eval()
            if net.noise_levels is None:
                found = net.unit(latents("range", 16))
                net.noise_levels = NoiseLevels.of(found)
                if net.spectrum is not None:
                    net.spectrum.calibrate(found)

        def diffuse(i: int) -> Tensor:
            measure()
            fields, values = batch("diffuse", i, size=self.latents)
            with torch.no_grad():
                latent = net.encode(values)
            noise = stream(seed, "noise", "diffuse", i)
            seen = views(fields, seed=child(seed, "views", i))
            mask = seen.mask & (torch.rand(len(latent), 1, generator=noise) >= self.unconditional_share)
            features, mean, spread = net.listen(ObservationBatch(
                seen.coords * mask[..., None], seen.values * mask[..., None], mask, seen.noise_std).to(place))
            clean = AmortisedGaussian.residual(latent, mean, spread).detach().repeat(self.noises, *[1] * (latent.ndim - 1))
            sigma = net.noise_levels.for_training(torch.randn(len(clean), generator=noise)).to(place)
            white = torch.randn(clean.shape, generator=noise).to(place)
            told = features.repeat(self.noises, *[1] * (features.ndim - 1))
            return net.denoiser.loss(clean, sigma, white, told) + AmortisedGaussian.loss(latent, mean, spread)

        @torch.no_grad()
        def floor() -> float:
            """The typical misfit as a standard deviation; not the rms, to which the few points at jumps give all."""
            fields, values = batch("floor", size=128)
            coords = 2 * torch.rand(len(values), 256, d, generator=stream(seed, "noise", "floor")) - 1
            away = net.values(coords.to(place), net.encode(values)) - fields(coords).to(place)
            return float(away.abs().median() / 0.6745)

        train(net, [Stage("field", modulate, [*net.field.parameters(), *net.encoder.parameters()], self.share, self.lr,
                          after=calibrate),
                    Stage("diffuse", diffuse, [*net.listener.parameters(), *net.denoiser.parameters()], 1 - self.share,
                          1.5 * self.lr)], budget, watch)
        measure()
        about = {"approach": "modulated_field", "config": asdict(self), "d": d, "c": c, "noise_levels": asdict(net.noise_levels),
                 "floor": floor()}
        return FittedModulatedField(net, about, self.steps)

    @classmethod
    def restore(cls, about: dict, tensors: dict[str, Tensor], device: str = "auto") -> "FittedModulatedField":
        """The inverse of `tensors`: same draws, no code executed."""
        config, net = rebuilt(cls, about, tensors, device)
        return FittedModulatedField(net, about, config.steps)


class FittedModulatedField(LatentPosterior):
    """A trained approach 9."""

    guides: ClassVar[tuple[str, ...]] = ("encoder", *LatentPosterior.guides)

    def encode(self, fields) -> Tensor:
        """Codes (n, *shape) of unit scale of fields, from their values on the encoder's grid."""
        grid = self.net.grid.cpu()
        side = round(len(grid) ** (1 / fields.d))
        values = to_grid(fields(grid), (side,) * fields.d).movedim(-1, 1).to(self.device)
        with torch.no_grad():
            return self.net.encode(values)

    def mixed(self, shallow: Tensor, deep: Tensor, layer: int) -> EvaluatedFields:
        """Fields whose first `layer` layers are shifted by latents `shallow` (n, *shape), the rest by `deep`."""
        net, c = self.net, self.about["c"]

        def rule(coords: Tensor, part: slice | Tensor) -> Tensor:
            with torch.no_grad():
                place = coords.to(self.device, torch.float32)
                a, b = (net.field.local(place, net.modulation(latent[part])) for latent in (shallow, deep))
                shifts = torch.cat([a[..., :layer, :], b[..., layer:, :]], -2)
                return net.field.with_shifts(place, shifts).to(coords)

        return EvaluatedFields(rule, len(shallow), self.about["d"], c, width=net.field.width * (1 if net.flat else 8))

    def cross(self, a: Tensor, b: Tensor, t: Tensor, way: str = "bridge", steps: int = 40) -> Tensor:
        """Codes (n, *shape) at t (n,) on the way from latent a (*shape) to b: straight, spherical or bridge."""
        heard = self.nothing
        ends = [AmortisedGaussian.residual(x[None], heard.mean, heard.spread)[0] for x in (a, b)]
        return heard.latent(cross(way, *ends, t.to(self.device), self.denoiser(), self.sigmas(steps)))


APPROACH = ModulatedField
