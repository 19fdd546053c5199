"""Laws of approach 4 and its parts: spectral prior, lattices, the chain that is exact for Gaussians, tiles, detail."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache

import pytest
import torch

import nfdlab as nfd
from nfdlab.approaches.coarse_to_fine import CoarseToFine
from nfdlab.approaches.coarse_to_fine.spectral import LEAST, LEAST_FINE, Lattices, SpectralPrior, guided
from nfdlab.approaches.coarse_to_fine.tiling import Tiles, wide
from nfdlab.core.fields import EvaluatedFields
from nfdlab.core.rng import child, normals
from nfdlab.core.types import Observations
from nfdlab.diffusion.denoiser import GaussianPrior
from nfdlab.evaluate.continuity import consistency, seam_jump, spectrum_error
from nfdlab.evaluate.scores import crps
from nfdlab.evaluate.spectra import spectrum
from nfdlab.evaluate.table import score
from nfdlab.exact.normal import Normal
from nfdlab.observation.training_views import TrainingViews

VIEWS = TrainingViews(usual=8, most=8)


def normal(mean, cov):
    """A Gaussian of this mean and positive semi-definite covariance."""
    values, vectors = torch.linalg.eigh(cov.double())
    return Normal(mean.double(), vectors * values.clamp_min(0).sqrt())


def law(d=2, most=12, slope=1.5, c=1):
    """A spectral prior of a known law: S ∝ (1 + |k|²)^−slope."""
    prior = SpectralPrior(d, c, most)
    prior.log_density.copy_(-slope * prior.knots.float())
    prior.precompute()
    return prior


def places(p, d, use="places", seed=0):
    return 2 * torch.rand(p, d, generator=torch.Generator().manual_seed(child(seed, use) % 2**31)).double() - 1


class PriorSource:
    """A source of draws of a spectral prior, of log-normal amplitudes."""

    def __init__(self, prior, amplitude_std=0.0):
        self.prior, self.amplitude_std = prior, amplitude_std

    def draw(self, n, *, seed):
        weights, a = self.prior.noise(n, seed=seed), torch.exp(self.amplitude_std * normals(seed, n, (1, 1), "a"))
        return EvaluatedFields(lambda coords, part: a[part].to(coords) * self.prior(coords, weights[part].to(coords)),
                               n, self.prior.d, self.prior.c)


def silence(net):
    for last in (net.coarse.net.net.output[-1], net.detail.net.output[-1], net.average.field.answer[-1]):
        torch.nn.init.zeros_(last.weight), torch.nn.init.zeros_(last.bias)


@cache
def untrained(d=1, s=0.0, c=1, slope=1.5):
    """A cascade on a known spectral prior, its networks silent: all that is left are the closed forms."""
    config = CoarseToFine(coarse_side=6, fine_side=24, max_frequency=12, width=8, depth=1, augmentation=s,
                          calibration_functions=16)
    source = PriorSource(law(d, 12, slope, c))
    model = config.fit(source, views=VIEWS, budget=nfd.Budget(steps=3), seed=0, device="cpu")
    model.net.spectral_prior.load_state_dict(source.prior.state_dict())
    silence(model.net)
    model.net.precompute()
    return model


# The spectral prior

@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_covariance_is_one_however_it_is_asked(d):
    """Between points, points and a grid, two grids; and by the Fourier modes themselves, Φ Φᵀ."""
    prior = law(d, 5)
    x, ticks = prior.axis_features(places(7, d)), prior.axis_features(nfd.cell_centres((4,)).double())[0]
    grid = nfd.cell_centres((4,) * d).double()
    at = prior.axis_features(grid)
    eye = torch.eye(prior.root.numel()).double().reshape(-1, 1, *prior.root.shape)
    phi, phi_grid = (prior(points, eye)[..., 0] for points in (places(7, d), grid))                  # (modes, points)
    assert torch.allclose(prior.kernel(x, x), phi.T @ phi, atol=1e-12)
    assert torch.allclose(prior.kernel(x, x).diagonal(), torch.ones(7).double())
    assert torch.allclose(prior.kernel_to_grid(x, ticks), phi.T @ phi_grid, atol=1e-12)
    assert torch.allclose(prior.kernel_of_grids(ticks, ticks), phi_grid.T @ phi_grid, atol=1e-12)
    pull = normals(0, 3, (1, 4**d), "pull", dtype=torch.float64)
    back = prior.adjoint(at, pull)
    assert torch.allclose(prior.adjoint_grid(ticks, pull.unflatten(2, (4,) * d)), back, atol=1e-12)
    assert torch.allclose(prior(places(7, d), back)[..., 0], pull[:, 0] @ phi_grid.T @ phi, atol=1e-11)


def test_the_expected_periodogram_is_the_mean_of_periodograms():
    """Mean windowed powers of 600 draws, aliases too, within 4.5 standard errors at every mode of a small grid; a power
    of a real mode, a square of one normal, varies by √2 of its mean."""
    prior, side = law(2, 10, 1.0), 12
    found = prior.periodogram(PriorSource(prior).draw(600, seed=1)(nfd.cell_centres((side, side))).double(), side)
    away = (found.mean(0) / prior.expected_periodogram(side) - 1) / (2 / 600) ** 0.5
    assert away.abs().max() < 4.5


def test_a_spectrum_is_measured_from_draws():
    """Of the power-law problem: its maximum frequency, exactly; its slope; and the covariance, within two standard
    errors of what 512 draws say of it at one place, 2 (2/512)^½."""
    problem, prior, side = nfd.problems.get("powerlaw2d"), SpectralPrior(2, 1, 32), 40
    prior.calibrate(problem.draw(512, seed=1)(nfd.cell_centres((side, side))), side, seed=0)
    assert prior.max_frequency == 24 and prior.amplitude_std == 0
    k = torch.arange(2.0, 20.0).square().log1p().double()
    line = prior.knot_weights(k) @ prior.log_density.double()
    slope = float(((line - line.mean()) * (k - k.mean())).sum() / (k - k.mean()).square().sum())
    assert abs(slope + problem.slope) < 0.05
    x = places(40, 2)
    exact = problem.prior.at(x).cov
    axes = prior.axis_features(x)
    assert (float(prior.scale) ** 2 * prior.kernel(axes, axes) - exact).abs().max() < 0.125


def test_the_spread_of_amplitudes_is_measured():
    """The standard deviation of log amplitude, 0 or 0.4, is found to 0.08, and amplitudes have mean square one."""
    grid = nfd.cell_centres((24, 24))
    for std in (0.0, 0.4):
        prior = SpectralPrior(2, 1, 12)
        prior.calibrate(PriorSource(law(2, 12), std).draw(192, seed=2)(grid), 24, seed=0)
        assert abs(float(prior.amplitude_std) - std) < 0.08
        a, log = prior.amplitudes()
        assert abs(float((log.exp() * a.square()).sum()) - 1) < 1e-6


# Lattices and observations: Bayes' rule, against another implementation

def question(d=2, m=9, noise=0.2, c=1, seed=3):
    prior = law(d, 8, c=c)
    at = Lattices(prior, 4, 8)
    seen = Observations(places(m, d, seed=seed).float(), normals(seed, m, (c,), "values"), noise)
    return prior, at, seen, at.condition(seen)


def joint(prior, *points):
    """The covariance of the function at several sets of points, one after the other."""
    axes = prior.axis_features(torch.cat(points))
    return prior.kernel(axes, axes)


@pytest.mark.parametrize("a", [1.0, 0.6])
def test_coarse_values_given_observations_are_the_posterior(a):
    """By singular values (`exact`): a function of amplitude a, which does not scale its constant mode."""
    prior, at, seen, points = question()
    grid = nfd.cell_centres((4, 4)).double()
    S0 = float(prior.power[0, 0])
    exact = normal(torch.zeros(16 + 9), a**2 * (joint(prior, grid, seen.coords.double()) - S0) + S0)
    rows = torch.eye(25).double()[16:]
    after, evidence = exact.update(rows, seen.values[:, 0].double(), seen.noise_std)
    mean, Q, lam = points.coarse(a)
    assert torch.allclose(a * mean[0], after.mean[:16], atol=1e-4)
    assert torch.allclose(a**2 * (Q[0] * lam[0]) @ Q[0].T, after.cov[:16, :16], atol=1e-4)
    assert abs(points.log_marginal_likelihood(a) - 4.5 * torch.log(torch.tensor(2 * torch.pi)) - evidence) < 1e-2
    nothing = at.condition(Observations.none(2, 1))
    mean, Q, lam = nothing.coarse(1.0)
    assert (mean == 0).all() and torch.allclose((Q[0] * lam[0]) @ Q[0].T, joint(prior, grid), atol=1e-6)


@pytest.mark.parametrize("s", [0.0, 0.3])
def test_fine_values_given_coarse_ones_are_the_posterior(s):
    prior, at, *_ = question()
    coarse, fine = (nfd.cell_centres((side, side)).double() for side in (4, 8))
    exact = normal(torch.zeros(80), joint(prior, fine, coarse))
    after = exact.condition(torch.eye(80).double()[64:], torch.ones(16).double(), (s**2 + LEAST**2) ** 0.5)
    detail = at.detail(s)
    assert torch.allclose(detail.gain.sum(1), after.mean[:64], atol=1e-3)
    Q, lam = detail.prior.Q.double(), detail.prior.lam.double()
    assert torch.allclose((Q * lam) @ Q.T, after.cov[:64, :64], atol=1e-4)
    assert abs(detail.size - float(after.cov[:64, :64].diagonal().mean().sqrt())) < 1e-4


@pytest.mark.parametrize("sigma", [0.05, 0.5, 5.0])
def test_a_guided_denoiser_is_that_of_the_posterior(sigma):
    """Whatever the covariance of the observations' errors, and with a target for each draw."""
    gaussian, N, m = GaussianPrior(10), 10, 4
    half = normals(1, N, (N,), "half", dtype=torch.float64) / 3
    lam, Q = torch.linalg.eigh(half @ half.T)
    gaussian.lam, gaussian.Q = lam, Q
    rows, rest = (normals(1, m, (k,), use, dtype=torch.float64) for k, use in ((N, "rows"), (m, "rest")))
    rest = torch.linalg.cholesky(rest @ rest.T / 4 + 0.01 * torch.eye(m).double())[None]
    target, x = (normals(1, 3, (1, k), use, dtype=torch.float64) for k, use in ((m, "target"), (N, "x")))
    found = guided(gaussian.denoise, gaussian, rows, rest, target)(x, torch.tensor(sigma))
    white = torch.linalg.inv(rest[0])
    for i in range(3):
        prior = normal(torch.zeros(N), half @ half.T)
        after = prior.condition(white @ rows, white @ target[i, 0], 1.0)
        assert torch.allclose(found[i], after.denoiser()(x[i], sigma), atol=1e-5)


