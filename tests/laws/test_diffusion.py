"""Samplers, schedules, adapters against closed forms and an independent implementation. Errors in standard errors."""

import math

import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler

import nfdlab as nfd
from nfdlab.core.rng import normals
from nfdlab.diffusion import schedule
from nfdlab.diffusion.denoiser import Denoiser, WhitePrior, from_eps, from_v, from_velocity, like
from nfdlab.diffusion.noise import SmoothNoise, white
from nfdlab.diffusion.samplers import METHODS, fresh_noise, path, sample
from nfdlab.exact.finite import Finite
from nfdlab.exact.normal import Normal, NormalMixture

F64 = torch.float64
MEAN = torch.tensor([2.0, -1.0, 0.5], dtype=F64)
AXES = torch.linalg.qr(torch.tensor([[1.0, 2.0, 0.3], [-1.0, 0.4, 1.0], [0.2, 0.7, -2.0]], dtype=F64))[0]
SCALES = torch.tensor([1.5, 0.5, 0.1], dtype=F64)
LAW = Normal(MEAN, AXES * SCALES)                       # anisotropic, away from zero


def exact_flow(x, s, t):
    """Where the probability-flow ODE of LAW carries x from level s to level t, in closed form."""
    return MEAN + ((x - MEAN) @ AXES * ((SCALES**2 + t**2) / (SCALES**2 + s**2)).sqrt()) @ AXES.T


@pytest.mark.parametrize("method,order", [("euler", 1), ("heun", 2), ("dpmpp", 2)])
def test_order_of_convergence(method, order):
    """Error against the closed-form flow falls as h^order on levels even in ln sigma, between 10 and 0.05."""
    x = MEAN + 10 * normals(0, 64, (3,), dtype=F64)
    errors = []
    for steps in (64, 128, 256, 512):
        sigmas = torch.exp(torch.linspace(math.log(10), math.log(0.05), steps + 1, dtype=F64))
        end = sample(LAW.denoiser(), x, sigmas, method=method)
        errors.append((end - exact_flow(x, 10.0, 0.05)).norm(dim=-1).mean())
    rates = [math.log2(a / b) for a, b in zip(errors[:-1], errors[1:], strict=True)]
    assert abs(rates[-1] - order) < 0.15, rates


@pytest.mark.parametrize("method,steps", [("euler", 2000), ("heun", 80), ("dpmpp", 120), ("ancestral", 1500)])
@pytest.mark.parametrize("name", ["gp1d", "normal", "mixture"])
def test_exact_denoiser_gives_the_posterior(method, steps, name):
    """Mean and variance of 4000 samples within 4.5 standard errors; the prior's mean is not zero, the noise large."""
    A, y = torch.tensor([[1.0, 0.3, -0.5]], dtype=F64), torch.tensor([0.7], dtype=F64)
    if name == "gp1d":
        problem = nfd.problems.get("gp1d")
        seen = nfd.observe(problem.draw(1, seed=3), nfd.patterns.Random(count=3), noise_std=0.5, seed=1)
        law = problem.oracle().at(seen, nfd.cell_centres((6,), dtype=F64))
        law = Normal(law.mean + 1.5, law.root)
    elif name == "normal":
        law = LAW.condition(A, y, 0.8)
    else:
        other = Normal(-MEAN, 0.7 * torch.eye(3, dtype=F64))
        law = NormalMixture(torch.tensor([0.4, 0.6], dtype=F64).log(), (LAW, other)).condition(A, y, 0.8)
    top = float(torch.linalg.eigvalsh(law.cov)[-1]) ** 0.5
    n, sigmas = 4000, schedule.karras(steps, 0.004, 40 * top).to(F64)
    x = law.mean + sigmas[0] * normals(7, n, (len(law.mean),), dtype=F64)
    rng = torch.Generator().manual_seed(11)                # one stream for all: 4000 of them a step would be slow
    draws = sample(law.denoiser(), x, sigmas, method=method,
                   noise=lambda i, x: torch.randn(x.shape, generator=rng, dtype=F64))
    std = law.cov.diagonal().sqrt()
    assert ((draws.mean(0) - law.mean) / (std / n**0.5)).abs().max() < 4.5
    var = (draws - law.mean).square()
    assert ((var.mean(0) - std**2) / (var.std(0) / n**0.5)).abs().max() < 4.5


def test_finite_set_is_sampled_in_proportion():
    """Four points, unequal weights: samples land on the points, as often as the weights say (4.5 standard errors)."""
    points = torch.tensor([[0.0, 0.0], [3.0, 1.0], [-2.0, 2.0], [1.0, -3.0]], dtype=F64)
    weights = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=F64)
    D = Finite(points, weights.log()).denoiser()
    x = weights @ points + 80 * normals(2, 4000, (2,), dtype=F64)
    draws = sample(D, x, schedule.karras(60, 0.01, 80.0).to(F64))
    away = torch.cdist(draws, points)
    assert away.amin(1).max() < 0.05
    share = torch.nn.functional.one_hot(away.argmin(1), 4).double().mean(0)
    assert ((share - weights) / (weights * (1 - weights) / 4000).sqrt()).abs().max() < 4.5


