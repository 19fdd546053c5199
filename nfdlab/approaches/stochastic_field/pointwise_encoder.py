"""What observations say of one place: features read anywhere, beside the best linear answer there and its spread."""

import torch
from torch import Tensor, nn

from ...core.grid import cell_centres
from ...core.types import ObservationBatch
from ...encoders.setconv import SetConv
from ...fields.encodings import Fourier
from ...fields.liif import LIIF
from ...gaussian.karhunen_loeve import KarhunenLoeve, WeightPosterior
from ...latents.autoencoder import GridEncoder


class PointwiseEncoder(nn.Module):
    """ObservationBatch -> memory (b, cells, w); memory, Belief and coords (p, d) or (b, p, d) -> h (b, p, c, H), and
    the linear answer and its spread (b, p, c).

    SetConv channels and the linear answer on a fine grid, convolutions down to cells, a local field to read between
    them. With `evidence` a sum over observations, each by itself, is told to every cell: where a few numbers make the function,
    each observation speaks of all places at once (Zaheer et al. 2017).
    """

    def __init__(self, config, d: int, c: int):
        super().__init__()
        cells, side, w = config.cells_for(d), config.side_for(d), config.width
        self.c, self.cells, self.side, self.linear = c, (cells,) * d, side, config.linear
        self.modes = KarhunenLoeve(d, c, config.modes_side_for(d), config.rank_for(d))
        self.setconv = SetConv(d, c, side, tuple(r * 2 / side for r in config.widths))
        self.reader = GridEncoder(d, self.setconv.channels + 2 * c, side, cells, w, w, config.reader)
        self.local = LIIF(d, w, c * config.features, w, config.octaves)
        self.H = config.features + 2
        self.register_buffer("grid", cell_centres((side,) * d), persistent=False)
        self.dot = None
        if config.evidence:
            e, self.where = config.evidence, Fourier(d, 5)
            self.dot = nn.Sequential(nn.Linear(self.where.out + c + 1, e), nn.SiLU(), nn.Linear(e, e), nn.SiLU(),
                                     nn.Linear(e, e, bias=False))
            self.mix = nn.Sequential(nn.SiLU(), nn.Linear(e, e), nn.SiLU(), nn.Linear(e, cells**d * w),
                                     nn.Unflatten(1, (cells**d, w)))

    def believe(self, seen: ObservationBatch) -> WeightPosterior:
        """The linear answer, or without it what was known before."""
        return self.modes.condition(seen) if self.linear else self.modes.prior(len(seen.coords))

    def answer(self, belief: WeightPosterior, coords: Tensor, b: int | None = None) -> tuple[Tensor, Tensor]:
        """Mean and spread (b, p, c) at coords (p, d) or (b, p, d)."""
        mean, variance = self.modes.predict(belief, coords)
        b = len(mean) if b is None else b
        return mean.expand(b, -1, -1), variance.clamp_min(1e-8).sqrt().expand(b, -1, -1)

    def prepare(self, seen: ObservationBatch, belief: WeightPosterior) -> Tensor:
        """(b, cells, w): what is read from, once for all places."""
        b = len(seen.coords)
        mean, spread = self.answer(belief, self.grid, b)
        beside = torch.cat([mean, spread.log()], -1).mT.unflatten(2, [self.side] * self.grid.shape[1])
        memory = self.local.project(self.reader(torch.cat([self.setconv(seen), beside], 1)))
        if self.dot is not None:
            level = seen.noise_std.clamp_min(1e-2).log()[:, None, None].expand(*seen.mask.shape, 1)
            each = self.dot(torch.cat([self.where(seen.coords), seen.values, level], -1)) * seen.mask[..., None]
            memory = memory + self.mix(each.sum(1) / 4)
        return memory

    def read(self, memory: Tensor, mean: Tensor, spread: Tensor, coords: Tensor) -> Tensor:
        """h (b, p, c, H): the last two entries are the linear answer and ln of its spread."""
        features = self.local.read(coords, memory, self.cells).unflatten(-1, (self.c, -1))
        return torch.cat([features, mean[..., None], spread.log()[..., None]], -1)
