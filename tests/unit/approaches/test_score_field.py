"""Approach 3 and what it is made of: distance in attention, the linear start, observations and queries, scores, guidance."""

from functools import cache

import pytest
import torch

import nfdlab as nfd
from nfdlab import recipes, store
from nfdlab.approaches.score_field import FittedScoreField, ScoreField
from nfdlab.approaches.score_field.networks import DenoisedField
from nfdlab.core.rng import normals, seeded
from nfdlab.core.types import ObservationBatch, Observations
from nfdlab.diffusion.guidance import Measurement, tweedie
from nfdlab.diffusion.schedule import NoiseLevels
from nfdlab.evaluate.continuity import consistency
from nfdlab.evaluate.regret import regret
from nfdlab.nn.set_attention import Ask, SetBlock

MINE = [problem for approach, problem in store.shipped() if approach == "score_field"]
SMALL = {"width": 16, "depth": 1, "heads": 2}


@cache
def start(problem: str = "gp1d") -> FittedScoreField:
    """The approach before any learning: two-point statistics, and a network that says nothing."""
    source = nfd.problems.get(problem)
    config = ScoreField(**SMALL, measured=4096, batch=8)
    model = config.fit(source, views=recipes.views_for(source), budget=nfd.Budget(steps=1), seed=1, device="cpu")
    silence(model.net)
    return model


def silence(net) -> None:
    with torch.no_grad():
        net.output[-1].weight.zero_(), net.output[-1].bias.zero_()


def loud(d: int = 1, c: int = 1, **knobs) -> FittedScoreField:
    """An untrained approach with something to say."""
    config = ScoreField(**{**SMALL, "linear": False, "context": 8, **knobs})
    net = config.build(d, c, seed=0).eval()
    torch.nn.init.normal_(net.output[-1].weight, generator=torch.Generator().manual_seed(0))
    net.noise_levels = NoiseLevels(0.01, 20.0, 1.0)
    return FittedScoreField(net, {"d": d, "c": c, "config": {}}, 6)


def dots(m: int = 7, seed: int = 0) -> Observations:
    return Observations(normals(seed, m, (1,), "x").clamp(-1, 1), normals(seed, m, (1,), "y"), 0.05)


# Attention

@pytest.mark.parametrize("d", [1, 2])
def test_each_head_adds_its_own_law_of_distance(d):
    """Scores q·k/sqrt(w/heads) − γ_h |x − x'|², written out for all pairs; padding is not heard."""
    with seeded(1):
        ask = Ask(12, 3)
    x, tokens = normals(0, 2, (5, 12), "x"), normals(1, 2, (6, 12), "tokens")
    here, there = normals(2, 2, (5, d), "here"), normals(3, 2, (6, d), "there")
    mask = torch.arange(6)[None] < torch.tensor([[6], [4]])
    found = ask(x, here, ask.prepare(tokens, there, mask))
    q = ask.question(x).unflatten(-1, (3, 4)).transpose(1, 2)
    k, v = (t.unflatten(-1, (3, 4)).transpose(1, 2) for t in ask.told(tokens).chunk(2, -1))
    scores = q @ k.mT / 2 - ask.log_gamma.exp()[:, None, None] * torch.cdist(here, there)[:, None].square()
    weights = scores.masked_fill(~mask[:, None, None], -torch.inf).softmax(-1)
    torch.testing.assert_close(found, ask.output((weights @ v).transpose(1, 2).flatten(2)), atol=1e-5, rtol=1e-4)


def test_a_near_point_is_heard_next_heat_by_a_local_head():
    with seeded(1):
        ask = Ask(8, 2)
    with torch.no_grad():
        ask.told.weight[:8].zero_(), ask.told.bias[:8].zero_()
        ask.output.weight.copy_(torch.eye(8)), ask.output.bias.zero_()
    tokens, places, mask = normals(0, 1, (2, 8), "tokens"), torch.tensor([[[0.0], [0.3]]]), torch.ones(1, 2).bool()
    told = ask.told(tokens)[..., 8:]
    heard = ask(normals(1, 1, (1, 8), "x"), torch.tensor([[[0.0]]]), ask.prepare(tokens, places, mask))
    share = torch.softmax(torch.tensor([0.0, -0.09]) / (2 * 0.06**2), 0)
    torch.testing.assert_close(heard[0, 0, :4], (share @ told[0])[:4], atol=1e-5, rtol=1e-4)
    assert (heard[0, 0, 4:] - told[0].mean(0)[4:]).abs().max() < 0.1 * told[0, :, 4:].abs().max()


