"""Linear observations y = W f(points) + noise: closed forms of their posteriors, and guidance that reaches them."""

import numpy as np
import pytest
import torch

import nfdlab as nfd
from nfdlab.core.rng import normals
from nfdlab.core.types import LinearObservations, ObservationBatch, Observations
from nfdlab.diffusion.denoiser import Denoiser, GaussianPrior
from nfdlab.gaussian.karhunen_loeve import KarhunenLoeve
from nfdlab.inference.posterior import LatentNetwork, LatentPosterior

F64 = torch.float64
AVERAGES = nfd.patterns.BlockAverage(cells=4, parts=8)


def as_rows(seen: Observations) -> LinearObservations:
    """The same observations, their places in another order and each picked by a row of weights."""
    order = torch.randperm(seen.m, generator=torch.Generator().manual_seed(1))
    return LinearObservations(seen.coords[order], torch.eye(seen.m)[:, order], seen.values, seen.noise_std)


def task(name: str, pattern=None, noise_std: float = 0.1, seed: int = 3):
    problem = nfd.problems.get(name)
    pattern = nfd.patterns.Random(count=6) if pattern is None else pattern
    return problem, nfd.observe(problem.draw(1, seed=seed), pattern, noise_std=noise_std, seed=seed)


def kernel(x, y, lengthscale: float):
    return np.exp(-((x[:, None] - y[None]) ** 2).sum(-1) / (2 * lengthscale**2))


@pytest.mark.parametrize("name", ["gp1d", "gp2d", "styles2d", "sawtooth1d", "step1d", "families1d"])
def test_rows_that_pick_points_are_observations_at_points(name):
    """Every exact posterior: log marginal likelihood to 1e-4, mean and std to 1e-3: families are cut down by the first
    few observations, and these come in another order."""
    problem, seen = task(name)
    query = nfd.cell_centres((16,) * problem.d)
    (one, log_one), (two, log_two) = (problem.prior.update(s) for s in (seen, as_rows(seen)))
    assert float(log_two) == pytest.approx(float(log_one), abs=1e-4)
    for a, b in zip(one.moments(query), two.moments(query), strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=0)


def test_averages_of_a_gaussian_field_have_the_closed_form():
    """numpy on the kernel itself: mean and covariance given block averages, and their log marginal likelihood. To 1e-3:
    the field's modes have the kernel to 1e-5, and solving with a noise variance of 0.01 enlarges that by up to 100."""
    problem, seen = task("gp1d", AVERAGES)
    x, q = (p.double().numpy() for p in (seen.points, nfd.cell_centres((40,))))
    W, y = seen.weights.double().numpy(), seen.values[:, 0].double().numpy()
    K, across = W @ kernel(x, x, 0.2) @ W.T + 0.01 * np.eye(seen.m), kernel(q, x, 0.2) @ W.T
    here = problem.oracle().at(seen, torch.from_numpy(q))
    np.testing.assert_allclose(here.mean.numpy(), across @ np.linalg.solve(K, y), atol=1e-3)
    np.testing.assert_allclose(here.cov.numpy(), kernel(q, q, 0.2) - across @ np.linalg.solve(K, across.T), atol=1e-3)
    log = -0.5 * (y @ np.linalg.solve(K, y) + np.linalg.slogdet(2 * np.pi * K)[1])
    assert float(problem.prior.update(seen)[1]) == pytest.approx(log, abs=1e-3)


def test_a_mixture_weighs_its_kinds_by_their_marginal_likelihood_of_the_averages():
    """To 2e-3: nine values, and modes that have each kernel to 1e-5, divided by a noise variance of 0.01."""
    problem, seen = task("styles2d", nfd.patterns.BlockAverage(cells=3, parts=3))
    x, W, y = seen.points.double().numpy(), seen.weights.double().numpy(), seen.values[:, 0].double().numpy()
    stripes = kernel(x, x, 0.5) * np.cos(4 * np.pi * (x[:, None, 0] - x[None, :, 0]))
    logs = []
    for covariance in (kernel(x, x, 0.5), kernel(x, x, 0.15), stripes):
        K = W @ covariance @ W.T + 0.01 * np.eye(seen.m)
        logs.append(-0.5 * (y @ np.linalg.solve(K, y) + np.linalg.slogdet(2 * np.pi * K)[1]) - np.log(3))
    posterior, log_marginal = problem.prior.update(seen)
    total = np.logaddexp.reduce(logs)
    assert float(log_marginal) == pytest.approx(total, abs=2e-3)
    np.testing.assert_allclose(posterior.log_weights.numpy(), np.array(logs) - total, atol=2e-3)


@pytest.mark.parametrize("name,pattern", [("step1d", AVERAGES), ("sawtooth1d", AVERAGES),
                                          ("discs2d", nfd.patterns.Projections(angles=3, offsets=4))])
