"""The classical rivals: the contract of every `Fitted`, and kriging against dense linear algebra."""

from itertools import product

import numpy as np
import pytest
import torch
from scipy.optimize import approx_fprime
from scipy.spatial.distance import cdist
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern, WhiteKernel

from nfdlab import baselines, cell_centres
from nfdlab.baselines import covariance, kriging
from nfdlab.core.types import Observations
from nfdlab.problems.arrays import observations

MEASURED = ("climatology", "optimal_interpolation")                        # on a problem's training draws
ANYWHERE = [name for name in baselines.names() if name not in MEASURED]    # they need no problem


def seen(m, d=1, c=1, seed=0, noise_std=0.05):
    rng = torch.Generator().manual_seed(seed)
    coords = 2 * torch.rand(m, d, generator=rng) - 1
    values = torch.stack([(3 * coords).sin().sum(-1) + k for k in range(c)], -1)
    return Observations(coords, values, noise_std)


def places(p, d, seed=9):
    return 2 * torch.rand(p, d, generator=torch.Generator().manual_seed(seed)) - 1


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("m", [0, 1, 2, 4, 12])
@pytest.mark.parametrize("name", ANYWHERE)
def test_every_rival_draws_functions(name, m, d):
    given, q = seen(m, d, c=2), places(20, d)
    before = torch.random.get_rng_state()
    draws = baselines.get(name).draw(given, 3, seed=5)
    values = draws(q)
    assert (draws.n, draws.d, draws.c) == (3, d, 2) and values.shape == (3, 20, 2) and values.isfinite().all()
    close = dict(rtol=0, atol=1e-5)                                                    # the law of consistency
    torch.testing.assert_close(draws(q[3:5]), values[:, 3:5], **close)
    own = torch.stack([q, q.flip(0), q])
    torch.testing.assert_close(draws(own)[1], values[1].flip(0), **close)
    torch.testing.assert_close(draws[1:](q), values[1:], **close)
    torch.testing.assert_close(baselines.get(name).draw(given, 5, seed=5)(q)[:3], values, **close)   # more only append
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("name", ANYWHERE)
def test_nothing_seen_is_the_prior_of_standardised_data(name):
    values = baselines.get(name).draw(None, 400, seed=0)(places(5, 2))
    assert values.shape == (400, 5, 1) and values.mean().abs() < 4.5 / 400**0.5
    assert values.std(0).mean() == (pytest.approx(1, abs=0.1) if name == "kriging" else 0)


@pytest.mark.parametrize("name", ["nearest", "linear", "linear_in_time", "cubic", "rbf"])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_interpolation_passes_through_what_was_seen(name, d):
    given = seen(15, d, c=2)
    found = baselines.get(name).draw(given, 1, seed=0)(given.coords)[0]
    torch.testing.assert_close(found, given.values, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["linear", "cubic", "rbf"])
def test_a_plane_is_found_again_between_its_points(name):
    corners = torch.cartesian_prod(torch.tensor([-1.0, 1.0]), torch.tensor([-1.0, 1.0]))
    coords = torch.cat([corners, places(10, 2)])
    plane = Observations(coords, coords @ torch.tensor([[2.0], [-1.0]]) + 0.5, 0.0)
    q = places(50, 2, seed=1)
    expected = q @ torch.tensor([[2.0], [-1.0]]) + 0.5
    torch.testing.assert_close(baselines.get(name).draw(plane, 1, seed=0)(q)[0], expected, rtol=0, atol=1e-4)