def test_a_level_scales_and_shifts_what_goes_into_both_layers():
    with seeded(2):
        block = SetBlock(8, 2, 4)
    x, places, mask = normals(0, 2, (5, 8), "x"), normals(1, 2, (5, 1), "places"), torch.ones(2, 5).bool()
    given = normals(2, 2, (4,), "given")
    assert torch.equal(block.among(x, places, mask, given), block.among(x, places, mask, 0 * given)), "none at first"
    torch.nn.init.normal_(block.film.weight, generator=torch.Generator().manual_seed(0))
    both = block.among(x, places, mask, given)
    torch.testing.assert_close(block.among(x[1:], places[1:], mask[1:], given[1:]), both[1:], atol=1e-5, rtol=1e-4)
    assert (both - block.among(x, places, mask, given.flip(0))).abs().amax((1, 2)).min() > 1e-2


# What a noisy function and observations say

@pytest.mark.parametrize("linear", [True, False])
def test_dots_have_no_order_and_padding_says_nothing(linear):
    model = start() if linear else loud()
    x, seen = normals(3, 2, model.net.shape, "x"), dots()
    turned = Observations(seen.coords.flip(0), seen.values.flip(0), 0.05)
    plain = model.denoiser(seen)(x, 0.5)
    torch.testing.assert_close(model.denoiser(turned)(x, 0.5), plain, atol=1e-4, rtol=1e-4)
    padded = ObservationBatch.of([seen, dots(21, seed=1)])
    torch.testing.assert_close(model.net.denoise(x, 0.5, padded)[:1], plain[:1], atol=1e-4, rtol=1e-4)
    assert (model.denoiser(dots(seed=2))(x, 0.5) - plain).abs().max() > 1e-3


