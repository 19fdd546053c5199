"""Squeeze fields into latents, then diffuse the latents: the network and the training that approaches over a latent share.

An autoencoder first, at unit scale; then the law of its latents. A config says the sizes: a frozen dataclass with those
fields of `LatentDiffusionConfig` that differ from the usual.
"""

from dataclasses import asdict, dataclass
from functools import lru_cache
from math import log, prod
from typing import Any

import torch
from torch import Tensor, nn

from ..core.checks import require_seed
from ..core.fields import EvaluatedFields
from ..core.grid import cell_centres, to_grid
from ..core.rng import child, seeded, stream
from ..core.types import Budget, Fields, Source, Watch, quiet
from ..diffusion.denoiser import Denoiser
from ..diffusion.gaussian_prior import GaussianPrior
from ..diffusion.schedule import NoiseLevels
from ..latents.autoencoder import Autoencoder
from ..latents.decoder_error import DecoderError
from ..latents.grid_latent import GridLatent
from ..latents.importance_sampling import importance_sampled
from ..latents.vector_autoencoder import VectorAutoencoder
from ..nn.networks import MLP, ConvNet
from ..training import Stage, resolve_device, train
from .posterior import LatentPosterior

NARROW, WIDE = 2 / 256, 2 / 8        # widths of pixels practised, in units of the box
MOST = 1024                          # numbers in a latent whose covariance is kept
PIXEL = 4                            # places along each side of a pixel that its average is taken over


class Network(nn.Module):
    """Autoencoder, and the denoiser of its latents (b, *shape)."""

    def __init__(self, config: "Sizes", d: int, c: int):
        super().__init__()
        cells, side, w, flat = config.cells_for(d), config.side_for(d), config.width, config.flat
        self.auto = GridLatent(d, c, side, cells, 0, w, config.octaves, config.sized, d < 3) if config.folded else \
            VectorAutoencoder(d, c, side, flat, w, config.joint, config.sharp) if flat and config.joint else \
            Autoencoder(d, c, side, cells, config.latent, 0, w, config.octaves, config.linear, flat, config.sized)
        k = len(self.auto.unit.mean)
        self.shape = (k,) if flat else (k, *[cells] * d)
        known = GaussianPrior(prod(self.shape)) if prod(self.shape) <= MOST else None
        self.denoiser = Denoiser(MLP(k, *config.layers) if flat else ConvNet(d, k, 0, w, config.dilations),
                                       known=known)
        self.noise_levels: NoiseLevels | None = None                # measured on latents, once there are any

    @property
    def spectrum(self) -> GaussianPrior | None:
        """The covariance of the latents, unless they are too long for one."""
        return self.denoiser.known

    def values(self, coords: Tensor, latent: Tensor, size: Tensor | float = 0.0) -> Tensor:
        """The field of latents at coords (p, d) or (b, p, d): (b, p, c); as averages over boxes `size` wide."""
        return self.auto(coords, latent, size=size)


