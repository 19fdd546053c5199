"""Approach 2: diffusion over the weights of neural fields.

Each training function gets a small field of its own, whose few hundred weights, laid flat, are its latent. All are fitted
at once, in batched products, from one shared initialisation: so that neuron 7 plays the same part in every one of them,
and weights can be averaged, noised, denoised. A denoiser then learns their law. Observations never enter the training;
they steer the draw, through the field that the weights render.
"""

from dataclasses import asdict, dataclass
from functools import cache, cached_property
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..core.checks import require_count, require_name, require_seed
from ..core.rng import child, seeded, stream
from ..core.types import Budget, Card, Source, Views, Watch, quiet
from ..diffusion.denoiser import Denoiser
from ..diffusion.gaussian_prior import GaussianPrior
from ..diffusion.schedule import NoiseLevels
from ..fields.batched_mlp import STARTS, BatchedMLP, fit, misfit, places
from ..inference.posterior import LatentPosterior
from ..inference.restoring import rebuilt
from ..latents.standardise import Standardise
from ..nn.networks import MLP
from ..training import Stage, resolve_device, train

QUERIES = {1: 32, 2: 128, 3: 256}    # places at which a small field is compared with its function in a step


class Network(nn.Module):
    """What makes weights of noise: their scale, their covariance, the denoiser."""

    def __init__(self, config: "WeightDiffusion", d: int, c: int):
        super().__init__()
        self.small = config.small_for(d, c)
        self.shape = (self.small.size,)
        self.register_buffer("begin", torch.zeros(1, self.small.size))      # where the first fit began, or all
        self.unit = Standardise(self.small.size)
        self.denoiser = Denoiser(MLP(self.small.size, *config.layers), known=GaussianPrior(self.small.size))
        self.noise_levels: NoiseLevels | None = None                # measured on weights, once there are any

    @property
    def spectrum(self) -> GaussianPrior:
        """The covariance of the weights."""
        return self.denoiser.known

    def values(self, coords: Tensor, latent: Tensor) -> Tensor:
        """The fields of weights at unit scale (n, size), at coords (p, d) or (n, p, d): (n, p, c)."""
        return self.small(self.unit.restore(latent), coords)


class Workshop(nn.Module):
    """Network and the many fields it learns from: theta (nets, size). Only the network is kept."""

    def __init__(self, net: Network, begin: Tensor, nets: int):
        super().__init__()
        self.net, self.theta = net, nn.Parameter(begin.expand(nets, -1).clone())


