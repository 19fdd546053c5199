"""Acquisition functions: draws of an unknown function at p candidates -> the value of one measurement at each.

`values` (n, p, c): n draws of any posterior at p candidates; `noise_std`: of the measurement. Each function returns
(p,); higher is better.
"""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from .checks import require, require_name, require_number

LEAST_NOISE = 1e-3           # below this noise one measurement tells any two draws apart, so less changes nothing
NODES = 9                    # of Gauss-Hermite quadrature over one channel's noise
CHUNK = 8_000_000            # numbers held at a time


def variance(values: Tensor, noise_std: float = 0.05, targets: Tensor | None = None) -> Tensor:
    """Predictive variance, summed over channels (uncertainty sampling, Lewis & Gale 1994): (n, p, c) -> (p,)."""
    return values.var(0).sum(-1)


def mutual_information(values: Tensor, noise_std: float = 0.05, targets: Tensor | None = None) -> Tensor:
    """Mutual information between a noisy measurement and the function, in nats: (n, p, c) -> (p,).

    I(f; y) = H(y) − H(noise) (Lindley 1956; MacKay 1992, eq. 3), y from the mixture (1/n) Σ_i N(v_i, s²). For two
    distant values it is ln 2, while the variance grows with the distance. By quadrature over the noise: exact for a
    polynomial log density of degree 17 with one channel, of degree 3 with several.
    """
    n, _, c = values.shape
    found = []
    for logs, weights in _log_likelihoods(values, noise_std):
        density = logs.logsumexp(-1) - math.log(n)                                  # less the constant of the noise
        found.append(-0.5 * c - (density * weights).sum(-1).mean(-1))
    return torch.cat(found).clamp_min(0).to(values)


def expected_error_reduction(values: Tensor, noise_std: float = 0.05, targets: Tensor | None = None) -> Tensor:
    """Expected reduction of the mean variance at `targets` (n, q, c), or at the candidates: (n, p, c) -> (p,).

    Each draw in turn is taken as the truth and measured at every node of the noise. The draws are weighted by their
    likelihood, and the variance of the weighted draws is subtracted from that of all. With few draws the value is too
    high, since one draw may explain a measurement alone (Settles 2009, sec. 3.4: expected error reduction).
    """
    targets = values if targets is None else targets
    flat = targets.flatten(1).double()                                              # (n, q c)
    flat = flat - flat.mean(0)
    size, found = targets.shape[1], []
    before = flat.square().mean(0).sum() / size
    for logs, weights in _log_likelihoods(values, noise_std, flat.shape[1]):
        odds = logs.softmax(-1)
        after = (odds @ flat.square().sum(1) - (odds @ flat).square().sum(-1)) / size
        found.append(before - (after * weights).sum(-1).mean(-1))
    return torch.cat(found).to(values)


ACQUISITIONS = {"variance": variance, "mutual_information": mutual_information,
                "expected_error_reduction": expected_error_reduction}


def acquisition(by: str, values: Tensor, noise_std: float = 0.05, targets: Tensor | None = None) -> Tensor:
    """The acquisition function named `by` (one of `ACQUISITIONS`), its arguments checked: values (n, p, c) -> (p,)."""
    require(isinstance(values, Tensor) and values.ndim == 3 and len(values) >= 2,
            must="values: draws (n, p, c) at the candidates, n >= 2.", came=values,
            why="Variance needs at least two draws.", do="fitted.draw(seen, 16, seed=0)(candidates).")
    require_number(noise_std, "noise_std", 0.0)
    return ACQUISITIONS[require_name(by, ACQUISITIONS, "acquisition")](values, noise_std, targets)


def conditioned(values: Tensor, index: int, noise_std: float) -> Tensor:
    """The draws' deviations after a measurement at candidate `index`, around the same mean: (n, p, c) -> (n, p, c).

    The posterior covariance of a Gaussian does not depend on the value measured, so k places can be chosen at once. One
    channel at a time, deviations A (p, n) become A (I − α a aᵀ), a the row measured, α = 1/(β + s √β), β = aᵀa + s²:
    then A Aᵀ is the covariance of Kalman's update (square-root filter, Potter 1963).
    """
    n, _, c = values.shape
    mean = values.mean(0)
    away = ((values - mean) / (n - 1) ** 0.5).double().flatten(1)                   # (n, p c)
    for channel in range(c):
        a = away[:, index * c + channel]
        beta = float(a @ a) + noise_std**2
        if beta > 0:
            alpha = 1 / (beta + noise_std * beta**0.5)
            away = away - alpha * a[:, None] * (a @ away)
    return mean + (away * (n - 1) ** 0.5).reshape(values.shape).to(values)


def _log_likelihoods(values: Tensor, noise_std: float, width: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    """Log likelihoods (p, n, k, n), less their constant, of all draws given each draw measured at k nodes of the noise,
    a few candidates at a time, and the nodes' weights (k,). `width`: numbers that the caller holds for a node."""
    n, _, c = values.shape
    s, (z, weights) = max(noise_std, LEAST_NOISE), _nodes(c)
    for part in values.movedim(1, 0).double().split(max(1, CHUNK // (n * len(z) * (n * c + width)))):
        y = part[:, :, None] + s * z                                                # (p, n, k, c)
        yield -0.5 * ((y[:, :, :, None] - part[:, None, None]) / s).square().sum(-1), weights


def _nodes(c: int) -> tuple[Tensor, Tensor]:
    """Nodes (k, c) and weights (k,) of a quadrature over a standard normal in c channels."""
    if c == 1:
        z, w = np.polynomial.hermite_e.hermegauss(NODES)
        return torch.as_tensor(z)[:, None], torch.as_tensor(w / w.sum())
    eye = torch.eye(c, dtype=torch.float64) * c**0.5
    return torch.cat([eye, -eye]), torch.full((2 * c,), 0.5 / c, dtype=torch.float64)
