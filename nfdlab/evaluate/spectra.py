"""Radial power spectrum of fields from their values on a grid."""

import torch
from torch import Tensor

from ..core.checks import require
from ..core.grid import to_grid


def spectrum(values: Tensor, shape: tuple[int, ...], *, window: bool = True) -> tuple[Tensor, Tensor]:
    """Values (…, p, c) on the cell centres of `shape` -> wavenumbers (k,), power (…, c, k) in float64.

    power[k] is the sum of |f̂|² over the shell round(|wavenumber|) = k, in cycles across the box, so that its sum is the
    variance (Parseval). The box is not periodic: without a window the jump between its ends would leak a k⁻² tail into
    every spectrum. So the mean is taken off and the values are multiplied by Hann's window, whose own tail falls as
    k⁻⁶, normed to a mean square of 1; then the sum is the windowed variance, and a wave fills its shell by 2/3 and the
    two neighbours by 1/6 each. Source: Harris 1978.
    """
    points = 1
    for side in shape:
        points *= side
    require(values.shape[-2] == points, must=f"values: (…, {points}, c) on the cells of {shape}.", came=values,
            why="A spectrum needs a regular grid.", do=f"fields(nfdlab.cell_centres({shape})).")
    d, axes = len(shape), tuple(range(-len(shape), 0))
    f = to_grid(values.double(), shape).movedim(-1, -d - 1)                          # (…, c, *shape)
    w = torch.ones((), dtype=torch.float64)
    for side in shape:
        place = (torch.arange(side, dtype=torch.float64) + 0.5) / side
        w = w[..., None] * (torch.sin(torch.pi * place) ** 2 if window else torch.ones_like(place))
    w = w / w.square().mean().sqrt()
    f = w * (f - (w.square() * f).mean(axes, keepdim=True))
    energy = (torch.fft.fftn(f, dim=axes) / points).abs().square()
    waves = torch.meshgrid(*[torch.fft.fftfreq(side, 1 / side, dtype=torch.float64) for side in shape], indexing="ij")
    shell = sum(k.square() for k in waves).sqrt().round().long().flatten()
    power = energy.new_zeros(*energy.shape[:-d], int(shell.max()) + 1)
    return torch.arange(power.shape[-1]), power.index_add_(-1, shell, energy.flatten(-d))
