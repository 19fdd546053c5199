"""Climatology: what is known before the first observation."""

import pytest
import torch

import nfdlab as nfd
from nfdlab.core.types import Observations
from nfdlab.evaluate.calibration import coverage
from nfdlab.evaluate.scores import crps

SEEN = Observations(torch.tensor([[0.1]]), torch.tensor([[2.0]]), 0.05)


def test_climatology_is_the_prior_whatever_was_seen():
    problem, places = nfd.problems.get("gp1d"), nfd.cell_centres((16,))
    rival, truth = nfd.baselines.get("climatology", problem), problem.draw(300, seed=1)(places)
    draws = torch.stack([rival.draw(SEEN, 32, seed=seed)(places) for seed in range(300)])
    torch.testing.assert_close(draws[0], rival.draw(None, 32, seed=0)(places))
    error = crps(draws, truth)
    # a normal prior of unit variance: E|X - X'| / 2 = 1 / √π
    assert error.mean() == pytest.approx(torch.pi**-0.5, abs=4.5 * float(error.std()) / 300**0.5)
    assert float(coverage(draws, truth).mean()) == pytest.approx(0.9, abs=0.03)


def test_climatology_of_real_data_draws_from_the_training_side_alone():
    digits = nfd.problems.get("digits2d")
    places = nfd.cell_centres((5, 5))
    torch.testing.assert_close(nfd.baselines.get("climatology", digits).draw(None, 3, seed=4)(places),
                               digits.draw(3, seed=4)(places))
    with pytest.raises(ValueError, match="training side"):
        nfd.baselines.get("climatology", nfd.problems.held_out(digits))


def test_climatology_refuses_observations_of_another_dimension_and_no_problem():
    with pytest.raises(ValueError, match="d"):
        nfd.baselines.get("climatology", nfd.problems.get("gp2d")).draw(SEEN, 2, seed=0)
    with pytest.raises(TypeError, match="Problem"):
        nfd.baselines.get("climatology")
