"""Approach 7: acquisition values are those of its own draws, both priors draw, a search keeps its particles."""

from functools import cache

import pytest
import torch

import nfdlab as nfd
from nfdlab import problems
from nfdlab.approaches.adaptive_sampling import AdaptiveSampling
from nfdlab.core.acquisition import ACQUISITIONS, acquisition
from nfdlab.core.capabilities import HasAsk, HasSequential
from nfdlab.core.types import Observations
from nfdlab.diffusion.denoiser import GaussianPrior, WhitePrior
from nfdlab.observation.active import Search

SMALL = {"width": 16, "batch": 8, "queries": 24, "diffusion_batch": 16, "num_particles": 32, "rounds": 4,
         "denoiser_layers": (16, 1), "steps": 4}
SEEN = Observations(torch.tensor([[-0.7], [0.1], [0.6]]), torch.tensor([[0.8], [0.1], [-0.4]]), 0.1)


@cache
def small(**knobs):
    return nfd.train(AdaptiveSampling(**{**SMALL, **knobs}), "step1d", budget=nfd.Budget(steps=4), device="cpu")


LATTICE = {"latent": "lattice", "guide": "encoder", "prior": "white", "cells": 8, "widths": (16,), "depth": 1,
           "encoder_width": 8, "memory": 4, "field_width": 8}


@pytest.mark.parametrize("knobs", [{}, {"prior": "white"}, {"guide": "linearised", "latent_channels": 2, "side": 32},
                                   LATTICE])
def test_ask_is_the_acquisition_of_its_own_draws(knobs):
    """By any acquisition function, prior and guide; latents have the shape that the network says."""
    model, candidates = small(**knobs), nfd.cell_centres((12,))
    assert isinstance(model, HasAsk)
    for by in ACQUISITIONS:
        asked = model.ask(SEEN, candidates, seed=3, by=by, draws=6)
        assert torch.equal(asked, acquisition(by, model.draw(SEEN, 6, seed=3)(candidates), 0.1))
    assert model.encode(problems.get("step1d").draw(3, seed=0)).shape == (3, *model.net.shape)
    with pytest.raises(ValueError, match="why:"):
        model.ask(SEEN, torch.zeros(3, 2), seed=0)


def test_the_gaussian_of_the_latents_is_kept_whatever_the_prior():
    """It is the denoiser's prior, or stands beside a white one for guidance; its second moments add up to those of
    latents of unit scale, to a twentieth."""
    gaussian, white = small().net, small(prior="white").net
    assert isinstance(gaussian.denoiser.prior, GaussianPrior) and isinstance(white.denoiser.prior, WhitePrior)
    assert gaussian.covariance is gaussian.denoiser.prior
    for net in (gaussian, white):
        assert float(net.covariance.lam.sum() + net.covariance.mean.square().sum()) == pytest.approx(8, rel=0.05)


def test_a_search_keeps_its_particles():
    truth = problems.get("step1d").draw(1, seed=3)
    assert isinstance(small(), HasSequential)
    now = Search(small(), d=1, seed=0).run(truth, 2)
    assert now.particles.seen.m == 2 and Search(small(), d=1, seed=0, carry=False).run(truth, 1).particles is None


def test_on_a_lattice_nothing_is_carried():
    """The denoiser is given all that was read, so a search draws anew, and its draws are those of the model."""
    truth, model = problems.get("step1d").draw(1, seed=3), small(**LATTICE)
    now, points = Search(model, d=1, seed=0).run(truth, 2), nfd.cell_centres((12,))
    assert now.particles is None and model.sequential(seed=0) is None
    again = model.draw(now.seen, 3, seed=5)(points)
    assert not torch.equal(again, model.draw(None, 3, seed=5)(points))
    assert torch.equal(again, model.draw(now.seen, 3, seed=5)(points))


@pytest.mark.parametrize("knobs", [{"latent": "lattice"}, {"guide": "encoder"}, {**LATTICE, "noise_lengthscale": 0.1}])
def test_a_guide_that_the_latent_does_not_have_is_refused(knobs):
    with pytest.raises(ValueError, match="why:"):
        AdaptiveSampling(**knobs)


def test_an_unknown_prior_is_refused():
    with pytest.raises(KeyError, match="why:"):
        AdaptiveSampling(prior="grey")
