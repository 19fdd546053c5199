"""The cascade's networks: a coarse denoiser, a local field for the average detail, a denoiser of what that leaves."""

import torch
from torch import Tensor, nn

from ...core import single
from ...core.checks import require
from ...core.grid import grid_values, interpolate
from ...core.types import Fields, LinearObservations, ObservationBatch
from ...diffusion.denoiser import Conditioning, Denoiser, GaussianPrior
from ...encoders.grid_channels import BoxAverages, SetConv
from ...fields.liif import LIIF
from ...gaussian.karhunen_loeve import STATISTICS, LatentGaussian
from ...inference.lattice import LatticeDenoiser
from ...nn.networks import CONV, ConvBlock, GridEncoder, Level, Standardise, zeroed
from ...nn.unet import UNet

LEAST = 0.01                         # augmentation that counts as none, for its logarithm
RANK = 96                            # directions of the Gaussian of the rest of the detail
MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}


def block_averages(grid: Tensor, side: int) -> Tensor:
    """(b, c, *[fine]*d) -> averages over the blocks of a grid of `side` an axis, (b, c, *[side]*d)."""
    return nn.functional.interpolate(grid, size=(side,) * (grid.ndim - 2), mode="area")


def boxes_of(seen: LinearObservations) -> tuple[Tensor, Tensor]:
    """The boxes that linear measurements average over: their middles (m, d) and widths (m,), 0 of a single point.

    Of k^d equal weights on a grid inside a box of width w, the variance along an axis is (1 − 1/k²) w²/12. Weights that
    are no such average, negative ones or sums other than 1, are refused, and so are boxes much longer than wide.
    """
    W, points = seen.weights.double(), seen.points.double()
    middle = W @ points
    variance = (W @ points.square() - middle.square()).clamp_min(0)                        # (m, d)
    count = 1 / W.square().sum(1).clamp_min(1e-12)
    parts = count ** (2 / points.shape[1])                                                 # k²
    width = (12 * variance / (1 - 1 / parts.clamp_min(1.5))[:, None]).sqrt()
    width = torch.where(count[:, None] < 1.01, 0.0, width)
    average = bool((W > -1e-6).all() & ((W.sum(1) - 1).abs() < 1e-3).all())
    require(average and bool((width.amax(1) <= 2 * width.amin(1) + 1e-6).all()), came=seen.weights,
            must="LinearObservations: averages over boxes about as wide as high; each row of weights sums to 1.",
            why="The cascade was trained on coarse pictures; other measurements need guidance.",
            do="patterns.BlockAverage(cells=8); score_field or latent_field for blurs, projections and integrals.")
    return middle.float(), width.mean(1).float()


class AverageDetail(nn.Module):
    """The expected detail, a local field (LIIF) given its pixel: (coarse values of unit scale, which carry noise of std
    s, features of the observations on the cells) -> values at any query, in units of what a linear reading leaves."""

    def __init__(self, d: int, c: int, features: int, cells: int, width: int, dilations: tuple[int, ...],
                 field_width: int, octaves: int):
        super().__init__()
        self.cells = (cells,) * d
        self.level, self.input = Level(width), CONV[d](c + features, width, 3, padding=1)
        self.blocks = nn.ModuleList(ConvBlock(d, width, dilation, given=width) for dilation in dilations)
        self.field = LIIF(d, width, c, field_width, octaves, sized=True)
        zeroed(self.field.answer[-1])

    def silence(self, part: str) -> bool:
        """No detail from now on, if the part is "field"."""
        if part == "field":
            zeroed(self.field.answer[-1])
        return part == "field"

    def encode(self, coarse: Tensor, s: Tensor, features: Tensor) -> Tensor:
        """Coarse values (n, c, *coarse), s (n,) or (1,), features (n or 1, w, *cells) -> (n, width, *cells)."""
        enlarged = nn.functional.interpolate(coarse, size=self.cells, mode=MODES[len(self.cells)])
        h = self.input(torch.cat([enlarged, features.expand(len(coarse), *features.shape[1:])], 1))
        given = self.level((s + LEAST).log() / 4)
        for block in self.blocks:
            h = block(h, given)
        return h


