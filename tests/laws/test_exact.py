"""Closed forms against independent computations: dense Gaussian algebra, brute-force enumeration, quadrature."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

import nfdlab as nfd
from nfdlab.core.types import Observations
from nfdlab.exact.enumerated import Enumerated
from nfdlab.exact.finite import Finite
from nfdlab.exact.gaussian import Gaussian
from nfdlab.exact.kernels import squared_exponential
from nfdlab.exact.mixture import Mixture
from nfdlab.exact.normal import Normal, NormalMixture
from nfdlab.exact.posterior import Exact


def kernel(x, y, lengthscale):
    return torch.exp(-torch.cdist(x, y).square() / (2 * lengthscale**2))


def seen_of(problem, m, seed, noise_std=0.05):
    return nfd.observe(problem.draw(1, seed=seed), nfd.patterns.Random(count=m), noise_std=noise_std, seed=seed)


@pytest.mark.parametrize("name", ["gp1d", "gp2d"])
@pytest.mark.parametrize("stretch", [1.0, 1.7])
def test_basis_is_the_kernel(name, stretch):
    problem = nfd.problems.get(name)
    problem = nfd.problems.get(name, lengthscale=problem.lengthscale * stretch)
    coords = nfd.cell_centres((91,) if problem.d == 1 else (17, 17), dtype=torch.float64)
    got = problem.prior.at(coords).cov
    assert (got - kernel(coords, coords, problem.lengthscale)).abs().max() < 1e-5


@pytest.mark.parametrize("name,m,noise_std", [
    ("gp1d", 7, 0.05), ("gp1d", 60, 0.05), ("gp1d", 12, 0.4), ("gp2d", 25, 0.2)])
def test_gaussian_posterior_is_kriging(name, m, noise_std):
    """Weights of a basis against the textbook's dense formula on the kernel itself."""
    problem = nfd.problems.get(name)
    seen = seen_of(problem, m, seed=3, noise_std=noise_std)
    query = nfd.cell_centres((50,) if problem.d == 1 else (9, 9), dtype=torch.float64)
    x, y, ell = seen.coords.double(), seen.values.double(), problem.lengthscale
    noise = noise_std**2 * torch.eye(m, dtype=torch.float64)
    gain = torch.linalg.solve(kernel(x, x, ell) + noise, kernel(x, query, ell)).T
    mean, cov = gain @ y, kernel(query, query, ell) - gain @ kernel(x, query, ell)
    here = problem.oracle().at(seen, query)
    # the kernels differ by 1e-6; the gain amplifies that by at most sqrt(m)/noise
    assert (here.mean[:, None] - mean).abs().max() < 2e-3
    assert (here.cov - cov).abs().max() < 2e-3


def test_gaussian_draws_have_the_posterior_mean_and_covariance():
    """4000 draws: mean within 4.5 standard errors everywhere, covariance too."""
    problem = nfd.problems.get("gp1d")
    seen, query = seen_of(problem, 4, seed=5, noise_std=0.3), nfd.cell_centres((12,), dtype=torch.float64)
    here = problem.oracle().at(seen, query)
    draws = problem.oracle().draw(seen, 4000, seed=1)(query)[..., 0]
    z = (draws.mean(0) - here.mean) / (here.std / math.sqrt(4000))
    assert z.abs().max() < 4.5
    error = torch.cov(draws.T) - here.cov
    spread = ((here.cov**2 + torch.outer(here.std**2, here.std**2)) / 4000).sqrt()
    assert (error / spread).abs().max() < 5


def test_evidence_is_the_density_of_the_data(rng):
    root = torch.randn(5, 5, generator=rng, dtype=torch.float64)
    prior = Normal(torch.randn(5, generator=rng, dtype=torch.float64), root)
    A = torch.randn(3, 5, generator=rng, dtype=torch.float64)
    y = torch.randn(3, generator=rng, dtype=torch.float64)
    cov = A @ prior.cov @ A.T + 0.09 * torch.eye(3, dtype=torch.float64)
    expected = stats.multivariate_normal((A @ prior.mean).numpy(), cov.numpy()).logpdf(y.numpy())
    assert float(prior.update(A, y, 0.3)[1]) == pytest.approx(float(expected), abs=1e-9)


@pytest.mark.parametrize("rank", [5, 3])
def test_conditioning_is_the_textbooks(rng, rank):
    """Dense Gaussian algebra with a mean away from zero, noise far from one, and a root of less than full rank."""
    F64 = torch.float64
    prior = Normal(3 * torch.randn(5, generator=rng, dtype=F64), torch.randn(5, rank, generator=rng, dtype=F64))
    A, y = torch.randn(2, 5, generator=rng, dtype=F64), torch.randn(2, generator=rng, dtype=F64)
    gain = torch.linalg.solve(A @ prior.cov @ A.T + 0.7**2 * torch.eye(2, dtype=F64), A @ prior.cov).T
    post = prior.condition(A, y, 0.7)
    torch.testing.assert_close(post.mean, prior.mean + gain @ (y - A @ prior.mean))
    torch.testing.assert_close(post.cov, prior.cov - gain @ A @ prior.cov)
    draws = post.draw(4000, seed=1)
    assert ((draws.mean(0) - post.mean) / (post.std / math.sqrt(4000))).abs().max() < 4.5


