"""Approach 3: noise that is a function, both priors, observations and queries, scores, guidance, draws."""

from functools import cache

import pytest
import torch

import nfdlab as nfd
from nfdlab import recipes, store
from nfdlab.approaches.score_field import ScoreField, ScoreFieldPosterior
from nfdlab.core.grid import interpolate
from nfdlab.core.rng import normals
from nfdlab.core.types import ObservationBatch, Observations
from nfdlab.diffusion.guidance import Measurement, pigdm, tweedie
from nfdlab.evaluate.continuity import consistency
from nfdlab.evaluate.regret import regret
from nfdlab.evaluate.scores import crps
from nfdlab.inference.lattice import binned

MINE = [problem for approach, problem in store.shipped() if approach == "score_field"]
SMALL = {"widths": (16, 16), "depth": 1, "encoder_width": 16, "memory": 8, "field_width": 8}


@cache
def start() -> ScoreFieldPosterior:
    """The approach before any learning, on gp1d: the measured Gaussian, and networks that add nothing."""
    source = nfd.problems.get("gp1d")
    config = ScoreField(**SMALL, prior="gaussian", batch=8)
    model = config.fit(source, views=recipes.views_for(source), budget=nfd.Budget(steps=1), seed=1, device="cpu")
    silence(model.net)
    return model


def silence(net) -> None:
    net.denoiser.silence("network"), net.silence("field")


def untrained(d: int = 1, c: int = 1, **knobs) -> ScoreFieldPosterior:
    """An untrained approach whose networks add something."""
    config = ScoreField(**{**SMALL, "cells": 8, "points_per_cell": 1, **knobs})
    net, rng = config.build(d, c, seed=0).eval(), torch.Generator().manual_seed(0)
    for layer in (net.denoiser.net.unet.output[-1], net.field.answer[-1]):
        torch.nn.init.normal_(layer.weight, generator=rng)
    net.denoiser.noise_levels.set(0.01, 20.0, 1.0)
    return ScoreFieldPosterior(net, {"approach": "score_field", "d": d, "c": c, "floor": 0.1,
                                     "config": {"guide": "encoder", "linear_guide": "pigdm"}}, 6)


def scattered(m: int = 7, seed: int = 0) -> Observations:
    return Observations(normals(seed, m, (1,), "x").clamp(-1, 1), normals(seed, m, (1,), "y"), 0.05)


# Noisy functions and observations

@pytest.mark.parametrize("prior", ["gaussian", "white"])
def test_observations_have_no_order_and_padding_changes_nothing(prior):
    model = start() if prior == "gaussian" else untrained()
    z, seen = normals(3, 2, model.net.shape, "x"), scattered()
    turned = Observations(seen.coords.flip(0), seen.values.flip(0), 0.05)
    plain = model.denoiser(model.conditioning(seen))(z, 0.5)
    torch.testing.assert_close(model.denoiser(model.conditioning(turned))(z, 0.5), plain, atol=1e-4, rtol=1e-4)
    padded = model.net.condition(ObservationBatch.of([seen, scattered(21, seed=1)]))
    torch.testing.assert_close(model.net.denoiser(z, 0.5, padded)[:1], plain[:1], atol=1e-4, rtol=1e-4)
    assert (model.denoiser(model.conditioning(scattered(seed=2)))(z, 0.5) - plain).abs().max() > 1e-3


@pytest.mark.parametrize("lengthscale", [0.0, 0.3])
def test_levels_may_differ_by_function(lengthscale):
    model, sigma = untrained(noise_lengthscale=lengthscale), torch.tensor([0.05, 0.7, 9.0])
    z, D = normals(0, 3, model.net.shape, "x"), model.denoiser(model.conditioning(scattered()))
    each = torch.cat([D(z[i:i + 1], sigma[i]) for i in range(3)])
    torch.testing.assert_close(D(z, sigma), each, atol=1e-4, rtol=1e-4)


