"""The classifier's two-sample test: one half where both sets are of one distribution, near one where they are not."""

import pytest

import nfdlab as nfd
from nfdlab.evaluate.two_sample import two_sample_accuracy


def test_two_sets_of_one_problem_cannot_be_told_apart():
    """Within 4 standard errors of one half: 1/sqrt(8 · 400) is one."""
    problem = nfd.problems.get("discs2d")
    found = two_sample_accuracy(problem.draw(400, seed=1), problem.draw(400, seed=2), side=16)
    assert abs(found - 0.5) < 4 / (8 * 400) ** 0.5
    assert found == two_sample_accuracy(problem.draw(400, seed=1), problem.draw(400, seed=2), side=16)


def test_curves_of_another_kind_are_told_apart_and_nearer_kinds_less_so():
    smooth, jumps = nfd.problems.get("gp1d"), nfd.problems.get("sawtooth1d")
    rough = nfd.problems.get("gp1d", lengthscale=0.16)
    near, far = (two_sample_accuracy(smooth.draw(400, seed=1), other.draw(400, seed=2)) for other in (rough, jumps))
    assert far > 0.95 and 0.5 < near < far


def test_sets_that_cannot_be_compared_are_refused():
    smooth, flat = nfd.problems.get("gp1d"), nfd.problems.get("gp2d")
    with pytest.raises(ValueError, match="as many functions"):
        two_sample_accuracy(smooth.draw(16, seed=0), smooth.draw(17, seed=0))
    with pytest.raises(ValueError, match="of one kind"):
        two_sample_accuracy(smooth.draw(16, seed=0), flat.draw(16, seed=0))
