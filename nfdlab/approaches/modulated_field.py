"""Approach 9: one shared field modulated by a latent; diffusion over the latents.

A single SIREN represents all functions; a latent shifts (and scales) its sines and so selects the function. The latent
of a function is found from scattered points of it by a few steps of gradient descent through the field (CAVIA), and may
be learned beside the field from there on (auto-decoding). A *denoiser* samples latents, conditioned on the features of
a *set encoder* of the observations, or alone: then observations enter through the field's likelihood. Where functions
have a few parameters the latent is one vector; where they have hundreds it is a vector on each cell of a grid,
interpolated at the query.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..core import single
from ..core.checks import require, require_count, require_number
from ..core.config import NetworkConfig
from ..core.fields import EvaluatedFields
from ..core.grid import blend, cell_centres
from ..core.types import Budget, Card, Fields, ObservationBatch, Observations, PointSource, Source, Views, Watch, quiet
from ..diffusion.denoiser import NOTHING, Conditioning, Denoiser, GaussianPrior, ResidualNetwork, like
from ..diffusion.interpolation import cross
from ..encoders.deep_set import DeepSet
from ..encoders.grid_channels import SetConv
from ..fields.siren import ModulatedSiren
from ..gaussian.karhunen_loeve import STATISTICS, LatentGaussian
from ..inference.posterior import DecoderError, LatentNetwork, LatentPosterior, last
from ..latents.auto_decoding import SHARPNESS, LatentBank, fitted, nearest_start, require_bank, robust
from ..latents.two_stage import LatentLosses
from ..nn.networks import MLP, GridEncoder, Standardise, depth_to_space, space_to_depth
from ..nn.unet import UNet
from ..training import Run, Stage, reused

STEEPEST = 1.0       # slopes of the encoder beyond it count as this: a field gone wrong must not throw its latents away
AT_ONCE = 64         # functions encoded at a time after training
STARTS = 128         # prior draws from which a fit may start, if its own start is worse
LAST = 8             # points an axis of the last map of a set encoder of no cells


class MetaLearnedEncoder(nn.Module):
    """Meta-learned encoder: values at scattered points -> latents (b, *shape), by `steps` steps of gradient descent.

    The latent starts at zero, the shared field; each step lowers the squared error at the function's points. Training
    differentiates through the steps, so that the field and the step sizes become such that a few steps suffice.
    Zintgraf et al. 2019 (CAVIA), alg. 1; Li et al. 2017 (Meta-SGD): a learned step size for each number of a vector.
    """

    def __init__(self, shape: tuple[int, ...], steps: int = 3, lr: float = 1.0):
        super().__init__()
        self.shape, self.steps = shape, require_count(steps, "inner_steps")
        self.cells = torch.Size(shape[1:]).numel()
        lr = require_number(lr, "inner_lr", 0.0, open_low=True)
        self.rate = nn.Parameter(single.full((shape[0], *[1] * (len(shape) - 1)), lr))

    def forward(self, field: nn.Module, seen: ObservationBatch, steps: int | None = None,
                learn: bool = False) -> Tensor:
        """`field(coords, latent)` is fitted; `learn` keeps the graph, so that a loss of the latents reaches the field
        and the step sizes. Other `steps` than those trained for are extrapolation."""
        with torch.inference_mode(False), torch.enable_grad():
            coords, values, real = seen.coords.clone(), seen.values.clone(), seen.mask[..., None].to(seen.values)
            share = self.cells * real / real.sum(1, keepdim=True).clamp_min(1)       # of each point, and so of a cell
            latent = values.new_zeros(len(values), *self.shape, requires_grad=True)
            crowd = 1.0
            if latent.ndim > 2:                      # steps are shorter in cells with more points than others have
                crowd = torch.autograd.grad((share * blend(latent, coords)).sum(), latent)[0].clamp_min(1)
            for _ in range(self.steps if steps is None else steps):
                loss = (share * (field(coords, latent) - values).square()).sum()
                slope, = torch.autograd.grad(loss, latent, create_graph=learn)
                latent = latent - self.rate / crowd * slope.clamp(-STEEPEST, STEEPEST)
                if not learn:
                    latent = latent.detach().requires_grad_()
        return latent if learn else latent.detach()


class SetEncoder(nn.Module):
    """Set encoder: ObservationBatch -> features (b, out, *cells), by convolutions over SetConv channels; of no cells
    (b, out), to which a deep set of the observations is added."""

    def __init__(self, config: "ModulatedField", d: int, c: int, out: int):
        super().__init__()
        side, w, cells = config.side, config.encoder_width, config.cells
        self.setconv = SetConv(d, c, side, config.setconv_widths)
        reader = GridEncoder(d, self.setconv.channels, side, cells or LAST, out if cells else w, w, dilations=(1,))
        self.reader = reader if cells else nn.Sequential(reader, nn.Flatten(), nn.Linear(w * LAST**d, out))
        self.points = None if cells else DeepSet(d, c, out)

    def forward(self, seen: ObservationBatch) -> Tensor:
        found = self.reader(self.setconv(seen))
        return found if self.points is None else self.points.mix(found + self.points.total(seen))


class FieldInformed(ResidualNetwork):
    """F of a denoiser that is also shown the slope of the log likelihood of the observations, by the field, at the
    prior's mean: the direction of the encoder's steps, in units of F, and compressed."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, sigma, mean: Tensor, std: Tensor, features: Tensor, slope: Callable) -> Tensor:
        s = like(sigma, x)
        given = torch.cat([features.expand(len(x), *features.shape[1:]), torch.asinh(std * slope(mean))], 1)
        return self.net(x / (1 + s**2).sqrt(), s.log().reshape(-1) / 4, given)


