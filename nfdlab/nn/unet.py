"""A small U-Net: residual convolutions on a grid of cells and on coarser ones, attention on the coarsest."""

import torch
from torch import Tensor, nn

from .networks import CONV, ConvBlock, Level, zeroed


class UNet(nn.Module):
    """U-Net, F(x (b, k, *cells), level (b or 1,), features (b or 1, w, *cells) if there are any) -> (b, k or `out`,
    *cells).

    `widths`: channels on the grid of cells, on half of it, and so on; `depth` residual blocks on each, on the way down
    and again on the way up; on the coarsest, attention of all cells between the two. What goes down is added on the way
    up. Ronneberger et al. 2015; Ho et al. 2020, app. B.
    """

    def __init__(self, d: int, channels: int, features: int, widths: tuple[int, ...], depth: int = 1,
                 out: int | None = None):
        super().__init__()
        conv, given = CONV[d], widths[0]
        self.level = Level(given)
        self.input = conv(channels + features, widths[0], 3, padding=1)

        def blocks(width: int) -> nn.ModuleList:
            return nn.ModuleList(ConvBlock(d, width, given=given) for _ in range(depth))

        self.down, self.up = (nn.ModuleList(blocks(w) for w in widths) for _ in range(2))
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        self.coarser = nn.ModuleList(conv(a, b, 3, stride=2, padding=1) for a, b in pairs)
        self.finer = nn.ModuleList(conv(b, a, 1) for a, b in pairs)
        self.attention = CellAttention(widths[-1])
        last = zeroed(conv(widths[0], channels if out is None else out, 1))
        self.output = nn.Sequential(nn.GroupNorm(8, widths[0]), nn.SiLU(), last)

    def forward(self, x: Tensor, level: Tensor, features: Tensor | None = None) -> Tensor:
        given, last = self.level(level), len(self.down) - 1
        h = self.input(x if features is None else torch.cat([x, features.expand(len(x), *features.shape[1:])], 1))
        skips = []
        for i, blocks in enumerate(self.down):
            for block in blocks:
                h = block(h, given)
            if i < last:
                skips.append(h)
                h = self.coarser[i](h)
        h = self.attention(h)
        for i in range(last, -1, -1):
            if i < last:
                h = skips[i] + nn.functional.interpolate(self.finer[i](h), size=skips[i].shape[2:])
            for block in self.up[i]:
                h = block(h, given)
        return self.output(h)


class CellAttention(nn.Module):
    """Residual multi-head self-attention among the cells of a grid, (b, width, *cells) -> the same; a fresh one adds
    nothing. Vaswani et al. 2017."""

    def __init__(self, width: int, heads: int = 4):
        super().__init__()
        self.heads, self.norm = heads, nn.GroupNorm(8, width)
        self.read, self.output = nn.Linear(width, 3 * width), zeroed(nn.Linear(width, width))

    def forward(self, h: Tensor) -> Tensor:
        tokens = self.norm(h).flatten(2).mT                                                      # (b, cells, width)
        q, k, v = self.read(tokens).unflatten(-1, (3, self.heads, -1)).movedim(2, 0).transpose(2, 3)
        found = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return h + self.output(found).mT.reshape(h.shape)
