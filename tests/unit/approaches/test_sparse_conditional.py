"""Approach 5: one knob chooses the prior, and with a silent network the measured Gaussian is what draws."""

from functools import cache

import pytest
import torch

import nfdlab as nfd
from nfdlab.approaches.sparse_conditional import SparseConditional
from nfdlab.core.rng import seeded
from nfdlab.core.types import Budget
from nfdlab.observation.training_views import TrainingViews

SMALL = {"encoder_width": 16, "widths": (16, 16), "depth": 1, "field_width": 8, "cells": 8, "batch": 16, "queries": 16}


@cache
def fitted(prior: str, steps: int = 6, **knobs):
    config = SparseConditional(prior=prior, **{**SMALL, **knobs})
    return config.fit(nfd.problems.get("gp1d"), views=TrainingViews(), budget=Budget(steps=steps), seed=1, device="cpu")


def seen(m=5):
    return nfd.observe(nfd.problems.get("gp1d").draw(1, seed=3), nfd.patterns.Random(count=m), seed=1)


@pytest.mark.parametrize("prior", ["white", "gaussian"])
def test_both_priors_train_and_draw(prior):
    model = fitted(prior)
    values = model.draw(seen(), 4, seed=0, steps=4)(nfd.cell_centres((16,)))
    assert torch.isfinite(values).all() and values.std(0).min() > 0
    assert model.about["config"]["prior"] == prior and model.net.denoiser.noise_levels.known


def test_a_silent_network_with_the_measured_gaussian_draws_that_gaussian():
    """F = 0: 800 draws of the latent have the Gaussian's mean and variance given the observations, to 5 standard errors
    of the draws and 2 % of a standard deviation for the sampler's 40 steps."""
    model = fitted("gaussian")
    net, conditioning = model.net, model.conditioning(seen())
    torch.nn.init.zeros_(net.denoiser.net.output[-1].weight), torch.nn.init.zeros_(net.denoiser.net.output[-1].bias)
    for step in model.path(seen(), 800, seed=2, steps=40, sampler="heun"):
        x = step.x.flatten(1)
    measurement, posterior = net.denoiser.prior.measurement, conditioning.prior
    mean, variance = posterior.predict(measurement.matrix)
    mean, variance = mean[0] + measurement.middle, variance[0] + measurement.own
    assert ((x.mean(0) - mean).abs() < (5 / 800**0.5 + 0.02) * variance.sqrt()).all()
    assert ((x.var(0) / variance - 1).abs() < 5 * (2 / 800) ** 0.5 + 0.04).all()


def test_a_fresh_field_is_interpolation_between_the_points_that_the_latent_holds():
    model = fitted("white")
    side = model.net.side
    fields, grid = nfd.problems.get("gp1d").draw(3, seed=5), nfd.cell_centres((side,))
    latent = model.net.encode(fields(grid).mT)
    torch.testing.assert_close(model.net.autoencoder.points(latent), fields(grid).mT, atol=1e-5, rtol=1e-4)
    with seeded(0):
        fresh = SparseConditional(**SMALL).build(1, 1)
    between = (grid[1:] + grid[:-1]) / 2
    fresh.rescale(fresh.raw(fields(grid).mT))
    values = fresh.values(between, fresh.encode(fields(grid).mT))
    torch.testing.assert_close(values, (fields(grid)[:, 1:] + fields(grid)[:, :-1]) / 2, atol=1e-5, rtol=1e-4)


def test_the_encoder_may_be_shown_a_gaussian_that_was_measured_on_draws():
    """With `gaussian_rank` the posterior of a measured Gaussian is among the encoder's channels: what it says of these
    observations changes the features."""
    model = fitted("white", gaussian_rank=6)
    net, before = model.net, model.conditioning(seen()).features[0]
    assert net.gaussian_channels.modes.abs().max() > 0.1
    net.gaussian_channels.centre += 1
    assert (model.conditioning(seen()).features[0] - before).abs().max() > 1e-3
    net.gaussian_channels.centre -= 1


@pytest.mark.parametrize("wrong", [{"prior": "grey"}])
def test_unknown_choices_are_refused_with_the_nearest_name(wrong):
    with pytest.raises(KeyError) as error:
        SparseConditional(**wrong)
    assert all(part in str(error.value) for part in ("came:", "why:", "do:"))


def test_a_fit_with_gaussian_channels_is_one_function_and_comes_back_from_its_file(tmp_path):
    model, coords = fitted("white", gaussian_rank=6), nfd.cell_centres((16,))
    draws = model.draw(seen(), 3, seed=1, steps=4)
    torch.testing.assert_close(draws(coords)[:, 5:7], draws(coords[5:7]), atol=1e-5, rtol=0)
    again = nfd.load(nfd.save(model, tmp_path / "channels.safetensors")).draw(seen(), 3, seed=1, steps=4)
    assert torch.equal(again(coords), draws(coords))


def test_a_resumed_fit_draws_like_an_uninterrupted_one(tmp_path):
    """Cancelled and resumed: noise levels and draws are the same."""
    def fit(checkpoint, stop=None):
        approach = SparseConditional(**{**SMALL, "batch": 8}, gaussian_rank=6)
        budget = Budget(steps=20, checkpoint=checkpoint)
        return approach.fit(nfd.problems.get("gp1d"), views=TrainingViews(tail=0.0), budget=budget, seed=0,
                            watch=lambda step: step.index == stop)

    whole = fit(None)
    file = tmp_path / "fit.checkpoint"
    fit(file, stop=9)
    resumed = fit(file)
    assert torch.equal(resumed.net.denoiser.noise_levels.values, whole.net.denoiser.noise_levels.values)
    coords = nfd.cell_centres((16,))
    torch.testing.assert_close(resumed.draw(None, 2, seed=0)(coords), whole.draw(None, 2, seed=0)(coords))
