"""Particles and guided latents against posteriors in closed form: moments in standard errors, odds of modes."""

import math
from collections import Counter

import pytest
import torch
from torch import nn

import nfdlab as nfd
from nfdlab.core.rng import child, normals, seeded, stream
from nfdlab.core.types import Observations
from nfdlab.diffusion.denoiser import Denoiser, GaussianPrior, WhitePrior
from nfdlab.diffusion.guidance import linearised
from nfdlab.diffusion.smc import _moved, _next_heat, annealed_smc, resampled, reweighted
from nfdlab.exact.normal import Normal, effective_sample_size
from nfdlab.inference.posterior import GUIDES, DecoderError, LatentNetwork, LatentPosterior
from nfdlab.nn.networks import MLP

F64 = torch.float64


def last(visits):
    for visit in visits:
        found = visit
    return found.x


def off(values, target) -> float:
    """How far the mean of independent values (n, …) lies from the target, in standard errors: the worst entry."""
    return float(((values.mean(0) - target) / (values.std(0) / len(values) ** 0.5)).abs().max())


# ---------------------------------------------------------------------------------------------------- particles

@pytest.mark.parametrize("s", [0.5, 0.05])
def test_particles_draw_a_gaussian_posterior(s):
    """Three numbers, two measured: means and variances of 40 clouds, which differ in all their noise, within 4.5
    standard errors of the exact ones. At 0.05 the prior draws alone are too few."""
    root = torch.tensor([[1.0, 0, 0], [0.5, 0.8, 0], [-0.3, 0.4, 0.6]], dtype=F64)
    law, A = Normal(torch.tensor([1.0, -1.0, 0.0], dtype=F64), root), torch.tensor([[1.0, 0, 1], [0, 1, -1]], dtype=F64)
    y = A @ law.draw(1, seed=5)[0]
    exact = law.condition(A, y, s)
    clouds = torch.stack([last(annealed_smc(
        lambda u: law.mean + u @ root.T, lambda x: -0.5 * ((x @ A.T - y) / s).square().sum(-1),
        torch.randn(1024, 3, generator=stream(k, "noise"), dtype=F64), seed=k, count=256)) for k in range(40)])
    assert off(clouds.mean(1), exact.mean) < 4.5
    assert off((clouds - exact.mean).square().mean(1), exact.std**2) < 4.5


@pytest.mark.parametrize("s", [2.0, 0.05])
def test_reweighted_draws_have_as_much_of_the_likelihood_as_they_carry(s):
    """Standard normals, y = 1 measured with noise s: the particles are those of the likelihood to the power of `heat`,
    N(h y/(s² + h), s²/(s² + h)), within 4.5 standard errors of 40 clouds; at that power the draws are worth half as
    many as there are particles, or it is one, where all of it is carried. More than half of the particles differ."""
    clouds, off_heat = [], []
    for k in range(40):
        u = torch.randn(512, 1, generator=stream(k, "noise"), dtype=F64)
        step, heat = reweighted(lambda u: 1 * u, lambda x: -0.5 * ((x[:, 0] - 1) / s).square(), u, seed=k, count=128)
        size = effective_sample_size(heat * -0.5 * ((u[:, 0] - 1) / s).square())
        assert heat == 1 and size > 64 if s > 1 else size == pytest.approx(64, rel=1e-3)
        assert len(step.x.unique()) > 64 and len(step.x) == 128
        clouds.append(step.x[:, 0] - heat / (s**2 + heat))
        off_heat.append(clouds[-1].square().mean() / (s**2 / (s**2 + heat)))
    assert off(torch.stack([c.mean() for c in clouds]), 0.0) < 4.5
    assert off(torch.stack(off_heat), 1.0) < 4.5


def test_particles_find_two_modes_in_their_proportion():
    """x ~ N(0.2, 1), x² measured as 1 with noise 0.1: the mode at +1 is likelier, in its exact proportion."""
    grid = torch.linspace(-4, 4, 20001, dtype=F64)
    weight = (-0.5 * (grid - 0.2) ** 2 - 0.5 * ((grid**2 - 1) / 0.1) ** 2).exp()
    odds = float(weight[grid > 0].sum() / weight.sum())
    shares = torch.tensor([float((last(annealed_smc(
        lambda u: 0.2 + u, lambda x: -0.5 * ((x[:, 0] ** 2 - 1) / 0.1).square(),
        torch.randn(512, 1, generator=stream(k, "noise"), dtype=F64), seed=k, count=128)) > 0).double().mean())
        for k in range(40)])
    assert 0.55 < odds < 0.65 and off(shares, odds) < 4.5


