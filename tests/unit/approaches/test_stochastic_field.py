"""Approach 8: noise functions, marginal heads, the transport table, aleatoric and epistemic uncertainty."""

import math
from functools import cache

import pytest
import torch

import nfdlab as nfd
from nfdlab import recipes, store
from nfdlab.approaches.stochastic_field import PointwiseEncoder, PushForwardPosterior, StochasticField
from nfdlab.approaches.stochastic_field.transport import (
    HEADS,
    NOISES,
    DiffusionHead,
    ScalarResidual,
    TransportTable,
)
from nfdlab.approaches.stochastic_field.uncertainty import RIDGE, EpistemicUncertainty, regression, scatter
from nfdlab.core.config import PRIORS
from nfdlab.core.rng import normals, seeded, stream
from nfdlab.core.types import ObservationBatch, Observations

MINE = [problem for approach, problem in store.shipped() if approach == "stochastic_field"]
PROBLEM = nfd.problems.get("gp1d")
SMALL = {"width": 16, "encoder_dilations": (1,), "head_layers": (32, 1), "features": 14}


@cache
def fresh(**knobs) -> PushForwardPosterior:
    """Untrained: the expansion is measured, all networks are as they were made."""
    config = StochasticField(**{**SMALL, **knobs})
    net = config.build(1, 1, seed=0).eval()
    expansion = net.encoder.expansion
    expansion.calibrate(PROBLEM.draw(8192, seed=11)(expansion.places), seed=0)
    about = {"d": 1, "c": 1, "config": {"noise": config.noise, "head": config.head}}
    return PushForwardPosterior(net, about, config.steps)


@cache
def trained() -> PushForwardPosterior:
    return nfd.train("stochastic_field", "gp1d", budget=nfd.Budget(steps=30), device="cpu")


def seen(m: int = 6, seed: int = 3) -> Observations:
    return nfd.observe(PROBLEM.draw(1, seed=seed), nfd.patterns.Random(count=m), noise_std=0.05, seed=seed)


# Before training

def test_untrained_it_draws_the_exact_posterior_of_a_gaussian_field():
    """Mean, standard deviation and correlations of draws are those of the exact posterior."""
    coords = nfd.cell_centres((40,))
    mine, exact = (who.draw(seen(), 4000, seed=1)(coords)[..., 0] for who in (fresh(), PROBLEM.oracle()))
    std = exact.std(0)
    assert ((mine.mean(0) - exact.mean(0)) / std).abs().max() < 0.15          # of which 5 standard errors: 0.11
    assert (mine.std(0) / std).log().abs().max() < 0.12 and abs(mine.std(0).mean() / std.mean() - 1) < 0.03
    assert (torch.corrcoef(mine.T) - torch.corrcoef(exact.T)).abs().max() < 0.15
    mean, mine = fresh().moments(seen(), coords)
    torch.testing.assert_close(mean[:, 0], exact.mean(0), atol=0.06, rtol=0)
    assert abs(mine.mean() / std.mean() - 1) < 0.03


def test_untrained_with_the_white_prior_observations_change_nothing():
    coords, blank = nfd.cell_centres((40,)), fresh(prior="white")
    assert torch.equal(blank.draw(seen(), 4, seed=1)(coords), blank.draw(None, 4, seed=1)(coords))
    assert abs(blank.moments(seen(), coords)[1].mean() - 1) < 0.03


@pytest.mark.parametrize("prior", PRIORS)
def test_both_priors_train_and_draw(prior):
    """Weights change, losses and draws are finite, and draws differ where observations do."""
    config = StochasticField(**SMALL, prior=prior, calibration_functions=512, batch=8, queries=16, lr=1e-2)
    losses, before = [], config.build(1, 1, seed=0).state_dict()
    model = nfd.train(config, "gp1d", budget=nfd.Budget(steps=12), seed=0, device="cpu",
                      watch=lambda step: losses.append(float(step.loss)))
    assert model.about["config"]["prior"] == prior and len(losses) >= 12
    assert all(math.isfinite(loss) for loss in losses)
    after = model.tensors()
    for part in ("encoder.local.", "encoder.reader.", *(f"heads.{name}." for name in config.heads)):
        assert any(not torch.equal(before[key], after[key]) for key in after if key.startswith(part)), part
    coords = nfd.cell_centres((20,))
    one, other = (model.draw(seen(seed=i), 3, seed=0, steps=4)(coords) for i in (3, 4))
    assert one.shape == (3, 20, 1) and one.isfinite().all() and not torch.equal(one, other)
    assert model.draw(None, 3, seed=0, steps=4)(coords).isfinite().all()


