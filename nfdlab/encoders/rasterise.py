"""Rasterise: scattered observations of a film -> local mean and confidence on the cells of its frames."""

import torch
from torch import Tensor, nn

from ..core.types import ObservationBatch

LITTLE = 0.1                 # of an observation: confidence ½


class Rasterise(nn.Module):
    """ObservationBatch over (t, *space) -> (b, frames, cells^(d−1)·(c + 1)): for each cell the mean of nearby
    observations and its confidence, 0 without observations, near 1 with one.

    An observation is distributed over the 2^d nearest cell centres by linear weights (cloud in cell, Birdsall & Langdon
    1985, ch. 2); one on a centre counts there alone.
    """

    def __init__(self, d: int, c: int, frames: int, cells: int):
        super().__init__()
        self.d, self.c, self.shape = d, c, (frames, *[cells] * (d - 1))
        self.out = (c + 1) * cells ** (d - 1)
        corners = torch.cartesian_prod(*[torch.tensor([0, 1])] * d).reshape(-1, d)
        self.register_buffer("corners", corners, persistent=False)

    def weights(self, coords: Tensor) -> tuple[Tensor, Tensor]:
        """Cells near coords (m, d) and their weights: (m, 2^d) each; weights sum to one."""
        sizes = torch.tensor(self.shape, device=coords.device)
        place = torch.minimum(((coords + 1) / 2 * sizes - 0.5).clamp_min(0), sizes - 1.0)
        low = torch.minimum(place.floor(), (sizes - 2.0).clamp_min(0))
        share = (place - low)[..., None, :]
        weights = torch.where(self.corners.bool(), share, 1 - share).prod(-1)
        corner = torch.minimum(low[..., None, :] + self.corners, sizes - 1.0).long()
        index = corner[..., 0]
        for axis in range(1, self.d):
            index = index * self.shape[axis] + corner[..., axis]
        return index, weights

    @torch.no_grad()
    def forward(self, seen: ObservationBatch) -> Tensor:
        b, c, many = len(seen.coords), self.c, torch.Size(self.shape).numel()
        index, weights = self.weights(seen.coords[seen.mask])           # of real observations alone
        index = index + many * torch.arange(b, device=index.device)[:, None].expand(seen.mask.shape)[seen.mask][:, None]
        values = torch.cat([seen.values[seen.mask], torch.ones_like(index[:, :1])], -1)[:, None] * weights[..., None]
        index, values = index.flatten(), values.flatten(0, 1)
        cells = torch.stack([torch.bincount(index, x, b * many) for x in values.unbind(-1)], -1).unflatten(0, (b, many))
        trust = cells[..., c:] / (cells[..., c:] + LITTLE)
        mean = cells[..., :c] / cells[..., c:].clamp_min(1e-6)
        return torch.cat([mean * trust, trust], -1).reshape(b, self.shape[0], self.out).to(seen.values)