def test_a_move_keeps_the_standard_normal():
    """Metropolis moves without a likelihood: covariance of u stays that of a normal, within 4.5 standard errors."""
    rng, k = stream(3, "moves"), []
    for _ in range(60):
        u, others = torch.randn(2, 400, 2, generator=rng, dtype=F64)
        for _ in range(6):
            there, odds = _moved(u, others, 0.6, rng)
            u = torch.where((torch.rand(400, generator=rng).log() < odds)[:, None], there, u)
        k.append(torch.stack([u.square().mean(0), u.mean(0)]))
    assert off(torch.stack(k), torch.tensor([[1.0, 1.0], [0.0, 0.0]], dtype=F64)) < 4.5


def test_resampling_is_as_often_as_the_weight_says_to_within_one():
    weights = torch.tensor([0.5, 0.25, 0.2, 0.05], dtype=F64)
    for seed in range(50):
        times = Counter(resampled(weights.log() + 700, 40, stream(seed, "x")).tolist())
        assert all(abs(times[i] - 40 * w) < 1 for i, w in enumerate(weights.tolist()))


def test_the_inverse_temperature_rises_to_a_given_effective_sample_size():
    logs = -0.5 * torch.linspace(-30, 30, 4001, dtype=F64) ** 2
    heat = _next_heat(logs, 0.0, 400.0)
    w = (heat * logs).exp()
    assert float(w.sum() ** 2 / w.square().sum()) == pytest.approx(400, rel=1e-6)
    # particles that are spread evenly at this temperature bear the same step again
    assert _next_heat(logs, heat, 400.0) == pytest.approx(2 * heat, rel=1e-6)
    assert _next_heat(logs * 1e-9, 0.0, 400.0) == 1.0


def test_bad_arguments_of_annealed_smc_are_refused():
    for wrong in ({"rounds": 1}, {"count": 0}, {"count": 500}):
        with pytest.raises(ValueError, match="why:"):
            next(annealed_smc(lambda u: u, lambda x: x[:, 0], torch.zeros(100, 1), seed=0, **wrong))


# ----------------------------------------------------------------------------------------------- Gaussian prior

def test_a_gaussian_prior_is_the_gaussian_it_was_measured_from():
    """DenoiseFn, what is left open, and draws agree with the Normal of the same mean and covariance."""
    root = torch.tensor([[2.0, 0, 0], [1, 1, 0], [0, 1, 0.1]], dtype=F64)
    law = Normal(torch.tensor([0.5, -1.0, 2.0], dtype=F64), root)
    found = GaussianPrior(3).double()
    found.calibrate(law.draw(200_000, seed=1))
    torch.testing.assert_close(found.Q * found.lam @ found.Q.T, law.cov, rtol=0.03, atol=0.03)
    found.mean, (found.lam, found.Q) = law.mean, torch.linalg.eigh(law.cov)
    x, eye = law.draw(4, seed=2) + 1, torch.eye(3, dtype=F64)
    for sigma in (0.1, 1.0, torch.tensor([0.1, 0.5, 1.0, 9.0], dtype=F64)):
        torch.testing.assert_close(found.denoiser()(x, sigma), law.denoiser()(x, sigma))
    for sigma, C in ((0.7, law.cov - law.cov @ torch.linalg.inv(law.cov + 0.49 * eye) @ law.cov), (math.inf, law.cov)):
        torch.testing.assert_close(found.left(eye[:, None], torch.tensor(sigma, dtype=F64))[:, 0], C)
    draws = found.draw(20_000, seed=3)
    assert off(draws, law.mean) < 4.5 and off((draws - law.mean).square(), law.std**2) < 4.5
    torch.testing.assert_close(found.draw(3, seed=3), draws[:3])      # a product of another shape rounds differently


def test_a_denoiser_that_starts_from_a_gaussian_is_that_gaussian_until_it_learns():
    law = GaussianPrior(2)
    law.lam, law.mean = torch.tensor([4.0, 0.25]), torch.tensor([1.0, 0.0])
    with seeded(0):
        D = Denoiser(MLP(2, 16, 1), law)
    x = normals(0, 5, (2,))
    torch.testing.assert_close(D(x, 0.5), law.denoiser()(x, 0.5))
    nn.init.ones_(D.net.output[-1].bias)
    torch.testing.assert_close(D(x, 0.5), law.denoiser()(x, 0.5) + 0.5 / 1.25**0.5)


# ------------------------------------------------------------------------------------------------ guided latents

class Silent(nn.Module):
    """F = 0: the denoiser is its prior."""

    def forward(self, x, level):
        return torch.zeros_like(x)


