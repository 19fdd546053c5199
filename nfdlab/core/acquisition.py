"""What a look at a place promises, from draws alone: how much they disagree there, and how much a reading would settle.

Values are (n, p, c): n draws of what is not known, at p places where one might look. Nothing else is asked of whoever
made them, so an exact posterior, a trained model and a classical rival are asked alike. All answers are (p,).
"""

import math

import numpy as np
import torch
from torch import Tensor

from .checks import require, require_name, require_number

LEAST_NOISE = 1e-3           # a reading without noise would settle between any two draws; so would one of this noise
NODES = 9                    # of Gauss-Hermite quadrature over one channel's noise
CHUNK = 8_000_000            # numbers held at a time


def variance(values: Tensor, noise_std: float = 0.05, targets: Tensor | None = None) -> Tensor:
    """The draws' variance, channels added: where a Gaussian would look. Lewis & Gale 1994 call it uncertainty."""
    return values.var(0).sum(-1)


def entropy(values: Tensor, noise_std: float = 0.05, targets: Tensor | None = None) -> Tensor:
    """What a reading would tell, in nats: the entropy of the draws blurred by the noise, less that of the noise.

    I(f; y) = H(y) − H(noise) (Lindley 1956; MacKay 1992, eq. 3), with y from the mixture (1/n) Σ_i N(v_i, s²): for two
    values far apart it is ln 2 however far, where the variance grows without end. By quadrature over the noise, exact
    for a polynomial log density of degree 17, or of degree 3 where there are several channels.
    """
    n, p, c = values.shape
    s = max(noise_std, LEAST_NOISE)
    z, weights = _nodes(c)
    step, found = max(1, CHUNK // (n * n * len(z) * c)), []
    for part in values.movedim(1, 0).double().split(step):                          # (p, n, c)
        y = part[:, :, None] + s * z                                                # (p, n, k, c)
        logs = -0.5 * ((y[:, :, :, None] - part[:, None, None]) / s).square().sum(-1)
        density = logs.logsumexp(-1) - math.log(n)                                  # less the constant of the noise
        found.append(-0.5 * c - (density * weights).sum(-1).mean(-1))
    return torch.cat(found).clamp_min(0).to(values)


def gain(values: Tensor, noise_std: float = 0.05, targets: Tensor | None = None) -> Tensor:
    """How much less variance a reading is expected to leave, on average over targets (n, q, c), or over the places.

    Each draw in turn is taken for the truth and read, at every node of the noise; the draws are weighed by how well
    they explain the reading, and the variance of the weighed ones is taken from that of all. With few draws it
    promises too much, since one draw may be all that explains a reading (Settles 2009, sec. 3.4: expected error).
    """
    targets = values if targets is None else targets
    n, p, c = values.shape
    s = max(noise_std, LEAST_NOISE)
    z, weights = _nodes(c)
    flat = targets.flatten(1).double()                                              # (n, q c)
    flat = flat - flat.mean(0)
    size = targets.shape[1]
    before = flat.square().mean(0).sum() / size
    step, found = max(1, CHUNK // (n * len(z) * (n * c + flat.shape[1]))), []
    for part in values.movedim(1, 0).double().split(step):
        y = part[:, :, None] + s * z
        odds = (-0.5 * ((y[:, :, :, None] - part[:, None, None]) / s).square().sum(-1)).softmax(-1)   # (p, n, k, n)
        after = (odds @ flat.square().sum(1) - (odds @ flat).square().sum(-1)) / size
        found.append(before - (after * weights).sum(-1).mean(-1))
    return torch.cat(found).to(values)


WORTHS = {"variance": variance, "entropy": entropy, "gain": gain}


def worth(by: str, values: Tensor, noise_std: float = 0.05, targets: Tensor | None = None) -> Tensor:
    """One of the three, by name."""
    require(isinstance(values, Tensor) and values.ndim == 3 and len(values) >= 2,
            must="values: draws (n, p, c) at the candidates, n >= 2.", came=values,
            why="One draw does not disagree with itself.", do="fitted.draw(seen, 16, seed=0)(candidates).")
    require_number(noise_std, "noise_std", 0.0)
    return WORTHS[require_name(by, WORTHS, "what to look by")](values, noise_std, targets)


def conditioned(values: Tensor, index: int, noise_std: float) -> Tensor:
    """The draws as they would disagree once place `index` were read: (n, p, c), their mean as it was.

    For draws of a Gaussian the covariance left does not depend on what is read, so k looks can be chosen at once.
    One channel at a time, deviations A (p, n) become A (I − α a aᵀ), a the row read, α = 1/(β + s √β) and
    β = aᵀa + s²: then A Aᵀ is what Kalman's formula leaves (the square-root filter of Potter 1963).
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


def _nodes(c: int) -> tuple[Tensor, Tensor]:
    """Places (k, c) and weights (k,) at which a standard normal in c channels is averaged."""
    if c == 1:
        z, w = np.polynomial.hermite_e.hermegauss(NODES)
        return torch.as_tensor(z)[:, None], torch.as_tensor(w / w.sum())
    eye = torch.eye(c, dtype=torch.float64) * c**0.5
    return torch.cat([eye, -eye]), torch.full((2 * c,), 0.5 / c, dtype=torch.float64)
