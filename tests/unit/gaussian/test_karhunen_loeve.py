"""The best linear answer: Bayes' rule written out densely, the exact posterior of Gaussian fields, mixtures."""

import pytest
import torch

import nfdlab as nfd
from nfdlab.core.rng import normals
from nfdlab.core.types import ObservationBatch, Observations
from nfdlab.gaussian.karhunen_loeve import (
    LEAST_NOISE,
    KarhunenLoeve,
    LatentMeasurement,
    WeightPosterior,
)


def measured(problem, side: int, rank: int, many: int = 4096, kind=KarhunenLoeve, **sizes):
    found = kind(problem.d, 1, side, rank=rank, **sizes)
    found.calibrate(problem.draw(many, seed=5)(found.places), seed=0)
    return found


@pytest.fixture(scope="module")
def line():
    return measured(nfd.problems.get("gp1d"), 96, 40)


def dense(r: int = 7, q: int = 11, n: int = 5):
    """Rows, values and variances of two measurements of n weights N(0, I), in float64."""
    shapes = {"A": (q, r), "B": (3, r), "y": (n, q), "z": (n, 3)}
    one = {name: normals(0, shape[0], shape[1:], name, dtype=torch.float64) for name, shape in shapes.items()}
    return one, 0.1 + normals(0, q, (), "s", dtype=torch.float64).square(), torch.tensor([0.5, 1.0, 2.0]).double()


def test_measurements_add_up_to_bayes_rule_in_any_order():
    one, s, t = dense()
    prior = WeightPosterior(torch.zeros(5, 7).double(), torch.eye(7).double()[None])
    first = prior.updated(one["A"], one["y"], s).updated(one["B"], one["z"], t)
    own = [rows.expand(5, -1, -1) for rows in (one["B"], one["A"])]
    second = prior.updated(own[0], one["z"], t.expand(5, -1)).updated(own[1], one["y"], s.expand(5, -1))
    H, noise = torch.cat([one["A"], one["B"]]), torch.cat([s, t]).diag()
    gain = H.T @ torch.linalg.inv(H @ H.T + noise)
    mean, cov = torch.cat([one["y"], one["z"]], 1) @ gain.T, torch.eye(7).double() - gain @ H
    for posterior in (first, second):
        torch.testing.assert_close(posterior.mean, mean)
        at, variance = posterior.predict(one["A"])
        torch.testing.assert_close(at, mean @ one["A"].T)
        torch.testing.assert_close(variance, (one["A"] @ cov @ one["A"].T).diagonal().expand_as(variance))


def test_draws_of_a_posterior_have_its_covariance():
    one, s, _ = dense()
    prior = WeightPosterior(torch.zeros(1, 7).double(), torch.eye(7).double()[None])
    posterior = prior.updated(one["A"], one["y"][:1], s)
    n = 20_000
    draws = posterior.draw(n, seed=3)
    cov = torch.linalg.inv(posterior.precision[0])
    spread = cov.diagonal().sqrt()
    assert ((draws.mean(0) / (spread / n**0.5)).abs() < 4.5).all()
    error = (draws.T @ draws / n - cov) / (spread[:, None] * spread)
    assert error.abs().max() < 4.5 * (2 / n) ** 0.5
    torch.testing.assert_close(draws[:10], posterior.draw(10, seed=3))


def test_a_measurement_is_the_joint_gaussian_of_weights_and_latent():
    one, s, t = dense()
    measurement = LatentMeasurement(3, 7).double()
    measurement.middle.copy_(torch.tensor([1.0, -2.0, 0.5])), measurement.matrix.copy_(one["B"])
    measurement.own.copy_(torch.tensor([0.3, 0.01, 1.0]))
    prior = WeightPosterior(torch.zeros(5, 7).double(), torch.eye(7).double()[None]).updated(one["A"], one["y"], s)
    sigma = torch.tensor(0.7).double()
    _, clean, spread = measurement.condition(prior, one["z"], sigma)
    cov = one["B"] @ torch.linalg.inv(prior.precision[0]) @ one["B"].T + measurement.own.diag()     # the clean latent's
    gain = cov @ torch.linalg.inv(cov + sigma**2 * torch.eye(3))
    expected = measurement.middle + prior.mean @ one["B"].T
    torch.testing.assert_close(clean, expected + (one["z"] - expected) @ gain.T)
    torch.testing.assert_close(spread[0].square(), (cov - gain @ cov).diagonal())