@dataclass(frozen=True)
class LatentDiffusionConfig:
    """Sizes of the networks. `flat` numbers in one vector, or, where 0, `latent` numbers on each cell."""

    latent: int = 4
    flat: int = 0
    cells: int | None = None             # a side; None chooses by dimension
    fine: int | None = None              # points of the encoder's grid per cell and axis, a power of two
    linear: bool = True                  # a linear encoder, so that latents of Gaussian fields are Gaussian
    folded: bool = False                 # the latent is the encoder's grid itself, and the field adds what lies between
    pixels: bool = False                 # the encoder's grid holds averages over pixels, not values at their centres
    joint: int = 0                       # hidden layers of a field of place and flat latent together; 0: a local one
    sharp: float = 4.0                   # how much wider than usual the first layer of such a field is drawn
    sized: bool = True                   # the field is told how wide a pixel it is asked for
    width: int = 48
    octaves: int = 3
    dilations: tuple[int, ...] = (1, 2, 1, 2)            # of the denoiser of a grid latent
    layers: tuple[int, int] = (192, 3)                   # width and depth of the denoiser of a flat one
    batch: int = 32
    latents: int = 64                      # batch of the diffusion,
    reuse: int = 1                       # each used so many times, with fresh noise: encoding may cost more than a step
    queries: int = 192
    importance_sampled: float = 0.0                    # share of them asked where the function changes, weighed accordingly
    jitter: float = 0.05                 # noise on latents while the decoder learns: latents near by mean fields near by
    share: float = 0.5                   # of the budget, for the autoencoder
    lr: float = 1.5e-3                   # of the diffusion,
    auto_lr: float = 2e-3                # and of the autoencoder
    steps: int = 20                      # of the sampler, unless told
    guide: str = "linearised"            # how observations steer, unless told;
    num_particles: int = 512                     # of so many particles, where they do

    def cells_for(self, d: int) -> int:
        return self.cells or {1: 16, 2: 8, 3: 4}[d]

    def side_for(self, d: int) -> int:
        return self.cells_for(d) * (self.fine or {1: 8, 2: 4, 3: 4}[d])

    def look(self, fields) -> Tensor:
        """Values of fields (b, side^d, c) on the encoder's grid: at its centres, or averaged over its pixels."""
        d, side = fields.d, self.side_for(fields.d)
        if not self.pixels:
            return fields(cell_centres((side,) * d))
        parts = PIXEL
        fine = to_grid(fields(cell_centres((side * parts,) * d)), (side * parts,) * d)
        for axis in range(1, 1 + d):
            fine = fine.unflatten(axis, (side, parts)).mean(axis + 1)
        return fine.flatten(1, d)

    def build(self, d: int, c: int, *, seed: int = 0) -> Network:
        with seeded(seed):
            return Network(self, d, c)

    @classmethod
    def of(cls, about: dict) -> Any:
        """The config that a trained approach says it was built from."""
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in about["config"].items()})


