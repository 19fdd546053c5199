"""The networks over the latents of frames: a denoiser in which frames hear each other, and the field that reads them."""

import torch
from torch import Tensor, nn

from ...core.types import ObservationBatch
from ...diffusion.denoiser import like
from ...diffusion.schedule import NoiseLevels
from ...encoders.rasterise import Rasterise
from ...fields.encodings import Fourier
from ...fields.space_time import SpaceTimeField
from ...inference.posterior import Heard
from ...nn.networks import Level
from ...nn.set_attention import SetBlock, doubling_lengthscales
from .linear_latents import Frames, Votes, blended
from .neural_latents import NeuralFrameLatents, layers, noise_level

OCTAVES = 3                          # of the time stamps
CELLS = 16                           # a side, on which a frame's observations are laid for the denoiser


class FrameTransformer(nn.Module):
    """F(tokens (b, frames, channels), level (b or 1,), told (b or 1, frames, width)) -> (b, frames, k): frames hear
    each other by attention, near ones best, each told its real time, and what was seen in it."""

    def __init__(self, frames: int, k: int, width: int, depth: int, heads: int):
        super().__init__()
        times = (torch.arange(frames) + 0.5) * (2 / frames) - 1
        self.register_buffer("times", times[:, None], persistent=False)
        self.level, self.clock = Level(width), Fourier(1, OCTAVES)
        self.input = nn.Linear(3 * k + self.clock.out, width)
        self.blocks = nn.ModuleList(
            SetBlock(width, doubling_lengthscales(heads, 4 / frames), width, ("itself", "unused", "mlp"),
                     affine=True, identity=True, zero_key=True) for _ in range(depth))
        self.output = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, k))
        nn.init.zeros_(self.output[-1].weight), nn.init.zeros_(self.output[-1].bias)

    def forward(self, x: Tensor, level: Tensor, told: Tensor) -> Tensor:
        clock = self.clock(self.times).expand(len(x), -1, -1)
        h, given = self.input(torch.cat([x, clock], -1)) + told, self.level(level)
        for block in self.blocks:
            h = block(h, self.times[None], level=given)
        return self.output(h)


class FrameDenoiser(nn.Module):
    """D(x (n, k, frames), sigma, votes, told) = linear + spread · F(x, linear, spread; told).

    `linear` is the best answer in closed form to the noisy latents and the observations together, `spread` its error; F starts at
    zero and learns what is left.
    """

    def __init__(self, latents: Frames | NeuralFrameLatents, width: int, depth: int, heads: int):
        super().__init__()
        self.shape = (latents.k, latents.many)
        self.splat = Rasterise(latents.d, latents.c, latents.many, CELLS)
        self.listen = layers(self.splat.out + 1, 2 * width, width)
        self.net = FrameTransformer(latents.many, latents.k, width, depth, heads)
        self.latents = [latents]                                            # in a list: they are learned elsewhere

    def lay(self, seen: ObservationBatch) -> Tensor:
        """What was seen in and near each frame, as cells: (b, frames, …). `listen` makes features of it."""
        laid = self.splat(seen)
        return torch.cat([laid, noise_level(seen, laid)], -1)

    def start(self, x: Tensor, sigma, votes: Votes) -> tuple[Tensor, Tensor]:
        """Mean and spread of the clean latent before the network speaks: (n, k, frames), (n or 1, k, frames)."""
        clean, spread, _ = blended(self.latents[0].sensors, votes, x.flatten(1), sigma)
        return clean.unflatten(1, self.shape), spread.unflatten(1, self.shape)

    def rest(self, x: Tensor, sigma, clean: Tensor, spread: Tensor, told: Tensor) -> Tensor:
        """F: (n, k, frames), of unit scale."""
        level = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).log().reshape(-1) / 4
        tokens = torch.cat([x / (1 + like(sigma, x)**2).sqrt(), clean, spread.log().expand_as(x) / 3], 1).mT
        return self.net(tokens, level, told).mT

    def forward(self, x: Tensor, sigma, votes: Votes, told: Tensor) -> Tensor:
        clean, spread = self.start(x, sigma, votes)
        return clean + spread * self.rest(x, sigma, clean, spread, told)

    def loss(self, latent: Tensor, sigma: Tensor, noise: Tensor, votes: Votes, told: Tensor) -> Tensor:
        """Squared error in units of what the start leaves open, which is the same at every level and for all views."""
        x = latent + like(sigma, latent) * noise
        with torch.no_grad():
            clean, spread = self.start(x, sigma, votes)
        return (self.rest(x, sigma, clean, spread, told) - (latent - clean) / spread).square().mean()


class FrameLatentNetwork(nn.Module):
    """All of approach 6: latents of frames, denoiser, field. With principal components a field is the best linear reading
    of its latents and what layers add; of a flipbook, its decoder."""

    def __init__(self, config, d: int, c: int):
        super().__init__()
        fine = config.fine_for(d)
        if config.flat:
            self.latents = NeuralFrameLatents(d, c, config.frames, fine, config.flat, config.memory, config.layers, config.octaves)
            self.field = None
        else:
            side, rank = config.statistics_for(d)
            k = min(config.latent, c * fine ** (d - 1))
            self.latents = Frames(d, c, side, rank, config.frames, fine, k, config.kinds, config.smooth)
            self.field = SpaceTimeField(d, k, c, config.memory, config.layers, config.octaves)
        self.denoiser = FrameDenoiser(self.latents, config.width, config.depth, config.heads)
        self.shape = (self.latents.k, self.latents.many)
        self.noise_levels: NoiseLevels | None = None
        self.spectrum = None
        self.register_buffer("size", torch.ones(()))                    # of what the layers add to a linear reading

    def condition(self, seen: ObservationBatch) -> Heard:
        """What observations say: in closed form, and to the network."""
        return Heard((self.latents.condition(seen), self.denoiser.listen(self.denoiser.lay(seen))))

    def prepare(self, latent: Tensor) -> tuple[Tensor, ...]:
        """What a field needs to be asked anywhere, once."""
        return (latent,) if self.field is None else (latent, *self.latents.prepare(latent))

    def evaluate(self, coords: Tensor, remembered: tuple[Tensor, ...]) -> Tensor:
        """(b, p, c)."""
        latent, *known = remembered
        if self.field is None:
            return self.latents.middle + self.latents.decoder(coords, latent)
        return self.latents.reading(coords, known) + self.size * self.field(coords, self.latents.own(latent))

    def values(self, coords: Tensor, latent: Tensor) -> Tensor:
        """The field of latents (b, k, frames) at coords (p, d) or (b, p, d): (b, p, c)."""
        return self.evaluate(coords, self.prepare(latent))