def test_with_the_white_prior_it_starts_where_a_white_gaussian_would():
    """c_skip x at the lattice, and between two of its points halfway, in units of the values."""
    model = untrained()
    silence(model.net)
    model.net.unit.mean.fill_(1.0), model.net.unit.std.fill_(2.0)
    x = 1 + 2 * normals(0, 2, (8, 1), "x")
    for sigma in (0.1, 3.0):
        D, keep = model.denoise(x, sigma), 1 / (1 + sigma**2)
        torch.testing.assert_close(D(model.lattice), 1 + keep * (x - 1))
        torch.testing.assert_close(D(model.lattice[2:4].mean(0, keepdim=True))[:, 0],
                                   1 + keep * (x[:, 2:4].mean(1) - 1))


def test_points_fill_the_lattice_by_averages_and_say_which_are_known():
    coords = torch.tensor([[[-0.9], [-0.8], [-0.6], [0.4]]])        # in cells 0, 0, 1, 5 of 8; the last is padding
    points = ObservationBatch(coords, torch.tensor([[[1.0], [3.0], [5.0], [99.0]]]),
                              torch.tensor([[True, True, True, False]]), torch.tensor([0.0]))
    values, known = binned(points, 8)
    assert known.flatten().tolist() == [1, 1, 0, 0, 0, 0, 0, 0]
    assert values.flatten().tolist() == [2, 5, 3, 3, 3, 3, 3, 3]


def test_what_is_not_known_of_a_noisy_function_does_not_matter():
    net, known = untrained().net, torch.ones(1, 1, 8)
    known[..., 3] = 0
    z, given = normals(0, 2, net.shape, "x"), net.condition(ObservationBatch.of([scattered()]), known)
    other = z.clone()
    other[..., 3] += 5
    a, b = (net.denoiser.net(x, torch.zeros(1), *given.features) for x in (z, other))
    whole = net.denoiser.net(z, torch.zeros(1), given.features[0], torch.ones_like(known))
    assert torch.equal(a, b) and not torch.equal(a, whole)


def test_the_field_adds_nothing_at_the_lattice():
    model = untrained(points_per_cell=2)
    clean = model.net.prepare(normals(0, 2, model.net.shape, "z"), model.unconditional)
    torch.testing.assert_close(model.net.evaluate(model.lattice, clean), clean[0].mT)
    between = model.net.evaluate(nfd.cell_centres((15,)), clean) - interpolate(clean[0], nfd.cell_centres((15,)))
    assert between.abs().amax() > 0.01


def test_a_measurement_is_that_of_the_function_read_linearly():
    model = untrained(noise_lengthscale=0.3)
    net = model.net
    net.unit.mean.fill_(1.0), net.unit.std.fill_(2.0)
    truth = nfd.problems.get("gp1d").draw(1, seed=0)
    for pattern in (nfd.patterns.Random(count=3), nfd.patterns.BlockAverage(cells=2, parts=3)):
        seen, z = nfd.observe(truth, pattern, noise_std=0.05, seed=1), normals(0, 4, net.shape, "z")
        values = 1 + 2 * interpolate(net.noise.colour(z), seen.points)
        torch.testing.assert_close(model.measurement(seen).miss(z), (seen.values - seen.measure(values))[..., 0],
                                   atol=1e-5, rtol=1e-5)


# The measured Gaussian

@pytest.mark.parametrize("m", [0, 6])
def test_on_a_gaussian_the_start_is_the_exact_denoiser(m):
    """At the lattice, regret under 2 % at each level; between its points, the exact mean given it to 0.02."""
    model, problem = start(), nfd.problems.get("gp1d")
    seen = nfd.observe(problem.draw(1, seed=3), nfd.patterns.Random(count=m), noise_std=0.05, seed=3) if m else None
    oracle, lattice = problem.oracle(), model.lattice
    clean = oracle.draw(seen, 100, seed=4)(lattice)[..., 0]
    found = regret(lambda x, s: model.denoise(x.float()[..., None], s, seen)(lattice)[..., 0].double(),
                   oracle.at(seen, lattice.double()).denoiser(), clean.double(), (0.03, 0.3, 2.0, 15.0), seed=0)
    assert found["regret"].max() < 0.02
    x, places = clean + 0.3 * normals(0, 100, (64,), "noise"), torch.tensor([[-0.97], [-0.03], [0.95]])
    known = [(lattice, x[0][:, None], 0.3)] + ([(seen.coords, seen.values, 0.05)] if m else [])
    weights = problem.prior
    for coords, values, noise_std in known:
        weights = weights.posterior(Observations(coords, values, noise_std))
    torch.testing.assert_close(model.denoise(x[:1, :, None], 0.3, seen)(places)[0], weights.moments(places)[0],
                               atol=0.02, rtol=0)