def test_what_lies_between_lattice_and_observations_is_drawn_from_the_posterior():
    """2000 functions that share their fine values: mean and covariance at other places are those given lattice and
    observations (5 standard errors); on the lattice they have its values."""
    prior, _, seen, points = question(d=1, m=4, noise=0.1)
    n, fine, else_ = 2000, nfd.cell_centres((8,)).double(), places(5, 1, "else")
    values = normals(5, 1, (1, 8), "fine").expand(n, -1, -1)
    weights = points.matheron(prior.noise(n, seed=1), values, 1.0, points.values.expand(n, -1, -1),
                              normals(1, n, (1, 4), "dots"))
    found = prior(else_.float(), weights)[..., 0].double()
    exact = normal(torch.zeros(17), joint(prior, else_, fine, seen.coords.double()))
    rows = torch.eye(17).double()
    after = exact.condition(rows[5:13], values[0, 0].double(), LEAST_FINE)
    after = after.condition(rows[13:], seen.values[:, 0].double(), 0.1)
    std = after.cov[:5, :5].diagonal().sqrt()
    assert ((found.mean(0) - after.mean[:5]) / std).abs().max() < 5 / n**0.5
    assert (found.T.cov() - after.cov[:5, :5]).abs().max() < 5 * float(std.max()) ** 2 * (2 / n) ** 0.5
    assert (prior(fine.float(), weights)[..., 0] - values[:, 0]).abs().max() < 0.05


