"""Approach 3: both priors, observations and queries, scores, guidance, draws."""

from functools import cache

import pytest
import torch

import nfdlab as nfd
from nfdlab import recipes, store
from nfdlab.approaches.score_field import ScoreField, ScoreFieldModel
from nfdlab.core.rng import normals
from nfdlab.core.types import ObservationBatch, Observations
from nfdlab.diffusion.guidance import Measurement, tweedie
from nfdlab.evaluate.continuity import consistency
from nfdlab.evaluate.regret import regret

MINE = [problem for approach, problem in store.shipped() if approach == "score_field"]
SMALL = {"width": 16, "depth": 1, "heads": 2}


@cache
def start(problem: str = "gp1d") -> ScoreFieldModel:
    """The approach before any learning: the measured expansion, and a network that adds nothing."""
    source = nfd.problems.get(problem)
    config = ScoreField(**SMALL, calibration_functions=4096, batch=8)
    model = config.fit(source, views=recipes.views_for(source), budget=nfd.Budget(steps=1), seed=1, device="cpu")
    silence(model.net)
    return model


def silence(net) -> None:
    with torch.no_grad():
        for tensor in net.denoiser.net.output[-1].parameters():
            tensor.zero_()


def untrained(d: int = 1, c: int = 1, **knobs) -> ScoreFieldModel:
    """An untrained approach whose network adds something."""
    config = ScoreField(**{**SMALL, "prior": "white", "lattice": 8, **knobs})
    net = config.build(d, c, seed=0).eval()
    torch.nn.init.normal_(net.denoiser.net.output[-1].weight, generator=torch.Generator().manual_seed(0))
    net.denoiser.noise_levels.set(0.01, 20.0, 1.0)
    return ScoreFieldModel(net, {"d": d, "c": c, "config": {}}, 6)


def scattered(m: int = 7, seed: int = 0) -> Observations:
    return Observations(normals(seed, m, (1,), "x").clamp(-1, 1), normals(seed, m, (1,), "y"), 0.05)


# Noisy functions and observations

@pytest.mark.parametrize("prior", ["gaussian", "white"])
def test_observations_have_no_order_and_padding_changes_nothing(prior):
    model = start() if prior == "gaussian" else untrained()
    x, seen = normals(3, 2, model.net.shape, "x"), scattered()
    turned = Observations(seen.coords.flip(0), seen.values.flip(0), 0.05)
    plain = model.denoiser(seen)(x, 0.5)
    torch.testing.assert_close(model.denoiser(turned)(x, 0.5), plain, atol=1e-4, rtol=1e-4)
    padded = ObservationBatch.of([seen, scattered(21, seed=1)])
    padded = model.net.denoise(x, 0.5, model.net.condition(padded))
    torch.testing.assert_close(padded[:1], plain[:1], atol=1e-4, rtol=1e-4)
    assert (model.denoiser(scattered(seed=2))(x, 0.5) - plain).abs().max() > 1e-3


