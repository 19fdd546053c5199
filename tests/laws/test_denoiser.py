"""One denoiser: EDM with the white prior; the exact denoiser with an exact Gaussian and a silent network."""

import math

import pytest
import torch
from torch import nn

import nfdlab as nfd
from nfdlab.core.rng import normals, seeded
from nfdlab.core.types import ObservationBatch
from nfdlab.diffusion.denoiser import (
    Conditioning,
    Denoiser,
    GaussianPrior,
    ResidualNetwork,
    WhitePrior,
    stratified_normals,
)
from nfdlab.diffusion.schedule import NoiseLevels
from nfdlab.gaussian.karhunen_loeve import LatentGaussian
from nfdlab.nn.networks import MLP

F64 = torch.float64


class Silent(nn.Module):
    """F = 0."""

    def forward(self, x, level, *features):
        return torch.zeros_like(x)


class Gaussian(nn.Module):
    """A prior of known mean and covariance: posterior mean and the marginal standard deviations, in float64."""

    sigma_data = 1.0

    def __init__(self, law):
        super().__init__()
        self.law = law

    def forward(self, x, sigma, condition=None):
        s2 = torch.as_tensor(sigma, dtype=F64) ** 2
        eye, C = torch.eye(x.shape[1], dtype=F64), self.law.cov
        left = C - C @ torch.linalg.solve(C + s2 * eye, C)
        return self.law.denoiser()(x, sigma), left.diagonal().clamp_min(1e-12).sqrt()


def trained_like(k: int, seed: int) -> MLP:
    """A network of k numbers whose output is not zero."""
    with seeded(seed):
        net = MLP(k, 16, 2)
        for p in net.parameters():
            nn.init.normal_(p, std=0.3)
    return net