def test_linear_in_time_blends_the_two_frames_around_a_moment():
    space = cell_centres((8, 8))

    def frame(t, plane):
        return torch.cat([torch.full((64, 1), t), space], 1), space @ torch.tensor(plane)[:, None]

    planes = {-0.5: [1.0, 2.0], 0.0: [0.0, -1.0], 0.5: [3.0, 0.0]}
    coords, values = (torch.cat(part) for part in zip(*(frame(*item) for item in planes.items()), strict=True))
    answer = baselines.get("linear_in_time").draw(Observations(coords, values, 0.0), 1, seed=0)
    inside = 0.8 * places(40, 2, seed=3)
    for t, plane in {-1.0: [1.0, 2.0], -0.5: [1.0, 2.0], -0.125: [0.25, -0.25], 0.25: [1.5, -0.5]}.items():
        found = answer(torch.cat([torch.full((40, 1), t), inside], 1))[0, :, 0]
        torch.testing.assert_close(found, inside @ torch.tensor(plane), rtol=0, atol=1e-5)


def test_outside_the_hull_the_nearest_value_goes_on():
    given = Observations(torch.tensor([[-0.5], [0.0], [0.5]]), torch.tensor([[1.0], [5.0], [2.0]]), 0.0)
    for name in ("nearest", "linear", "cubic"):
        ends = baselines.get(name).draw(given, 1, seed=0)(torch.tensor([[-1.0], [1.0]]))[0, :, 0]
        torch.testing.assert_close(ends, torch.tensor([1.0, 2.0]))
    three = torch.tensor([[-1.0, -1.0], [-1.0, 0.0], [0.0, -1.0]])
    corner = Observations(three, torch.tensor([[1.0], [2.0], [4.0]]), 0.0)
    for name in ("linear", "cubic"):
        found = baselines.get(name).draw(corner, 1, seed=0)(torch.tensor([[0.9, -0.8], [-0.5, 1.0]]))
        assert found.flatten().tolist() == [4.0, 2.0]
    line = Observations(torch.linspace(-1, 1, 7)[:, None].expand(-1, 2), torch.arange(7.0)[:, None], 0.0)
    for name in ("linear", "cubic"):                                   # on a line there is no inside
        assert baselines.get(name).draw(line, 1, seed=0)(torch.tensor([[1.0, 0.9]])).item() == 6.0


def test_values_seen_twice_are_averaged():
    twice = Observations(torch.tensor([[0.0], [0.0], [0.5]]), torch.tensor([[1.0], [3.0], [7.0]]), 0.05)
    for name in ("nearest", "linear", "cubic", "rbf"):
        assert baselines.get(name).draw(twice, 1, seed=0)(torch.zeros(1, 1)).item() == pytest.approx(2.0)


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(KeyError, match="Did you mean 'kriging'"):
        baselines.get("krigging")
    with pytest.raises(KeyError, match="knob of rbf"):
        baselines.get("rbf", smoothness=1.0)
    with pytest.raises(KeyError, match="Did you mean 'matern32'"):
        baselines.get("kriging", kernels=("matern33",))


@pytest.mark.parametrize("name", covariance.SMOOTHNESS)
def test_the_evidence_is_the_gaussian_log_density_and_its_gradient_the_slope(name):
    given = seen(12, 2, seed=3)
    x, y = given.coords.double().numpy(), given.values[:, 0].double().numpy()
    along = (x.T[:, :, None] - x.T[:, None])**2
    for scales, noise_std in product(((0.3,), (0.3, 0.8)), (0.05, None)):
        squares = along if len(scales) == 2 else along.sum(0, keepdims=True)
        at = np.log([0.7, *scales, *[0.2**2] * (noise_std is None)])
        K = 0.7 * covariance.kernel(name, cdist(x / scales, x / scales))[0] + 1.0 + (noise_std or 0.2)**2 * np.eye(12)
        dense = torch.distributions.MultivariateNormal(torch.zeros(12).double(), torch.from_numpy(K))
        which = [0, *[1] * len(scales), *[2] * (noise_std is None)]
        away = (at - kriging.MIDDLE[which]) / kriging.WIDTH[which]
        value, slope = kriging.objective(at, name, squares, y, noise_std, 1.0)
        assert value == pytest.approx(-dense.log_prob(torch.from_numpy(y)).item() + 0.5 * away @ away, rel=1e-9)
        numeric = approx_fprime(at, lambda log: kriging.objective(log, name, squares, y, noise_std, 1.0)[0], 1e-6)  # noqa: B023
        np.testing.assert_allclose(slope, numeric, rtol=1e-3, atol=1e-3 * np.abs(slope).max())


