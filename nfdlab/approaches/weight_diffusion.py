"""Approach 2: diffusion over the weights of neural fields.

A small field is fitted to each training function; its few hundred weights, laid flat, are the function's latent. All
are fitted at once, in batched products, from one shared initialisation: so neuron 7 plays the same part in every field,
and weights can be averaged, noised and denoised. A *denoiser* learns the distribution of the weights. Observations
never enter training; they guide the sampler through the field that the weights render.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..core import single
from ..core.checks import require_count
from ..core.config import NetworkConfig
from ..core.rng import child
from ..core.types import Budget, Card, Fields, Source, Views, Watch, quiet
from ..diffusion.denoiser import NOTHING, Conditioning, Denoiser, GaussianPrior
from ..fields.batched_mlp import BatchedMLP, fit, query_points, robust_loss
from ..inference.posterior import LatentNetwork, LatentPosterior
from ..nn.networks import MLP, Standardise
from ..training import Run, Stage

QUERIES = {1: 32, 2: 128, 3: 256}    # query points of each function in a step of the fits


class WeightDiffusionNetwork(LatentNetwork):
    """Scale, covariance and denoiser of weights, and the small field that renders them. A latent is (size,)."""

    def __init__(self, config: "WeightDiffusion", d: int, c: int):
        super().__init__()
        self.field = BatchedMLP(d, c, config.field_width, config.field_depth, config.omega)
        self.shape, white = (self.field.size,), config.prior == "white"
        self.register_buffer("initial", single.zeros(1, self.field.size))            # where the (first) fit began
        self.unit = Standardise(self.field.size)
        gaussian = GaussianPrior(self.field.size)
        self.gaussian = gaussian if white else None
        self.denoiser = Denoiser(MLP(self.field.size, *config.denoiser_layers), None if white else gaussian)

    def prepare(self, latent: Tensor, conditioning: Conditioning = NOTHING) -> tuple[Tensor, ...]:
        """The weights of latents."""
        return (self.unit.restore(latent),)

    def evaluate(self, coords: Tensor, prepared: tuple[Tensor, ...]) -> Tensor:
        return self.field(prepared[0], coords)


class GaussianWeights(WeightDiffusionNetwork):
    """The same field under a Gaussian of the weights' mean and covariance in place of the diffusion model."""

    def __init__(self, net: WeightDiffusionNetwork):
        LatentNetwork.__init__(self)
        self.field, self.shape, self.unit, self.gaussian = net.field, net.shape, net.unit, net.covariance
        self.denoiser = Denoiser(nn.Identity(), net.covariance)
        self.denoiser.silence("network")
        self.denoiser.noise_levels = net.denoiser.noise_levels


class WeightDiffusionPosterior(LatentPosterior):
    """A trained approach 2."""

    @cached_property
    def gaussian(self) -> LatentPosterior:
        """The rival: a Gaussian with the full covariance of the weights, drawn, guided and rendered by the same means.
        What it does as well is not the diffusion model's work."""
        return LatentPosterior(GaussianWeights(self.net), {**self.about, "approach": "gaussian_weights"}, self.steps)

    def training_functions(self, source: Source) -> Fields:
        """The functions that it was trained on, drawn again from the source that it was trained on."""
        return source.draw(self.about["config"]["num_fields"], seed=self.about["data"])

    def encode(self, fields: Fields, *, seed: int = 0) -> Tensor:
        """Fields -> their latents (n, size) of unit scale: a small field fitted to each, from where training's
        fits began."""
        config = self.about["config"]
        theta = fit(self.net.field, self.net.initial.cpu(), fields, seed=seed, lr=config["fit_lr"],
                    l2_penalty=config["l2_penalty"], robust_scale=config["robust_scale"],
                    queries=config["queries"] or QUERIES[fields.d])
        return self.net.unit(theta.to(self.device))


