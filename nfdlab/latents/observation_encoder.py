"""What a set of observations says of a latent: features of every cell, and the latent's mean and spread, before any diffusion."""

import torch
from torch import Tensor, nn

from ..core.types import ObservationBatch
from ..encoders.gp_channels import GPChannels
from ..encoders.gp_ensemble import GPEnsemble
from ..encoders.setconv import SetConv
from ..gaussian.mixture import ExpansionMixture
from ..nn.networks import CONV
from .autoencoder import GridEncoder
from .grid_latent import GatedEnsemble
from .standardise import AmortisedGaussian, Standardise


class GridObservationEncoder(nn.Module):
    """ObservationBatch -> features (b, w, *cells), mean and spread of the latent (b, k, *cells).

    SetConv on a fine grid, kriging beside it, convolutions over both. With `kernels` (lengthscales) a few krigings are
    channels and `latent` numbers a cell make a latent. With `krigings`, pairs (smoothness, lengthscale), the latent is the
    fine grid folded into the cells, of which each kriging has a mean of its own. With `kinds` each kind's own answer
    takes the place of the krigings.
    """

    def __init__(self, config, d: int, c: int, kinds: ExpansionMixture | None = None):
        super().__init__()
        cells, side, w, many = config.cells_for(d), config.side_for(d), config.width, len(config.krigings)
        self.setconv = SetConv(d, c, side, tuple(r * 2 / side for r in config.widths))
        self.kernels = self.krigings = None
        self.kinds = kinds
        self.k, fine, beside = config.latent, self.setconv.channels, 0
        if many:
            self.krigings = GPEnsemble(d, side, cells, config.krigings)
            self.k, fine, beside = c * (side // cells) ** d, fine + c * many, 2 * many + 1
        elif kinds is not None:
            fine, beside = fine + kinds.fine, kinds.beside
        elif config.kernels:
            self.kernels = GPChannels(d, c, cells, config.kernels, config.smoothness, config.level)
            beside = self.kernels.channels
        self.reader = GridEncoder(d, fine, side, cells, w, w, config.reader, beside)
        self.given: AmortisedGaussian = GatedEnsemble(CONV[d], w, self.k, many) if many else \
            AmortisedGaussian(CONV[d], w, self.k, beside if config.linear else 0)

    def listen(self, seen: ObservationBatch, unit: Standardise) -> tuple[Tensor, Tensor, Tensor]:
        """`unit` is the scale of the latent, which krigings are brought to."""
        if self.krigings is not None:
            seen, kriged = self.krigings(seen)
            features = self.reader(torch.cat([self.setconv(seen), kriged.fine()], 1), kriged.beside())
            return features, *self.given(features, kriged, unit)
        if self.kinds is not None:
            fine, kriged = self.kinds(seen)
            features = self.reader(torch.cat([self.setconv(seen), fine], 1), kriged)
        else:
            kriged = self.kernels(seen) if self.kernels else None
            features = self.reader(self.setconv(seen), kriged)
        return features, *self.given(features, kriged)
