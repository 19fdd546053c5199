"""Frames that are no sums: an autoencoder squeezes each into a few numbers, and a reader guesses them from its observations.

Moved shapes are not linear in anything, so principal components would need hundreds of numbers for an edge. What is
linear again is what the guesses of all frames say together: each frame's reader gives a mean and a spread of its latent,
as a measurement with noise would, and the latents' covariance over the whole film says what that means for the frames
nobody saw. That is the best linear answer to the readers, in closed form, and where the diffusion starts.
"""

import torch
from torch import Tensor, nn

from ...core.grid import cell_centres
from ...core.types import ObservationBatch
from ...encoders.rasterise import Rasterise
from ...fields.space_time import SpaceTimeField
from ...gaussian.karhunen_loeve import LatentMeasurement, WeightPosterior
from ...latents.standardise import Standardise
from .linear_latents import Votes

LEAST, MOST = 0.03, 0.995            # of a reader's spread: surer it may not be, and this wide it has heard nothing


def layers(*sizes: int) -> nn.Sequential:
    """Linear layers with SiLU between them."""
    parts = []
    for one, two in zip(sizes[:-1], sizes[1:], strict=True):
        parts += [nn.Linear(one, two), nn.SiLU()]
    return nn.Sequential(*parts[:-1])


def noise_level(seen: ObservationBatch, laid: Tensor) -> Tensor:
    """Of observations laid on frames the log noise level, about unit scale, 0 in frames without observations: (b, frames, 1)."""
    level = seen.noise_std.clamp_min(1e-3).log().reshape(-1, 1, 1) / 3 + 1
    return level * (laid != 0).any(-1, keepdim=True)


class NeuralFrameLatents(nn.Module):
    """Films of c channels over (t, *space) in [-1, 1]^d <-> latents (b, k, frames) of unit scale, k numbers a frame.

    A frame is looked at on `fine` cells a side; observations are laid on as many. The field decodes.
    """

    def __init__(self, d: int, c: int, frames: int, fine: int, k: int, width: int, depth: int, octaves: int):
        super().__init__()
        self.d, self.c, self.k, self.many = d, c, k, frames
        numbers = c * fine ** (d - 1)
        self.encoder, self.unit = layers(numbers, 192, 96, k), Standardise(k)
        self.splat = Rasterise(d, c, frames, fine)
        self.reader = layers(self.splat.out + 1, 192, 96, 3 * k)
        self.decoder = SpaceTimeField(d, k, c, width, depth, octaves)
        self.sensors = nn.ModuleList([LatentMeasurement(k * frames, k * frames)])
        self.register_buffer("middle", torch.zeros(c))                  # the mean value, where nothing was seen
        self.register_buffer("grid", cell_centres((frames, *[fine] * (d - 1))), persistent=False)

    def squeeze(self, films: Tensor) -> Tensor:
        """Values (b, frames·fine^(d−1), c) at `grid` -> latents not yet of unit scale (b, k, frames)."""
        return self.encoder(films.unflatten(1, (self.many, -1)).flatten(2)).mT

    def encode(self, films: Tensor) -> Tensor:
        """Values (b, frames·fine^(d−1), c) at `grid` -> (b, k, frames)."""
        return self.unit(self.squeeze(films))

    def read(self, seen: ObservationBatch) -> tuple[Tensor, Tensor]:
        """What the observations of each frame say of its latent: mean and spread, (b, frames, k), by themselves.

        Where a frame was seen whole, the encoder is heard; elsewhere layers guess.
        """
        laid = self.splat(seen)
        cells = laid.unflatten(2, (-1, self.c + 1))
        trust = cells[..., self.c:]
        filled = cells[..., :self.c] + (1 - trust) * self.middle
        level = noise_level(seen, laid)
        gate, guess, wide = self.reader(torch.cat([laid, level], -1)).chunk(3, -1)
        whole = self.unit(self.encoder(filled.flatten(2)).mT).mT
        mean = torch.lerp(guess, whole, torch.sigmoid(gate))
        return mean, LEAST + (MOST - LEAST) * torch.sigmoid(wide)

    def reader_loss(self, seen: ObservationBatch, latent: Tensor) -> Tensor:
        """Gaussian log scores of latents (b, k, frames): of each frame by its own reader, and of all by what the readers
        say together, so that a reader is as sure as its neighbours allow. Errors are weighed by their spread, as in
        Seitzer et al. 2022, eq. 5."""
        mean, spread = self.read(seen)
        belief = self.together(mean, spread)
        fused, wide = belief.predict(self.sensors[0].matrix)
        loss = 0
        for guess, sd in ((mean.mT.flatten(1), spread.mT.flatten(1)),
                          (fused + self.sensors[0].middle, (wide + self.sensors[0].own).sqrt())):
            score = 0.5 * ((latent.flatten(1) - guess) / sd).square() + sd.log()
            loss = loss + (sd.detach() * score).mean()
        return loss

    def together(self, mean: Tensor, spread: Tensor) -> WeightPosterior:
        """What readers' guesses (b, frames, k) say of the weights: what each adds to a prior of mean 0, variance 1."""
        sensor = self.sensors[0]
        A, (mean, spread) = sensor.matrix, (x.mT.flatten(1) for x in (mean, spread))
        sure = 1 / spread.square() - 1 / MOST**2
        heard = 1 / (1 + sensor.own * sure)                             # a latent's own noise blurs it
        information = (mean / spread.square() - sure * sensor.middle) * heard
        precision = torch.eye(A.shape[1]).to(A) + A.T @ ((sure * heard)[..., None] * A)
        return WeightPosterior(information @ A, precision)

    @torch.no_grad()
    def calibrate(self, latents: Tensor) -> None:
        """The covariance of whole films' latents (b, k, frames), as a measurement of white weights."""
        flat, sensor = latents.flatten(1).double(), self.sensors[0]
        sensor.middle.copy_(flat.mean(0))
        size, directions = torch.linalg.eigh(flat.T.cov())
        own = 0.5 * LEAST**2                                            # its own noise is a part of the variance
        sensor.matrix.copy_(directions * (size - own).clamp_min(0).sqrt())
        sensor.own.fill_(own)

    def condition(self, seen: ObservationBatch) -> Votes:
        """What observations say of b films, by their readers."""
        belief = self.together(*self.read(seen))
        return ((belief, belief.information.new_zeros(len(belief.information))),)
