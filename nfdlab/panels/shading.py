"""Surfaces where a field of three coordinates is nought, lit and seen from far away: values on a grid -> light."""

import math

import torch
from torch import Tensor

from ..core import single
from ..core.grid import interpolate

DEPTH = 56                           # looks along each ray
FAR, TILT = 0.85, 0.5                # half of what is seen, solids lie near the middle; angle of looking down, radians
LIGHT = (-0.4, 0.5, 0.77)            # right, up and towards the eye, of unit length


def screen(angle: float) -> Tensor:
    """The axes right, up and towards the eye as rows (3, 3), for a solid turned about its third axis by an angle."""
    c, s, a, b = math.cos(angle), math.sin(angle), math.cos(TILT), math.sin(TILT)
    return single.tensor([[c, -s, 0.0], [b * s, b * c, a], [-a * s, -a * c, b]])


def shade(values: Tensor, angle: float, side: int) -> tuple[Tensor, Tensor]:
    """Values on a grid (1, 1, *[side]*3), positive inside -> light in [0, 1] and depth along each ray (side, side), the
    first row on top, seen from infinity; not a number where the ray meets nothing."""
    axes, line = screen(angle), single.linspace(-FAR, FAR, side)
    across, up = torch.meshgrid(line, line.flip(0), indexing="xy")

    def at(depth: Tensor) -> Tensor:
        """Places at depths (side, side, k)."""
        plane = across[..., None, None] * axes[0] + up[..., None, None] * axes[1]
        return plane + depth[..., None] * axes[2]

    def asked(places: Tensor) -> Tensor:
        found = interpolate(values, places.reshape(-1, 3)).reshape(places.shape[:-1])
        return torch.where((places.abs() <= 1).all(-1), found, -1.0)

    depths = single.linspace(FAR, -FAR, DEPTH).expand(side, side, -1)
    along = asked(at(depths))
    inside = along > 0
    first = inside.float().argmax(-1, keepdim=True).clamp_min(1)
    before, now = along.gather(-1, first - 1), along.gather(-1, first)
    share = (before / (before - now)).nan_to_num().clamp(0, 1)
    depth = depths.gather(-1, first - 1) - share * (2 * FAR / (DEPTH - 1))
    here, step = at(depth)[:, :, 0], 2.0 / values.shape[-1]
    slope = torch.stack([asked(here - step * e) - asked(here + step * e) for e in single.eye(3)], -1)
    normal = torch.nn.functional.normalize(slope, dim=-1) @ axes.T
    light = (normal @ single.tensor(list(LIGHT))).clamp(0, 1)
    hit = inside.any(-1)
    return torch.where(hit, light, torch.nan), torch.where(hit, depth[..., 0], torch.nan)