class CascadeNetwork(nn.Module):
    """All that is learned or measured. Coarse values are averages over blocks of the fine lattice, at unit scale."""

    def __init__(self, config, d: int, c: int):
        super().__init__()
        cells, w, white = config.cells, config.encoder_width, config.prior == "white"
        side = cells * config.points_per_cell
        require(cells % config.coarse_side == 0, must="coarse_side: a divisor of cells.", came=config.coarse_side,
                why="Each block holds a whole number of cells.", do=f"coarse_side={cells // 2}.")
        self.d, self.c, self.side, self.coarse_side = d, c, side, config.coarse_side
        self.shape = (c, *[config.coarse_side] * d)                      # of coarse values
        self.unit = Standardise(c)                                       # of coarse values
        self.register_buffer("size", single.ones(c))                     # std of what a linear reading of them leaves
        self.setconv = SetConv(d, c, side, config.setconv_widths)
        self.boxes = BoxAverages(d, c, side)
        seen = self.setconv.channels + self.boxes.channels
        self.encoder, self.detail_encoder = (GridEncoder(d, seen, side, cells, w, w, dilations=(1,)) for _ in range(2))
        self.coarse = Denoiser(UNet(d, c, w, config.coarse_widths, config.depth),
                               None if white else LatentGaussian(d, c, *STATISTICS[d], self.shape))
        self.average = AverageDetail(d, c, w, cells, config.width, config.dilations, config.field_width, config.octaves)
        self.detail = LatticeDenoiser(config, d, c, config.width + w,
                                      None if white else GaussianPrior(c * side**d, rank=RANK))

    def grid_values(self, fields: Fields) -> Tensor:
        """Fields on the fine lattice, (n, c, *[side]*d)."""
        return grid_values(fields, self.side)

    def coarse_values(self, fine: Tensor) -> Tensor:
        """Functions on the fine lattice (b, c, *[side]*d) -> their coarse values at unit scale."""
        return self.unit(block_averages(fine, self.coarse_side))

    def channels(self, points: ObservationBatch, averages: ObservationBatch) -> Tensor:
        """Observations of b functions, at points and over boxes, as channels on the fine lattice."""
        return torch.cat([self.setconv(points), self.boxes(averages)], 1)

    def condition(self, channels: Tensor, points: ObservationBatch) -> tuple[Tensor, Conditioning]:
        """Features of the observations on the cells (b, w, *cells), and the conditioning of the coarse denoiser. A
        measured Gaussian is conditioned on those at points."""
        features, prior = self.encoder(channels), self.coarse.prior
        posterior = prior.condition(points) if isinstance(prior, LatentGaussian) else None
        return features, Conditioning((block_averages(features, self.coarse_side),), posterior)

    def enlarged(self, coords: Tensor, coarse: Tensor, cubic: bool = False) -> Tensor:
        """Coarse values of unit scale read between their middles: (n, p, c)."""
        return self.unit.restore(interpolate(coarse, coords, cubic and self.d < 3).mT).mT

    def mean(self, coords: Tensor, coarse: Tensor, projected: Tensor, size: Tensor | float = 0.0) -> Tensor:
        """The average detail on coarse values: (n, p, c) at coords, averaged over pixels `size` wide."""
        detail = self.average.field.read(coords, projected, self.average.cells, size)
        return self.enlarged(coords, coarse) + self.size * detail

    def detail_conditioning(self, memory: Tensor, channels: Tensor) -> Conditioning:
        """Features of the average detail (n, width, *cells) and channels (n or 1, …) -> those of the last denoiser."""
        own = self.detail_encoder(channels)
        known = memory.new_ones(1, 1, *[self.side] * self.d)
        return Conditioning((torch.cat([memory, own.expand(len(memory), *own.shape[1:])], 1), known))