@pytest.mark.parametrize("linear", [True, False])
def test_levels_may_differ_by_function(linear):
    model, sigma = start() if linear else loud(), torch.tensor([0.05, 0.7, 9.0])
    x, D = normals(0, 3, model.net.shape, "x"), model.denoiser(dots())
    each = torch.cat([D(x[i:i + 1], sigma[i]) for i in range(3)])
    torch.testing.assert_close(D(x, sigma), each, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(D(x.flatten(1), sigma), D(x, sigma).flatten(1))


def test_without_statistics_it_starts_where_a_white_gaussian_would():
    """c_skip x at the lattice, and between two of its points halfway; spread is σ s/sqrt(σ² + s²)."""
    model = loud()
    silence(model.net)
    model.net.scale.fill_(2.0)
    x = normals(0, 2, model.net.shape, "x")
    for sigma in (0.1, 3.0):
        D, keep = model.denoise(x, sigma), 4 / (4 + sigma**2)
        torch.testing.assert_close(D(model.lattice), keep * x)
        torch.testing.assert_close(D(model.lattice[2:4].mean(0, keepdim=True))[:, 0], keep * x[:, 2:4].mean(1))
        heard = model.net.condition(x, sigma, ObservationBatch.of([dots()]))
        spread = model.net.answer(heard, model.lattice)[1]
        torch.testing.assert_close(spread, torch.full_like(spread, 2 * sigma / (4 + sigma**2) ** 0.5))


# The linear start

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
    told = [(lattice, x[0][:, None], 0.3)] + ([(seen.coords, seen.values, 0.05)] if m else [])
    weights = problem.prior
    for coords, values, noise_std in told:
        weights = weights.posterior(Observations(coords, values, noise_std))
    torch.testing.assert_close(model.denoise(x[:1, :, None], 0.3, seen)(places)[0], weights.moments(places)[0],
                               atol=0.01, rtol=0)


def test_what_the_network_is_to_learn_has_unit_variance_at_every_level():
    """The loss of a silent network is 1, whatever sigma and however many observations: 40 functions of few degrees each."""
    model, problem = start(), nfd.problems.get("gp1d")
    fields, noise = problem.draw(64, seed=5), normals(0, 64, model.net.shape, "noise")
    coords = 2 * torch.rand(64, 16, 1, generator=torch.Generator().manual_seed(0)) - 1
    seen = recipes.views_for(problem)(fields, seed=1)
    for sigma in (0.05, 0.5, 5.0):
        with torch.no_grad():
            loss = model.net.loss(fields(model.lattice), noise, torch.full((64,), sigma), seen, coords, fields(coords))
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

def test_a_path_starts_about_what_dots_say():
    """Its first step from sigma_max: x is mean + noise, not noise, so that no mean has to be walked to."""
    model, level = start(), 4.0
    seen = Observations(model.lattice[::4], torch.full((16, 1), level), 0.05)
    first = next(iter(model.path(seen, 200, seed=0, steps=40, sampler="euler")))
    error = float(first.sigma) / 200**0.5
    assert (first.x.mean(0)[:, 0] - level).mean().abs() < 0.02 * level + 5 * error / 8


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("linear", [True, False])
def test_draws_are_functions_at_every_resolution(d, linear):
    model = loud(d, linear=linear, statistics=24, rank=8)
    draws = model.draw(None, 3, seed=0)
    assert consistency(draws, nfd.cell_centres((40,) if d == 1 else (9, 8))) < 1e-5


def test_a_draw_goes_through_its_lattice():
    """And as many points as one likes have the same spread: ×64 within 5 %."""
    model = start()
    for seen in (None, dots(5)):
        *_, last = model.path(seen, 32, seed=1)
        draws = model.draw(seen, 32, seed=1)
        torch.testing.assert_close(draws(model.lattice), last.x, atol=0.02, rtol=0)
        spread = [draws(nfd.cell_centres((k,))).std(0).mean() for k in (64, 4096)]
        assert abs(spread[1] / spread[0] - 1) < 0.05


def test_channels_are_kept_apart():
    with seeded(0):
        net = DenoisedField(ScoreField(**SMALL, context=6, statistics=12, rank=6), 1, 2)
    x, nothing = normals(0, 3, (6, 2), "x"), ObservationBatch.of([Observations(torch.zeros(0, 1), torch.zeros(0, 2))])
    silence(net)
    net.linear.centre[:, 1] = 5.0
    found = net.denoise(x, 0.5, nothing)
    assert found.shape == (3, 6, 2)
    assert found[..., 0].abs().max() < 1e-4 and (found[..., 1] - 5).abs().max() < 1e-4


def test_a_lattice_of_another_size_is_refused():
    with pytest.raises(ValueError) as error:
        loud().denoise(torch.zeros(2, 9, 1), 0.5)
    assert "\n  do:   " in str(error.value)


def test_it_learns_what_is_not_gaussian():
    """The sawtooth: after a minute's share of training the loss is below what two-point statistics leave."""
    config = ScoreField(**SMALL, measured=1024, batch=16, queries=16, context=32, statistics=64, rank=24, lr=3e-3)
    model = nfd.train(config, "sawtooth1d", budget=nfd.Budget(steps=150), device="cpu")
    fields = nfd.problems.get("sawtooth1d").draw(128, seed=9)
    coords = 2 * torch.rand(128, 16, 1, generator=torch.Generator().manual_seed(0)) - 1
    seen = ObservationBatch.of([Observations(torch.zeros(0, 1), torch.zeros(0, 1))] * 128)
    sigma = torch.full((128,), 0.1)
    losses = []
    for _ in range(2):
        with torch.no_grad():
            losses.append(model.net.loss(fields(model.lattice), normals(0, 128, model.net.shape, "noise"), sigma, seen,
                                         coords, fields(coords)))
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
