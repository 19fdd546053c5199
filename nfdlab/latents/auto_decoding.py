"""Auto-decoding: a latent for each training function, learned beside the field. Park et al. 2019 (DeepSDF), sec. 4.

An encoder, or a few steps of gradient descent, finds latents quickly but not well. From there on each latent of a bank
of functions is a parameter that lowers its own error, while the field learns from all. A new function's latent is found
as the bank's were: it starts where the encoder says and is fitted.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..core import single
from ..core.checks import require
from ..core.types import ObservationBatch

FIT_STEPS, FIT_LR = 60, 0.05     # of a new function's latent
FEW = 32                         # points, at least, at which starts of a fit are compared
SHARPNESS = 0.03                 # a jump slightly off its place should cost little


class LatentBank(nn.Module):
    """Latents of training functions, those of a batch in one tensor (batch, *shape): parameters of auto-decoding.

    `pace`: how much longer their steps are than Adam's learning rate, which is that of the field. Beside the network
    in a module of their own, `net`, they are in its checkpoints; only the network is kept.
    """

    def __init__(self, net: nn.Module, shape: tuple[int, ...], batch: int, batches: int, pace: float = 1.0):
        super().__init__()
        self.net, self.pace = net, pace
        self.parts = nn.ParameterList(single.zeros(batch, *shape) for _ in range(batches))

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, j: int) -> Tensor:
        """The latents of batch j, in turn."""
        return self.pace * self.parts[j % len(self.parts)]

    @torch.no_grad()
    def start(self, j: int, latents: Tensor) -> None:
        """Set those of batch j."""
        self.parts[j].copy_(latents / self.pace)

    @torch.no_grad()
    def whole(self) -> Tensor:
        """All of them."""
        return torch.cat([self[j] for j in range(len(self))])


def require_bank(bank: int, batch: int, shares: float) -> None:
    """Refuse a bank that holds no batch, or stages that leave the denoiser no time."""
    require(not bank or bank >= batch and shares < 1, must=f"bank: 0, or at least a batch, {batch}; the shares of the "
            "stages before the denoiser's below 1.", came=f"bank={bank}, shares of {shares:g} in all",
            why="Latents are auto-decoded a batch at a time, between the field's stage and the denoiser's.",
            do="A larger bank, or smaller shares.")


def fitted(values: Callable[[Tensor, Tensor], Tensor], latent: Tensor, points: ObservationBatch) -> Tensor:
    """Latents (b, …), each moved by Adam until its field, `values` of coords and latents, meets its points: sizes of
    errors, quadratic below SHARPNESS. Park et al. 2019, eq. 10."""
    with torch.inference_mode(False), torch.enable_grad():
        latent, coords, y = latent.clone().requires_grad_(), points.coords.clone(), points.values.clone()
        share = points.mask[..., None] / points.mask.sum(1).clamp_min(1)[:, None, None]
        adam = torch.optim.Adam([latent], FIT_LR)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, FIT_STEPS)
        for _ in range(FIT_STEPS):
            latent.grad, = torch.autograd.grad((share * robust(values(coords, latent) - y)).sum(), latent)
            adam.step(), schedule.step()
    return latent.detach()


@torch.no_grad()
def nearest_start(values: Callable[[Tensor, Tensor], Tensor], latent: Tensor, others: Tensor,
                  points: ObservationBatch) -> Tensor:
    """Latents (b, …), or those of `others` (n, …) whose field is nearer to some of a function's points."""
    some = points.take(slice(None, None, max(1, points.mask.shape[1] // FEW)))
    share = some.mask[..., None] / some.mask.sum(1).clamp_min(1)[:, None, None]

    def losses(z: Tensor) -> Tensor:
        return (share * robust(values(some.coords, z) - some.values)).sum((1, 2))

    least = losses(latent)
    for other in others:
        there = other.expand_as(latent)
        found = losses(there)
        nearer = found < least
        least = torch.where(nearer, found, least)
        latent = torch.where(nearer.reshape(-1, *[1] * (latent.ndim - 1)), there, latent)
    return latent


def robust(errors: Tensor) -> Tensor:
    """Sizes of errors, quadratic below SHARPNESS."""
    return (errors.square() + SHARPNESS**2).sqrt()