def test_a_measurement_is_found_by_regression():
    weights = normals(1, 4000, (6,), "a")
    matrix, middle = normals(2, 4, (6,), "B"), torch.tensor([0.0, 1.0, -1.0, 3.0])
    latents = middle + weights @ matrix.T + 0.2 * normals(3, 4000, (4,), "e")
    measurement = LatentMeasurement(4, 6)
    measurement.calibrate(weights, latents)
    error = 0.2 / 4000**0.5
    assert ((measurement.matrix - matrix).abs() < 4.5 * error).all()
    assert ((measurement.middle - middle).abs() < 4.5 * error).all()
    assert ((measurement.own / 0.04 - 1).abs() < 4.5 * (2 / 4000) ** 0.5).all()


@pytest.mark.parametrize("count", [1, 5, 20])
def test_on_a_gaussian_field_it_is_the_posterior(line, count):
    problem = nfd.problems.get("gp1d")
    seen = nfd.observe(problem.draw(1, seed=7), nfd.patterns.Random(count=count), noise_std=0.05, seed=3)
    points = 2 * torch.rand(80, 1, generator=torch.Generator().manual_seed(0)) - 1
    longer = Observations(torch.zeros(40, 1), torch.zeros(40, 1))                             # pads what was seen
    mean, variance = line.predict(line.condition(ObservationBatch.of([seen, longer])), points)
    exact = problem.oracle().draw(seen, 4000, seed=0)(points)
    spread = exact.std(0).square().mean().sqrt()
    # a covariance of 4096 draws is off by 1/64 in each of `count` weights; 4000 draws of the posterior by as much
    assert (mean[0] - exact.mean(0)).square().mean().sqrt() < 3 * spread * ((count + 1) / 4096) ** 0.5
    assert abs(variance[0].mean().sqrt() / spread - 1) < 0.04


def test_walls_are_points_of_the_grid(line):
    walls = torch.tensor([[-1.0], [1.0]])
    values = nfd.problems.get("gp1d").draw(4096, seed=5)(walls)[..., 0]
    assert ((line.mean(walls)[0, :, 0] - values.mean(0)).abs() < 1e-4).all()
    power = line.rows(walls).square().sum(-1) + line.residual_variance(walls)[0, :, 0]
    assert ((power / values.var(0) - 1).abs() < 1e-3).all()


def test_every_channel_and_own_places_are_read_alike():
    kl, values = KarhunenLoeve(2, 2, 8, 5), normals(0, 64, (64, 2), "v") * torch.tensor([1.0, 10.0])
    kl.calibrate(values, seed=0)
    power = kl.rows(kl.places).square().sum(-1).unflatten(-1, (-1, 2)) + kl.residual_variance(kl.places)[0]
    torch.testing.assert_close(power, values.var(0) + LEAST_NOISE**2, rtol=1e-4, atol=0.0)      # float32
    places = 2 * torch.rand(3, 6, 2, generator=torch.Generator().manual_seed(1)) - 1
    own = kl.rows(places)
    assert own.shape == (3, 12, 5)
    for i in range(3):
        torch.testing.assert_close(own[i], kl.rows(places[i]))
        torch.testing.assert_close(kl.residual_variance(places)[i], kl.residual_variance(places[i])[0])


def test_fewer_directions_leave_more_and_the_variance_stays(line):
    """And weights on the grid are the rows of the places of the grid."""
    few, a = line.truncated(5), normals(0, 3, (5,), "weights")
    total = [kl.predict(kl.prior(), line.places)[1] for kl in (line, few)]
    torch.testing.assert_close(*total, rtol=1e-4, atol=1e-4)
    assert few.rank == 5 and (few.left >= line.left).all() and few.left.mean() > 0.1
    torch.testing.assert_close(few.rows(line.places), line.rows(line.places)[:, :5])
    torch.testing.assert_close(few.grid_values(a).flatten(1).unsqueeze(-1),
                               few.mean(line.places) + (a @ few.rows(line.places).T)[..., None], rtol=0, atol=1e-4)
