"""Approach 8: noise functions pushed through a conditional diffusion, aleatoric and epistemic uncertainty."""

import math
from functools import cache

import pytest
import torch

import nfdlab as nfd
from nfdlab import recipes, store
from nfdlab.approaches.stochastic_field import (
    RIDGE,
    EpistemicUncertainty,
    StochasticField,
    StochasticPosterior,
    last_layer,
    regression,
    scatter,
)
from nfdlab.core.config import PRIORS
from nfdlab.core.rng import stream
from nfdlab.core.types import Observations

MINE = [problem for approach, problem in store.shipped() if approach == "stochastic_field"]
PROBLEM = nfd.problems.get("gp1d")
SMALL = {"widths": (16, 16), "depth": 1, "encoder_width": 16, "memory": 8, "field_width": 8, "batch": 8}


@cache
def start() -> StochasticPosterior:
    """Before any learning, on gp1d: the measured Gaussian, and networks that add nothing."""
    config = StochasticField(**SMALL, prior="gaussian")
    model = config.fit(PROBLEM, views=recipes.views_for(PROBLEM), budget=nfd.Budget(steps=1), seed=1, device="cpu")
    model.net.denoiser.silence("network"), model.net.silence("field")
    return model


@cache
def trained(prior: str = "white") -> StochasticPosterior:
    config = StochasticField(**SMALL, prior=prior, steps=8, lr=1e-2)
    return nfd.train(config, "gp1d", budget=nfd.Budget(steps=30), device="cpu")


def seen(m: int = 6, seed: int = 3) -> Observations:
    return nfd.observe(PROBLEM.draw(1, seed=seed), nfd.patterns.Random(count=m), noise_std=0.05, seed=seed)


# The stochastic field f(x, ω)

def test_a_draw_is_the_push_of_its_noise_function():
    """And noise functions are standard normal, white at the lattice, within 5 standard errors."""
    model, coords = trained(), nfd.cell_centres((40,))
    omega = model.noise(400, seed=5)
    for who in (seen(), None):
        torch.testing.assert_close(model.push(who, omega[:3], steps=6)(coords),
                                   model.draw(who, 3, seed=5, steps=6)(coords))
    flat = omega.flatten(1)
    assert flat.shape[1] == 64 and abs(flat.mean()) < 5 / flat.numel() ** 0.5
    assert (flat.T.cov() - torch.eye(64)).abs().max() < 5 * (2 / 400) ** 0.5


def test_the_field_is_continuous_in_its_noise_function_and_in_place():
    """A tenth of the turn of ω is about a tenth of the way, and a draw asked 64 times finer is the same function."""
    model, (a, b), coords = trained(), trained().noise(2, seed=1)[:, None], nfd.cell_centres((64,))

    def turned(angle: float) -> torch.Tensor:
        return model.push(seen(), math.cos(angle) * a + math.sin(angle) * b)(coords)

    ways = [(turned(angle) - turned(0.0)).norm() / angle for angle in (0.01, 0.001)]
    assert ways[0] > 0.1 and abs(float(ways[1] / ways[0]) - 1) < 0.1
    draws, fine = start().draw(seen(), 64, seed=2), nfd.cell_centres((4096,))
    torch.testing.assert_close(draws(torch.cat([fine, coords]))[:, 4096:], draws(coords), atol=1e-5, rtol=1e-5)
    assert abs(draws(fine).var(0).mean() / draws(coords).var(0).mean() - 1) < 0.1


def test_before_training_it_draws_the_exact_posterior_of_a_gaussian_field():
    """Mean, standard deviation and correlations of draws are those of the exact posterior."""
    coords = start().lattice[::2]
    mine, exact = (who.draw(seen(), 4000, seed=1)(coords)[..., 0] for who in (start(), PROBLEM.oracle()))
    std = exact.std(0)
    assert ((mine.mean(0) - exact.mean(0)) / std).abs().max() < 0.15          # of which 5 standard errors: 0.11
    assert (mine.std(0) / std).log().abs().max() < 0.12 and abs(mine.std(0).mean() / std.mean() - 1) < 0.03
    assert (torch.corrcoef(mine.T) - torch.corrcoef(exact.T)).abs().max() < 0.15


@pytest.mark.parametrize("prior", PRIORS)
def test_both_priors_train_and_draw(prior):
    """Losses and draws are finite, weights change, and draws differ where observations do."""
    model, coords = trained(prior), nfd.cell_centres((20,))
    before, after = StochasticField(**SMALL, prior=prior).build(1, 1, seed=0).state_dict(), model.tensors()
    for part in ("encoder.", "denoiser.net.", "field."):
        assert any(not torch.equal(before[key], after[key]) for key in after if key.startswith(part)), part
    one, other = (model.draw(seen(seed=i), 3, seed=0, steps=4)(coords) for i in (3, 4))
    assert one.shape == (3, 20, 1) and one.isfinite().all() and not torch.equal(one, other)
    assert model.draw(None, 3, seed=0, steps=4)(coords).isfinite().all()