@dataclass(frozen=True)
class WeightDiffusion(NetworkConfig):
    """Config of approach 2. None chooses by dimension."""

    card: ClassVar[Card] = Card(
        2, "Diffusion over weights",
        "fit a small field to each function from one initialisation, diffuse the weights, render",
        "Erkoç et al. 2023 (HyperDiffusion); Peebles et al. 2022 (G.pt); Zeng et al. 2025 (memorisation)",
        "functions of several kinds, each a network that anything which runs networks can ask",
        "lives on a shared initialisation; hundreds of numbers for a function of two; fits come before any learning")
    trained: ClassVar[type] = WeightDiffusionPosterior
    network: ClassVar[type] = WeightDiffusionNetwork
    choices: ClassVar[dict] = {"initialisation": ("shared", "random", "permuted")}

    prior: str = "gaussian"  # "gaussian": a Gaussian measured on the weights; "white": a standard normal
    field_width: int = 16                    # width of a small field
    field_depth: int = 2                     # hidden layers of a small field
    omega: float = 6.0  # highest initial frequency of a small field, in radians per unit of the box
    num_fields: int = 8192                   # how many training functions get a small field
    # start of the fits: one "shared" by all, a "random" one each, or shared and the neurons "permuted" after the fit
    initialisation: str = "shared"
    l2_penalty: float = 1e-4                 # of the squared distance from the initialisation, beside the loss of a fit
    robust_scale: float = 0.1                # errors of a fit count quadratically below it, linearly above
    queries: int | None = None  # query points of each function in a step of the fits: 32 in 1D, 128 in 2D, 256 in 3D
    fit_lr: float = 1e-2                     # learning rate of the fits
    fit_share: float = 0.4                   # share of the budget for the fits
    denoiser_layers: tuple[int, int] = (256, 4)  # width and depth of the denoiser
    batch: int = 128                         # weights of fields in a batch of the denoiser
    lr: float = 1.5e-3                       # learning rate of the denoiser
    steps: int = 8                           # sampling steps
    guide: str = "particles"                 # how observations enter a draw
    num_particles: int = 256                 # particles of the guide "particles"
    rounds: int = 24                         # rounds of resampling and moving of the guide "particles"

    def __post_init__(self):
        super().__post_init__()
        require_count(self.num_fields, "num_fields", 16)

    def fit(self, source: Source, *, views: Views, budget: Budget, seed: int, device: str = "auto",
            watch: Watch = quiet) -> WeightDiffusionPosterior:
        """Train on `num_fields` functions; `views` is not used. Cancelled early, it returns what it has."""
        run = Run(source, views, budget, seed, device, watch)
        net = run.build(self)
        initial = net.field.initialise(self.num_fields if self.initialisation == "random" else 1,
                                       seed=child(seed, "start")).to(run.device)
        joint = JointFit(net, initial, self.num_fields)
        learn = WeightDiffusionLosses(self, run, joint, initial, run.functions(self.num_fields))

        def model() -> WeightDiffusionPosterior:
            return WeightDiffusionPosterior(net, run.record("weight_diffusion", self, floor=float(joint.floor),
                                                            data=child(seed, "data")), self.steps)

        run.train(joint, Stage("fit", learn.fit, [joint.theta], self.fit_share, self.fit_lr, after=learn.measure),
                  Stage("diffuse", learn.diffuse, net.denoiser.parameters(), 1 - self.fit_share, self.lr, model=model))
        return model()


class JointFit(nn.Module):
    """The network, and the weights theta (num_fields, size) that it learns from. Only the network is kept."""

    def __init__(self, net: WeightDiffusionNetwork, initial: Tensor, num_fields: int):
        super().__init__()
        net.initial.copy_(initial[:1])
        self.net, self.theta = net, nn.Parameter(initial.expand(num_fields, -1).clone())
        self.register_buffer("floor", initial.new_tensor(torch.nan))             # root mean square error of the fits


@dataclass(frozen=True)
class WeightDiffusionLosses:
    """The losses of a training step i, and what is measured between the stages."""

    config: WeightDiffusion
    run: Run
    joint: JointFit
    initial: Tensor
    functions: Fields

    def errors(self, p: int, *, seed: int) -> Tensor:
        """Fitted fields less their functions at p query points, the same for all: (num_fields, p, c)."""
        coords = query_points(p, self.run.d, seed=seed)
        return self.joint.net.field(self.joint.theta, coords.to(self.run.device)) - \
            self.functions(coords).to(self.run.device)

    def fit(self, i: int) -> Tensor:
        """Stage 1: all fields render their functions, and stay near their initialisation."""
        errors = self.errors(self.config.queries or QUERIES[self.run.d], seed=child(self.run.seed, "places", i))
        distance = (self.joint.theta - self.initial).square().sum(1).mean()
        return robust_loss(errors, self.config.robust_scale) + self.config.l2_penalty * distance

    @torch.no_grad()
    def measure(self) -> None:
        """The error of the fits; the scale of the weights, their Gaussian and their noise levels."""
        net, theta, seed = self.joint.net, self.joint.theta, self.run.seed
        self.joint.floor.copy_(self.errors(256, seed=child(seed, "floor")).square().mean().sqrt())
        if self.config.initialisation == "permuted":
            theta.copy_(net.field.permute(theta, seed=child(seed, "order")))
        net.unit.calibrate(theta)
        latents = net.unit(theta)
        net.covariance.calibrate(latents), net.denoiser.noise_levels.calibrate(latents[:4096])

    def diffuse(self, i: int) -> Tensor:
        """Stage 2: denoise the weights of random fields."""
        rng = self.run.rng(i)
        which = torch.randint(self.config.num_fields, (self.config.batch,), generator=rng).to(self.run.device)
        return self.joint.net.denoiser.training_loss(self.joint.net.unit(self.joint.theta[which].detach()), rng)


APPROACH = WeightDiffusion
