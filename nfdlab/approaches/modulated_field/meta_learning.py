"""Meta-learned encoder: the latent of a function by a few steps of gradient descent through the field.

The latent starts at zero, the shared field; each step lowers the squared error at the function's points. Training
differentiates through the steps, so that the field and the step sizes become such that a few steps suffice. Any set of
points will do, and there is no encoder network; but every latent costs a few backward passes through the field.

Zintgraf et al. 2019 (CAVIA), alg. 1; Li et al. 2017 (Meta-SGD): a learned step size for each number of the latent.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ...core.checks import require_count, require_number


class MetaLearnedEncoder(nn.Module):
    """Values (b, p, c) at coords (p, d) or (b, p, d) -> latents (b, k), by `steps` steps of gradient descent."""

    def __init__(self, k: int, steps: int = 3, lr: float = 1.0):
        super().__init__()
        self.steps = require_count(steps, "inner_steps")
        self.rate = nn.Parameter(torch.full((k,), require_number(lr, "inner_lr", 0.0, open_low=True)))

    def forward(self, field: Callable[[Tensor, Tensor], Tensor], coords: Tensor, values: Tensor,
                steps: int | None = None, learn: bool = False) -> Tensor:
        """`field(coords, latent)` is fitted; `learn` keeps the graph, so that a loss of the latents reaches the field
        and the step sizes. Other `steps` than those trained for are extrapolation."""
        with torch.inference_mode(False), torch.enable_grad():
            coords, values = coords.clone(), values.clone()
            latent = values.new_zeros(len(values), len(self.rate), requires_grad=True)
            for _ in range(self.steps if steps is None else steps):
                loss = (field(coords, latent) - values).square().mean((1, 2)).sum()
                slope, = torch.autograd.grad(loss, latent, create_graph=learn)
                latent = latent - self.rate * slope
                if not learn:
                    latent = latent.detach().requires_grad_()
        return latent if learn else latent.detach()