# The chain

@pytest.mark.parametrize("s", [0.0, 0.3])
def test_silent_networks_leave_the_exact_posterior(s):
    """Coarse by diffusion, fine by diffusion, the rest by Matheron: 1500 draws given five observations have the
    posterior's mean (5 standard errors) and standard deviation (9 %: 24 steps of a sampler, and 1500 draws, 2 % each).
    """
    model, n = untrained(1, s), 1500
    seen = Observations(places(5, 1, "seen").float(), normals(2, 5, (1,), "seen"), 0.1)
    points = nfd.cell_centres((9,))
    draws = model.draw(seen, n, seed=4, steps=24)(points)[..., 0].double()
    cov = joint(model.net.spectral_prior, points.double(), seen.coords.double())
    exact = normal(torch.zeros(14), cov)
    after = exact.condition(torch.eye(14).double()[9:], seen.values[:, 0].double(), 0.1)
    std = after.cov[:9, :9].diagonal().sqrt()
    assert ((draws.mean(0) - after.mean[:9]) / std).abs().max() < 5 / n**0.5
    assert (draws.std(0) / std - 1).abs().max() < 0.09


@pytest.mark.parametrize("d,c", [(1, 2), (2, 1), (3, 2)])
def test_any_number_of_coordinates_and_channels(d, c):
    sizes = {1: {}, 2: {"coarse_side": 4, "fine_side": 8, "max_frequency": 8},
             3: {"coarse_side": 2, "fine_side": 4, "max_frequency": 4}}[d]
    source = PriorSource(law(d, 4, c=c))
    model = CoarseToFine(**sizes, width=8, depth=1, batch=2, calibration_functions=32).fit(
        source, views=TrainingViews(usual=6, most=6), budget=nfd.Budget(steps=6), seed=0, device="cpu")
    points = places(11, d).float()
    seen = Observations(points[:5], source.draw(1, seed=9)(points[:5])[0], 0.1)
    draws = model.draw(seen, 3, seed=1, steps=3)
    assert draws(points).shape == (3, 11, c) and consistency(draws, points) < 1e-5
    posterior, prior = (model.draw(given, 16, seed=1)(points[:5]).mean(0) - seen.values for given in (seen, None))
    assert posterior.square().mean() < 0.3 * prior.square().mean()


