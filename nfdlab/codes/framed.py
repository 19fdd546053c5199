"""The networks over the codes of frames: a denoiser in which frames hear each other, and the field that reads them."""

import torch
from torch import Tensor, nn

from ..core.types import ObservationBatch
from ..diffusion.denoiser import like
from ..diffusion.nets import Level
from ..diffusion.schedule import NoiseRange
from ..diffusion.sets import SetBlock
from ..encoders.splat import Splat
from ..fields.encodings import Fourier
from ..fields.filmed import FilmedField
from .coded import Heard
from .flipbook import Flipbook, layers, noise_level
from .frames import Frames, Votes, blended

OCTAVES = 3                          # of the time stamps
CELLS = 16                           # a side, on which a frame's dots are laid for the denoiser


class FrameNet(nn.Module):
    """F(tokens (b, frames, channels), level (b or 1,), told (b or 1, frames, width)) -> (b, frames, k): frames hear
    each other by attention, near ones best, each told its real time, and what was seen in it."""

    def __init__(self, frames: int, k: int, width: int, depth: int, heads: int):
        super().__init__()
        times = (torch.arange(frames) + 0.5) * (2 / frames) - 1
        self.register_buffer("times", times[:, None], persistent=False)
        self.level, self.clock = Level(width), Fourier(1, OCTAVES)
        self.enter = nn.Linear(3 * k + self.clock.out, width)
        self.blocks = nn.ModuleList(SetBlock(width, heads, 4 / frames, width) for _ in range(depth))
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, k))
        nn.init.zeros_(self.leave[-1].weight), nn.init.zeros_(self.leave[-1].bias)

    def forward(self, x: Tensor, level: Tensor, told: Tensor) -> Tensor:
        clock = self.clock(self.times).expand(len(x), -1, -1)
        h, given = self.enter(torch.cat([x, clock], -1)) + told, self.level(level)
        for block in self.blocks:
            h = block(h, self.times, given)
        return self.leave(h)


class FrameDenoiser(nn.Module):
    """D(x (n, k, frames), sigma, votes, told) = linear + spread · F(x, linear, spread; told).

    `linear` is the best answer in closed form to the noisy codes and the dots together, `spread` its error; F starts at
    zero and learns what is left.
    """

    def __init__(self, codes: Frames | Flipbook, width: int, depth: int, heads: int):
        super().__init__()
        self.shape = (codes.k, codes.many)
        self.splat = Splat(codes.d, codes.c, codes.many, CELLS)
        self.listen = layers(self.splat.out + 1, 2 * width, width)
        self.net = FrameNet(codes.many, codes.k, width, depth, heads)
        self.codes = [codes]                                            # in a list: they are learned elsewhere

    def lay(self, seen: ObservationBatch) -> Tensor:
        """What was seen in and near each frame, as cells: (b, frames, …). `listen` makes features of it."""
        laid = self.splat(seen)
        return torch.cat([laid, noise_level(seen, laid)], -1)

    def start(self, x: Tensor, sigma, votes: Votes) -> tuple[Tensor, Tensor]:
        """Mean and spread of the clean code before the network speaks: (n, k, frames), (n or 1, k, frames)."""
        clean, spread, _ = blended(self.codes[0].sensors, votes, x.flatten(1), sigma)
        return clean.unflatten(1, self.shape), spread.unflatten(1, self.shape)

    def rest(self, x: Tensor, sigma, clean: Tensor, spread: Tensor, told: Tensor) -> Tensor:
        """F: (n, k, frames), of unit scale."""
        level = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).log().reshape(-1) / 4
        tokens = torch.cat([x / (1 + like(sigma, x)**2).sqrt(), clean, spread.log().expand_as(x) / 3], 1).mT
        return self.net(tokens, level, told).mT

    def forward(self, x: Tensor, sigma, votes: Votes, told: Tensor) -> Tensor:
        clean, spread = self.start(x, sigma, votes)
        return clean + spread * self.rest(x, sigma, clean, spread, told)

    def loss(self, code: Tensor, sigma: Tensor, noise: Tensor, votes: Votes, told: Tensor) -> Tensor:
        """Squared error in units of what the start leaves open, which is the same at every level and for all views."""
        x = code + like(sigma, code) * noise
        with torch.no_grad():
            clean, spread = self.start(x, sigma, votes)
        return (self.rest(x, sigma, clean, spread, told) - (code - clean) / spread).square().mean()


class Framed(nn.Module):
    """All of approach 6: codes of frames, denoiser, field. With principal components a field is the best linear reading
    of its codes and what layers add; of a flipbook, its decoder."""

    def __init__(self, config, d: int, c: int):
        super().__init__()
        fine = config.fine_for(d)
        if config.flat:
            self.codes = Flipbook(d, c, config.frames, fine, config.flat, config.memory, config.layers, config.octaves)
            self.field = None
        else:
            side, rank = config.statistics_for(d)
            k = min(config.code, c * fine ** (d - 1))
            self.codes = Frames(d, c, side, rank, config.frames, fine, k, config.kinds, config.smooth)
            self.field = FilmedField(d, k, c, config.memory, config.layers, config.octaves)
        self.denoiser = FrameDenoiser(self.codes, config.width, config.depth, config.heads)
        self.shape = (self.codes.k, self.codes.many)
        self.range: NoiseRange | None = None
        self.spectrum = None
        self.register_buffer("size", torch.ones(()))                    # of what the layers add to a linear reading

    def hear(self, seen: ObservationBatch) -> Heard:
        """What dots say: in closed form, and to the network."""
        return Heard((self.codes.hear(seen), self.denoiser.listen(self.denoiser.lay(seen))))

    def remember(self, code: Tensor) -> tuple[Tensor, ...]:
        """What a field needs to be asked anywhere, once."""
        return (code,) if self.field is None else (code, *self.codes.remember(code))

    def recall(self, coords: Tensor, remembered: tuple[Tensor, ...]) -> Tensor:
        """(b, p, c)."""
        code, *known = remembered
        if self.field is None:
            return self.codes.middle + self.codes.decoder(coords, code)
        return self.codes.reading(coords, known) + self.size * self.field(coords, self.codes.own(code))

    def values(self, coords: Tensor, code: Tensor) -> Tensor:
        """The field of codes (b, k, frames) at coords (p, d) or (b, p, d): (b, p, c)."""
        return self.recall(coords, self.remember(code))