@dataclass(frozen=True)
class WeightDiffusion:
    """Sizes, and where the fits begin: "shared", "random" (each its own) or "permuted" (shared, then shuffled)."""

    card: ClassVar[Card] = Card(
        2, "Diffusion over weights",
        "fit a small field to each function from one initialisation, diffuse the weights, render",
        "Erkoç et al. 2023 (HyperDiffusion); Peebles et al. 2022 (G.pt); Zeng et al. 2025 (memorisation)",
        "functions of several kinds, each a network that anything which runs networks can ask",
        "lives on a shared initialisation; hundreds of numbers for a function of two; fits come before any learning")
    width: int = 16                      # of a small field,
    depth: int = 2
    omega: float = 6.0                   # and its highest frequency at first, in radians per unit of the box
    nets: int = 8192                     # how many functions get one
    start: str = "shared"
    pull: float = 1e-4                   # times the squared way from the start, added to a field's misfit
    edge: float = 0.1                    # misfits below it count by their square, above it by their size
    queries: int | None = None           # places a field is compared at in a step; None chooses by dimension
    rate: float = 1e-2                   # of the fits
    share: float = 0.4                   # of the budget, for the fits; the rest is for diffusion
    layers: tuple[int, int] = (256, 4)   # width and depth of the denoiser
    batch: int = 128
    lr: float = 1.5e-3
    steps: int = 8                       # of the sampler, unless told
    guide: str = "particles"             # how observations steer, unless told,
    num_particles: int = 256                     # and how many particles,
    rounds: int = 24                     # moved how often

    def small_for(self, d: int, c: int) -> BatchedMLP:
        return BatchedMLP(d, c, self.width, self.depth, self.omega)

    def build(self, d: int, c: int, *, seed: int = 0) -> Network:
        require_name(self.start, STARTS, "start"), require_count(self.nets, "nets", 16)
        with seeded(seed):
            return Network(self, d, c)

    def fit(self, source: Source, *, views: Views, budget: Budget, seed: int, device: str = "auto",
            watch: Watch = quiet) -> "FittedWeightDiffusion":
        """Train on `nets` functions of the source; `views` is not asked. Cancelled early, it returns what it has."""
        require_seed(seed)
        place, data = resolve_device(device), child(seed, "data")
        fields = source.draw(self.nets, seed=data)
        d, c = fields.d, fields.c
        net, queries = self.build(d, c, seed=seed).to(place), self.queries or QUERIES[d]
        begin = net.small.start(self.nets if self.start == "random" else 1, seed=child(seed, "start")).to(place)
        net.begin.copy_(begin[:1])
        shop = Workshop(net, begin, self.nets)

        def away(coords: Tensor) -> Tensor:
            return net.small(shop.theta, coords.to(place)) - fields(coords).to(place)

        def render(i: int) -> Tensor:               # at the same places for all, so that what is alike stays alike
            far = (shop.theta - begin).square().sum(1).mean()
            return misfit(away(places(queries, d, seed=child(seed, "places", i))), self.edge) + self.pull * far

        @cache
        def latents() -> Tensor:                      # once the fits are done; also where training is resumed there
            net.eval()
            theta = shop.theta.detach()
            if self.start == "permuted":
                theta = net.small.permute(theta, seed=child(seed, "order"))
            net.unit.calibrate(theta)
            found = net.unit(theta)
            net.noise_levels = NoiseLevels.of(found[:4096])
            net.spectrum.calibrate(found)
            return found

        def diffuse(i: int) -> Tensor:
            found, noise = latents(), stream(seed, "noise", i)
            clean = found[torch.randint(self.nets, (self.batch,), generator=noise).to(place)]
            sigma = net.noise_levels.for_training(torch.randn(len(clean), generator=noise)).to(place)
            return net.denoiser.loss(clean, sigma, torch.randn(clean.shape, generator=noise).to(place))

        last = Stage("diffuse", diffuse, list(net.denoiser.parameters()), 1 - self.share, self.lr)
        train(shop, [Stage("fit", render, [shop.theta], self.share, self.rate), last], budget, watch)
        latents()
        with torch.no_grad():
            floor = float(away(places(256, d, seed=child(seed, "floor"))).square().mean().sqrt())
        about = {"approach": "weight_diffusion", "config": asdict(self), "d": d, "c": c, "noise_levels": asdict(net.noise_levels),
                 "floor": floor, "data": data}
        return FittedWeightDiffusion(net, about, self.steps)

    @classmethod
    def restore(cls, about: dict, tensors: dict[str, Tensor], device: str = "auto") -> "FittedWeightDiffusion":
        """The inverse of `tensors`: same draws, no code executed."""
        config, net = rebuilt(cls, about, tensors, device)
        return FittedWeightDiffusion(net, about, config.steps)


class Gaussian(nn.Module):
    """The network with its denoiser taken away: of the weights it knows mean and covariance."""

    def __init__(self, net: Network):
        super().__init__()
        self.net, self.shape, self.noise_levels, self.spectrum = net, net.shape, net.noise_levels, net.spectrum
        self.denoiser, self.values = net.spectrum.denoiser(), net.values


class FittedWeightDiffusion(LatentPosterior):
    """A trained approach 2."""

    @cached_property
    def gaussian(self) -> LatentPosterior:
        """The rival: a Gaussian with the full covariance of the weights, drawn, steered and rendered by the same means.
        What it does as well, diffusion need not be praised for."""
        return LatentPosterior(Gaussian(self.net), {**self.about, "approach": "gaussian_weights"}, self.steps)

    def members(self, source: Source):
        """The functions it was trained on, as Fields, drawn again from the problem it was trained on."""
        return source.draw(self.about["config"]["nets"], seed=self.about["data"])

    def encode(self, fields, *, seed: int = 0) -> Tensor:
        """Codes (n, size) of unit scale of fields: a small field fitted to each, begun where training began."""
        config, begin = self.about["config"], self.net.begin.cpu()
        theta = fit(self.net.small, begin, fields, seed=seed, rate=config["rate"], pull=config["pull"],
                    edge=config["edge"], queries=config["queries"] or QUERIES[fields.d])
        return self.net.unit(theta.to(self.device))

    def weights(self, latent: Tensor) -> Tensor:
        """Codes of unit scale (n, size) -> weights of small fields (n, size)."""
        return self.net.unit.restore(latent)


APPROACH = WeightDiffusion