def test_a_family_given_averages_is_that_of_weighed_prior_draws(name, pattern):
    """Mean of the posterior within 4.5 standard errors of importance sampling by 20,000 prior draws."""
    problem, seen = task(name, pattern, noise_std=0.3 if name == "sawtooth1d" else 0.2)
    prior, query = problem.draw(20_000, seed=9), nfd.cell_centres((8,) * problem.d)
    miss = seen.values[:, 0] - seen.measure(prior(seen.points))[..., 0]
    w = (-0.5 * miss.double().square().sum(1) / seen.noise_std**2).softmax(0)
    at = prior(query)[..., 0].double()
    mean = w @ at
    error = (w.square() @ (at - mean).square()).sqrt()
    found = problem.oracle().moments(seen, query)[0][:, 0].double()
    assert ((found - mean).abs() / (error + 1e-3)).max() < 4.5


def expansion(c: int = 1) -> KarhunenLoeve:
    found = KarhunenLoeve(1, c, 64, 12)
    values = nfd.problems.get("gp1d").draw(2048 * c, seed=5)(found.places)
    found.calibrate(values.unflatten(0, (-1, c))[..., 0].mT, seed=0)
    return found


@pytest.mark.parametrize("c", [1, 2])
def test_an_expansion_given_rows_that_pick_points_is_conditioned_on_the_points(c):
    """To 1e-4 of the entries: float32, and precisions of some hundreds."""
    seen = Observations(2 * torch.rand(7, 1, generator=torch.Generator().manual_seed(0)) - 1,
                        normals(0, 7, (c,)), 0.1)
    one, two = (expansion(c).condition(s) for s in (ObservationBatch.of([seen]), as_rows(seen)))
    torch.testing.assert_close(one.mean, two.mean, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(one.precision, two.precision, atol=1e-3, rtol=1e-4)


def test_an_expansion_given_averages_that_share_points_is_conditioned_jointly():
    """Bayes' rule in numpy, with the covariance of directions and residual between all measurements. To 1e-3: float32
    (6e-8) solved with a noise variance of 0.0025 and three averages that nearly agree."""
    law, seen = expansion(), task("gp1d")[1]
    W = torch.tensor([[0.5, 0.5, 0, 0, 0, 0], [0, 0.5, 0.5, 0, 0, 0], [0.2, 0.2, 0.2, 0.2, 0.2, 0.0]])
    seen = LinearObservations(seen.points, W, seen.values[:3], 0.05)
    rows, left = (t.double().numpy() for t in (law.rows(seen.points), law.residual_variance(seen.points)[0, :, 0]))
    W, away = W.double().numpy(), (seen.values - seen.measure(law.mean(seen.points))[0])[:, 0].double().numpy()
    A = W @ rows
    mean = A.T @ np.linalg.solve(A @ A.T + W @ np.diag(left) @ W.T + 0.05**2 * np.eye(3), away)
    np.testing.assert_allclose(law.condition(seen).mean[0].numpy(), mean, atol=1e-3)


class LinearLatent(LatentNetwork):
    """A Gaussian latent that is the weights of an exact Gaussian field: everything is linear."""

    def __init__(self, law):
        super().__init__()
        k = len(law.weights.mean)
        self.law, self.shape = law, (k,)
        prior = GaussianPrior(k)
        prior.lam.copy_(law.weights.std.square())
        self.denoiser = Denoiser(torch.nn.Identity(), prior)
        self.denoiser.residual = lambda x, *_: torch.zeros_like(x)
        self.denoiser.noise_levels.set(0.002, 40.0, 1.0)

    def evaluate(self, coords, prepared):
        return (prepared[0] @ self.law.basis(coords).to(prepared[0]).mT)[..., None]


@pytest.mark.parametrize("guide", ["linearised", "gauss_newton", "tweedie"])
def test_guidance_by_averages_draws_the_exact_posterior(guide):
    """A field linear in a Gaussian latent, its exact denoiser: mean and variance within 4.5 standard errors."""
    problem, seen = task("gp1d", AVERAGES, noise_std=0.3)
    model = LatentPosterior(LinearLatent(problem.prior), {"d": 1, "c": 1, "floor": 0.0, "config": {"guide": guide}}, 60)
    query, n = nfd.cell_centres((10,)), 1500
    draws = model.draw(seen, n, seed=0)(query)[..., 0].double()
    mean, std = (part[:, 0].double() for part in problem.oracle().moments(seen, query))
    square = (draws - mean).square()
    assert ((draws.mean(0) - mean) / (std / n**0.5)).abs().max() < 4.5
    assert ((square.mean(0) - std**2) / (square.std(0) / n**0.5)).abs().max() < 4.5