@pytest.mark.parametrize("prior", ["gaussian", "white"])
def test_levels_may_differ_by_function(prior):
    model, sigma = start() if prior == "gaussian" else untrained(), torch.tensor([0.05, 0.7, 9.0])
    x, D = normals(0, 3, model.net.shape, "x"), model.denoiser(scattered())
    each = torch.cat([D(x[i:i + 1], sigma[i]) for i in range(3)])
    torch.testing.assert_close(D(x, sigma), each, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(D(x.flatten(1), sigma), D(x, sigma).flatten(1))


def test_with_the_white_prior_it_starts_where_a_white_gaussian_would():
    """c_skip x at the lattice, and between two of its points halfway; std is σ s/sqrt(σ² + s²)."""
    model = untrained()
    silence(model.net)
    prior = model.net.denoiser.prior
    prior.sigma_data.fill_(2.0)
    x = normals(0, 2, model.net.shape, "x")
    for sigma in (0.1, 3.0):
        D, keep = model.denoise(x, sigma), 4 / (4 + sigma**2)
        torch.testing.assert_close(D(model.lattice), keep * x)
        torch.testing.assert_close(D(model.lattice[2:4].mean(0, keepdim=True))[:, 0], keep * x[:, 2:4].mean(1))
        std = prior(x, sigma, (None, model.lattice))[1]
        torch.testing.assert_close(std, torch.full_like(std, 2 * sigma / (4 + sigma**2) ** 0.5))


# The measured Gaussian

@pytest.mark.parametrize("m", [0, 6])
def test_on_a_gaussian_the_start_is_the_exact_denoiser(m):
    """At the lattice, regret under 2 % at each level; anywhere else, the exact mean given the lattice to 0.01."""
    model, problem = start(), nfd.problems.get("gp1d")
    seen = nfd.observe(problem.draw(1, seed=3), nfd.patterns.Random(count=m), noise_std=0.05, seed=3) if m else None
    oracle, lattice, D = problem.oracle(), model.lattice, model.denoiser(seen)
    clean = oracle.draw(seen, 100, seed=4)(lattice)[..., 0]
    found = regret(lambda x, s: D(x.float(), s).double(), oracle.at(seen, lattice.double()).denoiser(), clean.double(),
                   (0.03, 0.3, 2.0, 15.0), seed=0)
    assert found["regret"].max() < 0.02
    x, places = clean + 0.3 * normals(0, 100, (64,), "noise"), torch.tensor([[-1.0], [-0.03], [0.999]])
    known = [(lattice, x[0][:, None], 0.3)] + ([(seen.coords, seen.values, 0.05)] if m else [])
    weights = problem.prior
    for coords, values, noise_std in known:
        weights = weights.posterior(Observations(coords, values, noise_std))
    torch.testing.assert_close(model.denoise(x[:1, :, None], 0.3, seen)(places)[0], weights.moments(places)[0],
                               atol=0.01, rtol=0)


def test_what_the_network_is_to_learn_has_unit_variance_at_every_level():
    """The loss of a silent network is 1, whatever sigma and however many observations: 64 functions of few degrees."""
    model, problem = start(), nfd.problems.get("gp1d")
    fields = problem.draw(64, seed=5)
    coords = 2 * torch.rand(64, 16, 1, generator=torch.Generator().manual_seed(0)) - 1
    clean = torch.cat([fields(model.lattice), fields(coords)], 1)
    noise = normals(0, 64, clean.shape[1:], "noise")
    seen = recipes.views_for(problem)(fields, seed=1)
    for sigma in (0.05, 0.5, 5.0):
        with torch.no_grad():
            loss = model.net.loss(clean, torch.full((64,), sigma), noise, coords, model.net.condition(seen))
        assert abs(loss - 1) < 0.3


def test_the_score_is_the_slope_of_the_log_density():
    model, sigma = start(), 0.5
    law, x = nfd.problems.get("gp1d").oracle().at(None, model.lattice.double()), normals(0, 4, (64, 1), "x")
    cov = law.cov + sigma**2 * torch.eye(64).double()
    want = -torch.linalg.solve(cov, x[..., 0].double().T).T
    torch.testing.assert_close(model.score(x, sigma)[..., 0].double(), want, atol=0.03 * float(want.std()), rtol=0)


@pytest.mark.parametrize("what", ["integral", "blocks", "blur"])
def test_guidance_wraps_it_as_any_denoiser(what):
    """A linear measurement of the lattice by Tweedie's covariance: the posterior's denoiser, as D is the prior's."""
    model = start()
    lattice, k = model.lattice[:, 0], len(model.lattice)
    A = {"integral": torch.full((1, k), 2 / k), "blocks": torch.eye(8).repeat_interleave(8, 1) / 8,
         "blur": torch.softmax(-0.5 * ((lattice[None] - lattice[4::12, None]) / 0.15) ** 2, 1)}[what]
    law = nfd.problems.get("gp1d").oracle().at(None, model.lattice.double())
    y = A @ law.draw(1, seed=5)[0].float()
    exact = law.condition(A.double(), y.double(), 0.1).denoiser()
    for sigma in (0.3, 2.0):
        x = law.draw(3, seed=1).float() + sigma * normals(0, 3, (k,), "noise")
        found = tweedie(model.denoiser(None), Measurement.linear(A, y, 0.1))(x, sigma)
        torch.testing.assert_close(found.double(), exact(x.double(), sigma), atol=0.05, rtol=0)


# Draws

def test_a_path_starts_around_the_posterior_mean():
    """Its first step from sigma_max: x is mean + noise, not noise, so that no mean has to be walked to."""
    model, level = start(), 4.0
    seen = Observations(model.lattice[::4], torch.full((16, 1), level), 0.05)
    first = next(iter(model.path(seen, 200, seed=0, steps=40, sampler="euler")))
    error = float(first.sigma) / 200**0.5
    assert (first.x.mean(0)[:, 0] - level).mean().abs() < 0.02 * level + 5 * error / 8


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("prior", ["gaussian", "white"])
def test_draws_are_functions_at_every_resolution(d, prior):
    model = untrained(d, prior=prior, expansion_side=24, expansion_rank=8)
    draws = model.draw(None, 3, seed=0)
    assert consistency(draws, nfd.cell_centres((40,) if d == 1 else (9, 8))) < 1e-5


def test_a_draw_goes_through_its_lattice():
    """And as many points as one likes have the same spread: ×64 within 5 %."""
    model = start()
    for seen in (None, scattered(5)):
        *_, last = model.path(seen, 32, seed=1)
        draws = model.draw(seen, 32, seed=1)
        torch.testing.assert_close(draws(model.lattice), last.x, atol=0.02, rtol=0)
        spread = [draws(nfd.cell_centres((k,))).std(0).mean() for k in (64, 4096)]
        assert abs(spread[1] / spread[0] - 1) < 0.05


def test_channels_are_kept_apart():
    net = ScoreField(**SMALL, lattice=6, expansion_side=12, expansion_rank=6).build(1, 2)
    x, nothing = normals(0, 3, (6, 2), "x"), ObservationBatch.of([Observations.none(1, 2)])
    silence(net)
    net.denoiser.prior.expansion.centre[:, 1] = 5.0
    found = net.denoise(x, 0.5, net.condition(nothing))
    assert found.shape == (3, 6, 2)
    assert found[..., 0].abs().max() < 1e-4 and (found[..., 1] - 5).abs().max() < 1e-4


def test_a_lattice_of_another_size_is_refused():
    with pytest.raises(ValueError) as error:
        untrained().denoise(torch.zeros(2, 9, 1), 0.5)
    assert "\n  do:   " in str(error.value)


def test_it_learns_what_is_not_gaussian():
    """The sawtooth: after a minute's share of training the loss is below what the measured Gaussian leaves."""
    config = ScoreField(**SMALL, calibration_functions=1024, batch=16, queries=16, lattice=32, expansion_side=64,
                        expansion_rank=24, lr=3e-3)
    model = nfd.train(config, "sawtooth1d", budget=nfd.Budget(steps=150), device="cpu")
    fields = nfd.problems.get("sawtooth1d").draw(128, seed=9)
    coords = 2 * torch.rand(128, 16, 1, generator=torch.Generator().manual_seed(0)) - 1
    seen = ObservationBatch.of([Observations.none(1, 1)] * 128)
    clean, sigma = torch.cat([fields(model.lattice), fields(coords)], 1), torch.full((128,), 0.1)
    noise = normals(0, 128, clean.shape[1:], "noise")
    losses = []
    for _ in range(2):
        with torch.no_grad():
            losses.append(model.net.loss(clean, sigma, noise, coords, model.net.condition(seen)))
        silence(model.net)
    assert losses[0] < 0.95 * losses[1], losses


# What ships

@pytest.mark.parametrize("problem", MINE)
def test_shipped_denoisers_are_near_the_exact_one_at_every_level(problem):
    model, place = nfd.load("score_field", problem, device="cpu"), nfd.problems.get(problem)
    clean, D = place.draw(64, seed=2)(model.lattice)[..., 0].double(), model.denoiser(None)
    exact = place.oracle().at(None, model.lattice.double()).denoiser()
    found = regret(lambda x, s: D(x.float(), s).double(), exact, clean, (0.02, 0.1, 0.5, 2.0, 8.0, 25.0), seed=0)
    assert found["regret"].max() < 0.08
