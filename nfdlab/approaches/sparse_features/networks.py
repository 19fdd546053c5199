"""The networks over tokens: a denoiser that has heard the points, and a field that asks the tokens near by."""

import torch
from torch import Tensor, nn

from ...core.types import ObservationBatch
from ...diffusion.denoiser import like
from ...diffusion.schedule import NoiseLevels
from ...fields.anchored import AnchoredField
from ...fields.encodings import Fourier
from ...gaussian.karhunen_loeve import WeightPosterior
from ...inference.posterior import Heard
from ...nn.token_attention import SetBlock, SetTransformer
from .tokeniser import SetTokeniser

OCTAVES = 3


class TokenDenoiser(nn.Module):
    """D(x (n, k, many), sigma, belief, seen) = linear + spread · F(x, linear, spread, places; seen).

    `linear` is the best linear answer to the noisy latent and the points together, `spread` its error; F, a set
    transformer that starts at zero, learns what is left. With `linear` off it is that of a white Gaussian which heard
    nothing (Karras et al. 2022), and F has all to learn.
    """

    def __init__(self, tokens: SetTokeniser, width: int, depth: int, heads: int, linear: bool):
        super().__init__()
        self.linear, self.shape = linear, (tokens.k, tokens.many)
        self.encode = Fourier(tokens.d, OCTAVES)
        self.net = SetTransformer(tokens.anchors, 3 * tokens.k + self.encode.out, tokens.k, self.encode.out + tokens.c + 1,
                          width, depth, heads)
        self.heard_by = [tokens.sensor]                                  # in a list: it is learned elsewhere

    def start(self, x: Tensor, sigma, belief: WeightPosterior) -> tuple[Tensor, Tensor]:
        """Mean and spread of the clean latent before the network speaks: (n, k, many), (n or 1, k, many)."""
        if not self.linear:
            s = like(sigma, x)
            return x / (1 + s**2), (s / (1 + s**2).sqrt()).expand(len(x), *self.shape)
        _, clean, spread = self.heard_by[0].condition(belief, x.flatten(1), torch.as_tensor(sigma))
        return clean.unflatten(1, self.shape), spread.unflatten(1, self.shape)

    def rest(self, x: Tensor, sigma, clean: Tensor, spread: Tensor, seen: tuple) -> Tensor:
        """F: (n, k, many), of unit scale."""
        level = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).log().reshape(-1) / 4
        places = self.encode(self.net.places).T.expand(len(x), -1, -1)
        told = [x / (1 + like(sigma, x)**2).sqrt(), clean, spread.log().expand_as(x) / 3, places]
        return self.net(torch.cat(told, 1).mT, level, seen).mT

    def forward(self, x: Tensor, sigma, belief: WeightPosterior, seen: tuple) -> Tensor:
        clean, spread = self.start(x, sigma, belief)
        return clean + spread * self.rest(x, sigma, clean, spread, seen)

    def loss(self, latent: Tensor, sigma: Tensor, noise: Tensor, belief: WeightPosterior, seen: tuple) -> Tensor:
        """Squared error in units of what the start leaves open, which is the same at every level and for all points."""
        x = latent + like(sigma, latent) * noise
        with torch.no_grad():
            clean, spread = self.start(x, sigma, belief)
        return (self.rest(x, sigma, clean, spread, seen) - (latent - clean) / spread).square().mean()


class TokenLatentNetwork(nn.Module):
    """All of approach 10: tokens, denoiser, field. A field is the linear reading of its tokens and what attention adds;
    with `linear` off attention alone."""

    def __init__(self, config, d: int, c: int):
        super().__init__()
        side, rank = config.statistics_for(d)
        k = config.latent_channels_for(d, c)
        self.tokens = SetTokeniser(d, c, side, rank, config.anchors_for(d), k)
        self.linear, width = config.linear, config.memory
        self.denoiser = TokenDenoiser(self.tokens, config.width, config.depth, config.heads, config.linear)
        anchors = self.tokens.anchors
        self.encode = Fourier(d, OCTAVES)
        self.input = nn.Linear(k + self.encode.out, width)
        self.mix = nn.ModuleList(SetBlock(width, config.heads, 2 * self.tokens.reach) for _ in range(config.mixing))
        self.field = AnchoredField(anchors, config.near_for(d), c, width)
        self.shape = (k, len(anchors))
        self.noise_levels: NoiseLevels | None = None
        self.spectrum = None
        self.register_buffer("size", torch.ones(()))         # of what attention adds

    def condition(self, seen: ObservationBatch) -> Heard:
        """What the points say: of all linear things the best, and they themselves."""
        level = seen.noise_std.clamp_min(1e-3).log().reshape(-1, 1, 1).expand(*seen.mask.shape, 1) / 3 + 1
        away = seen.values - self.tokens.kl.mean(seen.coords)
        features = torch.cat([self.encode(seen.coords), away, level.to(away)], -1)
        return Heard((self.tokens.kl.condition(seen), (features, seen.coords, seen.mask)))

    def prepare(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """What a field needs to be asked anywhere: the latent, and the memory of its tokens (b, many, width)."""
        places = self.encode(self.tokens.anchors).expand(len(latent), -1, -1)
        h = self.input(torch.cat([latent.mT, places], -1))
        for block in self.mix:
            h = block(h, self.tokens.anchors)
        return latent, h

    def evaluate(self, coords: Tensor, remembered: tuple[Tensor, Tensor]) -> Tensor:
        """(b, p, c)."""
        latent, memory = remembered
        added = self.size * self.field(coords, memory)
        return added + self.tokens.reading(coords, latent) if self.linear else added

    def values(self, coords: Tensor, latent: Tensor) -> Tensor:
        """The field of latents (b, k, many) at coords (p, d) or (b, p, d): (b, p, c)."""
        return self.evaluate(coords, self.prepare(latent))