def dummy(x, level):
    """Any smooth function of x and the level will do as a network."""
    return torch.tanh(0.7 * x) * torch.as_tensor(level).double().cos() + 0.1 * x


# diffusers converts tensors by np.array, which numpy 2 deprecates; that is its business
THEIRS = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@THEIRS
@pytest.mark.parametrize("ours", ["linear", "cosine"])
def test_schedules_are_those_of_diffusers(ours):
    alpha_bar = {"linear": schedule.linear_alpha_bar, "cosine": schedule.cosine_alpha_bar}[ours]()
    kind = {"linear": "linear", "cosine": "squaredcos_cap_v2"}[ours]
    theirs = DDIMScheduler(beta_schedule=kind, beta_start=1e-4, beta_end=0.02)
    assert torch.allclose(alpha_bar, theirs.alphas_cumprod.double(), rtol=2e-4, atol=2e-6)     # theirs is float32
    euler = EulerDiscreteScheduler(beta_schedule="linear", beta_start=1e-4, beta_end=0.02, use_karras_sigmas=True)
    euler.set_timesteps(12)
    mine = schedule.karras(12, float(euler.sigmas[-2]), float(euler.sigmas[0]))
    assert torch.allclose(mine, euler.sigmas, rtol=1e-5)


@THEIRS
@pytest.mark.parametrize("name", ["ddim", "dpmpp"])
def test_trajectories_are_those_of_diffusers(name):
    """The same dummy eps-network through both, step by step, in the variance-preserving scale."""
    if name == "ddim":
        theirs = DDIMScheduler(clip_sample=False, set_alpha_to_one=True, timestep_spacing="linspace")
    else:
        theirs = DPMSolverMultistepScheduler(solver_order=2, algorithm_type="dpmsolver++", timestep_spacing="linspace")
    theirs.set_timesteps(10)
    alpha_bar, times = theirs.alphas_cumprod.double(), theirs.timesteps
    start = x_vp = normals(0, 5, (7,), dtype=F64)
    want = []
    for t in times:
        x_vp = theirs.step(dummy(x_vp, schedule.vp_sigmas(alpha_bar[t])), t, x_vp).prev_sample
        want.append(x_vp)
    before = [alpha_bar[t] for t in times]
    if name == "ddim":               # it steps by a stride of 100 indices, wherever it stands
        after = [alpha_bar[t - 100] if t >= 100 else torch.tensor(1.0, dtype=F64) for t in times]
    else:
        after = before[1:] + [torch.tensor(1.0, dtype=F64)]
    x, last, D = start, None, from_eps(dummy)
    for a, b, w in zip(before, after, want, strict=True):
        s, t = schedule.vp_sigmas(a), schedule.vp_sigmas(b)
        ve = x * (1 + s**2).sqrt()
        denoised = D(ve, s)
        x = METHODS["euler" if name == "ddim" else "dpmpp"](D, ve, denoised, s, t, last, None) / (1 + t**2).sqrt()
        last = denoised, s
        torch.testing.assert_close(x, w, rtol=2e-5, atol=2e-5)              # diffusers' levels are float32


@pytest.mark.parametrize("adapter", ["eps", "v", "velocity"])
def test_adapters_recover_the_denoiser(adapter):
    """A network that predicts exactly what it should gives exactly E[clean | x]."""
    D = LAW.denoiser()
    x, sigma = MEAN + 2 * normals(1, 9, (3,), dtype=F64), torch.tensor(0.8, dtype=F64)

    def eps(x_vp, s):
        x = x_vp * (1 + s**2).sqrt()
        return (x - D(x, s)) / s

    def v(x_vp, s):
        a, b = 1 / (1 + s**2).sqrt(), s / (1 + s**2).sqrt()
        return a * eps(x_vp, s) - b * D(x_vp / a, s)

    def velocity(x_t, t):
        s = t / (1 - t)
        x = x_t * (1 + s)
        return (x - D(x, s)) / s - D(x, s)

    net, adapt = {"eps": (eps, from_eps), "v": (v, from_v), "velocity": (velocity, from_velocity)}[adapter]
    torch.testing.assert_close(adapt(net)(x, sigma), D(x, sigma))


class Zero(torch.nn.Module):
    def forward(self, x, level):
        return torch.zeros_like(x)


