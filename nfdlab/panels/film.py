"""Films side by side as an animated GIF or an MP4, at any frame rate: the same draws, evaluated at more moments."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from ..core import single
from ..core.checks import four_parts, require, require_count, require_number
from ..core.grid import cell_centres
from ..core.types import Fields, Observations
from . import style
from .matplotlib_figure import require_some
from .page import slice_of
from .style import colour_of

GAP, HEAD = 8, 22                    # pixels between two tiles, and for what is written over them
CURVES = 8                           # draws shown of a film of curves
MAX_SIDE = 48                           # query points a side, at most
NEAR = 1 / 16                        # observations this near in time are shown


@dataclass(frozen=True, eq=False)
class Film:
    """Frames (n, height, width, 3) as bytes of colour, `rate` of them a second. A notebook shows it as a GIF."""

    frames: np.ndarray
    rate: float = 8.0

    def gif(self, path: str | Path | None = None) -> bytes | Path:
        """An endless animated GIF: its bytes, or the path it was written to."""
        sheets = [Image.fromarray(frame).quantize(64, dither=Image.Dither.NONE) for frame in self.frames]
        out = BytesIO()
        sheets[0].save(out, "GIF", save_all=True, append_images=sheets[1:], duration=round(1000 / self.rate), loop=0)
        if path is None:
            return out.getvalue()
        Path(path).write_bytes(out.getvalue())
        return Path(path)

    def mp4(self, path: str | Path) -> Path:
        """An MP4 file, written with the ffmpeg of imageio-ffmpeg; refused where that is missing."""
        require(str(path).endswith(".mp4"), must="path: a file that ends in .mp4.", came=str(path),
                why="The ending is what players go by.", do='film.mp4("film.mp4").')
        try:
            write_frames = import_module("imageio_ffmpeg").write_frames
        except (ImportError, RuntimeError) as error:
            raise ImportError(four_parts("imageio-ffmpeg, which brings a program that writes MP4 files.", "none here",
                                         f"{type(error).__name__}: {error}",
                                         'pip install "nfdlab[video]", or film.gif(path), which needs nothing.')
                              ) from error
        high, wide = (side - side % 2 for side in self.frames.shape[1:3])             # the codec wants even sides
        writer = write_frames(str(path), (wide, high), fps=self.rate, macro_block_size=2)
        next(writer)
        for frame in self.frames:
            writer.send(np.ascontiguousarray(frame[:high, :wide]))
        writer.close()
        return Path(path)

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.gif()).decode()
        return f'<img alt="a film of {len(self.frames)} frames" src="data:image/gif;base64,{data}"/>'


def film(answers: Mapping[str, Fields], *, frames: int = 16, rate: float = 8.0, side: int = 112,
         seen: Observations | None = None) -> Film:
    """A tile for each entry, its name above it, at `frames` cell-centred moments: 16 are the usual frames, 128 the same
    draws at eight times their rate, which then wants `rate` times eight.

    Of (t, x, y) a tile shows the first draw as a picture, of (t, x, y, z) its slice z = 0; of (t, x) up to eight draws
    as curves over x. Limits are those of the first entry. `seen`: a blue bar under the tiles marks the moments at which
    something was seen.
    """
    require_some("answers", answers, 'film({"truth": truth, "draw": draws[0]}).')
    require_count(frames, "frames"), require_count(side, "side", 16), require_number(rate, "rate", 0.1, 240.0)
    d = {fields.d for fields in answers.values()}
    require(d in ({2}, {3}, {4}), must="fields of (t, x), of (t, x, y) or of (t, x, y, z).", came=f"d = {sorted(d)}",
            why="A tile is curves or a picture.", do="plots.bands for time alone.")
    times = cell_centres((frames,))[:, 0]
    tiles = (_curves if d == {2} else _pictures)(answers, times, side)
    out = sheets(list(answers), tiles, below=2 * GAP)
    width = out.shape[2]
    for j, t in enumerate(times):
        at = GAP + round(float(t + 1) / 2 * (width - 2 * GAP - 3))
        out[j, -GAP:-3, GAP:-GAP] = 225
        out[j, -GAP:-3, at:at + 3] = 0                                              # where in time
        if seen is not None and bool(((seen.coords[:, 0] - t).abs() < NEAR / 2).any()):
            out[j, HEAD + side + 2:HEAD + side + 5, GAP:-GAP] = (0, 114, 178)       # a frame that was seen
    return Film(out, rate)


def sheets(names: list[str], tiles: list[np.ndarray], below: int = 0) -> np.ndarray:
    """Tiles (frames, side, side, 3) beside each other, a name above each, and so many pixels of white below."""
    frames, side = tiles[0].shape[:2]
    font, out = ImageFont.load_default(11), np.full(
        (frames, side + HEAD + below, len(names) * (side + GAP) + GAP, 3), 255, np.uint8)
    for i, (name, shown) in enumerate(zip(names, tiles, strict=True)):
        left = GAP + i * (side + GAP)
        head = Image.new("RGB", (side, HEAD), style.PAPER)
        ImageDraw.Draw(head).text((1, 5), name, fill=colour_of(name), font=font)
        out[:, :HEAD, left:left + side], out[:, HEAD:HEAD + side, left:left + side] = np.asarray(head), shown
    return out


def _pictures(answers: Mapping[str, Fields], times: torch.Tensor, side: int) -> list[np.ndarray]:
    """Each entry's first draw: (frames, side, side, 3). The second coordinate runs across, the third up."""
    queried = min(side, MAX_SIDE)
    space = cell_centres((queried, queried)).reshape(queried, queried, 2).transpose(0, 1).flip(0).reshape(-1, 2)
    table, tiles, limits = np.frombuffer(style.lut(style.FIELD_MAP), np.uint8).reshape(256, 3), [], None
    for fields in answers.values():
        values = torch.stack([fields[0](slice_of(space, fields.d, float(t)))[0, :, 0].cpu() for t in times])
        limits = limits or (float(values.min()), float(values.max()) + 1e-6)
        share = ((values - limits[0]) / (limits[1] - limits[0])).clamp(0, 1)
        levels = (255 * share).byte().reshape(-1, queried, queried).numpy()
        sheets = [Image.fromarray(level).resize((side, side), Image.Resampling.BILINEAR) for level in levels]
        tiles.append(table[np.stack([np.asarray(sheet) for sheet in sheets])])
    return tiles


def _curves(answers: Mapping[str, Fields], times: torch.Tensor, side: int) -> list[np.ndarray]:
    """Each entry's draws as curves over x: (frames, side, side, 3), drawn at three times the size."""
    xs, big, tiles, limit = single.linspace(-1, 1, 97), 3 * side, [], None
    coords = torch.cartesian_prod(times, xs)
    for name, fields in answers.items():
        values = fields(coords)[:CURVES, :, 0].cpu().reshape(-1, len(times), len(xs))
        limit = limit or 1.3 * float(values.abs().max()) + 1e-6
        rows = ((1 - values / limit) / 2 * big).clamp(-big, 2 * big)
        across, sheets = (xs + 1) / 2 * (big - 1), []
        for j in range(len(times)):
            sheet = Image.new("RGB", (big, big), style.PAPER)
            pen = ImageDraw.Draw(sheet)
            pen.line([0, big // 2, big, big // 2], fill=style.FAINT, width=2)
            for curve in rows[:, j]:
                pen.line(torch.stack([across, curve], 1).flatten().tolist(), fill=colour_of(name), width=4)
            sheets.append(np.asarray(sheet.resize((side, side), Image.Resampling.LANCZOS)))
        tiles.append(np.stack(sheets))
    return tiles