def test_what_the_network_is_to_learn_has_unit_variance_at_every_level():
    """The loss of a silent network is 1 at the lattice and 1 at free points, whatever sigma and the observations."""
    model, problem = start(), nfd.problems.get("gp1d")
    net, fields = model.net, problem.draw(64, seed=5)
    coords = 2 * torch.rand(64, 16, 1, generator=torch.Generator().manual_seed(0)) - 1
    clean, values = net.unit(net.grid_values(fields)), net.unit(fields(coords).mT).mT
    noise, real = normals(0, 64, net.shape, "noise"), torch.ones(64, 16, dtype=torch.bool)
    given = net.condition(recipes.views_for(problem)(fields, seed=1))
    for sigma in (0.05, 0.5, 5.0):
        level = torch.full((64,), sigma)
        with torch.no_grad():
            both, free = (net.loss(clean + sigma * noise, level, given, coords, values, real, lattice)
                          for lattice in (clean, None))
        assert abs(free - 1) < 0.35 and abs(both - free - 1) < 0.35


def test_between_the_points_of_a_jump_the_loss_is_no_larger_than_elsewhere():
    """A linear reading errs by up to a whole jump; counted in what it leaves open, that is a few units at any noise."""
    problem = nfd.problems.get("sawtooth1d")
    config = ScoreField(**SMALL, batch=8)
    model = config.fit(problem, views=recipes.views_for(problem), budget=nfd.Budget(steps=1), seed=1, device="cpu")
    silence(model.net)
    net, fields = model.net, problem.draw(64, seed=5)
    coords = 2 * torch.rand(64, 64, 1, generator=torch.Generator().manual_seed(0)) - 1
    noisy = net.unit(net.grid_values(fields)) + 0.02 * normals(0, 64, net.shape, "noise")
    with torch.no_grad():
        loss = net.loss(noisy, torch.full((64,), 0.02), net.condition(ObservationBatch.of([Observations.none(1, 1)])),
                        coords, net.unit(fields(coords).mT).mT, torch.ones(64, 64, dtype=torch.bool), None)
    assert 0.3 < loss < 4


def test_the_score_is_the_slope_of_the_log_density():
    model, sigma = start(), 0.5
    law, z = nfd.problems.get("gp1d").oracle().at(None, model.lattice.double()), normals(0, 4, (1, 64), "x")
    std = float(model.net.unit.std)
    cov = law.cov / std**2 + sigma**2 * torch.eye(64).double()
    want = -torch.linalg.solve(cov, (z[:, 0] + model.net.unit.mean / std).double().T).T
    torch.testing.assert_close(model.score(z, sigma)[:, 0].double(), want, atol=0.03 * float(want.std()), rtol=0)