def test_a_draw_asked_64_times_finer_is_the_same_function():
    """And its variance is the same: 4096 places against 64."""
    draws, coarse, fine = trained().draw(seen(), 64, seed=2), nfd.cell_centres((64,)), nfd.cell_centres((4096,))
    values = draws(fine)
    torch.testing.assert_close(draws(torch.cat([fine, coarse]))[:, 4096:], draws(coarse), atol=1e-5, rtol=1e-5)
    assert abs(values.var(0).mean() / draws(coarse).var(0).mean() - 1) < 0.1
    step = values.diff(dim=1).abs().max()
    assert step < 0.15                                         # continuous: the linear part has gentle slopes


# Noise functions

@pytest.mark.parametrize("kind", NOISES)
def test_a_noise_function_is_standard_normal_at_every_place(kind):
    model = fresh(noise=kind)
    noise, coords = model.noise_function(model.condition(seen())[0]), torch.linspace(-1, 1, 37)[:, None]
    numbers = noise.numbers(3000, seed=5)
    w = noise(numbers, coords)[..., 0]
    assert len(numbers) == 3000 and numbers.ndim == 2
    assert w.mean(0).abs().max() < 4.5 / 3000**0.5 and (w.std(0) - 1).abs().max() < 4.5 / 6000**0.5
    own = coords.expand(3000, -1, -1).roll(1, 1)
    torch.testing.assert_close(noise(numbers, own)[..., 0], w.roll(1, 1), atol=1e-4, rtol=1e-4)


def test_the_correlation_of_noise_at_two_places():
    """Two places 0.1 apart: one, none, as the prior (SE kernel: exp(−0.1²/2·0.2²)), as the posterior."""
    a, b = torch.tensor([[0.30]]), torch.tensor([[0.40]])
    given = Observations(torch.tensor([[0.3]]), torch.tensor([[0.5]]), 0.05)
    found = {}
    for kind in NOISES:
        model = fresh(noise=kind)
        noise = model.noise_function(model.condition(given)[0])
        w = noise(noise.numbers(4000, seed=1), torch.cat([a, b]))[..., 0]
        found[kind] = float(torch.corrcoef(w.T)[0, 1])
    k, s = float(torch.exp(torch.tensor(-0.125))), 0.05**2
    posterior = (k - k / (1 + s)) / ((1 - 1 / (1 + s)) * (1 - k * k / (1 + s))) ** 0.5
    assert found["shared"] > 0.9999 and abs(found["white"]) < 0.07
    assert abs(found["prior"] - k) < 0.02
    assert abs(found["posterior"] - posterior) < 0.07


# Marginal heads

@pytest.mark.parametrize("name", HEADS)
def test_an_untrained_head_is_the_identity(name):
    with seeded(0):
        head = HEADS[name](6, 32, 1)
    w, h = torch.linspace(-3, 3, 21)[:, None, None].expand(-1, 5, 1), normals(0, 5, (1, 6), "h")
    *_, last = head.walk(w, h, 24, "dpmpp")
    torch.testing.assert_close(last.x.detach(), w.clone(), atol=1e-6, rtol=0.01)     # the solver's error, and no more


@pytest.mark.parametrize("sigma", [0.01, 0.5, 6.0])
def test_the_input_of_a_scalar_network_has_unit_variance(sigma):
    """For r ~ N(0, 1) at every noise level: within 4 standard errors of 20,000 numbers, (1/2·20,000)^½ each."""
    r, noise = (torch.randn(4, 5000, 1, generator=stream(0, use)) for use in ("r", "noise"))
    given = []
    residual = ScalarResidual(lambda y, level, h: given.append((y, level)))
    for level in (torch.tensor(sigma), torch.full((4, 1, 1), sigma)):
        residual(r + sigma * noise, level, None, None, None)
    for y, level in given:
        assert abs(float(y.std()) - 1) < 4 * (1 / 40_000) ** 0.5
        torch.testing.assert_close(level, torch.full_like(level, math.log(sigma) / 4))