def test_each_stage_adds_what_it_says():
    """The mean is a smooth answer that has lost its texture; coarse values enlarged go through those values; all of it
    has the spectrum of the prior."""
    model, d = untrained(2), 2
    coarse, mean, whole = (model.draw(None, 60, seed=1, stages=stages) for stages in ("coarse", "mean", "all"))
    grid, sites = nfd.cell_centres((24, 24)), model.net.places[0]
    assert torch.allclose(coarse(sites), mean(sites), atol=0.02)
    truth = PriorSource(law(d, 12)).draw(60, seed=3)
    within = [float((f(grid) - f(grid).mean(1, keepdim=True)).var()) for f in (mean, whole, truth)]
    lost = [within[0] / within[2], within[1] / within[2]]
    assert lost[0] < 0.9 and abs(lost[1] - 1) < 0.25
    rough = [spectrum_error(f, truth, base=(6, 6), scales=(4,))[4] for f in (mean, whole)]
    assert rough[0] > 1 and rough[1] < 0.3


def test_augmentation_tells_noise_of_coarse_values_from_detail():
    """At the level of the noise, the error is that of Bayes' rule; at level 0 noise is taken for hills, and it is more.
    """
    model = untrained(2, slope=3.0)
    sites, fine = model.net.places
    truth = PriorSource(law(2, 12, 3.0)).draw(24, seed=7)
    noisy, error = truth(sites) + 0.3 * normals(1, 24, (36, 1), "noise"), {}
    for s in (0.0, 0.3):
        mean = torch.cat([model.refine(noisy[i], 1, seed=0, augmentation=s, stages="mean")(fine) for i in range(24)])
        error[s] = float((mean - truth(fine)).square().mean())
    exact = model.net.lattices.detail(0.3).size ** 2
    assert abs(error[0.3] / exact - 1) < 0.25 and error[0.0] > 1.1 * error[0.3]


def test_amplitude_is_inferred_from_observations():
    """Of two functions, one four times the other, the posterior over amplitude finds the factor."""
    prior = law(2, 12)
    prior.amplitude_std.fill_(0.6)
    at, found = Lattices(prior, 6, 12), {}
    one = PriorSource(law(2, 12)).draw(1, seed=5)
    spots = places(60, 2).float()
    for a in (0.5, 2.0):
        points = at.condition(Observations(spots, a * one(spots)[0], 0.01))
        amplitudes, _ = prior.amplitudes()
        found[a] = float((points.amplitude_log_weights().exp() * amplitudes.log()).sum().exp())
    assert abs(found[2.0] / found[0.5] / 4 - 1) < 0.25


def test_a_white_prior_has_no_closed_form():
    """Silent networks with prior="white": EDM's white denoiser whatever was observed, and an average detail of zero."""
    source = PriorSource(law(1, 12))
    model = CoarseToFine(prior="white", coarse_side=6, fine_side=24, width=8, depth=1, calibration_functions=16).fit(
        source, views=VIEWS, budget=nfd.Budget(steps=3), seed=0, device="cpu")
    silence(model.net)
    seen = Observations(places(5, 1, "seen").float(), normals(2, 5, (1,), "seen"), 0.1)
    x, s = normals(3, 2, (1, 6), "x"), torch.tensor(0.5)
    for given in (None, seen):
        D = model.coarse_denoiser(given, model.condition(given), torch.ones(2))
        assert torch.allclose(D(x, s), x / (1 + s**2))
    assert (model.net.fine_mean(x, model.details(0.0))[0] == 0).all()
    assert model.draw(seen, 2, seed=1, steps=3)(places(4, 1).float()).isfinite().all()


