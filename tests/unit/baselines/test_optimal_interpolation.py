"""Optimal interpolation: the exact posterior of Gaussian problems, and dense linear algebra on the same draws."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.stats import norm

import nfdlab as nfd
from nfdlab.baselines import get, optimal_interpolation
from nfdlab.core.fields import EvaluatedFields
from nfdlab.core.rng import child, normals
from nfdlab.problems.arrays import Arrays

NAME = "optimal_interpolation"
SOME = {"side": 24, "rank": 60, "draws": 600}             # where no accuracy is asked for


def tasks(problem, counts, many):
    """Observations, and the truth's values at the centres of a grid."""
    q = nfd.cell_centres({1: (64,), 2: (12, 12)}[problem.d])
    for i, m in enumerate(counts * many):
        truth = problem.draw(1, seed=child(4, "truth", i))
        yield nfd.observe(truth, nfd.patterns.Random(count=m), noise_std=0.05, seed=i), q, truth(q)[0].double().numpy()


def crps(mean, std, truth) -> float:
    """CRPS of normals, averaged: Gneiting & Raftery 2007, eq. 21."""
    mean, std = (np.asarray(x, dtype=np.float64).clip(low) for x, low in ((mean, -np.inf), (std, 1e-5)))
    z = (truth - mean) / std
    return float((std * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - np.pi**-0.5)).mean())


def dense(fields, seen, q):
    """Mean and standard deviation at q by the mean and covariance of draws at just these places: no grid, no rank."""
    X = fields(torch.cat([seen.coords, q]))[..., 0].double().numpy()
    middle, m = X.mean(0), seen.m
    C = np.cov(X.T)
    gain = np.linalg.solve(C[:m, :m] + seen.noise_std**2 * np.eye(m), C[:m, m:])
    away = seen.values[:, 0].double().numpy() - middle[:m]
    variance = C.diagonal()[m:] - (gain * C[:m, m:]).sum(0)
    return (middle[m:] + away @ gain)[:, None], np.sqrt(variance.clip(1e-9))[:, None]


@pytest.mark.parametrize("name, counts", [("gp1d", (3, 10)), ("drift1dt", (10, 40))])
def test_on_gaussian_problems_it_is_the_exact_posterior(name, counts):
    problem = nfd.problems.get(name)
    mine, exact = get(NAME, problem), problem.oracle()
    found = np.array([[crps(*fitted.moments(seen, q), truth) for fitted in (mine, exact)]
                      for seen, q, truth in tasks(problem, counts, 8)])
    assert found[:, 0].mean() / found[:, 1].mean() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("name, counts", [("sawtooth1d", (4, 12)), ("families1d", (4, 12)), ("discs2d", (5, 20)),
                                          ("digits2d", (16, 64))])
def test_elsewhere_it_is_the_linear_answer_of_the_same_draws(name, counts):
    """Of digits the better of two: of the training pictures with augmentation, or as they are."""
    problem = nfd.problems.get(name)
    sources = [problem] if name != "digits2d" else [
        problem.training_part(0.0, 1.0, augmented=augmented) for augmented in (True, False)]
    drawn = [source.draw(optimal_interpolation.DRAWS[problem.d], seed=optimal_interpolation.SEED) for source in sources]
    mine = get(NAME, problem)
    found = np.array([[crps(*answer, truth) for answer in (mine.moments(seen, q), *(dense(f, seen, q) for f in drawn))]
                      for seen, q, truth in tasks(problem, counts, 4)]).mean(0)
    assert found[0] / found[1:].min() == pytest.approx(1, abs=0.02)


def test_draws_have_its_moments_what_the_rank_leaves_included():
    problem = nfd.problems.get("sawtooth1d")
    mine, (seen, q, _) = get(NAME, problem, rank=20), next(tasks(problem, (6,), 1))
    mean, std = mine.moments(seen, q)
    assert (mine.expansion.left / problem.draw(500, seed=0)(q).var()).mean() > 0.1         # much is left
    n = 2000
    draws = mine.draw(seen, n, seed=1)(q)
    assert ((draws.mean(0) - mean) / std).abs().max() < 4.5 / n**0.5
    assert (draws.std(0) / std - 1).abs().max() < 4.5 / (2 * n)**0.5


@dataclass(frozen=True)
class Waves:
    """A Gaussian field of d coordinates and two channels: six slow waves with normal amplitudes."""

    d: int = 4

    @property
    def numbers(self):
        return normals(7, 6, (self.d,), "waves")

    def draw(self, n, *, seed):
        a = normals(seed, n, (2, 6), "amplitudes")

        def rule(coords, part):
            phase = coords @ self.numbers.T.to(coords)
            basis = torch.cat([phase[..., :3].cos(), phase[..., 3:].sin()], -1)
            return (a[part].to(coords) @ basis.mT).mT

        return EvaluatedFields(rule, n, self.d, 2)


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_draws_are_functions_in_up_to_four_dimensions(d):
    problem = Waves(d)
    mine = get(NAME, problem, **SOME | {"side": {1: 64, 2: 24, 3: 12, 4: 8}[d]})
    truth = problem.draw(1, seed=3)
    seen = nfd.observe(truth, nfd.patterns.Random(count=40), noise_std=0.05, seed=0)
    q = 2 * torch.rand(50, d, generator=torch.Generator().manual_seed(1)) - 1
    draws = mine.draw(seen, 3, seed=5)
    values = draws(q)
    close = dict(rtol=0, atol=1e-5)
    assert (draws.n, draws.d, draws.c) == (3, d, 2) and values.shape == (3, 50, 2)
    torch.testing.assert_close(draws(q[7:9]), values[:, 7:9], **close)
    torch.testing.assert_close(draws(torch.stack([q, q.flip(0), q]))[1], values[1].flip(0), **close)
    torch.testing.assert_close(mine.draw(seen, 5, seed=5)(q)[:3], values, **close)
    assert (mine.moments(seen, q)[0] - truth(q)[0]).square().mean() < 0.05**2      # twelve numbers, forty readings


