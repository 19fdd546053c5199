"""Guidance with exact denoisers: where a method is exact it is so, and where it is biased, it is as biased as known."""

import math

import pytest
import torch

import nfdlab as nfd
from nfdlab.core.rng import normals
from nfdlab.diffusion import samplers, schedule
from nfdlab.diffusion.denoiser import Conditioning, Denoiser, WhitePrior
from nfdlab.diffusion.guidance import (
    METHODS,
    Measurement,
    dps,
    gauss_newton,
    naive,
    pigdm,
    repaint,
    replacement,
    tweedie,
)
from nfdlab.exact.normal import Normal, NormalMixture
from nfdlab.nn.networks import ConvNet

F64 = torch.float64
ONE = Normal.standard(1)
CURVES = nfd.problems.get("gp1d").prior


def curves(cells: int, mean: float = 0.0) -> Normal:
    """gp1d on a grid, its mean moved."""
    law = CURVES.at(nfd.cell_centres((cells,), dtype=F64))
    return Normal(law.mean + mean, law.root)


def operators(k: int) -> dict[str, torch.Tensor]:
    """Rows that see entries, a blur, the integral, averages of blocks: (m, k) each."""
    x = torch.linspace(-1, 1, k, dtype=F64)
    blur = torch.exp(-0.5 * ((x[None] - x[2::5, None]) / 0.15) ** 2)
    return {"points": torch.eye(k, dtype=F64)[[k // 2, 1, k - 2, k // 3]], "blur": blur / blur.sum(1, keepdim=True),
            "integral": torch.full((1, k), 2 / k, dtype=F64),
            "blocks": torch.eye(k // 4, dtype=F64).repeat_interleave(4, 1) / 4}


def scalar(s: float, y: float = 1.0) -> Measurement:
    """x0 itself, N(0, 1), measured as y with noise s."""
    return Measurement.points(torch.tensor([0]), torch.tensor([y], dtype=F64), s)


def start(law, top: float, n: int, seed: int = 7) -> torch.Tensor:
    return law.mean + top * normals(seed, n, (len(law.mean),), dtype=F64)


def one_stream(seed: int):
    """Noise for many draws at once: a stream for each of them would be slow."""
    rng = torch.Generator().manual_seed(seed)
    return lambda i, x: torch.randn(x.shape, generator=rng, dtype=x.dtype)


def apart(draws, mean, std) -> tuple[float, float]:
    """The furthest that mean and variance of draws (n, k) lie from exact ones, in standard errors."""
    n, square = len(draws), (draws - mean).square()
    off = (draws.mean(0) - mean) / (std / n**0.5)
    return float(off.abs().max()), float(((square.mean(0) - std**2) / (square.std(0) / n**0.5)).abs().max())


# ---------------------------------------------------------------------------------------- where a method is exact

@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("what", ["points", "blur", "integral", "blocks"])
def test_tweedie_is_the_exact_denoiser_for_a_gaussian(what, steps):
    """D' equals the denoiser of the posterior at every level, to 1e-5; more Gauss-Newton steps change nothing."""
    law, A = curves(32, mean=1.5), operators(32)[what]
    y = A @ law.draw(1, seed=5)[0] + 0.1 * normals(0, 1, (len(A),), dtype=F64)[0]
    seen = Measurement.linear(A, y, 0.1)
    if what == "points":
        seen = Measurement.points(A.argmax(1), y, 0.1)
    D, exact = gauss_newton(law.denoiser(), seen, covariance="tweedie", iterations=steps), law.condition(A, y, 0.1)
    for sigma in (0.02, 0.3, 2.0, 30.0):
        x = start(law, 1 + sigma, 5)
        torch.testing.assert_close(D(x, sigma), exact.denoiser()(x, sigma), rtol=0, atol=1e-5)
    torch.testing.assert_close(tweedie(law.denoiser(), seen)(x, sigma), D(x, sigma), rtol=0, atol=1e-5)


@pytest.mark.parametrize("method,steps", [("heun", 60), ("dpmpp", 80), ("ancestral", 700)])
def test_tweedie_draws_the_posterior(method, steps):
    """Mean and variance of 2000 samples within 4.5 standard errors, the prior's mean not zero, the noise large."""
    law, A = curves(6, mean=1.5), operators(6)["blur"]
    y = A @ law.draw(1, seed=1)[0] + 0.5
    exact = law.condition(A, y, 0.5)
    top = 40 * float(torch.linalg.eigvalsh(exact.cov)[-1]) ** 0.5
    D, sigmas = tweedie(law.denoiser(), Measurement.linear(A, y, 0.5)), schedule.karras(steps, 0.004, top).to(F64)
    draws = samplers.sample(D, start(exact, top, 2000), sigmas, method=method, noise=one_stream(3))
    assert max(apart(draws, exact.mean, exact.std)) < 4.5


@pytest.mark.parametrize("spread", [0.5, 1.0, 3.0])
def test_pigdm_and_gauss_newton_are_exact_where_the_prior_is_white(spread):
    """x0 ~ N(mean, spread² I): its covariance given x is r² I, so both equal the posterior's denoiser, to 1e-9."""
    law = Normal(torch.linspace(-1, 2, 8, dtype=F64), spread * torch.eye(8, dtype=F64))
    for A in operators(8).values():
        y = A @ law.draw(1, seed=5)[0]
        seen, exact = Measurement.linear(A, y, 0.2), law.condition(A, y, 0.2).denoiser()
        for sigma in (0.05, 1.0, 20.0):
            x = start(law, 1 + sigma, 5)
            for method in (pigdm, gauss_newton):
                found = method(law.denoiser(), seen, sigma_data=spread)(x, sigma)
                torch.testing.assert_close(found, exact(x, sigma), rtol=0, atol=1e-9)


def test_levels_may_differ_by_draw():
    """D'(x, sigma (n,)) is D' of each row at its own level, for all that take no noise."""
    law, A = curves(8), operators(8)["blocks"]
    seen, sigma = Measurement.linear(A, A @ law.draw(1, seed=0)[0], 0.1), torch.tensor([0.1, 1.0, 9.0], dtype=F64)
    x, ladder = start(law, 2.0, 3), schedule.karras(12, 0.01, 20.0)
    for D in (*(METHODS[name](law.denoiser(), seen) for name in METHODS if name != "replacement"),
              dps(law.denoiser(), seen, sigmas=ladder)):
        torch.testing.assert_close(D(x, sigma), torch.cat([D(x[i:i + 1], sigma[i]) for i in range(3)]))


# ------------------------------------------------------------------------------------ how far the others are from it

@pytest.mark.parametrize("s", [0.5, 0.2])
def test_a_likelihood_without_a_variance_overshoots_and_has_no_spread(s):
    """Scalar prior, y = 1: the mean passes y, as none does whose prior is about 0; variance under 0.15 of the exact.

    At s = 0.2 the variance is less than a hundredth of what it should be.
    """
    exact = ONE.condition(torch.ones(1, 1, dtype=F64), torch.ones(1, dtype=F64), s)
    x, sigmas = start(ONE, 20.0, 500), schedule.karras(400, 0.01, 20.0)
    for D in (naive(ONE.denoiser(), scalar(s)), dps(ONE.denoiser(), scalar(s), squared=True)):
        draws = samplers.sample(D, x, sigmas.to(F64), method="euler")
        ratio = float(draws.var() / exact.cov)
        assert draws.mean() > 1.02 and ratio < (0.15 if s == 0.5 else 0.01)


def test_a_squared_dps_is_the_naive_likelihood():
    law, A = curves(8), operators(8)["blur"]
    seen, x = Measurement.linear(A, A @ law.draw(1, seed=0)[0], 0.3), start(law, 2.0, 4)
    D, plain = law.denoiser(), dps(law.denoiser(), seen, squared=True, zeta=0.5)(x, 0.7)
    torch.testing.assert_close(plain, (D(x, 0.7) + naive(D, seen)(x, 0.7)) / 2)
    # for a Gaussian ∂D/∂x = K(K + σ²)⁻¹, so the gradient is known
    gain = law.cov @ torch.linalg.inv(law.cov + 0.49 * torch.eye(8, dtype=F64))
    want = D(x, 0.7) + 0.49 / 0.09 * (seen.y - D(x, 0.7) @ A.T) @ A @ gain
    torch.testing.assert_close(naive(D, seen)(x, 0.7), want, rtol=0, atol=1e-6)


def test_a_step_of_dps_is_zeta_down_the_norm():
    """With the sampler's levels, an ancestral step is the prior's less zeta times the gradient; the last one too."""
    law, A = curves(8), operators(8)["blur"]
    seen, x, D = Measurement.linear(A, A @ law.draw(1, seed=0)[0], 0.3), start(law, 2.0, 4), law.denoiser()
    ladder = schedule.karras(10, 0.01, 20.0)
    guided = dps(D, seen, zeta=0.7, sigmas=ladder)
    for s, t in ((ladder[4], ladder[5]), (ladder[9], ladder[10])):
        gain = law.cov @ torch.linalg.inv(law.cov + s.double() ** 2 * torch.eye(8, dtype=F64))
        miss = seen.y - D(x, s) @ A.T
        downhill = miss / miss.norm(dim=1, keepdim=True) @ A @ gain
        step = [samplers.ancestral(E, x, E(x, s), s, t, None, lambda: torch.zeros_like(x)) for E in (D, guided)]
        torch.testing.assert_close(step[1], step[0] + 0.7 * downhill, rtol=0, atol=1e-5)


def test_the_width_of_dps_is_set_by_zeta_alone():
    """The norm knows no s. Once it chatters, each last step of length zeta lands evenly within zeta of y: zeta²/3.

    Within 10 %, which is 4.5 standard errors of a variance of 2000 (kurtosis of a uniform), and rounding of the ends.
    """
    sigmas, x = schedule.karras(100, 0.01, 20.0).to(F64), start(ONE, 20.0, 2000)
    D = [dps(ONE.denoiser(), scalar(s), zeta=1.0, sigmas=sigmas) for s in (0.5, 0.1)]
    assert torch.equal(D[0](x, 1.0), D[1](x, 1.0))
    for zeta in (0.3, 1.0):
        guided = dps(ONE.denoiser(), scalar(0.1), zeta=zeta, sigmas=sigmas)
        draws = samplers.sample(guided, x, sigmas, method="ancestral", noise=one_stream(1))
        assert abs(draws.var() / (zeta**2 / 3) - 1) < 0.1


def test_without_levels_dps_does_not_depend_on_the_number_of_steps():
    """A push for each factor of e leaves one residual after 60 and 240 steps, but for a quarter that steps of 60 cost.

    A push for each step leaves a fourth of it or less after four times the steps.
    """
    law, A = curves(32), operators(32)["points"]
    y = A @ law.draw(1, seed=5)[0]
    seen, found = Measurement.linear(A, y, 0.05), {}
    for steps in (60, 240):
        sigmas = schedule.karras(steps, 0.01, 20.0).to(F64)
        for name, zeta, levels in (("free", 1.0, None), ("coded", 0.2, sigmas)):
            draws = samplers.sample(dps(law.denoiser(), seen, zeta=zeta, sigmas=levels), start(law, 20.0, 400), sigmas,
                                    method="ancestral", noise=one_stream(steps))
            found[name, steps] = (draws @ A.T - y).square().mean().sqrt()
    assert abs(found["free", 60] - found["free", 240]) < 0.25 * found["free", 240]
    assert found["coded", 60] > 4 * found["coded", 240]


def test_the_ladder():
    """gp1d, 64 cells, 6 of them seen, s = 0.05, ancestral, 20 steps: who comes how near the posterior's mean.

    300 draws and four tasks: the error of an exact sampler's mean is under 0.03, and neighbours that are asserted to
    differ do so by three times that or by a factor; figures are means over the tasks.
    """
    law, n, score = curves(64), 300, {}
    sigmas = schedule.karras(20, 0.01, 20.0).to(F64)
    for task in range(4):
        index = torch.randperm(64, generator=torch.Generator().manual_seed(task))[:6]
        y = law.draw(1, seed=task)[0][index] + 0.05 * normals(task, 1, (6,), dtype=F64)[0]
        seen, D = Measurement.points(index, y, 0.05), law.denoiser()
        exact = law.condition(torch.eye(64, dtype=F64)[index], y, 0.05)
        unseen = torch.ones(64, dtype=torch.bool).index_fill(0, index, False)
        ways = {"prior": D, "replacement": replacement(D, seen, seed=1), "pigdm": pigdm(D, seen),
                "tweedie": tweedie(D, seen), "naive": naive(D, seen)}
        ways |= {f"dps {zeta}": dps(D, seen, zeta=zeta, sigmas=sigmas) for zeta in (0.3, 1.0, 3.0)}
        x, noise = start(law, 20.0, n, seed=task), one_stream(task)
        ends = {name: samplers.sample(E, x, sigmas, method="ancestral", noise=noise) for name, E in ways.items()}
        for times in (5, 20):
            *_, last = repaint(D, seen, x, sigmas, noise=noise, times=times)
            ends[f"repaint {times}"] = last.x
        for name, draws in ends.items():
            figures = [(draws.mean(0) - exact.mean).square().mean().sqrt(),
                       (draws[:, index] - y).square().mean().sqrt(),
                       (draws.var(0)[unseen].mean() / exact.std[unseen].square().mean()).sqrt()]
            score[name] = score.get(name, 0) + torch.stack(figures) / 4
    far, residual, spread = ({name: float(v[i]) for name, v in score.items()} for i in range(3))
    # the mean: what does not look, what looks at one level at a time, what goes back, what knows the covariance
    assert far["prior"] > far["replacement"] + 0.1 and far["replacement"] > far["repaint 5"] + 0.08
    assert far["repaint 5"] > far["repaint 20"] + 0.05 and far["repaint 20"] > 4 * far["tweedie"]
    assert far["prior"] > far["dps 0.3"] + 0.03 and far["dps 0.3"] > far["dps 1.0"] + 0.08
    assert far["dps 1.0"] > far["dps 3.0"] + 0.06
    assert 0.15 < far["pigdm"] < far["replacement"] - 0.06 and far["tweedie"] < 0.05
    assert not far["naive"] < 1e3
    # the fit, to be compared with s: RePaint fits noise, DPS jitters by zeta, replacement and pigdm do not reach y
    assert residual["repaint 20"] < 0.025 < 0.03 < residual["tweedie"] < 0.06
    assert min(residual["replacement"], residual["pigdm"], residual["dps 1.0"], residual["dps 3.0"]) > 0.1
    # 20 ancestral steps lose some spread even so
    assert 0.75 < spread["tweedie"] < 0.95 and spread["replacement"] > 1.05 and spread["prior"] > 1.3


def test_tweedie_makes_the_odds_of_two_humps_too_even():
    """Where sigma is below the humps' distance D' is the posterior's denoiser; above it, nearer than D, but not it.

    So the odds come out between those of the prior and those of the posterior.
    """
    root = torch.tensor([[0.5, 0.0], [0.2, 0.6]], dtype=F64)
    parts = (Normal(torch.tensor([1.0, 0.5], dtype=F64), root), Normal(torch.tensor([-1.0, -0.5], dtype=F64), root))
    law = NormalMixture(torch.tensor([0.4, 0.6], dtype=F64).log(), parts)
    A, y = torch.tensor([[0.6, 1.0]], dtype=F64), torch.tensor([0.4], dtype=F64)
    seen, exact = Measurement.linear(A, y, 0.5), law.condition(A, y, 0.5)
    D = tweedie(law.denoiser(), seen)
    for sigma in (0.1, 1.0, 3.0, 20.0):
        x = exact.draw(500, seed=1) + sigma * normals(2, 500, (2,), dtype=F64)
        none, two = ((E(x, sigma) - exact.denoiser()(x, sigma)).norm() for E in (law.denoiser(), D))
        assert two < 0.01 * none if sigma == 0.1 else 0.1 * none < two < 0.4 * none
    sigmas = schedule.karras(30, 0.01, 40.0).to(F64)
    odds = (samplers.sample(D, start(law, 40.0, 1000), sigmas)[:, 0] > 0).double().mean()
    truth = (exact.draw(4000, seed=0)[:, 0] > 0).double().mean()
    assert 0.45 < odds < truth - 0.03                    # 0.015 is one standard error


# ------------------------------------------------------------------------------------------- writing over, going back

def test_replacement_shows_the_denoiser_what_was_seen_with_noise_of_the_level():
    """Entries that were not seen are left; the others are y + sigma·noise, fresh at each level and for each draw."""
    index, y = torch.tensor([5, 1]), torch.tensor([3.0, -2.0], dtype=F64)
    D = replacement(lambda x, sigma: x, Measurement.points(index, y, 0.1), seed=4)
    x = normals(0, 3000, (2, 3), dtype=F64)
    shown = {sigma: D(x, torch.tensor(sigma)).flatten(1) for sigma in (0.5, 2.0)}
    for sigma, flat in shown.items():
        rest = [0, 2, 3, 4]
        assert torch.equal(flat[:, rest], x.flatten(1)[:, rest])
        noise = (flat[:, index] - y) / sigma
        assert noise.mean(0).abs().max() < 4.5 / 3000**0.5 and (noise.var(0) - 1).abs().max() < 4.5 * (2 / 3000) ** 0.5
    both = torch.cat([(shown[s][:, index] - y) / s for s in shown], 1)
    assert (torch.corrcoef(both.T) - torch.eye(4)).abs().max() < 4.5 / 3000**0.5
    assert torch.equal(D(x, 0.5), D(x, 0.5))
    torch.testing.assert_close(D(x[:3], 0.5), D(x, 0.5)[:3])         # a product of another shape rounds differently


def test_repaint_taken_once_is_replacement():
    """times=1 with the same noises: the same draws. With more it asks the denoiser so many times a step."""
    law, index = curves(16), torch.tensor([2, 9, 13])
    sigmas = schedule.karras(12, 0.01, 20.0).to(F64)
    seen = Measurement.points(index, law.draw(1, seed=0)[0, index], 0.1)
    asked, x, fresh = [], start(law, 20.0, 5), samplers.fresh_noise(9)

    def D(x, sigma):
        asked.append(float(sigma))
        return law.denoiser()(x, sigma)

    def noise(i, x):
        step, use = divmod(i, 3)
        out = fresh(step, x)
        level = float(sigmas[step])
        return out if use else out.index_copy(1, index, normals(1, 5, (3,), "context", level, dtype=F64))

    *_, last = repaint(D, seen, x, sigmas, noise=noise, times=1)
    want = samplers.sample(replacement(D, seen, seed=1), x, sigmas, method="ancestral", noise=fresh)
    torch.testing.assert_close(last.x, want)
    asked.clear()
    visits = list(repaint(D, seen, x, sigmas, noise=fresh, times=4))
    assert asked == [float(s) for s in sigmas[:-1] for _ in range(4)]
    assert [v.index for v in visits] == list(range(12)) and torch.equal(visits[-1].x, visits[-1].denoised)


def test_repaint_keeps_the_level_of_its_noise():
    """With a denoiser that says 0, x after each stop is noise of that level, however often it went back: 4.5 s.e."""
    seen, sigmas = Measurement.points(torch.tensor([0]), torch.zeros(1, dtype=F64), 0.1), schedule.karras(5, 0.1, 5.0)
    x = 5 * normals(0, 4000, (3,), dtype=F64)
    for visit in repaint(lambda x, sigma: torch.zeros_like(x), seen, x, sigmas, noise=one_stream(2), times=6):
        assert (visit.x.square().mean(0) - visit.sigma**2).abs().max() < 4.5 * (2 / 4000) ** 0.5 * visit.sigma**2 + 1e-9


# ------------------------------------------------------------------------------------------------ through nonlinear A

BEND = torch.tensor([[1.0, 0.5], [-0.4, 1.2]], dtype=F64)


def bent(x):
    """y = tanh(Bx)."""
    return torch.tanh(x.flatten(1) @ BEND.T)


@pytest.mark.parametrize("covariance", ["isotropic", "tweedie"])
def test_gauss_newton_ends_where_the_objective_is_flat(covariance):
    """After 30 steps C⁻¹(x0 − D) = Jᵀ(y − A(x0))/s² to 1e-6, C the prior's own: here that of N(0, 1.5² I)."""
    law = Normal(torch.zeros(2, dtype=F64), 1.5 * torch.eye(2, dtype=F64))
    seen, x = Measurement(bent, torch.tensor([0.3, -0.2], dtype=F64), 0.4), 0.3 * normals(0, 6, (2,), dtype=F64)
    found = {k: gauss_newton(law.denoiser(), seen, sigma_data=1.5, covariance=covariance, iterations=k)(x, 0.6)
             for k in (1, 2, 30)}
    r2 = 0.36 * 2.25 / (0.36 + 2.25)
    D, slope = law.denoiser()(x, 0.6), 1 - bent(found[30]).square()
    pull = (slope * (seen.y - bent(found[30]))) @ BEND / 0.16
    torch.testing.assert_close((found[30] - D) / r2, pull, rtol=0, atol=1e-6)
    first, second = ((found[k] - found[30]).norm() for k in (1, 2))
    assert second < 0.5 * first and first > 1e-4


@pytest.mark.parametrize("y,s", [((0.5, -0.3), 0.1), ((0.5, -0.3), 0.3), ((0.8, 0.1), 0.2)])
def test_gauss_newton_comes_near_the_posterior_of_a_bent_measurement(y, s):
    """Against 200 000 weighted draws of the prior: mean within half a standard deviation, spread within a factor 1.4.

    A linearisation is not the truth; naive guidance is further off than that here, in mean or in spread.
    """
    seen, law = Measurement(bent, torch.tensor(y, dtype=F64), s), Normal.standard(2)
    many = torch.randn(200_000, 2, generator=torch.Generator().manual_seed(0), dtype=F64)
    weight = (-0.5 * (seen.miss(many) / s).square().sum(1)).softmax(0)
    assert 1 / weight.square().sum() > 2000              # effective draws: 2 % of a standard deviation
    mean = weight @ many
    std = (weight @ (many - mean).square()).sqrt()
    sigmas, x = schedule.karras(30, 0.01, 20.0).to(F64), start(law, 20.0, 800)

    def off(E):
        draws = samplers.sample(E, x, sigmas)
        return float(((draws.mean(0) - mean) / std).abs().max()), float((draws.std(0) / std).log().abs().max())

    for E in (gauss_newton(law.denoiser(), seen), tweedie(law.denoiser(), seen)):
        far, wide = off(E)
        assert far < 0.5 and wide < math.log(1.4)
    far, wide = off(naive(law.denoiser(), seen))
    assert far > 0.5 or wide > math.log(1.4)


# ------------------------------------------------------------------------------------------------- manners of them all

def network():
    """A small network over latents (n, 2, 16), float32, that has learned nothing."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        net = Denoiser(ConvNet(1, 2, 1, 8, (1, 2)), WhitePrior(0.8))
        for p in net.parameters():
            torch.nn.init.normal_(p, std=0.2)
    return net.given(Conditioning((torch.zeros(1, 1, 16),)))


def guided(name: str, D, seen):
    return METHODS[name](D, seen, **({"seed": 1} if name == "replacement" else {}))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_serves_networks_over_latents_in_any_mode(name):
    """float32 latents (n, c, cells): same answer under no_grad and inference_mode, no graph left, rows kept apart.

    The measurement may be made in that mode too, by its entries or by a matrix.
    """
    D, x, sigma = network(), normals(0, 6, (2, 16)), torch.tensor(0.9)
    y = torch.tensor([0.5, -1.0, 0.2])

    def ask(x, sigma):
        return guided(name, D, Measurement.points(torch.tensor([3, 17, 30]), y, 0.1))(x, sigma)

    want = ask(x, sigma)
    assert want.shape == x.shape and want.dtype == x.dtype and (want - D(x, sigma)).abs().max() > 1e-3
    if name != "replacement":
        assert not want.requires_grad
    torch.testing.assert_close(ask(x[:2], sigma), want[:2])
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            there = ask(x * 1, sigma * 1)                # born in this mode
            assert torch.equal(there, want.detach()) and not there.requires_grad
            if name != "replacement":
                by_matrix = Measurement.linear(torch.eye(32)[[3, 17, 30]], y * 1, 0.1)
                torch.testing.assert_close(guided(name, D, by_matrix)(x, sigma), want)


@pytest.mark.parametrize("method", samplers.METHODS)
def test_every_sampler_takes_every_method(method):
    """Unchanged: finite draws, more only append. Large noise, so that even the naive likelihood holds."""
    law, sigmas = curves(8), schedule.karras(30, 0.01, 20.0).to(F64)
    seen = Measurement.points(torch.tensor([1, 6]), torch.tensor([1.0, -0.5], dtype=F64), 1.0)
    for name in METHODS:
        many, few = (samplers.sample(guided(name, law.denoiser(), seen), start(law, 20.0, n), sigmas, method=method,
                                     noise=samplers.fresh_noise(2)) for n in (6, 2))
        assert many.isfinite().all()
        torch.testing.assert_close(many[:2], few)
    many, few = ([*repaint(law.denoiser(), seen, start(law, 20.0, n), sigmas, noise=samplers.fresh_noise(2), times=2)]
                 for n in (6, 2))
    torch.testing.assert_close(many[-1].x[:2], few[-1].x)


def test_noiseless_measurements_are_met():
    """s = 0 in float32: A(D') = y to 1e-3 at a level where D itself is far from it."""
    law, index = curves(64), torch.tensor([3, 20, 41, 60])
    y = law.draw(1, seed=0)[0, index].float()
    x = (law.draw(5, seed=1) + normals(1, 5, (64,), dtype=F64)).float()
    for method in (tweedie, pigdm, gauss_newton):
        found = method(law.denoiser(), Measurement.points(index, y, 0.0))(x, 1.0)
        if method is not pigdm:                          # whose step through D need not reach it
            assert (found[:, index] - y).abs().max() < 1e-3 < (law.denoiser()(x, 1.0)[:, index] - y).abs().max()
        assert found.isfinite().all()


def test_a_jacobian_that_is_no_covariance_moves_nothing():
    """A network may claim less than no variance along some direction: x stays there, and moves along the others."""
    turned = torch.diag(torch.tensor([-0.3, 0.5], dtype=F64))
    seen = Measurement.points(torch.tensor([0, 1]), torch.tensor([1.0, 1.0], dtype=F64), 0.1)
    x = normals(0, 4, (2,), dtype=F64)
    D, found = x @ turned, tweedie(lambda x, sigma: x @ turned, seen)(x, 1.0)
    torch.testing.assert_close(found[:, 0], D[:, 0])
    torch.testing.assert_close(found[:, 1], D[:, 1] + 0.5 / 0.51 * (1 - D[:, 1]))


Y = torch.tensor([1.0, 2.0])


@pytest.mark.parametrize("kind,match,make", [
    (TypeError, "A: a function", lambda: Measurement(torch.eye(2), Y, 0.1)),
    (TypeError, "y: a tensor of floating", lambda: Measurement.points(torch.tensor([0, 1]), [1.0, 2.0], 0.1)),
    (TypeError, "y: a tensor of floating", lambda: Measurement(bent, torch.tensor([1, 2]), 0.1)),
    (ValueError, "y: shape", lambda: Measurement(bent, Y[None], 0.1)),
    (ValueError, "y: shape", lambda: Measurement.linear(torch.eye(2), Y[:0], 0.1)),
    (ValueError, "y: finite", lambda: Measurement(bent, Y * math.nan, 0.1)),
    (ValueError, "noise_std", lambda: Measurement(bent, Y, -0.1)),
    (TypeError, "matrix: a tensor", lambda: Measurement.linear([[1.0, 2.0]], Y, 0.1)),
    (ValueError, "a row for each", lambda: Measurement.linear(torch.ones(3, 2), Y, 0.1)),
    (ValueError, "matrix: finite", lambda: Measurement.linear(torch.full((2, 2), math.inf), Y, 0.1)),
    (TypeError, "index: a tensor of integers", lambda: Measurement.points(torch.tensor([0.0, 1.0]), Y, 0.1)),
    (TypeError, "index: a tensor of integers", lambda: Measurement.points(torch.tensor([True, True]), Y, 0.1)),
    (ValueError, "one for each", lambda: Measurement.points(torch.tensor([0]), Y, 0.1)),
    (ValueError, "from 0 up", lambda: Measurement.points(torch.tensor([0, -1]), Y, 0.1)),
    (ValueError, "more than 9", lambda: Measurement.points(torch.tensor([0, 9]), Y, 0.1).miss(Y[None])),
    (ValueError, "entries a draw", lambda: Measurement.linear(torch.ones(2, 5), Y, 0.1).miss(Y[None])),
    (ValueError, r"A\(x\): shape", lambda: Measurement(lambda x: x.sum(1), Y, 0.1).miss(Y[None])),
    (ValueError, "entries of x itself", lambda: replacement(bent, Measurement.linear(torch.eye(2), Y, 0.1), seed=0)),
    (ValueError, "seen once", lambda: replacement(bent, Measurement.points(torch.tensor([1, 1]), Y, 0.1), seed=0)),
    (TypeError, "seed", lambda: replacement(bent, Measurement.points(torch.tensor([0, 1]), Y, 0.1), seed=0.5)),
    (ValueError, "zeta", lambda: dps(bent, Measurement(bent, Y, 0.1), zeta=-1.0)),
    (ValueError, "sigma_data", lambda: pigdm(bent, Measurement(bent, Y, 0.1), sigma_data=0.0)),
    (ValueError, "sigma_data", lambda: gauss_newton(bent, Measurement(bent, Y, 0.1), sigma_data=0.0)),
    (ValueError, "iterations", lambda: gauss_newton(bent, Measurement(bent, Y, 0.1), iterations=0)),
    (KeyError, "'tweedie'", lambda: gauss_newton(bent, Measurement(bent, Y, 0.1), covariance="tweedy")),
    (ValueError, "entries of x itself", lambda: next(repaint(
        bent, Measurement(bent, Y, 0.1), Y[None], torch.tensor([1.0, 0.0]), noise=None))),
    (ValueError, "times", lambda: next(repaint(bent, Measurement.points(torch.tensor([0, 1]), Y, 0.1), Y[None],
                                               torch.tensor([1.0, 0.0]), noise=None, times=0)))])
def test_refusals_say_why(kind, match, make):
    with pytest.raises(kind, match=match) as refused:
        make()
    assert all(part in str(refused.value) for part in ("came:", "why:", "do:"))
