"""Scores against numbers known in closed form; tolerances are in standard errors of the experiment itself."""

import math

import pytest
import torch

from nfdlab.evaluate import scores

TASKS = 20_000


def gaussian(n, tasks=TASKS, p=1, c=1, sigma=1.0, seed=0):
    """Draws (tasks, n, p, c) of N(0, sigma²) and truths (tasks, p, c) of N(0, 1), all independent."""
    rng = torch.Generator().manual_seed(seed)
    draws = sigma * torch.randn(tasks, n, p, c, generator=rng, dtype=torch.float64)
    return draws, torch.randn(tasks, p, c, generator=rng, dtype=torch.float64)


def assert_mean(values, expected, errors=4.5):
    """The mean of independent values is `expected`, to 4.5 standard errors."""
    error = values.std() / len(values) ** 0.5
    assert abs(values.mean() - expected) < errors * error, f"{values.mean():.5f} ± {error:.5f}, expected {expected:.5f}"


@pytest.mark.parametrize("n", [2, 3, 16, 64])
def test_fair_crps_of_the_right_gaussian_is_sigma_over_root_pi_for_every_n(n):
    draws, truth = gaussian(n)
    assert_mean(scores.crps(draws, truth), 1 / math.sqrt(math.pi))


@pytest.mark.parametrize("sigma", [0.5, 2.0])
def test_fair_crps_of_a_wrong_gaussian_is_its_closed_form(sigma):
    # E|x - y| - E|x - x'| / 2 = sqrt(2 (1 + s²) / pi) - s / sqrt(pi)
    draws, truth = gaussian(8, sigma=sigma)
    assert_mean(scores.crps(draws, truth), math.sqrt(2 * (1 + sigma**2) / math.pi) - sigma / math.sqrt(math.pi))


def test_crps_by_sorting_equals_the_double_sum():
    draws, truth = gaussian(7, tasks=5, p=4, c=2)
    error = (draws - truth[:, None]).abs().mean((1, 2, 3))
    spread = (draws[:, :, None] - draws[:, None]).abs().sum((1, 2)).mean((1, 2)) / (2 * 7 * 6)
    torch.testing.assert_close(scores.crps(draws, truth), error - spread)


def test_a_point_forecast_scores_its_absolute_error():
    draws, truth = gaussian(1, tasks=5, p=4, c=2)
    error = (draws[:, 0] - truth).abs().mean((1, 2))
    torch.testing.assert_close(scores.crps(draws, truth), error)
    torch.testing.assert_close(scores.crps(draws.expand(-1, 9, -1, -1), truth), error)


def test_energy_score_equals_the_double_sum():
    draws, truth = gaussian(6, tasks=5, p=4, c=2)
    x, y = draws.flatten(2), truth.flatten(1)
    error = torch.stack([(x[:, i] - y).square().sum(-1).sqrt() for i in range(6)]).mean(0)
    spread = sum((x[:, i] - x[:, j]).square().sum(-1).sqrt() for i in range(6) for j in range(i)) / (6 * 5)
    torch.testing.assert_close(scores.energy(draws, truth), (error - spread) / 8**0.5)


@pytest.mark.parametrize("n", [2, 16])
def test_fair_energy_of_the_right_gaussian_does_not_depend_on_n(n):
    # right draws: E|x - y| / 2 with x - y ~ N(0, 2 I) in k = 6: Gamma(3.5)/Gamma(3), and the scale 1/sqrt(6)
    draws, truth = gaussian(n, p=3, c=2)
    assert_mean(scores.energy(draws, truth), math.gamma(3.5) / math.gamma(3) / 6**0.5)


def test_variogram_score_equals_the_sum_over_pairs():
    draws, truth = gaussian(5, tasks=3, p=4, c=2)
    total, pairs = 0, 0
    for a in range(4):
        for b in range(a):
            v = (draws[:, :, a] - draws[:, :, b]).abs() ** 0.5
            w = (truth[:, a] - truth[:, b]).abs() ** 0.5
            total, pairs = total + ((v.mean(1) - w) ** 2 - v.var(1) / 5).mean(-1), pairs + 1
    torch.testing.assert_close(scores.variogram(draws, truth), total / pairs)
    cubed = scores.variogram(draws, truth, power=3.0)
    assert not torch.allclose(cubed, scores.variogram(draws, truth))


