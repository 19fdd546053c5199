"""Regret at each noise level, against Gaussians whose denoiser is known."""

import pytest
import torch

import nfdlab
from nfdlab import patterns, problems
from nfdlab.evaluate.regret import regret

SIGMAS = (0.1, 0.5, 2.0)


def wiener(scale=1.0):
    """The exact denoiser of N(0, scale² I): x scale² / (scale² + sigma²)."""
    return lambda x, sigma: x * scale**2 / (scale**2 + sigma**2)


def test_the_exact_denoiser_has_no_regret():
    problem, points = problems.get("gp1d"), nfdlab.cell_centres((24,))
    seen = nfdlab.observe(problem.draw(1, seed=0), patterns.Random(count=3), seed=1)
    here = problem.oracle().at(seen, points)
    clean = here.draw(16, seed=2)
    found = regret(here.denoiser(), here.denoiser(), clean, SIGMAS, seed=3)
    assert list(found["sigma"]) == list(SIGMAS) and (found.drop(columns="sigma") == 0).all(axis=None)
    prior = problem.oracle().at(None, points).denoiser()              # a denoiser that has not looked at the data
    assert (regret(prior, here.denoiser(), clean, SIGMAS, seed=3)["regret"] > 0.05).all()


def test_a_denoiser_shrunk_by_a_tenth_has_its_closed_form(rng):
    # D = 0.9 D*, x ~ N(0, 1 + s²): E|D - D*|² = 0.01 k / (1 + s²), E|clean - D*|² = k s² / (1 + s²)
    clean = torch.randn(4000, 3, generator=rng, dtype=torch.float64)
    found = regret(lambda x, sigma: 0.9 * wiener()(x, sigma), wiener(), clean, SIGMAS, seed=0)
    for sigma, row in zip(SIGMAS, found.itertuples(), strict=True):
        assert abs(row.regret - 0.01 / sigma**2) < 4.5 * row.regret_error


def test_the_error_of_a_regret_is_what_other_noise_shows(rng):
    found = [regret(wiener(0.8), wiener(), torch.randn(200, 2, generator=rng), (0.7,), seed=seed).iloc[0]
             for seed in range(200)]
    spread = torch.tensor([row["regret"] for row in found]).std()
    told = torch.tensor([row["regret_error"] for row in found]).mean()
    assert told == pytest.approx(float(spread), rel=0.25)             # the spread of 200 is known to 5 %


def test_bad_input_is_refused():
    for clean, sigmas in ((torch.zeros(4), (1.0,)), (torch.zeros(1, 4), (1.0,)), (torch.ones(3, 2), (0.0,)),
                          (torch.full((3, 2), torch.nan), (1.0,))):
        with pytest.raises(ValueError, match="why:"):
            regret(wiener(), wiener(), clean, sigmas, seed=0)