@pytest.mark.parametrize("guide", ["tweedie", "pigdm"])
@pytest.mark.parametrize("what", ["integral", "blocks", "blur"])
def test_guidance_wraps_it_as_any_denoiser(what, guide):
    """A linear measurement of the lattice, by Tweedie's covariance or the measured one: the posterior's denoiser, as D
    is the prior's."""
    model, k = start(), 64
    lattice = model.lattice[:, 0]
    A = {"integral": torch.full((1, k), 2 / k), "blocks": torch.eye(8).repeat_interleave(8, 1) / 8,
         "blur": torch.softmax(-0.5 * ((lattice[None] - lattice[4::12, None]) / 0.15) ** 2, 1)}[what]
    law, mean, std = nfd.problems.get("gp1d").oracle().at(None, model.lattice.double()), model.net.unit.mean, \
        model.net.unit.std
    y = A @ law.draw(1, seed=5)[0].float()
    exact = law.condition(A.double(), y.double(), 0.1).denoiser()
    measured = Measurement.linear(A * std, y - A @ mean.expand(k), 0.1)
    way = {"tweedie": tweedie(model.denoiser(), measured),
           "pigdm": pigdm(model.denoiser(), measured, covariance=model.net.covariance)}[guide]
    for sigma in (0.3, 2.0):
        x = law.draw(3, seed=1).float() + sigma * std * normals(0, 3, (k,), "noise")
        found = mean + std * way(((x - mean) / std)[:, None], sigma)[:, 0]
        torch.testing.assert_close(found.double(), exact(x.double(), sigma * float(std)), atol=0.08, rtol=0)


# Draws

def test_with_smooth_noise_the_same_gaussian_is_drawn():
    """The exact denoiser of a Gaussian seen through smooth noise, walked by the sampler in white coordinates: its
    covariance comes out, and the latents' own denoiser is what `denoiser` makes of it."""
    model = untrained(noise_lengthscale=0.4)
    noise, at = model.net.noise, model.lattice[:, 0].double()
    K = torch.exp(-0.5 * ((at[:, None] - at) / 0.5) ** 2) + 1e-4 * torch.eye(8)
    C = (noise.L @ noise.L.T).double()

    def exact(x, sigma, conditioning):
        share = K @ torch.linalg.inv(K + float(sigma) ** 2 * C)
        return (x[:, 0].double() @ share.T)[:, None].to(x)

    model.net.denoiser.forward = exact
    *_, last = model.path(None, 4000, seed=0, steps=40)
    found = noise.colour(last.x)[:, 0].double().T.cov()
    assert (found - K).abs().max() < 5 * (2 / 4000) ** 0.5


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("knobs", [{"prior": "gaussian"}, {}, {"noise_lengthscale": 0.3}])
def test_draws_are_functions_at_every_resolution(d, knobs):
    model = untrained(d, **knobs)
    draws = model.draw(scattered() if d == 1 else None, 3, seed=0)
    assert consistency(draws, nfd.cell_centres((40,) if d == 1 else (9, 8))) < 1e-5


def test_a_draw_goes_through_its_lattice():
    """And as many points as one likes have the same spread: ×64 within 5 %."""
    model = start()
    for seen in (None, scattered(5)):
        *_, last = model.path(seen, 32, seed=1)
        draws = model.draw(seen, 32, seed=1)
        torch.testing.assert_close(draws(model.lattice), model.net.unit.restore(last.x).mT, atol=0.02, rtol=0)
        spread = [draws(nfd.cell_centres((k,))).std(0).mean() for k in (64, 4096)]
        assert abs(spread[1] / spread[0] - 1) < 0.05


def test_linear_observations_guide_by_themselves():
    model, problem = start(), nfd.problems.get("gp1d")
    seen = nfd.observe(problem.draw(1, seed=3), nfd.patterns.BlockAverage(cells=4, parts=8), noise_std=0.05, seed=3)
    draws = model.draw(seen, 24, seed=0)
    assert (seen.measure(draws(seen.points)) - seen.values).square().mean().sqrt() < 0.15
    assert torch.equal(model.draw(seen, 24, seed=0, guide="gaussian_pigdm")(model.lattice), draws(model.lattice))


def test_channels_are_kept_apart():
    net = ScoreField(**SMALL, cells=4, points_per_cell=2).build(1, 2)
    silence(net)
    net.denoiser.noise_levels.set(0.01, 20.0, 1.0), net.unit.mean.copy_(torch.tensor([0.0, 5.0]))
    model = ScoreFieldPosterior(net, {"d": 1, "c": 2, "config": {"guide": "encoder"}}, 4)
    found = model.denoise(torch.tensor([0.0, 5.0]).expand(3, 8, 2), 0.5)(model.lattice)
    assert found.shape == (3, 8, 2)
    assert found[..., 0].abs().max() < 1e-4 and (found[..., 1] - 5).abs().max() < 1e-4