class ModulatedFieldNetwork(LatentNetwork):
    """Shared field, meta-learned encoder, set encoder and denoiser.

    Shape of a latent: (k,), or (k r^d, *cells), the r^d latent vectors in each cell folded into its channels.
    """

    amortised = True

    def __init__(self, config: "ModulatedField", d: int, c: int):
        super().__init__()
        k, width, cells = config.latent_channels, config.widths[0], config.cells
        self.k, self.per_cell = k, config.points_per_cell if cells else 1
        self.shape = (k * self.per_cell**d, *[cells] * d) if cells else (k,)
        self.field = ModulatedSiren(d, k, c, config.field_width, config.field_depth, config.omega,
                                    config.modulate == "shift_and_scale")
        self.meta_learned = config.encoder == "meta_learned"
        self.fine = (k, *[cells * self.per_cell] * d) if cells else (k,)
        self.encoder = MetaLearnedEncoder(self.fine, config.inner_steps, config.inner_lr) if self.meta_learned else \
            SetEncoder(config, d, c, self.shape[0])
        self.unit = Standardise(self.shape[0])
        self.set_encoder = SetEncoder(config, d, c, width)
        self.gaussian = None if cells else GaussianPrior(k)
        folded = self.shape[0]
        net = UNet(d, folded, width + folded, config.widths, config.depth) if cells else \
            MLP(k, width, config.depth, width + k)
        self.denoiser = Denoiser(FieldInformed(net), None if config.prior == "white" else
                                 LatentGaussian(d, c, *STATISTICS[d], self.shape))

    def raw(self, points: ObservationBatch, inner_steps: int | None = None, learn: bool = False) -> Tensor:
        """Scattered points of b functions -> what the field takes, at its own scale, not folded: (b, k), or
        (b, k, *[r cells] * d)."""
        if self.meta_learned:
            return self.encoder(self.field, points, inner_steps, learn)
        return self.unfolded(self.encoder(points))

    def encode(self, points: ObservationBatch, inner_steps: int | None = None) -> Tensor:
        """Scattered points of b functions -> latents (b, *shape) of unit scale."""
        return self.unit(self.folded(self.raw(points, inner_steps)))

    def rescale(self, raw: Tensor) -> None:
        """Set the scale to that of raw latents."""
        self.unit.calibrate(self.folded(raw))

    def folded(self, raw: Tensor) -> Tensor:
        """The latent vectors of a cell in its channels: the denoiser works on few cells (Shi et al. 2016)."""
        return raw if self.per_cell == 1 else space_to_depth(raw, self.shape[1])

    def unfolded(self, latent: Tensor) -> Tensor:
        """The inverse of `folded`."""
        return latent if self.per_cell == 1 else depth_to_space(latent, self.k, self.per_cell)

    def modulation(self, latent: Tensor) -> Tensor:
        """Latents (b, *shape) of unit scale -> what the field takes; the inverse of what `encode` does last."""
        return self.unfolded(self.unit.restore(latent))

    def condition(self, observations: ObservationBatch) -> Conditioning:
        """Features and likelihood of the observations; where the prior is a measured Gaussian, also its posterior."""
        found = Conditioning((self.set_encoder(observations), partial(self.slope, observations)))
        return self.conditioned(found, observations)

    def slope(self, seen: ObservationBatch, latent: Tensor) -> Tensor:
        """Gradient of the observations' log likelihood with respect to latents of unit scale."""
        with torch.inference_mode(False), torch.enable_grad():
            latent, coords, real = latent.detach().clone().requires_grad_(), seen.coords.clone(), seen.mask[..., None]
            misfit = real * (self.field(coords, self.modulation(latent)) - seen.values.clone())
            variance = seen.noise_std.clone()[:, None, None].square() + SHARPNESS**2
            return torch.autograd.grad((misfit.square() / (-2 * variance)).sum(), latent)[0]

    def prepare(self, latent: Tensor, conditioning: Conditioning = NOTHING) -> tuple[Tensor, ...]:
        return (self.modulation(latent),)

    def evaluate(self, coords: Tensor, prepared: tuple[Tensor, ...]) -> Tensor:
        return self.field(coords, prepared[0])


