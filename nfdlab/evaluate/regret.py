"""Regret of a denoiser: its squared distance from the exact one at each noise level."""

from collections.abc import Callable

import pandas as pd
import torch
from torch import Tensor

from ..core.checks import require, require_finite, require_number, require_seed
from ..core.rng import normals

DenoiseFn = Callable[[Tensor, float], Tensor]         # D(x (n, k), sigma) -> mean of the clean x (n, k)


@torch.no_grad()
def regret(denoiser: DenoiseFn, exact: DenoiseFn, clean: Tensor, sigmas, *, seed: int) -> pd.DataFrame:
    """Distance of D from the exact D*, on x = clean + sigma·ε: a row for each sigma.

    clean (n, k) are fresh draws of the distribution that D* is exact for (`Exact.at(seen, points)`, k points).
    `regret` is E|D - D*|² / E|clean - D*|², the excess over the least possible loss: 0 is exact, 1 doubles it;
    `regret_error` its standard error.
    The noise is the same at every sigma, so curves are smooth and denoisers are compared in pairs.
    """
    require(isinstance(clean, Tensor) and clean.ndim == 2 and len(clean) > 1, must="clean: a tensor (n, k), n >= 2.",
            came=clean, why="A mean and its error are taken over n vectors.", do="prior.at(points).draw(256, seed=0).")
    require_finite(clean, "clean"), require_seed(seed)
    noise = normals(seed, len(clean), (clean.shape[1],), "regret", dtype=clean.dtype)
    rows = []
    for sigma in (require_number(float(s), "sigma", 0.0, open_low=True) for s in sigmas):
        x = clean + sigma * noise
        best = exact(x, sigma)
        off = (denoiser(x, sigma) - best).double().square().sum(-1)
        left = (clean - best).double().square().sum(-1)
        ratio, root_n = off.mean() / left.mean(), len(clean) ** 0.5
        error = (off - ratio * left).std() / left.mean() / root_n
        rows.append({"sigma": sigma, "regret": ratio, "regret_error": error})
    return pd.DataFrame(rows).astype(float)