def squeeze(config: LatentDiffusionConfig, name: str, source: Source, *, budget: Budget, seed: int, device: str = "auto",
            watch: Watch = quiet) -> tuple[Network, dict]:
    """Train a config's network on endless fresh functions: the network, and what it says of itself as approach `name`.
    Cancelled early, it returns what it has."""
    require_seed(seed)
    place, probe = resolve_device(device), source.draw(1, seed=child(seed, "probe"))
    d, c = probe.d, probe.c
    net, side = config.build(d, c, seed=seed).to(place), config.side_for(d)
    fixed = isinstance(net.auto, VectorAutoencoder)            # its scale while it learns: a batch's is too rough for few numbers

    def batch(*use, size: int = config.batch):
        fields = source.draw(size, seed=child(seed, "data", *use))
        return fields, to_grid(config.look(fields), (side,) * d).movedim(-1, 1).to(place)

    def asked(b: int, noise: torch.Generator) -> tuple[Tensor, Tensor]:
        """Places (b, q, d), and widths (b,): half of the functions at points, half as averages."""
        coords = 2 * torch.rand(b, config.queries, d, generator=noise) - 1
        size = NARROW * torch.exp(torch.rand(b, generator=noise) * log(WIDE / NARROW))
        return coords, size * (torch.arange(b) % 2) * config.sized

    def autoencode(i: int) -> Tensor:
        net.auto.unit.train(not config.folded and not fixed)
        fields, values = batch("auto", i)
        noise = stream(seed, "noise", "auto", i)
        coords, size = asked(len(values), noise)
        coords, weight = importance_sampled(values, coords, config.importance_sampled, noise) if config.importance_sampled else (coords, None)
        truth = averaged(fields, coords, size, noise).to(place)
        latent = net.auto.encode(values)
        shaken = config.jitter * torch.randn(latent.shape, generator=noise).to(place)
        latent = latent + (shaken * latent.detach().std(0) if fixed else shaken)
        off = (net.values(coords.to(place), latent, size.to(place)) - truth).square()
        off = (off if not config.importance_sampled else off * weight[..., None].to(place)).mean((1, 2))
        if config.folded:                           # where interpolation is nearly right, little is a lot
            plain = net.auto.between(net.auto.points(latent), coords.to(place))
            off = off / ((plain - truth).square().mean((1, 2)) + 1e-4)
        return off.mean()

    @torch.no_grad()
    def latents(use: str, many: int = 64) -> Tensor:
        return torch.cat([net.auto.encoder(batch(use, j, size=64)[1]) for j in range(many)])

    def calibrate(use: str = "calibrate") -> None:
        (net.auto.rescale if fixed else net.auto.unit.calibrate)(latents(use))

    def measure() -> None:                          # also where training is resumed, or cancelled, between the stages
        net.eval()
        if net.noise_levels is None:
            found = net.auto.unit(latents("range"))
            net.noise_levels = NoiseLevels.of(found)
            if net.spectrum is not None:
                net.spectrum.calibrate(found)

    @lru_cache(1)
    def clean_latents(group: int) -> Tensor:
        with torch.no_grad():
            return net.auto.encode(batch("diffuse", group, size=config.latents)[1])

    def diffuse(i: int) -> Tensor:
        measure()
        clean, noise = clean_latents(i // config.reuse), stream(seed, "noise", "diffuse", i)
        sigma = net.noise_levels.for_training(torch.randn(len(clean), generator=noise)).to(place)
        net.denoiser.train()
        return net.denoiser.loss(clean, sigma, torch.randn(clean.shape, generator=noise).to(place))

    @torch.no_grad()
    def errors() -> Tensor:
        fields, values = batch("floor", size=128)
        coords = asked(len(values), stream(seed, "noise", "floor"))[0]
        return net.values(coords.to(place), net.auto.encode(values)) - fields(coords).to(place)

    if config.folded or fixed:                      # the latent is known, and its scale; or its first scale will do
        calibrate("first" if fixed else "calibrate")
    train(net, [Stage("autoencode", autoencode, net.auto.parameters(), config.share, config.auto_lr,
                      after=calibrate),
                Stage("diffuse", diffuse, net.denoiser.parameters(), 1 - config.share, config.lr)], budget, watch)
    measure()
    return net, {"approach": name, "config": asdict(config), "d": d, "c": c, "noise_levels": asdict(net.noise_levels),
                 **DecoderError.told(errors())}


def averaged(fields: Fields, coords: Tensor, size: Tensor, noise: torch.Generator) -> Tensor:
    """Averages of b fields over boxes (b,) wide at coords (b, q, d): values where the width is 0, else the mean of one
    place in each of the box's 2^d parts."""
    b, q, d = coords.shape
    if not size.any():
        return fields(coords)
    corners = torch.cartesian_prod(*[torch.tensor([-0.5, 0.0])] * d).reshape(-1, 1, 1, d)
    inside = corners + 0.5 * torch.rand(2**d, b, q, d, generator=noise)
    places = (coords + size[:, None, None] * inside).clamp(-1, 1)
    parts = [fields[i](coords[i] if size[i] == 0 else places[:, i].flatten(0, 1)) for i in range(b)]
    return torch.cat([v if size[i] == 0 else v.unflatten(1, (2**d, q)).mean(1) for i, v in enumerate(parts)])


class LatentDiffusionPosterior(LatentPosterior):
    """A trained approach over a latent that an autoencoder makes. `sizes` is the class of its config."""

    sizes = LatentDiffusionConfig

    @property
    def config(self) -> Any:
        """What it was built from."""
        return self.sizes.of(self.about)

    def encode(self, fields: Fields) -> Tensor:
        """Codes (n, *shape) of fields: what the encoder makes of their values on its grid."""
        values = to_grid(self.config.look(fields), (self.config.side_for(fields.d),) * fields.d)
        with torch.no_grad():
            return self.net.auto.encode(values.movedim(-1, 1).to(self.device))

    def decode(self, latent: Tensor, size: float = 0.0) -> EvaluatedFields:
        """Codes (n, *shape) -> Fields: values at points, or averages over boxes `size` wide."""
        return self.net.auto.fields(latent, size=size)
