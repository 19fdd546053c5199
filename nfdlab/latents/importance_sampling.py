"""Importance sampling of query points: more of them where a function changes, weighted so that no mean changes.

Few evenly drawn points meet a small bump or a jump, so a decoder learns it slowly. Owen & Zhou 2000, sec. 2: a mixture
with the even density, which bounds the weights.
"""

from math import prod

import torch
from torch import Tensor

from ..core import single


def importance_sampled(values: Tensor, coords: Tensor, share: float, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Functions on a grid (b, c, *sides), even points (b, q, d) -> points (b, q, d) and weights (b, q).

    The first `share` of the points is replaced by points that lie evenly in cells drawn in proportion to how much the
    function changes between a cell and its neighbours. Weights are even density / density of the mixture, at most
    1 / (1 − share); the mean of weight · h(point) estimates that of h over the box.
    """
    b, q, d = coords.shape
    sides, many = values.shape[2:], round(share * q)
    if many == 0:
        return coords, torch.ones_like(coords[..., 0])
    per_unit = single.tensor(sides) / 2                                    # cells in a unit of the coordinates
    change = single.zeros(b, *sides)
    for axis in range(2, values.ndim):
        step = values.cpu().diff(dim=axis).abs().amax(1)
        n = step.shape[axis - 1]
        change.narrow(axis - 1, 0, n).add_(step), change.narrow(axis - 1, 1, n).add_(step)
    odds = change.flatten(1) + 1e-6 * (1 + change.flatten(1).amax(1, keepdim=True))
    odds = odds / odds.sum(1, keepdim=True)
    cells = torch.multinomial(odds, many, True, generator=rng)
    index = torch.stack(torch.unravel_index(cells, sides), -1)
    inside = (index + single.rand(b, many, d, generator=rng)) / per_unit - 1
    places = torch.cat([inside, coords[:, many:]], 1)
    at = torch.minimum(((places + 1) * per_unit).long(), torch.tensor(sides) - 1)
    flat = torch.zeros(b, q, dtype=torch.long)
    for axis in range(d):
        flat = flat * sides[axis] + at[..., axis]
    kept = many / q
    return places, 1 / (1 - kept + kept * odds.gather(1, flat) * prod(sides))