@pytest.mark.parametrize("n", [2, 16])
def test_fair_variogram_of_the_right_gaussian_is_the_variance_of_a_pair(n):
    # v = |x(a) - x(b)|^½ with x(a) - x(b) ~ N(0, 2): var v = E|z| sqrt 2 - (E|z|^½)² sqrt 2
    draws, truth = gaussian(n, p=2)
    mean_root = 2**0.25 * math.gamma(0.75) / math.sqrt(math.pi)
    assert_mean(scores.variogram(draws, truth), math.sqrt(2) * (math.sqrt(2 / math.pi) - mean_root**2))


def test_only_the_variogram_score_sees_lost_correlation():
    """Right at every point, but each point drawn for itself: CRPS cannot know, the variogram score must."""
    rng = torch.Generator().manual_seed(3)
    common = torch.randn(2000, 17, 1, 1, generator=rng) + 0.1 * torch.randn(2000, 17, 8, 1, generator=rng)
    truth, right = common[:, 0], common[:, 1:]
    scattered = torch.stack([right[:, torch.randperm(16, generator=rng), p] for p in range(8)], 2)
    torch.testing.assert_close(scores.crps(right, truth), scores.crps(scattered, truth))
    assert scores.variogram(scattered, truth).mean() > 1.2 * scores.variogram(right, truth).mean()


def test_the_mean_of_n_draws_errs_by_one_and_one_nth_of_a_variance():
    draws, truth = gaussian(4)
    assert_mean(scores.mse(draws, truth), 1 + 1 / 4)
    assert_mean(scores.variance(draws), 1.0)


def test_psnr_is_minus_twenty_log_of_the_error_over_the_peak():
    truth = torch.linspace(0, 1, 5)[:, None]
    draws = (truth + 0.1)[None]
    torch.testing.assert_close(scores.psnr(draws, truth), torch.tensor(20.0))
    torch.testing.assert_close(scores.psnr(draws, truth, peak=2.0), torch.tensor(20 + 20 * math.log10(2)))
    torch.testing.assert_close(scores.rmse(draws, truth), torch.tensor(0.1))


def test_draws_and_truth_of_other_points_are_refused():
    with pytest.raises(ValueError, match="came: .*draws"):
        scores.check(torch.zeros(3, 4, 1), torch.zeros(5, 1))
    with pytest.raises(ValueError, match="draws: finite"):
        scores.check(torch.full((3, 4, 1), torch.nan), torch.zeros(4, 1))
    scores.check(torch.zeros(3, 4, 1), torch.zeros(4, 1))


def test_the_energy_distance_of_two_gaussians_is_its_closed_form():
    """N(0, 1) and N(a, s²): 2E|x−y| − E|x−x'| − E|y−y'| by the folded normal; over 400 pairs of sets, unbiased."""
    rng, (a, s) = torch.Generator().manual_seed(1), (0.7, 1.5)

    def folded(mean, spread):
        z = mean / spread
        return spread * math.sqrt(2 / math.pi) * math.exp(-z**2 / 2) + mean * math.erf(z / math.sqrt(2))

    exact = 2 * folded(a, math.sqrt(1 + s**2)) - folded(0, math.sqrt(2)) - folded(0, s * math.sqrt(2))
    sets = torch.randn(400, 2, 12, generator=rng, dtype=torch.float64)
    moved = torch.stack([scores.energy_distance(x[:, None, None], a + s * y[:9, None, None]) for x, y in sets])
    same = torch.stack([scores.energy_distance(x[:, None, None], y[:9, None, None]) for x, y in sets])
    assert_mean(moved, exact)
    assert_mean(same, 0.0)


def test_the_energy_distance_does_not_grow_with_the_points():
    one, two = torch.randn(2, 8, 3, 2, generator=torch.Generator().manual_seed(2))
    finer = scores.energy_distance(one.repeat_interleave(5, 1), two.repeat_interleave(5, 1))
    torch.testing.assert_close(finer, scores.energy_distance(one, two))


def test_overlap_is_what_two_intervals_share_of_what_either_covers():
    """[0, 0.5) and the mean's [0.25, 0.75) share a third; a task each; nothing on either side is 1."""
    x = (torch.arange(400) + 0.5)[:, None] / 400
    truth = torch.stack([(0.5 - x), (0.5 - x), -torch.ones_like(x)])
    mean = torch.stack([0.25 - (x - 0.5).abs(), 0.5 - x, -torch.ones_like(x)])
    draws = mean[:, None] + torch.tensor([-3.0, 3.0])[:, None, None]
    torch.testing.assert_close(scores.overlap(draws, truth), torch.tensor([1 / 3, 1.0, 1.0]))
