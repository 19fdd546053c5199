"""What observations say of a flat latent: a whole function in one vector, so they are read together wherever they lie."""

import torch
from torch import Tensor, nn

from ...core.types import ObservationBatch
from ...encoders.setconv import SetConv
from ...fields.encodings import Fourier
from ...latents.autoencoder import GridEncoder
from ...latents.standardise import AmortisedGaussian


class VectorObservationEncoder(nn.Module):
    """ObservationBatch -> features (b, w), mean and spread of a flat latent (b, k), before any diffusion.

    Two readers, added: convolutions over SetConv channels see what is near what; a sum over observations, each by itself, adds
    up evidence, as the log likelihood of a family of curves does (Zaheer et al. 2017). No observations, no sum.
    """

    def __init__(self, config, d: int, c: int, k: int, features: int = 256, octaves: int = 5):
        super().__init__()
        cells, side, w = config.cells_for(d), config.side_for(d), config.width
        self.setconv = SetConv(d, c, side, tuple(r * 2 / side for r in config.widths))
        self.reader = GridEncoder(d, self.setconv.channels, side, cells, w, w, config.reader)
        self.whole = nn.Sequential(nn.Flatten(), nn.Linear(w * cells**d, features))
        self.place = Fourier(d, octaves)
        self.dot = nn.Sequential(nn.Linear(self.place.out + c + 1, features), nn.SiLU(), nn.Linear(features, features),
                                 nn.SiLU(), nn.Linear(features, features, bias=False))
        self.mix = nn.Sequential(nn.SiLU(), nn.Linear(features, features), nn.SiLU(), nn.Linear(features, features))
        self.given = AmortisedGaussian(nn.Linear, features, k)
        self.given.LEAST = config.least

    def listen(self, seen: ObservationBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Features, mean and spread."""
        level = seen.noise_std.clamp_min(1e-2).log()[:, None, None].expand(*seen.mask.shape, 1)
        each = self.dot(torch.cat([self.place(seen.coords), seen.values, level], -1)) * seen.mask[..., None]
        features = self.mix(self.whole(self.reader(self.setconv(seen))) + each.sum(1) / 4)
        return features, *self.given(features)