@pytest.mark.parametrize("name", covariance.SMOOTHNESS)
@pytest.mark.parametrize("d", [1, 2])
def test_waves_of_the_spectrum_have_the_kernels_covariance(name, d):
    """mean cos(w·x) over the spectrum is k(|x|): within the error of 200 independent shifts."""
    waves = covariance.frequencies(name, 200, 64, d, seed=1)
    for r in (0.05, 0.3, 1.0, 2.5):
        lag = torch.full((d,), r / d**0.5, dtype=torch.float64)
        found = (waves @ lag).cos().mean(1)
        error = found.std() / 200**0.5 + 1e-6
        assert abs(found.mean() - covariance.kernel(name, np.array(r))[0]) < 4.5 * error


def dense(law, given, q):
    """Posterior mean and covariance by the textbook (Rasmussen & Williams 2006, eqs. 2.23-2.24)."""
    x, y = given.coords.double().numpy(), given.values[:, 0].double().numpy()
    inverse = np.linalg.inv(law.between(x, x) + given.noise_std**2 * np.eye(len(x)))
    across = law.between(q, x)
    return across @ inverse @ y, law.between(q, q) - across @ inverse @ across.T


@pytest.mark.parametrize("name", ["matern12", "se"])
def test_draws_have_the_mean_and_covariance_of_kriging(name):
    given, model = seen(8, 1, noise_std=0.3), baselines.get("kriging", kernels=(name,))
    q = torch.linspace(-0.9, 0.9, 7)[:, None]
    (law,) = model.fit(given)
    mean, cov = dense(law, given, q.double().numpy())
    exact_mean, exact_std = model.moments(given, q)
    np.testing.assert_allclose(exact_mean[:, 0], mean, atol=1e-5)
    np.testing.assert_allclose(exact_std[:, 0], np.sqrt(np.diag(cov)), atol=1e-5)
    n = 3000
    draws = model.draw(given, n, seed=2)(q)[..., 0].double().numpy()
    std = np.sqrt(np.diag(cov))
    assert np.abs((draws.mean(0) - mean) / std).max() < 4.5 / n**0.5
    found = np.cov(draws.T) / np.outer(std, std)
    assert np.abs(found - cov / np.outer(std, std)).max() < 4.5 * (2 / n) ** 0.5


def test_what_was_learnt_is_what_was_there():
    """400 points of a smooth and of a rough field: the kernel is told apart, length-scale and variance are found."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (200, 2))
    for name, lengthscale in (("se", 0.3), ("matern12", 0.5)):
        K = covariance.kernel(name, cdist(x, x) / lengthscale)[0] + 1e-8 * np.eye(200)
        y = np.linalg.cholesky(K) @ rng.standard_normal(200) + 0.05 * rng.standard_normal(200)
        (law,) = baselines.get("kriging").fit(Observations(torch.tensor(x), torch.tensor(y)[:, None], 0.05))
        assert law.kernel == name
        assert law.variance / law.lengthscales[0] == pytest.approx(1 / lengthscale, rel=0.35)


def test_three_points_are_too_few_to_learn_from():
    (law,) = baselines.get("kriging").fit(seen(3))
    assert (law.variance, law.mean_std) == (pytest.approx(1.0), 0.0)
    mean, std = baselines.get("kriging").moments(None, torch.zeros(2, 1))
    assert mean.abs().max() == 0 and (std == 1).all()


@pytest.mark.parametrize("kind", ["constant", "noise-free", "repeated", "many"])
def test_kriging_survives_hard_data(kind):
    given = {"constant": Observations(places(20, 1), torch.ones(20, 1), 0.05),
             "noise-free": seen(30, 1, noise_std=0.0),
             "repeated": Observations(torch.zeros(9, 1), 0 * places(9, 1) + 0.7, 0.0),
             "many": seen(400, 2)}[kind]
    values = baselines.get("kriging").draw(given, 8, seed=0)(places(30, given.coords.shape[1]))
    assert values.isfinite().all() and values.abs().max() < 50


def learner(name, variance, scales, noise_std):
    """scikit-learn's Gaussian process of the same covariance; the mean's variance is held at one."""
    shape = RBF(scales) if name == "se" else Matern(scales, nu=covariance.SMOOTHNESS[name])
    noise = WhiteKernel(noise_std**2, (1e-8, 1e2))
    kernel = ConstantKernel(variance, (1e-4, 1e2)) * shape + ConstantKernel(1.0, "fixed") + noise
    return GaussianProcessRegressor(kernel, alpha=0.0, n_restarts_optimizer=2, random_state=0)


def readings(m=80, noise_std=0.3, stretch=6.0, seed=0, name="matern52"):
    """Readings of a field that varies `stretch` times faster along its first axis."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (m, 2))
    K = covariance.kernel(name, cdist(x / [0.3, 0.3 * stretch], x / [0.3, 0.3 * stretch]))[0]
    y = np.linalg.cholesky(K + 1e-9 * np.eye(m)) @ rng.standard_normal(m) + noise_std * rng.standard_normal(m)
    return Observations(torch.tensor(x), torch.tensor(y)[:, None], 0.05)


