"""A video U-Net: residual blocks within each frame of a film, attention between its frames at each place."""

import torch
from torch import Tensor, nn

from ..core import single
from .networks import CONV, ConvBlock, GridEncoder, Level, MLPBlock, space_to_depth, zeroed


def by_frame(film: Tensor) -> Tensor:
    """(b, k, frames, *cells) -> (b frames, k, *cells)."""
    return film.transpose(1, 2).flatten(0, 1)


def by_film(frames: Tensor, b: int) -> Tensor:
    """The inverse of `by_frame` for b films."""
    return frames.unflatten(0, (b, -1)).transpose(1, 2)


class VideoUNet(nn.Module):
    """F(x (b, k, frames, *cells), level (b or 1,), features (b or 1, w, frames, *cells)) -> (b, k, frames, *cells), of
    d axes of space.

    Factorised in space and time (Ho et al. 2022, Video diffusion models, sec. 3): `widths` are the channels on the grid
    of cells, on half of it, and so on, with `depth` blocks on each on the way down and again on the way up, each
    followed by attention among the frames of every cell. d = 0: one vector a frame, whose blocks are linear layers.
    """

    def __init__(self, d: int, channels: int, features: int, widths: tuple[int, ...], depth: int, frames: int):
        super().__init__()
        given, self.frames = widths[0], frames
        self.level = Level(given)

        def blocks(width: int) -> nn.ModuleList:
            return nn.ModuleList(nn.ModuleList([ConvBlock(d, width, given=given) if d else MLPBlock(width, given),
                                                FrameAttention(width, frames)]) for _ in range(depth))

        self.input = CONV[d](channels + features, widths[0], 3, padding=1)
        self.down, self.up = (nn.ModuleList(blocks(w) for w in widths) for _ in range(2))
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        self.coarser = nn.ModuleList(CONV[d](a, b, 3, stride=2, padding=1) for a, b in pairs)
        self.finer = nn.ModuleList(CONV[d](b, a, 1) for a, b in pairs)
        self.output = nn.Sequential(nn.GroupNorm(8, widths[0]), nn.SiLU(), zeroed(CONV[d](widths[0], channels, 1)))

    def forward(self, x: Tensor, level: Tensor, features: Tensor) -> Tensor:
        b, last = len(x), len(self.down) - 1
        given = self.level(level).expand(b, -1).repeat_interleave(x.shape[2], 0)
        h = self.input(by_frame(torch.cat([x, features.expand(b, *features.shape[1:])], 1)))
        skips = []
        for i, blocks in enumerate(self.down):
            for block, attention in blocks:
                h = attention(block(h, given), b)
            if i < last:
                skips.append(h)
                h = self.coarser[i](h)
        for i in range(last, -1, -1):
            if i < last:
                h = skips[i] + nn.functional.interpolate(self.finer[i](h), size=skips[i].shape[2:])
            for block, attention in self.up[i]:
                h = attention(block(h, given), b)
        return by_film(self.output(h), b)


class FrameEncoder(nn.Module):
    """Channels (b frames, k, *side) of each of the frames, and (b frames, more) beside them -> features
    (b frames, width): convolutions of stride 2 within a frame, down to `cells` a side, then `depth` blocks with
    attention among the frames of a film."""

    def __init__(self, d: int, channels: int, more: int, side: int, cells: int, width: int, depth: int, frames: int):
        super().__init__()
        self.frames, self.side = frames, max(cells, side // 2)
        self.within = GridEncoder(d, channels * (side // self.side) ** d, self.side, cells, width, width, dilations=())
        self.join = nn.Linear(width * cells**d + more, width)
        nn.init.normal_(self.join.weight[:, -more:], std=more**-0.5)       # few numbers among many, that say most
        self.blocks = nn.ModuleList(nn.ModuleList([MLPBlock(width), FrameAttention(width, frames)])
                                    for _ in range(depth))

    def forward(self, channels: Tensor, more: Tensor) -> Tensor:
        h = self.within(space_to_depth(channels, self.side)).flatten(1)
        h = self.join(torch.cat([h, more], 1))
        for block, attention in self.blocks:
            h = attention(block(h), len(h) // self.frames)
        return h


class FrameAttention(nn.Module):
    """Residual multi-head attention among the frames of each cell, (b frames, width, *cells) -> the same; a fresh one
    adds nothing. A learned bias for each distance in time takes the place of the frames' numbers (Shaw et al. 2018)."""

    def __init__(self, width: int, frames: int, heads: int = 4):
        super().__init__()
        self.heads, self.norm = heads, nn.GroupNorm(8, width)
        self.read, self.output = nn.Linear(width, 3 * width), zeroed(nn.Linear(width, width))
        self.bias = nn.Parameter(single.zeros(heads, 2 * frames - 1))

    def forward(self, h: Tensor, b: int) -> Tensor:
        frames = len(h) // b
        tokens = self.norm(h).reshape(b, frames, h.shape[1], -1).permute(0, 3, 1, 2)         # (b, cells, frames, w)
        q, k, v = self.read(tokens).unflatten(-1, (3, self.heads, -1)).movedim(3, 0).transpose(3, 4)
        at = torch.arange(frames, device=h.device)
        bias = self.bias[:, at[:, None] - at + (self.bias.shape[1] - 1) // 2]             # (heads, frames, frames)
        found = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        found = self.output(found.transpose(2, 3).flatten(3)).permute(0, 2, 3, 1)
        return h + found.reshape(h.shape)