def test_threads_share_a_model():
    """Eight threads that draw at all augmentation levels, computed when first asked for, draw what one would, to 1e-5:
    the last bits of a sum depend on who adds."""
    model, points = replace(untrained(1)), places(7, 1).float()
    seen = Observations(points, normals(2, 7, (1,), "seen"), 0.1)

    def ask(i):
        return model.draw(seen if i % 2 else None, 2, seed=i, steps=3, augmentation=(0.0, 0.1, 0.3)[i % 3])(points)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, range(16)))
    for i, draws in enumerate(found):
        torch.testing.assert_close(draws, ask(i), atol=1e-5, rtol=1e-5)        # with more threads sums are split


# Tiles

def test_tiles_cover_and_blend_to_what_they_were_cut_from():
    tiles = Tiles(8, (3, 2))
    x = normals(0, 2, (1, *tiles.shape), "x")
    assert len(tiles.starts) == 15 and tiles.shape == (24, 16)
    assert torch.allclose(tiles.blend(tiles.cut(x)), x, atol=1e-5)


def test_wide_draws_have_no_seams_and_tiles_by_themselves_do():
    """Where the nearest tile changes, and at the rims of tiles: steps as elsewhere (0.8 to 1.25), and more than three
    times that without the blending. As rough everywhere: the variance in the middle of each tile and between two is
    alike within 35 %."""
    model, seams, rims = untrained(1), (-0.5, -1 / 6, 1 / 6, 0.5), (-2 / 3, -1 / 3, 0.0, 1 / 3, 2 / 3)
    joined, apart = (wide(model, 64, (3,), seed=1, blended=b) for b in (True, False))
    assert 0.8 < seam_jump(joined, seams) < 1.25 and seam_jump(apart, seams) > 3
    assert 0.8 < seam_jump(joined, rims, step=1e-4) < 1.25
    at = torch.tensor([-2 / 3, -1 / 3, 0.0, 1 / 3, 2 / 3])[:, None]
    wide_ = wide(model, 400, (3,), seed=2)(at).var(0)[:, 0]
    assert (wide_.max() / wide_.min()) < 1.35
    assert consistency(joined, nfd.cell_centres((37,))) < 1e-5
    assert torch.allclose(wide(model, 2, (3,), seed=1)(at), joined[:2](at), atol=1e-4)


# What ships

def test_shipped_power_law_is_near_the_exact_posterior():
    """CRPS on a regular 8 × 8 grid within 6 % of the exact posterior's, and roughness within 14 % up to ×4: as many
    exact draws as these, 96 beside 96, are up to 9 % apart."""
    model, problem = nfd.load("coarse_to_fine", "powerlaw2d", device="cpu"), nfd.problems.get("powerlaw2d")
    table = score(model, problem, pattern=nfd.patterns.Grid(count=64), tasks=4, draws=32, seed=5)
    assert table.ratio("crps").loc["mean", "crps"] < 1.06
    errors = spectrum_error(model.draw(None, 96, seed=1), problem.draw(96, seed=2), base=(8, 8), scales=(1, 2, 4))
    assert max(errors.values()) < 0.14


def test_shipped_terrain_gives_back_what_regression_loses():
    """From 8 × 8 points of hills never seen: against the average detail, whole draws are better by CRPS, and their
    roughness is at most half as wrong."""
    model, east = nfd.load("coarse_to_fine", "terrain2d", device="cpu"), nfd.problems.get("terrain2d").held_out()
    grid, found, scores = nfd.cell_centres((32, 32)), {"all": [], "mean": []}, {"all": 0.0, "mean": 0.0}
    truths = [east.draw(1, seed=100 + i) for i in range(4)]
    for i, truth in enumerate(truths):
        seen = nfd.observe(truth, nfd.patterns.Grid(count=64), seed=i)
        for stages in found:
            draws = model.draw(seen, 12, seed=i, stages=stages)
            scores[stages] += float(crps(draws(grid), truth(grid)[0]))
            found[stages].append(draws)
    both = {name: _roughness([f(grid)[0] for f in fields]) for name, fields in found.items()}
    truth = _roughness([f(grid)[0] for f in truths])
    off = {name: float((power / truth).log().abs().mean()) for name, power in both.items()}
    assert scores["all"] < scores["mean"] and off["all"] < 0.5 * off["mean"]


def _roughness(values):
    return spectrum(torch.stack(values), (32, 32))[1].mean((0, 1))[2:17]