class LinearField(LatentNetwork):
    """A field that is linear in its latent, f = a cos x + b sin x + c, latents Gaussian: the posterior is known."""

    shape = (3,)

    def __init__(self, bend: float = 0.0):
        super().__init__()
        self.bend, prior = bend, GaussianPrior(3)
        root = torch.tensor([[1.0, 0, 0], [0.6, 0.8, 0], [0, 0.3, 0.5]])
        prior.mean = torch.tensor([0.3, 0.0, -0.2])
        prior.lam, prior.Q = torch.linalg.eigh(root @ root.T)
        self.law, self.denoiser = Normal(prior.mean.double(), root.double()), Denoiser(Silent(), prior)
        self.denoiser.noise_levels.set(0.01, 20.0, 1.0)

    @property
    def covariance(self):
        return self.denoiser.prior if isinstance(self.denoiser.prior, GaussianPrior) else None

    @staticmethod
    def rows(coords):
        return torch.cat([(2 * coords).cos(), (2 * coords).sin(), torch.ones_like(coords)], -1)

    def evaluate(self, coords, prepared):
        latent, = prepared
        waves = (self.rows(coords) @ latent[..., None] if coords.ndim == 3 else latent @ self.rows(coords).T)
        waves = waves.reshape(len(latent), -1, 1)
        return waves + self.bend * waves**3


def waves(guide: str, bend: float = 0.0) -> LatentPosterior:
    return LatentPosterior(LinearField(bend), {"d": 1, "c": 1, "floor": 0.03, "config": {"guide": guide}}, 24)


SEEN = Observations(torch.tensor([[-0.7], [0.1], [0.6]]), torch.tensor([[0.8], [0.1], [-0.9]]), 0.04)


@pytest.mark.parametrize("guide,steps", [("particles", 24), ("linearised", 40), ("gauss_newton", 40), ("tweedie", 40)])
def test_guided_latents_are_the_posterior_where_it_is_known(guide, steps):
    """Noise 0.04 and a floor of 0.03 count as 0.05 together. Mean within 0.15 of the posterior's spread, spread within
    12 %: steps and particles are finite."""
    model = waves(guide)
    exact = model.net.law.condition(LinearField.rows(SEEN.coords).double(), SEEN.values[:, 0].double(), 0.05)
    draws = last(model.path(SEEN, 512, seed=1, steps=steps, sampler="heun")).double()
    assert float(((draws.mean(0) - exact.mean) / exact.std).abs().max()) < 0.15
    assert float((draws.std(0) / exact.std - 1).abs().max()) < 0.12


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guided_draw_depends_on_its_seed_alone(guide):
    """More draws append, the order of observations does not matter, no observations give the prior, fields follow."""
    model, coords = waves(guide), nfd.cell_centres((9,))
    draws = model.draw(SEEN, 6, seed=2)(coords)
    assert torch.allclose(model.draw(SEEN, 2, seed=2)(coords), draws[:2], atol=1e-4)
    turned = Observations(SEEN.coords.flip(0), SEEN.values.flip(0), 0.04)
    assert torch.allclose(model.draw(turned, 6, seed=2)(coords), draws, atol=1e-5)      # sums in another order
    assert torch.equal(model.draw(None, 3, seed=2)(coords), model.draw(None, 3, seed=2, guide="dps")(coords))
    assert not torch.allclose(model.draw(SEEN, 6, seed=child(2, "other"))(coords), draws)
    assert torch.allclose(model.fields(SEEN, last(model.path(SEEN, 6, seed=2)))(coords), draws, atol=1e-6)


@pytest.mark.parametrize("guide", ["linearised", "gauss_newton", "pigdm", "linearised_pigdm"])
def test_without_a_covariance_latents_are_taken_to_be_white(guide):
    """Of latents N(0, I) that is right, so the posterior comes out as above."""
    model = waves(guide)
    model.net.denoiser.prior = WhitePrior()
    law = Normal.standard(3).condition(LinearField.rows(SEEN.coords).double(), SEEN.values[:, 0].double(), 0.05)
    draws = last(model.path(SEEN, 512, seed=1, steps=40, sampler="heun")).double()
    assert float(((draws.mean(0) - law.mean) / law.std).abs().max()) < 0.15
    assert float((draws.std(0) / law.std - 1).abs().max()) < 0.12


