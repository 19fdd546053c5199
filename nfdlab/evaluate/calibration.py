"""Calibration: coverage of intervals, at points and of functionals, and rank histograms.

Shapes as in `scores`: draws (…, n, p, c), truth (…, p, c). A functional maps a function to one number, so its coverage
depends on the correlation between points too.
"""

import torch
from torch import Tensor

from ..core.checks import require


def quantile(draws: Tensor, q: float, dim: int = -3) -> Tensor:
    """The q-quantile over `dim` by the unbiased rule: order statistic number (n + 1) q, linear between two.

    A next draw lies below it with probability q, whatever n, if 1/(n+1) <= q <= n/(n+1) (for 90 %: 19 draws or more).
    The usual rule, (n - 1) q + 1, makes the 90 % interval of an exact sampler's 64 draws cover 0.873.
    Source: Hyndman & Fan 1996, definition 6; `numpy.quantile(method="weibull")`.
    """
    ordered, n = draws.sort(dim).values, draws.shape[dim]
    place = min(max((n + 1) * q - 1, 0.0), n - 1.0)
    low = min(int(place), n - 1)
    high = min(low + 1, n - 1)
    return torch.lerp(ordered.select(dim, low), ordered.select(dim, high), place - low)


def interval(draws: Tensor, level: float = 0.9) -> tuple[Tensor, Tensor]:
    """Both ends of the central interval at each point: (…, p, c) and (…, p, c)."""
    return quantile(draws, (1 - level) / 2), quantile(draws, (1 + level) / 2)


def coverage(draws: Tensor, truth: Tensor, *, level: float = 0.9) -> Tensor:
    """Share of points (and channels) whose truth lies in the central interval of the draws: (…,)."""
    low, high = interval(draws, level)
    return ((low <= truth) & (truth <= high)).to(draws.dtype).mean((-2, -1))


def maximum(values: Tensor) -> Tensor:
    """Largest value over the points: (…, p, c) -> (…, 1, c)."""
    return values.amax(-2, keepdim=True)


def integral(values: Tensor, d: int = 1) -> Tensor:
    """Integral over the box of volume 2^d, from values on cell centres: (…, p, c) -> (…, 1, c)."""
    return values.mean(-2, keepdim=True) * 2 ** d


def functional_coverage(draws: Tensor, truth: Tensor, functional, *, level: float = 0.9) -> Tensor:
    """Share of channels where the functional of the truth lies in the interval of the draws' functionals: (…,)."""
    return coverage(functional(draws), functional(truth), level=level)


def rank_histogram(draws: Tensor, truth: Tensor, *, bins: int | None = None) -> Tensor:
    """Share of truths at each rank among their draws, all points together: (bins,), uniform where draws are calibrated.

    There are n + 1 ranks; `bins` must divide n + 1 (13 and 5 divide 65). Where truth and draws are equal the rank is
    split evenly among the ties. U-shaped: overconfident. Humped: underconfident.
    Source: Hamill 2001.
    """
    n = draws.shape[-3]
    target = truth.unsqueeze(-3)
    below, upto = (draws < target).sum(-3).flatten(), (draws <= target).sum(-3).flatten()
    edges = torch.zeros(n + 2, dtype=torch.float64)
    share = 1.0 / (upto - below + 1).double()                     # spread 1 over the ranks below..upto
    edges.index_add_(0, below.cpu(), share.cpu())
    edges.index_add_(0, upto.cpu() + 1, -share.cpu())
    counts = edges.cumsum(0)[:-1]
    if bins is not None:
        require((n + 1) % bins == 0, must=f"bins: a divisor of {n + 1}.", came=bins,
                why=f"{n} draws have {n + 1} ranks.", do="64 draws: 5 or 13 bins.")
        counts = counts.reshape(bins, -1).sum(-1)
    return counts / counts.sum()