class ModulatedFieldPosterior(LatentPosterior):
    """A trained approach 9."""

    @property
    def depth(self) -> int:
        """Layers of sines of the shared field."""
        return len(self.net.field.siren.sines)

    @torch.no_grad()
    def encode(self, functions: Fields | ObservationBatch, inner_steps: int | None = None) -> Tensor:
        """Functions, asked at even points, or scattered points of them -> their latents (n, *shape) of unit scale, by
        `inner_steps` steps of gradient descent, by default as many as in training; then, where training auto-decoded
        them, fitted."""
        if not isinstance(functions, ObservationBatch):
            known = self.about["config"].get("points") or 0                          # of a function in training
            side = max(self.net.set_encoder.setconv.shape[0], round(known ** (1 / functions.d)))
            coords = cell_centres((side,) * functions.d).expand(functions.n, -1, -1)
            functions = ObservationBatch.exact(coords, functions(coords))
        functions = functions.to(self.device)
        latent = torch.cat([self.net.encode(part, inner_steps) for part in functions.split(AT_ONCE)])
        if inner_steps is not None or not self.about["config"].get("bank"):
            return latent
        return fitted(self.net.values, nearest_start(self.net.values, latent, self.starts, functions), functions)

    @cached_property
    def starts(self) -> Tensor:
        """Prior draws of latents, from which fits may start."""
        return last(self.path(None, STARTS, seed=0))

    def mix_styles(self, shallow: Tensor, deep: Tensor, layer: int) -> EvaluatedFields:
        """Style mixing: Fields whose first `layer` layers are modulated by latents `shallow` (n, *shape) of unit scale,
        the others by `deep`. Karras et al. 2019, sec. 3.1."""
        field, (a, b) = self.net.field, (self.net.modulation(latent) for latent in (shallow, deep))

        def rule(coords: Tensor, part: slice | Tensor) -> Tensor:
            first, last = field.local(coords, a[part]), field.local(coords, b[part])
            return field.with_shifts(coords, first[:layer] + last[layer:])

        return self.evaluated(rule, len(shallow), field.width * (1 if a.ndim == 2 else 8))

    def cross(self, a: Tensor, b: Tensor, t: Tensor, way: str = "bridge", steps: int = 40) -> Tensor:
        """Interpolation between latents a and b (*shape) of unit scale: latents (n, *shape) at t (n,), from 0 to 1.
        `way` is "straight", "spherical", or "bridge" by `steps` noise levels of the prior's denoiser."""
        return cross(way, a, b, t.to(self.device), self.denoiser(), self.sigmas(steps))