def test_nothing_seen_is_the_measured_prior():
    problem = nfd.problems.get("sawtooth1d")
    q = nfd.cell_centres((16,))
    fresh, values = problem.draw(4000, seed=9)(q), get(NAME, problem).draw(None, 2000, seed=0)(q)
    assert (values.mean(0) - fresh.mean(0)).abs().max() < 4.5 * 0.29 * (1 / 2000 + 1 / 4000 + 1 / 8192)**0.5
    torch.testing.assert_close(values.std(0), fresh.std(0), rtol=0.08, atol=0)


def test_equal_problems_are_measured_once():
    assert get(NAME, Waves(1), **SOME).expansion is get(NAME, Waves(1), **SOME).expansion
    assert get(NAME, Waves(1), **SOME).expansion is not get(NAME, Waves(1), **SOME | {"rank": 5}).expansion


@dataclass(frozen=True, eq=False)
class Stored:
    """Eighty humps; augmentation mirrors them, which is right if they may stand on either side."""

    mirrored: bool
    range: tuple[float, float] = (0.0, 1.0)
    augmented: bool = True

    def draw(self, n, *, seed):
        rng = np.random.default_rng(child(seed, "which"))
        low, high = (round(80 * share) for share in self.range)
        which = torch.from_numpy(rng.integers(low, high, n))
        sign = torch.where(torch.arange(80) % 2 == 1, -1.0, 1.0) if self.mirrored else torch.ones(80)
        place = (sign * (0.5 + 0.2 * normals(3, 80, (), "places")))[which]
        if self.augmented:
            place = place * torch.from_numpy(rng.choice([-1.0, 1.0], n)).float()
        return EvaluatedFields(lambda x, part: torch.exp(-((x - place[part, None, None]) / 0.2)**2), n, 1)

    def training_part(self, low, high, *, augmented):
        return Stored(self.mirrored, (low, high), augmented)


@pytest.mark.parametrize("mirrored", [True, False])
def test_augmentation_is_used_where_it_tells_kept_training_data_better(mirrored):
    mine = get(NAME, Stored(mirrored), side=64, rank=20, draws=600)
    mean = mine.moments(None, torch.tensor([[-0.5], [0.5]]))[0].flatten()
    assert mean[1] > 0.2 and (mean[0] > 0.2) == mirrored


def test_a_users_data_and_stored_pictures_have_it_too():
    curves = torch.sin(3 * torch.linspace(-1, 1, 32) + normals(0, 60, (1,), "phase")).numpy()
    mine = get(NAME, Arrays(curves), draws=600, rank=40)
    truth = nfd.problems.held_out(Arrays(curves)).draw(1, seed=0)
    seen = nfd.observe(truth, nfd.patterns.Random(count=8), noise_std=0.05, seed=0)
    q = nfd.cell_centres((32,))
    assert (mine.moments(seen, q)[0] - truth(q)[0]).abs().max() < 0.3
    hills = get(NAME, nfd.problems.get("terrain2d"), **SOME)
    assert hills.draw(None, 2, seed=0)(nfd.cell_centres((8, 8))).isfinite().all()


def test_what_it_cannot_answer_is_refused():
    problem = nfd.problems.get("terrain2d")
    for wrong, kind in ((lambda: get(NAME), TypeError), (lambda: get(NAME, problem, rank=0), ValueError),
                        (lambda: get(NAME, nfd.problems.held_out(problem)), ValueError),
                        (lambda: get(NAME, Waves(5)).expansion, ValueError), (lambda: get(NAME, Waves(2), **SOME).draw(
                            nfd.Observations(torch.zeros(1, 1), torch.zeros(1, 1)), 1, seed=0), ValueError)):
        with pytest.raises(kind) as error:
            wrong()
        assert "\n  do:   " in str(error.value)
    assert get("linear", problem) == get("linear")


@pytest.mark.parametrize("name,pattern", [("gp1d", nfd.patterns.BlockAverage(8)),
                                          ("gp2d", nfd.patterns.Blur(count=16, width=0.2))])
def test_given_averages_of_a_gaussian_field_it_is_the_exact_posterior(name, pattern):
    """Means and standard deviations agree to 4 % of the field's, in root mean square: 4,096 draws know a variance to
    2 %, and taking averages apart adds to that."""
    problem = nfd.problems.get(name)
    seen = nfd.observe(problem.draw(1, seed=2), pattern, noise_std=0.1, seed=3)
    coords = nfd.cell_centres({1: (40,), 2: (9, 9)}[problem.d])
    found = get("optimal_interpolation", problem)
    for ours, exact in zip(found.moments(seen, coords), problem.oracle().moments(seen, coords), strict=True):
        assert (ours - exact).square().mean().sqrt() < 0.04
    drawn = found.draw(seen, 400, seed=4)(coords)
    assert ((drawn.mean(0) - found.moments(seen, coords)[0]).abs() < 5 * drawn.std(0) / 400**0.5 + 1e-3).all()