def test_observations_at_one_place_are_sorted_too():
    seen = Observations(torch.tensor([[0.3], [0.1], [0.3]]), torch.tensor([[2.0], [0.0], [1.0]]), 0.1)
    assert seen.sorted().values[:, 0].tolist() == [0.0, 1.0, 2.0]
    flat = Observations(torch.tensor([[1.0, 0], [0, 1], [0, 0.5]]) / 2, torch.tensor([[0.0], [1], [2]]), 0.1)
    assert flat.sorted().values[:, 0].tolist() == [2.0, 1.0, 0.0]


def test_a_nonlinear_decoder_is_linearised_at_the_most_probable_latent():
    """f + 0.2 f³: at the mode C⁻¹ (z − mean) = Jᵀ (y − A(z)) / s². The mode is found by damped steps; J is as kept."""
    model = waves("linearised", bend=0.2)
    seen, law = model.measurement(SEEN), model.net.covariance
    precision, z = torch.linalg.inv(law.Q * law.lam @ law.Q.T), law.mean
    for _ in range(60):
        J = torch.autograd.functional.jacobian(lambda q: seen.A(q[None])[0], z)
        uphill = J.T @ seen.miss(z[None])[0] / seen.variance - precision @ (z - law.mean)
        z = z + 0.5 * torch.linalg.solve(J.T @ J / seen.variance + precision, uphill)
    assert uphill.abs().max() < 1e-2
    torch.testing.assert_close(linearised(seen, law, (3,), iterations=20).matrix, J, rtol=1e-3, atol=1e-3)


def test_pseudo_inverse_guidance_may_take_one_slope_of_the_decoder():
    """Of a linear decoder it is that of every draw: nothing changes. Of one that bends it is not."""
    for bend, same in ((0.0, True), (0.2, False)):
        model = waves("pigdm", bend)
        own, one = (last(model.path(SEEN, 8, seed=1, guide=guide)) for guide in ("pigdm", "linearised_pigdm"))
        assert torch.allclose(own, one, atol=1e-4) == same and torch.isfinite(one).all()


def test_a_decoder_error_is_the_mixture_it_was_measured_from():
    """Errors of 0.02, and of 0.4 one time in twenty: found to 5 %; the density integrates to 1, noise adds to both."""
    rng = torch.Generator().manual_seed(0)
    rare = torch.rand(200_000, generator=rng) < 0.05
    found = DecoderError.of(torch.where(rare, 0.4, 0.02) * torch.randn(200_000, generator=rng))
    assert (found.small, found.large, found.share) == pytest.approx((0.02, 0.4, 0.05), rel=0.05)
    x = torch.linspace(-4, 4, 400_001, dtype=F64)
    density = DecoderError(0.02, 0.4, 0.05).log_density(x, 0.03).exp()
    assert float(torch.trapezoid(density, x)) == pytest.approx(1, abs=1e-6)
    variance = 0.95 * 0.02**2 + 0.05 * 0.4**2 + 0.03**2
    assert float(torch.trapezoid(density * x**2, x)) == pytest.approx(variance, rel=1e-6)


def test_an_observation_beside_a_jump_does_not_outweigh_the_others():
    """Nine observations on a wave and one far off, as the decoder sometimes is: the posterior is that of the nine."""
    model = waves("particles")
    model.about["decoder_error"] = {"small": 0.01, "large": 1.0, "share": 0.05}
    places = torch.linspace(-0.9, 0.9, 9)[:, None]
    nine = Observations(places, model.net.values(places, torch.tensor([[0.5, -0.8, -0.2]]))[0], 0.04)
    spoiled = Observations(torch.cat([nine.coords, torch.tensor([[0.4]])]),
                           torch.cat([nine.values, torch.tensor([[3.0]])]), 0.04)
    clean, both = (last(model.path(seen, 512, seed=1)) for seen in (nine, spoiled))
    assert float(((both.mean(0) - clean.mean(0)) / clean.std(0)).abs().max()) < 0.5


def test_using_changes_the_guide_and_keeps_the_weights():
    """`using` changes the guide or the particles, keeps the weights, and leaves the model as it was."""
    model, coords = waves("linearised"), nfd.cell_centres((9,))
    other = model.using(guide="particles", num_particles=16, rounds=4)
    assert other.net is model.net and model.about["config"] == {"guide": "linearised"}
    path = list(other.path(SEEN, 40, seed=1))
    assert len(path) == 4 and 4 < len(path[-1].x.unique(dim=0)) <= 16
    assert torch.equal(model.using(guide="dps").draw(SEEN, 2, seed=1)(coords),
                       model.draw(SEEN, 2, seed=1, guide="dps")(coords))
    for wrong in ({"guide": "telepathy"}, {"num_particles": 0}, {"steps": 4}):
        with pytest.raises((ValueError, KeyError), match="why:"):
            model.using(**wrong)