@dataclass(frozen=True)
class ModulatedField(NetworkConfig):
    """Config of approach 9. None chooses by dimension."""

    card: ClassVar[Card] = Card(
        9, "Modulated field",
        "one shared field whose sines a meta-learned latent shifts; diffuse the latents, given observations or alone",
        "Dupont et al. 2022 (functa); Bauer et al. 2023 (spatial functa); Zintgraf et al. 2019 (CAVIA); Park et al. "
        "2019 (DeepSDF)",
        "families of curves with a few parameters: sharp draws, a thousand a second, styles that can be crossed",
        "a vector holds few numbers; fields with hundreds of degrees of freedom need latents on a grid")
    trained: ClassVar[type] = ModulatedFieldPosterior
    network: ClassVar[type] = ModulatedFieldNetwork
    choices: ClassVar[dict] = {"modulate": ("shift", "shift_and_scale"), "encoder": ("meta_learned", "network")}
    usual: ClassVar[dict] = {"cells": {1: 0, 2: 16, 3: 8}, "latent_channels": {1: 16, 2: 4, 3: 4},
                             "points": {1: 128, 2: 512, 3: 1024}, "side": {1: 128, 2: 32, 3: 16},
                             "widths": {1: (144,), 2: (48, 56), 3: (48, 56)}, "depth": {1: 4, 2: 2, 3: 2},
                             "batch": {1: 128, 2: 32, 3: 16}, "noise_draws": {1: 2, 2: 1, 3: 1}}

    prior: str = "white"                     # or "gaussian", measured on draws and conditioned on the observations
    # cells a side of a latent on a grid, 16 in 2D and 8 in 3D; 0: the latent is one vector, as in 1D
    cells: int | None = None
    latent_channels: int | None = None       # numbers in a vector, 16, or in each vector of a grid, 4
    points_per_cell: int = 1                 # latent vectors along an axis of a cell, folded for the denoiser
    encoder: str = "meta_learned"            # of scattered points: steps of gradient descent, or a set "network"
    inner_steps: int = 3                     # steps of gradient descent from zero to the latent of a function
    inner_lr: float = 1.0                    # size of these steps at first; it is learned
    points: int | None = None                # scattered points known of each function in a training step
    bank: int = 0                            # training functions whose latents are auto-decoded; 0: meta-learned alone
    bank_share: float = 0.35                 # share of the budget for that
    bank_pace: float = 1.0                   # learning rate of their latents, as a multiple of the field's
    field_width: int = 64                    # width of the shared field
    field_depth: int = 3                     # layers of sines of the shared field
    omega: float = 15.0  # highest initial frequency of the shared field, in radians per unit of the box
    modulate: str = "shift_and_scale"        # what a latent does to the sines: "shift" or "shift_and_scale"
    setconv_widths: tuple[float, ...] = (0.7, 2.0, 6.0)  # lengthscales of SetConv, in points of its grid
    side: int | None = None                  # points an axis of SetConv's grid, the cells times a power of two
    encoder_width: int = 32                  # channels of the set encoder
    # channels of the denoiser: of the U-Net on the cells, on half of them, ...; of a vector's residual network
    widths: tuple[int, ...] | None = None
    depth: int | None = None                 # residual blocks of the denoiser, of a U-Net on each grid and both ways
    unconditional_share: float = 0.1         # share of the functions of which the denoiser is given no observations
    field_share: float = 0.4                 # share of the budget for the field
    field_batch: int = 32                    # functions in a batch of the field
    batch: int | None = None                 # functions in a batch of the denoiser
    noise_draws: int | None = None           # how often each latent of a batch is noised: 2 in 1D, else 1
    prior_draws: int = 0                     # how often it is noised again, and no observations given
    reuse: int = 8                           # training steps that use each batch of latents, with fresh views and noise
    field_lr: float = 1e-3                   # learning rate of the field
    lr: float = 2e-3                         # learning rate of set encoder and denoiser
    steps: int = 12                          # sampling steps
    guide: str = "encoder"                   # how observations enter a draw
    num_particles: int = 256                 # particles of the guide "particles"

    def fit(self, source: Source | PointSource, *, views: Views, budget: Budget, seed: int, device: str = "auto",
            watch: Watch = quiet) -> ModulatedFieldPosterior:
        """Train on scattered points of fresh functions, and on their observations as `views` hides them. Cancelled
        early, it returns what it has."""
        run = Run(source, views, budget, seed, device, watch, whole=self.prior == "gaussian")
        net, config = run.build(self), self.at(run.d)
        require_bank(self.bank, config.batch, self.field_share + self.bank_share)
        joint = LatentBank(net, net.fine, config.batch, run.few(self.bank // config.batch),
                           self.bank_pace).to(run.device)
        learn = ModulatedFieldLosses(config, run, net, (16, 64), joint)
        latents = reused(learn.latents, self.reuse)

        def model() -> ModulatedFieldPosterior:
            floor = DecoderError.record(learn.floor().detach())
            return ModulatedFieldPosterior(net, run.record("modulated_field", self, **floor), self.steps)

        shared = [*net.field.parameters(), *net.encoder.parameters()]
        stages = [Stage("field", learn.modulate, shared, self.field_share, self.field_lr, after=learn.begin)]
        if self.bank:
            stages.append(Stage("auto-decode", learn.auto_decode, [*net.field.parameters(), *joint.parts],
                                self.bank_share, self.field_lr, after=learn.measure))
        run.train(joint, *stages,
                  Stage("diffuse", lambda i: learn.diffuse(*latents(i), i),
                        [*net.set_encoder.parameters(), *net.denoiser.parameters()],
                        1 - sum(stage.share for stage in stages), self.lr, model=model))
        return model()


@dataclass(frozen=True)
class ModulatedFieldLosses(LatentLosses):
    """The losses of a training step i, of functions known by scattered points. `bank`: the latents of those that are
    auto-decoded, as the field takes them."""

    bank: LatentBank | None = None

    def batch(self, n: int, *use) -> tuple[Fields | ObservationBatch, ObservationBatch]:
        """Fresh functions, and the scattered points of them that the encoder is given."""
        functions = self.run.functions(n, *use)
        return functions, self.run.points(functions, self.config.points, *use).to(self.run.device)

    def errors(self, n: int, *use, learn: bool = False) -> Tensor:
        """The field's errors at some of the points of n functions, when the latent is found from the others."""
        points = self.batch(n, *use)[1]
        total = min(self.config.points, int(points.mask.sum(1).max()))
        require(total >= 2, must="Functions known by at least two points each.", came=f"{total}",
                why="A latent is found from some of them and judged at the others.", do="A source with more points.")
        context = max(1, int(total * (0.25 + 0.5 * single.rand((), generator=self.run.rng("context", *use)))))
        latent = self.net.raw(points.take(slice(context)), learn=learn)
        rest = points.take(slice(context, None))
        return (self.net.field(rest.coords, latent) - rest.values)[rest.mask]

    def modulate(self, i: int) -> Tensor:
        """Stage 1: find latents by gradient descent, through which the field and the step sizes learn."""
        return robust(self.errors(self.config.field_batch, "field", i, learn=True)).mean()

    @torch.no_grad()
    def begin(self) -> None:
        """Measure the latents, or let a bank start from those that gradient descent finds."""
        for j, latent in enumerate(self.bank.parts):
            self.bank.start(j, self.net.raw(self.batch(len(latent), "bank", j)[1]))
        if not len(self.bank):
            self.measure()

    def auto_decode(self, i: int) -> Tensor:
        """Stage 2, if there is a bank: each function's latent and the field learn together."""
        return robust(self.misfit(i, "points", i)).mean()

    def banked(self, j: int) -> tuple[Tensor, Fields | ObservationBatch]:
        """Latents and functions of batch j of the bank, in turn."""
        latent = self.bank[j]
        return latent, self.run.functions(len(latent), "bank", j % len(self.bank))

    def misfit(self, j: int, *use) -> Tensor:
        """The field's errors at fresh points of batch j of the bank."""
        latent, functions = self.banked(j)
        points = self.run.points(functions, self.config.points, "bank", *use).to(self.run.device)
        return (self.net.field(points.coords, latent) - points.values)[points.mask]

    def floor(self) -> Tensor:
        """The field's errors at fresh points, when latents are found as those of the denoiser are."""
        if not len(self.bank):
            return self.errors(128, "floor")
        return torch.cat([self.misfit(j, "floor", j) for j in range(min(4, len(self.bank)))])

    def sampled(self, encode: Callable[[ObservationBatch], Tensor], use: str) -> Tensor:
        """Latents of fresh functions, or all of the bank."""
        if not len(self.bank):
            return super().sampled(encode, use)
        raw = self.bank.whole()
        return raw if use == "calibrate" else self.net.unit(self.net.folded(raw))

    @torch.no_grad()
    def latents(self, group: int) -> tuple[Fields | ObservationBatch, Tensor]:
        """A batch of functions, fresh ones or of the bank, and their latents for the last stage."""
        if not len(self.bank):
            functions, points = self.batch(self.config.batch, "diffuse", group)
            return functions, self.net.encode(points)
        latent, functions = self.banked(group)
        return functions, self.net.unit(self.net.folded(latent))

    def diffuse(self, functions: Fields | ObservationBatch, latent: Tensor, i: int) -> Tensor:
        """Stage 2: denoise latents given observations of their functions, and given none."""
        net, config, rng = self.net, self.config, self.run.rng("diffuse", i)
        seen = self.run.observe(functions, i).dropped(config.unconditional_share, rng)
        given = [net.condition(seen.to(self.run.device))] * config.noise_draws
        if config.prior_draws:
            nothing = ObservationBatch.of([Observations.none(self.run.d, self.run.c)])
            given += [net.condition(nothing.to(self.run.device))] * config.prior_draws
        return sum(net.denoiser.training_loss(latent, rng, conditioning) for conditioning in given) / len(given)


APPROACH = ModulatedField