def test_a_lattice_of_another_size_is_refused():
    with pytest.raises(ValueError) as error:
        untrained().denoise(torch.zeros(2, 9, 1), 0.5)
    assert "\n  do:   " in str(error.value)


def test_a_measured_gaussian_and_smooth_noise_are_refused_together():
    with pytest.raises(ValueError, match="noise_lengthscale"):
        ScoreField(prior="gaussian", noise_lengthscale=0.3)


# Learning

def error_of(model: ScoreFieldPosterior, problem, sigma: float) -> torch.Tensor:
    """Mean squared error of 128 denoised functions, given nothing, in units of their variance."""
    net, clean = model.net, problem.draw(128, seed=9)(model.lattice)
    noise = net.unit.std * net.noise.colour(normals(0, 128, net.shape, "noise")).mT
    coords = 2 * torch.rand(50, 1, generator=torch.Generator().manual_seed(0)) - 1
    away = model.denoise(clean + sigma * noise, sigma)(coords) - problem.draw(128, seed=9)(coords)
    return away.square().mean() / net.unit.std**2


class OnlyPoints:
    """A source of functions of which 48 scattered points each are known."""

    def points(self, n: int, *, seed: int) -> ObservationBatch:
        coords = 2 * torch.rand(n, 48, 1, generator=torch.Generator().manual_seed(seed % 2**31)) - 1
        return ObservationBatch.exact(coords, nfd.problems.get("gp1d").draw(n, seed=seed)(coords))


@pytest.mark.parametrize("whole,lengthscale", [(True, 0.0), (True, 0.05), (False, 0.0)])
def test_it_learns_from_functions_and_from_scattered_points_of_them(whole, lengthscale):
    """A smooth field, after four hundred steps: an error below what an untrained network leaves."""
    config = ScoreField(**SMALL, cells=8, points_per_cell=4, batch=16, queries=32, lr=4e-3,
                        noise_lengthscale=lengthscale)
    problem = nfd.problems.get("gp1d")
    model = config.fit(problem if whole else OnlyPoints(), views=recipes.views_for(problem),
                       budget=nfd.Budget(steps=400), seed=0, device="cpu")
    learned = error_of(model, problem, 1.5)
    silence(model.net)
    assert learned < 0.85 * error_of(model, problem, 1.5), learned


# What ships

@pytest.mark.parametrize("problem", [p for p in MINE if p == "gp1d"])
def test_shipped_denoisers_are_near_the_exact_one_at_every_level(problem):
    model, place = nfd.load("score_field", problem, device="cpu"), nfd.problems.get(problem)
    clean = place.draw(64, seed=2)(model.lattice)[..., 0].double()
    exact = place.oracle().at(None, model.lattice.double()).denoiser()
    found = regret(lambda x, s: model.denoise(x.float()[..., None], s)(model.lattice)[..., 0].double(), exact, clean,
                   (0.02, 0.1, 0.5, 2.0, 8.0, 25.0), seed=0)
    assert found["regret"].max() < 0.08


def test_shipped_digits_answer_blurs_and_projections_for_which_they_were_not_trained():
    """CRPS of three digits each below 0.85 of the best linear answer's, which takes linear observations exactly."""
    model, problem, pixels = nfd.load("score_field", "digits2d", device="cpu"), nfd.problems.get("digits2d"), \
        nfd.cell_centres((28, 28))
    linear = nfd.baselines.get("optimal_interpolation", problem)
    for pattern in (nfd.patterns.Blur(count=64, width=0.1), nfd.patterns.Projections(angles=12)):
        ours, theirs = [], []
        for i in range(3):
            digit = nfd.problems.held_out(problem).draw(1, seed=40 + i)
            seen = nfd.observe(digit, pattern, noise_std=0.05, seed=i)
            for scores, fitted in ((ours, model), (theirs, linear)):
                scores.append(float(crps(fitted.draw(seen, 12, seed=0)(pixels), digit(pixels)[0])))
        assert sum(ours) < 0.85 * sum(theirs), pattern
