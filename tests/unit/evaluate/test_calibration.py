"""Calibration against what an exact sampler must show."""

import numpy as np
import pytest
import torch

from nfdlab.evaluate import calibration


def exact(n, tasks, p=1, seed=0):
    rng = torch.Generator().manual_seed(seed)
    both = torch.randn(tasks, n + 1, p, 1, generator=rng, dtype=torch.float64)
    return both[:, 1:], both[:, 0]


@pytest.mark.parametrize("q", [0.001, 0.05, 0.31, 0.5, 0.95, 0.999])
@pytest.mark.parametrize("n", [1, 2, 19, 64])
def test_quantile_is_numpys_weibull_rule(n, q):
    draws, _ = exact(n, 3, p=4)
    torch.testing.assert_close(calibration.quantile(draws, q).numpy(), np.quantile(draws, q, axis=1, method="weibull"))


@pytest.mark.parametrize("n", [19, 64])
def test_an_exact_samplers_draws_cover_what_they_promise(n):
    covered = calibration.coverage(*exact(n, 40_000))
    error = (0.9 * 0.1 / len(covered)) ** 0.5
    assert abs(covered.mean() - 0.9) < 4.5 * error          # numpy's default rule would give 0.873 at n = 64


def test_draws_too_narrow_cover_too_little():
    draws, truth = exact(64, 4000)
    assert calibration.coverage(draws / 2, truth).mean() < 0.65
    assert calibration.coverage(draws[:, :1].expand(-1, 64, -1, -1), truth).mean() == 0


def test_coverage_of_functionals_sees_lost_correlation():
    """Points that belong together drawn one by one: each point covers 0.90, their maximum and integral do not."""
    rng = torch.Generator().manual_seed(1)
    common = torch.randn(4000, 65, 1, 1, generator=rng) + 0.1 * torch.randn(4000, 65, 12, 1, generator=rng)
    truth, right = common[:, 0], common[:, 1:]
    loose = torch.stack([right[:, torch.randperm(64, generator=rng), p] for p in range(12)], 2)
    error = (0.9 * 0.1 / 4000) ** 0.5
    for functional in (calibration.maximum, calibration.integral):
        held = calibration.functional_coverage(right, truth, functional).mean()
        lost = calibration.functional_coverage(loose, truth, functional).mean()
        assert abs(held - 0.9) < 4.5 * error
        assert lost < 0.6
    torch.testing.assert_close(calibration.coverage(loose, truth), calibration.coverage(right, truth))


def test_the_integral_of_one_over_the_box_is_its_volume():
    one = torch.ones(2, 9, 1)
    torch.testing.assert_close(calibration.integral(one, 3), torch.full((2, 1, 1), 8.0))
    torch.testing.assert_close(calibration.maximum(torch.arange(6.0).reshape(1, 6, 1)), torch.tensor([[[5.0]]]))


def test_ranks_of_an_exact_sampler_are_even():
    share = calibration.rank_histogram(*exact(12, 26_000), bins=13)
    error = (1 / 13 * (12 / 13) / 26_000) ** 0.5
    assert share.shape == (13,) and share.sum() == pytest.approx(1)
    assert (share - 1 / 13).abs().max() < 4.5 * error
    draws, truth = exact(12, 26_000)
    narrow = calibration.rank_histogram(0.5 * draws, truth)
    assert narrow[0] > 2 / 13 and narrow[-1] > 2 / 13 and narrow[6] < 1 / 13


def test_ties_are_split_evenly():
    draws = torch.tensor([0.0, 1.0, 1.0, 2.0]).reshape(1, 4, 1, 1)
    torch.testing.assert_close(calibration.rank_histogram(draws, torch.ones(1, 1, 1)),
                               torch.tensor([0, 1, 1, 1, 0], dtype=torch.float64) / 3)
    with pytest.raises(ValueError, match="bins: a divisor of 5"):
        calibration.rank_histogram(draws, torch.ones(1, 1, 1), bins=2)
