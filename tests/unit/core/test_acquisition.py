"""Acquisition functions: closed forms of a Gaussian and of few distinct draws; Kalman's update of draws."""

import math

import pytest
import torch

from nfdlab.core.acquisition import acquisition, conditioned
from nfdlab.core.rng import normals

F64 = torch.float64


def gaussian(n=20_000, seed=0):
    """Draws of three numbers with covariance C: (n, 3, 1), C (3, 3)."""
    root = torch.tensor([[1.0, 0, 0], [0.8, 0.6, 0], [0, 0.2, 0.1]])
    return (normals(seed, n, (3,)) @ root.T)[..., None], root @ root.T


def test_mutual_information_of_two_distant_values_is_ln_2():
    """A measurement tells two values apart, ln 2 nats, at any distance; four, ln 4; of one it tells nothing."""
    for c in (1, 2):
        near = torch.tensor([0.0, 0, 1, 1]).reshape(4, 1, 1).expand(4, 1, c)
        assert float(acquisition("mutual_information", near, 0.05)) == pytest.approx(math.log(2), abs=1e-6)
        assert float(acquisition("mutual_information", 40 * near, 0.05)) == pytest.approx(math.log(2), abs=1e-6)
        assert float(acquisition("mutual_information", torch.arange(4.0).reshape(4, 1, 1).expand(4, 1, c), 0.05)) == \
            pytest.approx(math.log(4), abs=1e-6)
        assert float(acquisition("mutual_information", torch.ones(4, 1, c), 0.05)) == pytest.approx(0, abs=1e-9)
    assert float(acquisition("variance", 40 * near, 0.05)) == pytest.approx(2 * 1600 / 3, rel=1e-5)      # two channels


def test_acquisition_values_of_a_gaussian_are_known():
    """I = ½ ln(1 + v/s²); the variance drops by C²/(v + s²). By 700 draws v is known to 5.3 % in one
    standard error, sqrt(2/n): the mutual information, half its logarithm, to 6 %; the drop, quadratic in C, to 12."""
    values, C = gaussian(700)
    s, v = 0.5, C.diagonal()
    torch.testing.assert_close(acquisition("mutual_information", values, s), 0.5 * torch.log1p(v / s**2), rtol=0.06,
                               atol=0.02)
    drop = (C.square() / (v + s**2)[:, None]).sum(1) / 3
    torch.testing.assert_close(acquisition("expected_error_reduction", values, s), drop, rtol=0.12, atol=0.01)
    at = acquisition("expected_error_reduction", values, s, values[:, 1:2])
    torch.testing.assert_close(at, C[:, 1].square() / (v + s**2), rtol=0.12, atol=0.01)


def test_a_measurement_that_decides_everything_has_the_whole_error_reduction():
    """Two kinds of draws that differ at place 0 and at the target: measuring place 0 leaves no error, place 1 all."""
    values = torch.tensor([[0.0, 3.0], [1.0, 3.0]]).repeat(4, 1)[..., None]
    targets = torch.tensor([2.0, -2.0]).repeat(4)[:, None, None]
    torch.testing.assert_close(acquisition("expected_error_reduction", values, 0.05, targets), torch.tensor([4.0, 0.0]))


@pytest.mark.parametrize("noise_std", [0.0, 0.3])
def test_conditioned_draws_have_the_covariance_of_kalmans_formula(noise_std):
    """Exactly, for the draws' own covariance, and the mean stays."""
    values = gaussian(40)[0].repeat(1, 1, 2) + torch.tensor([0.0, 2.0])                   # two channels, alike
    values[..., 1] = values[..., 1].roll(1, 0)
    found, flat = conditioned(values, 1, noise_std), values.double().flatten(1)
    cov, rows = flat.T.cov(), [2, 3]
    K = cov[:, rows] @ torch.linalg.inv(cov[rows][:, rows] + noise_std**2 * torch.eye(2, dtype=F64))
    torch.testing.assert_close(found.double().flatten(1).T.cov(), cov - K @ cov[rows], rtol=0, atol=1e-5)
    torch.testing.assert_close(found.mean(0), values.mean(0), rtol=0, atol=1e-5)


def test_bad_draws_and_names_are_refused():
    for values, knobs in ((torch.zeros(1, 3, 1), {}), (torch.zeros(4, 3), {}), (torch.zeros(4, 3, 1), {"by": "luck"}),
                          (torch.zeros(4, 3, 1), {"noise_std": -1.0})):
        with pytest.raises((ValueError, KeyError), match="why:"):
            acquisition(**{"by": "variance", "values": values, **knobs})