@pytest.mark.parametrize("sigma_data", [0.5, 1.0, 3.0])
def test_with_the_white_prior_it_is_edm(sigma_data):
    """D and the loss of Karras et al. 2022, table 1 and eq. 8, written out: equal to the rounding of float32."""
    net = trained_like(3, 0)
    D, clean, noise = Denoiser(net, WhitePrior(sigma_data)), normals(0, 64, (3,)), normals(1, 64, (3,))
    sigma = torch.exp(2 * normals(2, 64, ()))
    s, sd = sigma[:, None], sigma_data
    c_skip, c_out = sd**2 / (s**2 + sd**2), s * sd / (s**2 + sd**2).sqrt()
    c_in, c_noise = 1 / (s**2 + sd**2).sqrt(), sigma.log() / 4

    def edm(x):
        return c_skip * x + c_out * net(c_in * x, c_noise)

    x = clean + s * noise
    torch.testing.assert_close(D(x, sigma), edm(x), rtol=1e-5, atol=1e-5)
    weight = (s**2 + sd**2) / (s * sd) ** 2
    torch.testing.assert_close(D.loss(clean, sigma, noise), (weight * (edm(x) - clean) ** 2).mean(), rtol=1e-5, atol=0)
    shared = torch.tensor(0.7)                                       # one level for all draws, as samplers pass it
    torch.testing.assert_close(D(x, shared), D(x, shared.expand(64)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seen", [False, True])
def test_with_the_exact_gaussian_and_a_silent_network_it_is_the_exact_denoiser(seen):
    """gp1d at 24 points, its prior and its posterior: D is that of `exact/`, and the loss an element is 1, to 4.5
    standard errors; so is GaussianPrior with the same mean and covariance, in float32."""
    problem, points = nfd.problems.get("gp1d"), nfd.cell_centres((24,), dtype=F64)
    field = problem.prior
    if seen:
        field = field.posterior(nfd.observe(problem.draw(1, seed=3), nfd.patterns.Random(count=4), seed=1))
    law = field.at(points)
    D, kept = Denoiser(Silent(), Gaussian(law)), GaussianPrior(24)
    kept.mean.copy_(law.mean), [b.copy_(v) for b, v in zip((kept.lam, kept.Q), torch.linalg.eigh(law.cov), strict=True)]
    clean, noise = law.draw(4000, seed=4), normals(5, 4000, (24,), dtype=F64)
    for sigma in (0.05, 0.5, 5.0):
        x = clean + sigma * noise
        torch.testing.assert_close(D(x, sigma), law.denoiser()(x, sigma))
        torch.testing.assert_close(Denoiser(Silent(), kept)(x.float(), sigma).double(), D(x, sigma), rtol=0, atol=2e-4)
        per_draw = ((clean - D(x, sigma)) / D.prior(x, sigma)[1]).square().mean(1)
        assert abs(float(per_draw.mean()) - 1) < 4.5 * float(per_draw.std()) / math.sqrt(4000)


def test_a_gaussian_of_few_directions_is_the_whole_where_the_others_are_alike():
    """Covariance Q diag(9, 4) Qᵀ + 0.25 on the rest of 6: rank 2, measured on 200,000 draws, denoises as the exact one
    and leaves the same covariance, to 2 %; so do its draws have it, to 5 standard errors."""
    Q = torch.linalg.qr(normals(0, 6, (6,), dtype=F64))[0]
    lam = torch.tensor([9.0, 4.0, 0.25, 0.25, 0.25, 0.25], dtype=F64)
    cov, found = Q @ lam.diag() @ Q.T, GaussianPrior(6, rank=2)
    many = torch.randn(200_000, 6, generator=torch.Generator().manual_seed(1), dtype=F64)
    found.calibrate(many * lam.sqrt() @ Q.T + 1.5)
    assert sum(t.numel() for t in found.state_dict().values()) == 6 + 2 + 12 + 1
    x, rows = normals(2, 50, (6,), dtype=F64), normals(3, 4, (1, 6), dtype=F64)
    for sigma in (0.3, 2.0):
        share = cov @ torch.linalg.inv(cov + sigma**2 * torch.eye(6))
        torch.testing.assert_close(found.denoise(x.float(), sigma).double(), 1.5 + (x - 1.5) @ share.T, atol=0.02,
                                   rtol=0)
        torch.testing.assert_close(found.left(rows.float(), torch.tensor(sigma)).double(), sigma**2 * rows @ share,
                                   atol=0.03, rtol=0.02)
    drawn = found.draw(20_000, seed=4)
    assert (drawn.T.cov() - cov).abs().max() < 5 * 9 * (2 / 20_000) ** 0.5 and abs(drawn.mean() - 1.5) < 0.05


def test_the_latent_gaussian_is_bayes_rule_for_a_latent_that_is_linear():
    """A latent z = B f of gp1d at 6 places, measured on 20,000 draws: given observations and z + sigma·noise its mean
    and std are those of the joint Gaussian, to the error of measuring a covariance and of interpolating (0.02)."""
    problem, seen = nfd.problems.get("gp1d"), None
    prior, at = LatentGaussian(1, 1, 96, 30, (6,)), torch.linspace(-0.8, 0.8, 6)[:, None]
    draws = problem.draw(20_000, seed=0)
    prior.calibrate(draws(prior.places), draws(at)[..., 0], seed=1)
    seen = nfd.observe(problem.draw(1, seed=3), nfd.patterns.Random(count=4), seed=1)
    batch = ObservationBatch.of([seen])
    law = problem.prior.posterior(seen).at(at.double())
    x = law.draw(50, seed=2) + 0.3 * normals(6, 50, (6,), dtype=F64)
    mean, std = prior(x.float(), 0.3, prior.condition(batch))
    expected, exact_std = Gaussian(law)(x, 0.3)
    torch.testing.assert_close(mean.double(), expected, rtol=0, atol=0.02)
    torch.testing.assert_close(std[0].double(), exact_std, rtol=0.05, atol=0.01)


def test_a_network_may_see_the_priors_answer():
    """A ResidualNetwork gets x, sigma, mean and std as they are; features of the conditioning follow."""
    class Sees(ResidualNetwork):
        def forward(self, x, sigma, mean, std, shift):
            return (x - mean) / std + shift

    x = normals(0, 5, (2,))
    D, prior = Denoiser(Sees()), WhitePrior()
    mean, std = prior(x, 0.5)
    torch.testing.assert_close(D(x, 0.5, Conditioning((torch.tensor(2.0),))), x + 2 * std)


def test_noise_levels_are_kept_with_the_weights():
    """Measured levels travel in the state dictionary to the last bit, also through float32 casts of everything else."""
    levels, again = NoiseLevels.of(normals(0, 200, (5,))), NoiseLevels()
    assert not again.known
    again.load_state_dict(levels.state_dict())
    assert again.known and (again.low, again.high, again.median) == (levels.low, levels.high, levels.median)
    assert torch.equal(again.sigmas(9), levels.sigmas(9)) and levels.values.dtype is F64


def test_the_noise_levels_of_a_batch_are_stratified_normals_in_random_order():
    """One in each b-th of the distribution; each place of a batch has the whole of it, to 5 standard errors."""
    rng = torch.Generator().manual_seed(0)
    found = torch.stack([stratified_normals(16, rng) for _ in range(4000)])
    share = torch.special.ndtr(found).mul(16).long().sort(1).values
    assert (share == torch.arange(16)).all()
    assert (found.mean(0).abs() < 5 / 4000**0.5).all()
    assert ((found.square().mean(0) - 1).abs() < 5 * (2 / 4000) ** 0.5).all()
