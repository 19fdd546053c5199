"""Scores of n draws against one true function.

Every score takes draws (…, n, p, c) and truth (…, p, c), values at the same p points, and gives one number for each
task of the leading axes. Lower is better, except `psnr` and `overlap`. *Fair* means: its expectation is the score of
the distribution the draws come from, whatever n, so any number of draws measures the same (Ferro 2014).
"""

import torch
from torch import Tensor

from ..core.checks import describe, require, require_finite


def check(draws: Tensor, truth: Tensor) -> None:
    """Refuse draws and truth that do not belong together. Called once a task by the table, not inside the scores."""
    right = isinstance(draws, Tensor) and isinstance(truth, Tensor) and draws.ndim >= 3
    right = right and draws.is_floating_point() and truth.is_floating_point() and draws.numel() > 0
    right = right and draws.shape[:-3] + draws.shape[-2:] == truth.shape
    require(right, must="draws (…, n, p, c) and truth (…, p, c), floats, asked at the same points.",
            came=f"draws: {describe(draws)}; truth: {describe(truth)}", why="A score compares them point by point.",
            do="draws(points) and truth(points)[0], with one and the same points.")
    require_finite(draws, "draws")
    require_finite(truth, "truth")


def crps(draws: Tensor, truth: Tensor) -> Tensor:
    """Fair continuous ranked probability score, mean over points and channels: (…,).

    mean_i |x_i - y| - sum_{i<j} |x_i - x_j| / (n (n - 1)), the last by sorting: sum_i (2i - n - 1) x_(i), O(n log n).
    One draw, or n equal ones, give the absolute error. Of the right Gaussian its mean is sigma / sqrt(pi).
    Source: Gneiting & Raftery 2007, eq. 20; the fair spread term: Ferro 2014, eq. 8.
    """
    n = draws.shape[-3]
    error = (draws - truth.unsqueeze(-3)).abs().mean((-3, -2, -1))
    if n == 1:
        return error
    rank = torch.arange(1 - n, n, 2, dtype=draws.dtype, device=draws.device)        # 2i - n - 1
    ordered = draws.sort(-3).values
    spread = (ordered * rank[:, None, None]).sum(-3) / (n * (n - 1))
    return error - spread.mean((-2, -1))


def energy(draws: Tensor, truth: Tensor) -> Tensor:
    """Fair energy score of all points and channels together: (…,).

    mean_i |x_i - y| - sum_{i<j} |x_i - x_j| / (n (n - 1)), with |.| the root mean square over points and channels: the
    Euclidean norm over sqrt(p c), so that its size does not depend on how finely the field is asked.
    It hardly depends on correlation: read it beside `variogram`.
    Source: Gneiting & Raftery 2007, eq. 22.
    """
    n = draws.shape[-3]
    flat, target = draws.flatten(-2), truth.flatten(-2).unsqueeze(-2)               # (…, n, pc), (…, 1, pc)
    scale = flat.shape[-1] ** 0.5
    error = (flat - target).norm(dim=-1).mean(-1)
    if n == 1:
        return error / scale
    pairs = torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist")    # each pair twice
    return (error - pairs.sum((-2, -1)) / (2 * n * (n - 1))) / scale


def energy_distance(one: Tensor, two: Tensor) -> Tensor:
    """Energy distance between two sets of functions (n, p, c), (m, p, c): ().

    2 mean |x − y| − mean |x − x'| − mean |y − y'|, each mean over different functions, |.| the root mean square over
    points and channels. Zero on average for two sets of one distribution, so it may be slightly negative.
    Source: Székely & Rizzo 2013, eq. 2.
    """
    x, y = one.flatten(1) / one[0].numel() ** 0.5, two.flatten(1) / two[0].numel() ** 0.5
    n, m = len(x), len(y)
    within = torch.cdist(x, x).sum() / (n * (n - 1)) + torch.cdist(y, y).sum() / (m * (m - 1))
    return 2 * torch.cdist(x, y).mean() - within


def variogram(draws: Tensor, truth: Tensor, *, power: float = 0.5) -> Tensor:
    """Fair variogram score, mean over all pairs of points (equal weights) and channels: (…,).

    With v_i = |x_i(a) - x_i(b)|^power and w = |y(a) - y(b)|^power, a pair scores (mean_i v_i - w)^2 - var(v) / n, var
    with n - 1. The last term takes away what a finite n adds to the square, so the expectation is that of infinitely
    many draws; it can make the score of a single task negative. One draw: no correction. One point: 0, it has no pairs.
    Source: Scheuerer & Hamill 2015, eq. 12.
    """
    n, p, c = draws.shape[-3:]
    x = draws.movedim(-3, -1).contiguous()                                          # (…, p, c, n): a pair is one run
    total = draws.new_zeros(draws.shape[:-3])
    for a in range(p - 1):
        v = (x[..., a + 1:, :, :] - x[..., a:a + 1, :, :]).abs_()
        v = v.sqrt_() if power == 0.5 else v.pow_(power)
        w = (truth[..., a + 1:, :] - truth[..., a:a + 1, :]).abs_().pow_(power)
        mean, square = v.mean(-1), v.norm(dim=-1).square() / n
        score = (mean - w).square()
        if n > 1:
            score = score - (square - mean.square()) / (n - 1)                      # var / n
        total = total + score.sum((-2, -1))
    return total / (max(1, p * (p - 1) / 2) * c)


def mse(draws: Tensor, truth: Tensor) -> Tensor:
    """Mean square error of the draws' mean, over points and channels: (…,). A right sampler: (1 + 1/n) variances."""
    return (draws.mean(-3) - truth).square().mean((-2, -1))


def rmse(draws: Tensor, truth: Tensor) -> Tensor:
    """Root mean square error of the draws' mean: (…,). Over many tasks take the root of the mean of `mse`."""
    return mse(draws, truth).sqrt()


def psnr(draws: Tensor, truth: Tensor, *, peak: float | None = None) -> Tensor:
    """Peak signal-to-noise ratio of the draws' mean, in dB: 20 log10(peak / rmse). Higher is better.

    `peak` is the range of values the field can take; without it the range of this truth at these points.
    """
    span = truth.amax((-2, -1)) - truth.amin((-2, -1)) if peak is None else peak
    return 20 * torch.log10(span / rmse(draws, truth))


def overlap(draws: Tensor, truth: Tensor, level: float = 0.0) -> Tensor:
    """Intersection over union of two regions above a level, of the draws' mean and of the truth, all channels: (…,).
    Higher is better; 1 where both are empty."""
    ours, real = draws.mean(-3) > level, truth > level
    both, either = ((a.float().sum((-2, -1))) for a in (ours & real, ours | real))
    return torch.where(either > 0, both / either.clamp_min(1), 1.0)


def variance(draws: Tensor) -> Tensor:
    """Mean predictive variance over points and channels, unbiased (n - 1): (…,). One draw has none: 0."""
    if draws.shape[-3] == 1:
        return draws.new_zeros(draws.shape[:-3])
    return draws.var(-3).mean((-2, -1))
