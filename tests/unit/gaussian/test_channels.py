"""A measured Gaussian as channels: its posterior mean and log standard deviation, of each function its own."""

import torch

import nfdlab as nfd
from nfdlab.core.types import ObservationBatch
from nfdlab.gaussian.channels import GaussianChannels

SIDE = 48


def channels(rank: int = 20) -> GaussianChannels:
    found = GaussianChannels(1, 1, SIDE, rank)
    found.calibrate(nfd.problems.get("gp1d").draw(16384, seed=0)(found.places), seed=0)
    return found


def test_they_are_the_exact_posterior_where_functions_are_gaussian():
    """Means to 0.05 and standard deviations to 0.03 of the field's: a covariance of 16,384 draws, 20 directions."""
    problem = nfd.problems.get("gp1d")
    seen = [nfd.observe(problem.draw(1, seed=i), nfd.patterns.Random(count=m), noise_std=0.1, seed=i)
            for i, m in enumerate((0, 3, 9))]
    found = channels()(ObservationBatch.of(seen))
    assert found.shape == (3, 2, SIDE)
    for one, (mean, log_std) in zip(seen, found, strict=True):
        exact_mean, exact_std = problem.oracle().moments(one, nfd.cell_centres((SIDE,)))
        assert (mean - exact_mean[:, 0]).abs().max() < 0.05
        assert (log_std.exp() - exact_std[:, 0]).abs().max() < 0.03


def test_what_others_saw_changes_nothing():
    """A function's channels are the same alone and in a batch with a longer one."""
    problem, made = nfd.problems.get("gp1d"), channels()
    seen = [nfd.observe(problem.draw(1, seed=i), nfd.patterns.Random(count=m), seed=i) for i, m in enumerate((2, 12))]
    torch.testing.assert_close(made(ObservationBatch.of(seen))[:1], made(ObservationBatch.of(seen[:1])),
                               atol=1e-4, rtol=1e-4)