def test_what_is_not_a_noise_function_is_refused():
    for omega in (torch.zeros(2, 1, 63), torch.full((2, 1, 64), float("nan")), torch.zeros(0, 1, 64), 3):
        with pytest.raises((ValueError, TypeError)) as error:
            trained().push(seen(), omega)
        assert "\n  do:   " in str(error.value)


# Aleatoric and epistemic uncertainty

def test_the_covariance_of_a_least_squares_fit():
    """Independent errors of std s at q places: s² H⁻¹/q for each output; where all places of a function err alike, it
    counts once; and outputs that err alike have weights that do."""
    rng = stream(0, "scatter")
    features, noise = torch.randn(6000, 8, 3, generator=rng), 0.5 * torch.randn(6000, 8, 2, generator=rng)
    features[..., 2] = 1
    R = scatter(features, noise)
    torch.testing.assert_close(R @ R.T, 0.25 / 8 * torch.eye(6), atol=0.004, rtol=0.08)
    alike = 0.5 * torch.randn(6000, 1, 1, generator=rng).expand(-1, 8, 2)
    R = scatter(features, alike)
    C = (R @ R.T).reshape(3, 2, 3, 2)
    torch.testing.assert_close(C[2, :, 2], 0.25 * torch.ones(2, 2), atol=0.0, rtol=0.08)


def test_the_last_layer_fits_its_regression():
    """What the layer says is what the network says: on features of its own it leaves the residual of the whole."""
    model = trained()
    features, target = regression(model, PROBLEM, recipes.views_for(PROBLEM), 64, seed=4)
    last, k = last_layer(model.net), target.shape[-1]
    weights = torch.cat([last.weight.detach()[:k].flatten(1), last.bias.detach()[:k, None]], 1)
    error = (target - features @ weights.T).square().mean()
    assert features.shape == (64, 4 * 32, 17) and target.shape == (64, 4 * 32, 2)
    assert error < 0.95 * target.square().mean() and abs(float(target.square().mean()) - 1) < 0.25
    fit = torch.linalg.lstsq(features.flatten(0, 1).double(), target.flatten(0, 1).double()).solution
    assert error < 1.3 * (target - features @ fit.float()).square().mean()


def test_epistemic_uncertainty_is_the_std_of_refits():
    """Last layers refitted, each to 64 other functions, differ as predicted; and the uncertainty falls as 1/√N."""
    model, views = trained(), recipes.views_for(PROBLEM)
    uncertainty = EpistemicUncertainty.of(model, PROBLEM, views, functions=256, seed=1)
    features, target = regression(model, PROBLEM, views, 1024, seed=9)
    refits = []
    for i in range(0, 1024, 64):
        F, t = features[i:i + 64].flatten(0, 1).double(), target[i:i + 64].flatten(0, 1).double()
        H = F.T @ F / len(F)
        H = H + RIDGE * H.diagonal().mean() * torch.eye(len(H))
        refits.append(torch.linalg.solve(H, F.T @ t / len(F)))
    probe = features.flatten(0, 1)[::50].double()
    found = (probe @ torch.stack(refits)).std(0).mean()
    moves = uncertainty.root.double().T.unflatten(1, refits[0].shape)
    predicted = (probe @ moves).square().sum(0).sqrt().mean() / 8
    assert abs(float(found / predicted) - 1) < 0.3
    coords = nfd.cell_centres((32,))
    (aleatoric, wide), (again, narrow) = (uncertainty.split(seen(), coords, learned_from=n, seed=2, models=4)
                                          for n in (100, 1600))
    assert abs(float(wide.mean() / narrow.mean()) / 4 - 1) < 0.25
    assert abs(float(again.mean() / aleatoric.mean()) - 1) < 0.1


def test_the_two_uncertainties_add_up_to_the_variance_of_all_draws():
    model, coords = trained(), nfd.cell_centres((16,))
    uncertainty = EpistemicUncertainty.of(model, PROBLEM, recipes.views_for(PROBLEM), functions=64, seed=1)
    models = uncertainty.models(3, learned_from=20, seed=2)
    assert all(other.net is not model.net for other in models)
    values = torch.stack([m.draw(seen(), 40, seed=2)(coords) for m in models])
    aleatoric, epistemic = uncertainty.split(seen(), coords, learned_from=20, seed=2, models=3, draws=40)
    total = values.flatten(0, 1).var(0, correction=0)
    torch.testing.assert_close(aleatoric**2 * 39 / 40 + epistemic**2 * 2 / 3, total)


# What ships

@pytest.mark.parametrize("name", MINE)
def test_whole_curves_are_right_where_it_ships(name):
    """As measured when the weights were made, over counts: scores of single places, whole draws, and integrals."""
    scores = nfd.load("stochastic_field", name, device="cpu").about["scores"]
    assert abs(scores["integral90"]["mean"] - 0.9) < 0.05 and abs(scores["spread"]["mean"] - 1) < 0.08
    assert scores["crps"]["mean"] < 1.1 and scores["energy"]["mean"] < 1.1 and scores["variogram"]["mean"] < 1.2