@pytest.mark.parametrize("sigma_data", [0.5, 1.0, 3.0])
def test_preconditioning_is_the_best_linear_denoiser(sigma_data):
    """With a silent network D is the optimal linear answer for data of scale sigma_data; the loss an element is 1."""
    D = Denoiser(Zero(), WhitePrior(sigma_data))
    clean = sigma_data * normals(0, 20_000, (2,))
    noise = normals(1, 20_000, (2,))
    for sigma in (0.1, 1.0, 7.0):
        x = clean + sigma * noise
        torch.testing.assert_close(D(x, sigma), sigma_data**2 / (sigma_data**2 + sigma**2) * x)
        loss = D.loss(clean, torch.full((20_000,), sigma), noise)
        assert abs(float(loss) - 1) < 4.5 * math.sqrt(2 / 40_000)


def test_noise_range_follows_the_data():
    """Half of the exact denoiser's loss is lost at 0.94 sqrt(n/n_eff), and 2 % of the variance at the top level."""
    problem = nfd.problems.get("gp1d")
    for points in (64, 256):
        draws = problem.draw(2000, seed=0)(nfd.cell_centres((points,)))[..., 0]
        lam = torch.linalg.eigvalsh(problem.prior.at(nfd.cell_centres((points,), dtype=F64)).cov)
        found = schedule.NoiseLevels.of(draws)
        half = found.median**2
        loss = (lam * half**2 / (lam + half**2)).sum() / lam.sum()
        assert abs(loss - 0.5) < 0.06, float(loss)
        lost = float(lam[-1] / (lam[-1] + found.high**2))
        assert 0.015 < lost < 0.026


def test_levels_of_training_are_log_normal_within_the_range():
    """Deciles of 20,000 of them, within 0.05 of ln sigma."""
    levels, u = schedule.NoiseLevels(0.01, 50.0, 2.0), torch.randn(20_000, generator=torch.Generator().manual_seed(0))
    deciles = torch.linspace(0.1, 0.9, 9)
    levels.train_at(0.5, 1.2)
    expected = math.log(0.5) + 1.2 * torch.special.ndtri(deciles)
    assert (levels.for_training(u).log().quantile(deciles) - expected).abs().max() < 0.05
    levels.train_at(40.0, 1.8)
    assert levels.for_training(u).max() == 100 and levels.known and levels.values.isfinite().all()


def test_smooth_noise_is_a_function_of_unit_variance():
    coords = nfd.cell_centres((40,))
    draws = SmoothNoise(0.3, 1).draw(3000, seed=1)
    torch.testing.assert_close(draws(coords)[:, 7:11], draws(coords[7:11]))
    assert (draws(coords).var(0) - 1).abs().max() < 5 * math.sqrt(2 / 3000)
    correlation = torch.corrcoef(SmoothNoise(0.3, 1).draw(3000, seed=1)(torch.tensor([[0.0], [0.3]]))[..., 0].T)[0, 1]
    assert abs(correlation - math.exp(-0.5)) < 0.05


def test_more_draws_only_append():
    assert torch.equal(white(9, (3, 2), seed=4)[:5], white(5, (3, 2), seed=4))
    D, sigmas = LAW.denoiser(), schedule.karras(12, 0.01, 30.0).to(F64)
    long, short = (sample(D, 30 * normals(0, n, (3,), dtype=F64), sigmas, method="ancestral", noise=fresh_noise(1))
                   for n in (8, 3))
    torch.testing.assert_close(long[:3], short)


def test_fresh_noise_is_fresh_at_every_step_and_for_every_draw():
    x = torch.zeros(6, 4000, dtype=F64)
    noise = torch.cat([fresh_noise(3)(i, x) for i in range(4)])
    correlation = torch.corrcoef(noise) - torch.eye(24, dtype=F64)
    assert correlation.abs().max() < 4.5 / math.sqrt(4000) and abs(noise.var() - 1) < 0.03
    assert not torch.equal(fresh_noise(4)(0, x), noise[:6]) and torch.equal(fresh_noise(3)(0, x), noise[:6])


def test_samplers_refuse_what_they_cannot_do():
    x = torch.zeros(2, 3, dtype=F64)
    with pytest.raises(KeyError, match="Did you mean 'heun'"):
        next(path(LAW.denoiser(), x, schedule.karras(4, 0.01, 1.0), method="huen"))
    with pytest.raises(ValueError, match="noise: given"):
        next(path(LAW.denoiser(), x, schedule.karras(4, 0.01, 1.0), method="ancestral"))
    with pytest.raises(ValueError, match="falling"):
        next(path(LAW.denoiser(), x, torch.tensor([1.0, 2.0])))
    with pytest.raises(ValueError, match="steps"):
        schedule.karras(1, 0.01, 1.0)
    assert like(torch.tensor([1.0, 2.0]), torch.zeros(2, 3)).shape == (2, 1)