def test_a_mixture_draws_each_kind_as_often_as_its_weight():
    """Two flat fields at heights 0 and 10, and their vectors: shares of 4000 draws within 4.5 standard errors."""
    def flat(height):
        weights = Normal(torch.tensor([height], dtype=torch.float64), torch.tensor([[0.1]], dtype=torch.float64))
        return Gaussian(lambda coords: torch.ones_like(coords[..., :1]), 1, weights)

    prior = Mixture(torch.tensor([0.2, 0.8], dtype=torch.float64).log(), (flat(0.0), flat(10.0)))
    place = torch.zeros(1, 1)
    for draws in (prior.draw(4000, seed=3)(place).flatten(), prior.at(place).draw(4000, seed=4).flatten()):
        assert abs((draws > 5).double().mean() - 0.8) < 4.5 * math.sqrt(0.2 * 0.8 / 4000)
    mean, std = prior.moments(place)
    assert float(mean) == pytest.approx(8.0, abs=1e-6) and float(std) == pytest.approx(16.01**0.5, abs=1e-5)
    assert float(prior.at(place).mean) == pytest.approx(8.0) and float(prior.at(place).cov) == pytest.approx(16.01)


def test_mixture_posterior_weighs_by_evidence_and_its_draws_agree():
    """Two Gaussian fields of different lengthscale; weights by dense evidence, moments by sampling."""
    parts = []
    for ell in (0.15, 0.6):
        basis, k = squared_exponential(ell, 1)
        parts.append(Gaussian(basis, 1, Normal.standard(k)))
    prior = Mixture.equal(*parts)
    truth = parts[0].draw(1, seed=0)
    seen = nfd.observe(truth, nfd.patterns.Random(count=5), noise_std=0.1, seed=1)
    x, y = seen.coords.double(), seen.values[:, 0].double().numpy()
    noise = 0.01 * torch.eye(5, dtype=torch.float64)
    logs = np.array([stats.multivariate_normal(np.zeros(5), (kernel(x, x, ell) + noise).numpy()).logpdf(y)
                     for ell in (0.15, 0.6)])
    expected = np.exp(logs - np.logaddexp(*logs))
    post = prior.posterior(seen)
    assert np.allclose(post.log_weights.exp().numpy(), expected, atol=1e-4)
    query = nfd.cell_centres((9,), dtype=torch.float64)
    mean, std = post.moments(query)
    draws = Exact(prior).draw(seen, 4000, seed=2)(query)
    assert ((draws.mean(0) - mean) / (std / math.sqrt(4000))).abs().max() < 4.5


@pytest.mark.parametrize("m", [1, 3, 8, 20])
def test_enumerated_posterior_is_brute_force(m):
    """The refined cells against one fixed grid of 1200 x 1200, never refined."""
    problem = nfd.problems.get("sawtooth1d")
    seen = seen_of(problem, m, seed=m)
    f = (torch.arange(1200, dtype=torch.float64) + 0.5) / 1200
    params = torch.cartesian_prod(f, f)
    x, y = seen.coords[:, 0].double(), seen.values[:, 0].double()
    logs = torch.zeros(len(params), dtype=torch.float64)
    for xi, yi in zip(x, y, strict=True):
        logs -= (torch.remainder((1.5 + params[:, 0]) * xi + params[:, 1], 1) - 0.5 - yi).square() / (2 * 0.05**2)
    w = logs.softmax(0)
    query = nfd.cell_centres((40,), dtype=torch.float64)
    kept = w > 1e-12
    values = torch.remainder((1.5 + params[kept, 0, None]) * query[:, 0] + params[kept, 1, None], 1) - 0.5
    mean = w[kept] @ values
    std = (w[kept] @ values.square() - mean**2).clamp_min(0).sqrt()
    got_mean, got_std = problem.oracle().moments(seen, query)
    # both are sums over cells; at a jump either is off by about a cell's share of the posterior
    assert (got_mean[:, 0] - mean).abs().mean() < 0.004 and (got_std[:, 0] - std).abs().mean() < 0.006
    draws = problem.oracle().draw(seen, 2000, seed=0)(query)[..., 0]
    assert ((draws.mean(0) - mean) / (std.clamp_min(0.01) / math.sqrt(2000))).abs().max() < 5