@pytest.mark.parametrize("odds", [0.5, 0.2])
def test_the_flow_transports_noise_to_two_atoms(odds):
    """r is 1 with probability `odds`, else −1: then T(w) is 1 for the largest w, of that share, up to what the start
    neglects: at σ = 6 it has mean 0, where that of r is 2·odds − 1."""
    with seeded(0):
        head = DiffusionHead(2, 16, 1)

    class Exact(torch.nn.Module):
        def forward(self, u, level, h):                             # F from D = E[r | y], in closed form
            sigma = (4 * level).exp()
            total = (1 + sigma**2).sqrt()
            clean = torch.tanh(u * total / sigma**2 + 0.5 * torch.logit(torch.tensor(odds)))
            return (clean - u / total) * total / sigma

    head.denoiser.net.net = Exact()
    w = torch.linspace(-2.5, 2.5, 101)[:, None, None]
    *_, last = head.walk(w, torch.zeros(1, 1, 2), 40, "heun")
    share = (last.x[:, 0, 0] > 0).float()
    edge = w[share.argmax(), 0, 0]
    assert (last.x.abs() - 1).abs().mean() < 0.05
    assert abs(edge - torch.special.ndtri(torch.tensor(1 - odds))) < 0.05 + abs(2 * odds - 1) / 4


def test_losses_of_a_standard_normal():
    """r ~ N(0, 1), which untrained heads model exactly: the diffusion's weighted error is 1, the fair CRPS 1/√π, the
    Gaussian log score ½."""
    r, h, rng = torch.randn(400, 50, 1, generator=stream(0, "r")), torch.zeros(400, 50, 1, 6), stream(1, "noise")
    wanted = {"diffusion": 1.0, "quantile": math.pi**-0.5, "gaussian": 0.5}
    for name, value in wanted.items():
        with seeded(0):
            head = HEADS[name](6, 16, 1)
        assert abs(float(head.loss(r, h, rng, 4).detach()) - value) < 0.03


def test_quantiles_rise():
    """They do not cross, at any place, and the middle one is the median of the draws."""
    model, coords = trained(), nfd.cell_centres((31,))
    values = model.quantiles(seen(), coords, torch.linspace(-3, 3, 41))
    assert (values.diff(dim=0) >= -1e-6).all()
    draws = model.draw(seen(), 2000, seed=0)(coords)
    off = (draws.median(0).values - values[20]) / draws.std(0)
    assert off.abs().max() < 5 * 1.2533 / 2000**0.5


# The transport table

def test_a_transport_table_is_exact_for_linear_maps():
    """T = (1 + x) + (2 − x) w is linear in each: exact between knots, beyond them, at walls, shared or own places."""
    table = TransportTable(1, 1, 9, 12)
    values = (1 + table.places)[None] + (2 - table.places)[None] * table.fan()
    coords, w = torch.linspace(-1, 1, 23)[:, None], 3 * normals(0, 5, (23, 1), "w")
    wanted = (1 + coords) + (2 - coords) * w
    torch.testing.assert_close(table(values, w, coords), wanted, atol=1e-5, rtol=1e-5)
    own = torch.stack([coords.roll(k, 0) for k in range(5)])
    turned = torch.stack([w[k].roll(k, 0) for k in range(5)])
    torch.testing.assert_close(table(values, turned, own)[3], wanted[3].roll(3, 0), atol=1e-5, rtol=1e-5)
    each = torch.stack([k * table.places[None] for k in range(5)])
    torch.testing.assert_close(table(each, w, coords), torch.stack([k * coords for k in range(5)]), atol=1e-5,
                               rtol=1e-5)


def test_a_transport_table_of_two_channels_keeps_them_apart():
    table = TransportTable(2, 2, 5, 7)
    values = table.fan() * torch.tensor([1.0, -1.0]).abs() + torch.tensor([10.0, -10.0])
    coords, w = nfd.cell_centres((3, 4)), normals(0, 4, (12, 2), "w")
    torch.testing.assert_close(table(values, w, coords), w + torch.tensor([10.0, -10.0]), atol=1e-4, rtol=1e-4)


# The encoder

