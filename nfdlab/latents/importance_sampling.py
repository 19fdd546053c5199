"""Ask where a function changes: places drawn more often there, and weighed so that every mean stays what it was.

A small hill on a plain, or one jump, is met by few of the places drawn evenly, and a decoder that learns from those
learns slowly. Importance sampling (Owen & Zhou 2000, sec. 2, as a mixture that keeps weights bounded).
"""

import torch
from torch import Tensor


def importance_sampled(values: Tensor, coords: Tensor, share: float, noise: torch.Generator) -> tuple[Tensor, Tensor]:
    """Places (b, q, d) of which the first `share` is replaced, and the weights (b, q) of all.

    values (b, c, *[side]*d) are the functions on a grid, coords places drawn evenly. A replaced place lies evenly in a
    cell drawn by how much values change between it and its neighbours. Weights are even density / density of the
    mixture, so at most 1 / (1 − share), and the mean of weight · h(place) estimates that of h over the box.
    """
    b, q, d = coords.shape
    side, many = values.shape[-1], round(share * q)
    change = torch.zeros(b, *values.shape[2:])
    for axis in range(2, values.ndim):
        step = values.cpu().diff(dim=axis).abs().amax(1)
        n = step.shape[axis - 1]
        change.narrow(axis - 1, 0, n).add_(step), change.narrow(axis - 1, 1, n).add_(step)
    odds = change.flatten(1) + 1e-6 * (1 + change.flatten(1).amax(1, keepdim=True))
    odds = odds / odds.sum(1, keepdim=True)
    cells = torch.multinomial(odds, many, True, generator=noise)
    index = torch.stack(torch.unravel_index(cells, (side,) * d), -1)
    inside = (index + torch.rand(b, many, d, generator=noise)) * (2 / side) - 1
    places = torch.cat([inside, coords[:, many:]], 1)
    at = ((places + 1) * (side / 2)).long().clamp(0, side - 1)
    flat = torch.zeros(b, q, dtype=torch.long)
    for axis in range(d):
        flat = flat * side + at[..., axis]
    kept = many / q
    return places, 1 / (1 - kept + kept * odds.gather(1, flat) * side**d)