@pytest.mark.parametrize("name", covariance.SMOOTHNESS)
def test_the_likelihood_and_the_fit_are_scikit_learns(name):
    """Same likelihood at the same numbers; and where the noise is estimated, a fit as likely as scikit-learn's."""
    given = readings(name=name)
    x, y = given.coords.numpy(), given.values[:, 0].numpy()
    (law,) = baselines.get("kriging", kernels=(name,), nugget=True).fit(given)
    theirs = learner(name, law.variance, law.lengthscales, law.noise_std).fit(x, y)
    at, best, squares = np.log([law.variance, *law.lengthscales, law.noise_std**2]), theirs.kernel_.theta, \
        (x.T[:, :, None] - x.T[:, None])**2
    assert len(law.lengthscales) == 2

    def penalty(log):                                                     # ours has weak priors
        return 0.5 * (((log - kriging.MIDDLE[[0, 1, 1, 2]]) / kriging.WIDTH[[0, 1, 1, 2]])**2).sum()

    mine, most = theirs.log_marginal_likelihood(at), theirs.log_marginal_likelihood_value_
    assert kriging.objective(at, name, squares, y, None, 1.0)[0] == pytest.approx(penalty(at) - mine)
    assert mine - penalty(at) > most - penalty(best) - 0.01 and mine > most - 1.0


def test_noise_and_lengthscales_are_found_where_they_are_asked_for():
    (law,) = baselines.get("kriging", nugget=True).fit(readings(m=160))
    assert law.noise_std == pytest.approx(0.3, rel=0.3)
    assert law.lengthscales[1] / law.lengthscales[0] == pytest.approx(6.0, rel=0.5)
    (even,) = baselines.get("kriging").fit(readings(m=160, noise_std=0.05, stretch=1.0))
    assert len(even.lengthscales) == 1 and even.noise_std == 0.05
    table = np.column_stack([readings().coords, readings().values])
    told, guessed = (baselines.get("kriging").fit(observations(table, **known))[0].noise_std
                     for known in ({"noise_std": 0.05 * table[:, 2].std()}, {}))
    assert told == pytest.approx(0.05) and guessed > 0.1


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("m", [30, 100])
def test_pure_noise_gives_a_flat_mean(d, m):
    """Whether its standard deviation is known or estimated: the mean varies by less than a tenth of it."""
    for seed, (given, nugget) in product(range(3), ((1.0, None), (0.05, True))):
        noise = torch.randn(m, 1, generator=torch.Generator().manual_seed(100 + seed))
        mean, std = baselines.get("kriging", nugget=nugget).moments(Observations(places(m, d, seed), noise, given),
                                                                    places(200, d, 8))
        assert mean.std() < 0.1 and std.max() < 3 / m**0.5
