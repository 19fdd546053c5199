"""Latents of frames at any moment: cubic interpolation of the four frames around it."""

import torch
from torch import Tensor

from ..core.grid import take

FOUR = 4                             # frames around a time: two before, two after


def around(latent: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
    """Latents of the four frames around each time, and its position between the inner two, in [0, 1].

    latent (b, k, frames), times (p,) shared or (b, p) in [-1, 1], frames cell-centred: (b, p, 4, k) and (p,) or (b, p).
    Beyond the first and the last frame latents are extrapolated linearly.
    """
    first, last = 2 * latent[..., :1] - latent[..., 1:2], 2 * latent[..., -1:] - latent[..., -2:-1]
    if latent.shape[-1] == 1:
        first, last = latent, latent
    first, last = [2 * first - latent[..., :1], first], [last, 2 * last - latent[..., -1:]]
    longer, frames = torch.cat([*first, latent, *last], -1).mT, latent.shape[-1]
    place = (times + 1) / 2 * frames - 0.5
    low = place.floor().clamp(-1, frames - 1)
    index = low.long()[..., None] + torch.arange(1, 1 + FOUR, device=latent.device)                    # (…, p, 4)
    return take(longer, index), place - low


def between(four: Tensor, share: Tensor) -> Tensor:
    """Cubic convolution over four latents (b, p, 4, k) at share (p,) or (b, p) of the inner step: (b, p, k).

    Keys 1981, eq. 15 with a = −1/2, once differentiable and exact for parabolas.
    """
    s = share[..., None]
    weights = torch.cat([-s + 2 * s**2 - s**3, 2 - 5 * s**2 + 3 * s**3, s + 4 * s**2 - 3 * s**3, s**3 - s**2], -1) / 2
    return (weights[..., None] * four).sum(-2)
