"""Approach 5: one knob chooses the prior, and with a silent network the measured Gaussian is what draws."""

from functools import cache

import pytest
import torch

import nfdlab as nfd
from nfdlab.approaches.sparse_conditional import SparseConditional
from nfdlab.core.types import Budget
from nfdlab.observation.training_views import TrainingViews

SMALL = {"width": 16, "cells": 8, "batch": 16, "queries": 16, "encoder_dilations": (1,), "denoiser_dilations": (1,)}


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


def test_the_encoders_gaussian_and_the_residual_are_inverse():
    conditioning = fitted("white").conditioning(seen())
    latent = torch.randn(3, *fitted("white").net.shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(conditioning.latent(conditioning.residual(latent)), latent)
    assert conditioning.mean.shape == conditioning.std.shape == (1, *fitted("white").net.shape)


def test_the_grid_itself_may_be_the_latent():
    """With the autoencoder "grid" decoding an encoded function is interpolation between the grid's points."""
    model = fitted("white", autoencoder="grid", estimates="gp_ensemble", kernels=((1.5, 0.3), (2.5, 0.3)))
    side = model.net.autoencoder.cells * model.net.autoencoder.per_cell
    fields, grid = nfd.problems.get("gp1d").draw(3, seed=5), nfd.cell_centres((side,))
    latent = model.net.autoencoder.encode(fields(grid).mT)
    torch.testing.assert_close(model.net.autoencoder.points(latent), fields(grid).mT, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("wrong", [{"prior": "grey"}, {"autoencoder": "folded"}, {"estimates": "kriging"}])
def test_unknown_choices_are_refused_with_the_nearest_name(wrong):
    with pytest.raises(KeyError) as error:
        SparseConditional(**wrong)
    assert all(part in str(error.value) for part in ("came:", "why:", "do:"))


def test_a_fit_with_a_gp_ensemble_is_one_function_and_comes_back_from_its_file(tmp_path):
    approach = SparseConditional(**{**SMALL, "batch": 4, "queries": 8}, autoencoder="grid", estimates="gp_ensemble",
                                 kernels=((1.5, 0.3),))
    fitted = approach.fit(nfd.problems.get("gp1d"), views=TrainingViews(tail=0.0), budget=Budget(steps=8), seed=0)
    coords = nfd.cell_centres((16,))
    draws = fitted.draw(None, 3, seed=1, steps=4)
    torch.testing.assert_close(draws(coords)[:, 5:7], draws(coords[5:7]), atol=1e-5, rtol=0)
    again = nfd.load(nfd.save(fitted, tmp_path / "ensemble.safetensors")).draw(None, 3, seed=1, steps=4)
    assert torch.equal(again(coords), draws(coords))


def test_a_resumed_fit_draws_like_an_uninterrupted_one(tmp_path):
    """Cancelled in the second stage and resumed: noise levels and draws are the same."""
    def fit(checkpoint, stop=None):
        approach = SparseConditional(**{**SMALL, "batch": 8}, kernels=((2.5, 0.3),))
        budget = Budget(steps=20, checkpoint=checkpoint)
        return approach.fit(nfd.problems.get("gp1d"), views=TrainingViews(tail=0.0), budget=budget, seed=0,
                            watch=lambda step: step.index == stop and step.stage == "diffuse")

    whole = fit(None)
    file = tmp_path / "fit.checkpoint"
    fit(file, stop=9)
    resumed = fit(file)
    assert torch.equal(resumed.net.denoiser.noise_levels.values, whole.net.denoiser.noise_levels.values)
    coords = nfd.cell_centres((16,))
    torch.testing.assert_close(resumed.draw(None, 2, seed=0)(coords), whole.draw(None, 2, seed=0)(coords))