def test_enumerated_keeps_the_truth_when_much_is_seen():
    problem = nfd.problems.get("sawtooth1d")
    truth = problem.draw(1, seed=11)
    seen = nfd.observe(truth, nfd.patterns.Random(count=300), noise_std=0.05, seed=2)
    query = nfd.cell_centres((200,))
    error = (problem.oracle().draw(seen, 16, seed=0)(query) - truth(query)).abs()
    assert error.median() < 0.01


def test_exact_denoisers_by_quadrature():
    """One number: E[x0 | x] of a Gaussian, a mixture and a finite set, by numerical integration or direct sums."""
    x, sigma = torch.tensor([[-0.7], [0.2], [1.9]], dtype=torch.float64), 0.6
    grid = torch.linspace(-8, 8, 40001, dtype=torch.float64)
    a = Normal(torch.tensor([0.4], dtype=torch.float64), torch.tensor([[0.5]], dtype=torch.float64))
    b = Normal(torch.tensor([-1.0], dtype=torch.float64), torch.tensor([[0.2]], dtype=torch.float64))
    mix = NormalMixture(torch.tensor([0.3, 0.7], dtype=torch.float64).log(), (a, b))
    density = {"a": torch.exp(-0.5 * ((grid - 0.4) / 0.5) ** 2)}
    density["mix"] = 0.3 / 0.5 * density["a"] + 0.7 / 0.2 * torch.exp(-0.5 * ((grid + 1) / 0.2) ** 2)
    for name, exact in (("a", a), ("mix", mix)):
        weight = density[name] * torch.exp(-0.5 * ((x - grid) / sigma) ** 2)
        expected = (weight * grid).sum(-1) / weight.sum(-1)
        assert torch.allclose(exact.denoiser()(x, sigma)[:, 0], expected, atol=1e-6)
    points = torch.tensor([[-1.0], [0.0], [2.0]], dtype=torch.float64)
    weight = torch.exp(-0.5 * ((x - points.T) / sigma) ** 2)
    denoised = Finite(points, torch.zeros(len(points))).denoiser()(x, sigma)
    assert torch.allclose(denoised, (weight @ points) / weight.sum(-1, keepdim=True))


@pytest.mark.parametrize("rank", [5, 2, 7])
def test_the_noisy_density_is_that_of_the_widened_covariance(rng, rank):
    """Also of laws that live on a plane: off it only the noise speaks."""
    F64 = torch.float64
    law = Normal(torch.randn(5, generator=rng, dtype=F64), torch.randn(5, rank, generator=rng, dtype=F64))
    x = 2 * torch.randn(9, 5, generator=rng, dtype=F64)
    wide = (law.cov + 0.3**2 * torch.eye(5, dtype=F64)).numpy()
    expected = stats.multivariate_normal(law.mean.numpy(), wide).logpdf(x.numpy())
    np.testing.assert_allclose(law.log_prob_noisy(x, 0.3).numpy(), expected, rtol=1e-9)


def test_finite_denoiser_tends_to_the_gaussian_one(rng):
    """A data set of 40,000 draws denoises like the law it came from, to Monte-Carlo error."""
    law = Normal(torch.tensor([1.0, -0.5], dtype=torch.float64),
                 torch.tensor([[1.0, 0.0], [0.6, 0.4]], dtype=torch.float64))
    data = Finite(law.draw(40_000, seed=1), torch.zeros(40_000))
    x = law.draw(32, seed=2) + 0.8 * torch.randn(32, 2, generator=rng, dtype=torch.float64)
    away = (data.denoiser()(x, 0.8) - law.denoiser()(x, 0.8)).norm(dim=-1)
    assert away.mean() < 4 / math.sqrt(40_000 * 0.2)


def test_no_noise_is_interpolation():
    problem = nfd.problems.get("gp1d")
    seen = seen_of(problem, 6, seed=9, noise_std=0.0)
    assert (problem.oracle().draw(seen, 8, seed=1)(seen.coords) - seen.values).abs().max() < 1e-3


def test_posterior_of_nothing_is_the_prior():
    problem = nfd.problems.get("sawtooth1d")
    nothing = Observations(torch.zeros(0, 1), torch.zeros(0, 1))
    query = nfd.cell_centres((30,))
    assert torch.equal(problem.oracle().draw(None, 5, seed=4)(query), problem.oracle().draw(nothing, 5, seed=4)(query))


def test_cells_are_uniform_in_the_prior():
    flat = Enumerated.uniform(lambda params, coords: params[:, None, :1].expand(-1, coords.shape[-2], 1), 1, 1, (10, 4))
    values = flat.draw(4000, seed=0)(torch.zeros(1, 1))[:, 0, 0].numpy()
    assert stats.kstest(values, "uniform").pvalue > 1e-3