def test_padding_changes_nothing_and_repeated_observations_add_up():
    with seeded(1):
        encoder = PointwiseEncoder(StochasticField(**SMALL, deep_set_width=24).at(1), 1, 1).eval()
    short = ObservationBatch.of([seen(4)])
    pad = torch.nn.functional.pad
    long = ObservationBatch(pad(short.coords, (0, 0, 0, 3)), pad(short.values, (0, 0, 0, 3)),
                            pad(short.mask, (0, 3)), short.noise_std)
    one, two = (encoder.prepare(batch, encoder.condition(batch)) for batch in (short, long))
    torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-5)
    twice = ObservationBatch(*(torch.cat([part, part], 1) for part in (short.coords, short.values, short.mask)),
                             short.noise_std)
    assert not torch.allclose(encoder.prepare(twice, encoder.condition(twice)), one, atol=1e-3)


# Aleatoric and epistemic uncertainty

def test_the_covariance_of_a_least_squares_fit():
    """Independent errors of std s at q places: s² H⁻¹/q; where all places of a function err alike, it counts once."""
    rng = stream(0, "scatter")
    features, noise = torch.randn(6000, 8, 3, generator=rng), 0.5 * torch.randn(6000, 8, generator=rng)
    features[..., 2] = 1
    R = scatter(features, noise)
    torch.testing.assert_close(R @ R.T, 0.25 / 8 * torch.eye(3), atol=0.004, rtol=0.08)
    alike = 0.5 * torch.randn(6000, 1, generator=rng).expand(-1, 8)
    R = scatter(features, alike)
    assert abs(float((R @ R.T)[2, 2]) / 0.25 - 1) < 0.08


def test_epistemic_uncertainty_is_the_std_of_refits():
    """Last layers refitted, each to 64 other functions, differ as predicted; and the uncertainty falls as 1/√N."""
    model, views = trained(), recipes.views_for(PROBLEM)
    uncertainty = EpistemicUncertainty.of(model, PROBLEM, views, functions=256, seed=1)
    features, target = regression(model, PROBLEM, views, 1024, seed=9)
    refits = []
    for i in range(0, 1024, 64):
        F, t = features[i:i + 64].flatten(0, 1).double(), target[i:i + 64].flatten().double()
        H = F.T @ F / len(F)
        H = H + RIDGE * H.diagonal().mean() * torch.eye(len(H))
        refits.append(torch.linalg.solve(H, F.T @ t / len(F)))
    probe = features.flatten(0, 1)[::50].double()
    found = (torch.stack(refits) @ probe.T).std(0).mean()
    predicted = (uncertainty.root.double().T @ probe.T).square().sum(0).sqrt().mean() / 8
    assert abs(float(found / predicted) - 1) < 0.3
    coords = nfd.cell_centres((32,))
    (aleatoric, wide), (again, narrow) = (uncertainty.split(seen(), coords, learned_from=n, seed=2, heads=4)
                                          for n in (100, 1600))
    assert abs(float(wide.mean() / narrow.mean()) / 4 - 1) < 0.25
    assert abs(float(again.mean() / aleatoric.mean()) - 1) < 0.05


# Public functions

def test_knobs_that_change_draws_and_nothing_learned():
    model, coords = trained(), nfd.cell_centres((20,))
    usual = model.draw(seen(), 3, seed=0)(coords)
    for knobs in ({"noise": "white"}, {"noise": "shared"}, {"head": "gaussian"}, {"head": "quantile"}):
        other = model.using(**knobs)
        assert other.net is model.net and not torch.equal(other.draw(seen(), 3, seed=0)(coords), usual)
    assert torch.equal(model.draw(seen(), 3, seed=0)(coords), usual)
    for knobs in ({"noise": "pink"}, {"head": "two"}, {"colour": "red"}):
        with pytest.raises(KeyError) as error:
            model.using(**knobs)
        assert "\n  do:   " in str(error.value)
    for knobs in ({"noise": "pink"}, {"heads": ("gaussian",)}, {"head": "two"}, {"prior": "linear"}):
        with pytest.raises(KeyError):
            StochasticField(**knobs)


# What ships

@pytest.mark.parametrize("name", MINE)
def test_shipped_marginals_are_calibrated(name):
    """Nine in ten truths in the 90 % interval at places, many tasks, as measured when the weights were trained."""
    scores = nfd.load("stochastic_field", name, device="cpu").about["scores"]
    assert abs(scores["coverage90"]["mean"] - 0.9) < 0.05
    if name == "gp1d":
        assert scores["crps"]["mean"] < 1.05 and scores["energy"]["mean"] < 1.05
        assert abs(scores["maximum90"]["mean"] - 0.9) < 0.05 and abs(scores["integral90"]["mean"] - 0.9) < 0.05
