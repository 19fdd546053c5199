"""Approach 1: averages over pixels, the scale of latents, one latent as one function at any width, both priors."""

from functools import cache

import pytest
import torch

import nfdlab as nfd
from nfdlab.approaches.latent_field import LatentField, box_averages
from nfdlab.core.fields import EvaluatedFields
from nfdlab.core.grid import interpolate
from nfdlab.core.rng import stream
from nfdlab.diffusion.denoiser import GaussianPrior, WhitePrior
from nfdlab.training import Run

SMALL = {"width": 16, "batch": 8, "queries": 32, "diffusion_batch": 8, "num_particles": 32}
GRID = {"autoencoder": "grid", "cells": 16, "points_per_cell": 2, "denoiser_dilations": (1,)}
VECTOR = {"autoencoder": "vector", "latent_channels": 6, "denoiser_layers": (16, 1)}
CELLS = {"autoencoder": "convolutional", "latent_channels": 2}


@cache
def small(problem="gp2d", budget="own", **knobs):
    budget = nfd.Budget(steps=8, name=budget)
    return nfd.train(LatentField(**{**SMALL, **knobs}), problem, budget=budget, device="cpu")


@pytest.mark.parametrize("d", [1, 2, 3])
def test_the_average_of_a_parabola_over_a_box_is_known(d):
    """Σ x² over a box h wide is Σ x² + d h²/12; of a straight slope, its value; where the width is 0, both exactly."""
    def rule(x, part):
        found = torch.stack([x.square().sum(-1), x.sum(-1)], -1)
        return found if x.ndim == 3 else found[None]

    size = torch.tensor([0.0, 0.3]).repeat(2000)
    coords = torch.linspace(-0.5, 0.5, 3)[:, None].expand(4000, 3, d)
    found = box_averages(EvaluatedFields(rule, 4000, d, 2), coords, size, stream(0, "boxes"))
    square, slope = coords.square().sum(-1), coords.sum(-1)
    torch.testing.assert_close(found[::2], torch.stack([square, slope], -1)[::2])
    off = found[1::2] - torch.stack([square + d * 0.3**2 / 12, slope], -1)[1::2]
    assert float((off.mean(0) / (off.std(0) / 2000**0.5)).abs().max()) < 4.5


def test_an_encoder_of_pixels_is_given_their_averages():
    """Of a field that is constant on each pixel the average is that constant; elsewhere the mean of 4 × 4 points."""
    net = LatentField(cells=4, points_per_cell=2, encoder_input="pixels").build(2, 1)
    steps = EvaluatedFields(lambda x, part: (8 * (x[..., :1] + 1) / 2).floor().expand(1, -1, 1), 1, 2)
    assert torch.equal(net.grid_values(steps)[0, 0], torch.arange(8.0)[:, None].expand(8, 8))
    slope = EvaluatedFields(lambda x, part: x[None, :, 1:] ** 2, 1, 2)
    fine = nfd.cell_centres((32,))[:, 0].square().reshape(8, 4).mean(1)
    torch.testing.assert_close(net.grid_values(slope)[0, 0, 0], fine)
    points = LatentField(cells=4, points_per_cell=2).build(2, 1).grid_values(slope)
    assert torch.equal(points.flatten(2).mT, slope(nfd.cell_centres((8, 8))))


def test_a_grid_latent_is_the_grid_at_unit_scale_from_the_first_step():
    """Hardly trained, the field reads the grid that was encoded: discs, whose mean is not 0 and std not 1, too."""
    model = small("discs2d", **GRID)
    fields = nfd.problems.get("discs2d").draw(64, seed=4)
    latent, points = model.encode(fields), 2 * torch.rand(200, 2, generator=stream(1, "points")) - 1
    grid = fields(nfd.cell_centres((32, 32))).unflatten(1, (32, 32))[..., 0][:, None]
    torch.testing.assert_close(model.net.autoencoder.points(latent), grid, rtol=0, atol=1e-5)
    assert float(latent.std()) == pytest.approx(1, abs=0.2)
    assert float((model.decode(latent)(points) - interpolate(grid, points, cubic=True)).square().mean()) ** 0.5 < 0.05
    assert model.about["floor"] < 0.06


def test_a_grid_latent_has_its_scale_before_the_field_learns(monkeypatch):
    """Before the first step the statistics are those of the data, discs here, and not yet to be measured."""
    found = []

    def stopped(run, net, *stages):
        found.append((net.autoencoder.unit.mean.clone(), net.autoencoder.unit.std.clone()))
        stages[0].end()

    monkeypatch.setattr(Run, "train", stopped)
    small.__wrapped__("discs2d", **GRID)
    values = nfd.problems.get("discs2d").draw(2000, seed=1)(nfd.cell_centres((16, 16)))
    (mean, std), = found
    assert float(mean.mean() - values.mean()) == pytest.approx(0, abs=0.02)
    assert float(std.mean() / values.std()) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("knobs", [{}, VECTOR, GRID, CELLS], ids=["linear", "vector", "grid", "convolutional"])
def test_latents_decode_at_any_width(knobs):
    model = small(budget="smoke", **knobs)
    latent, coords = model.encode(nfd.problems.get("gp2d").draw(3, seed=1)), nfd.cell_centres((7, 7))
    assert latent.shape == (3, *model.net.shape)
    assert torch.equal(model.decode(latent)(coords), model.decode(latent, size=0.0)(coords))
    assert not torch.allclose(model.decode(latent)(coords), model.decode(latent, size=0.2)(coords))
    direct = model.net.evaluate(coords, model.net.prepare(latent), 0.2)
    assert torch.allclose(model.decode(latent, size=0.2)(coords), direct, atol=1e-5)
    plain = small(budget="smoke", decoder_output="points", **knobs)
    latent = plain.encode(nfd.problems.get("gp2d").draw(3, seed=1))
    assert torch.equal(plain.decode(latent)(coords), plain.decode(latent, size=0.2)(coords))


@pytest.mark.parametrize("prior", ["white", "gaussian"])
def test_both_priors_draw_and_keep_the_gaussian_of_the_latents(prior):
    """It is the denoiser's prior, or stands beside a white one for guidance; its second moments add up to those of
    latents of unit scale, to a twentieth."""
    model = small("gp1d", prior=prior, cells=4)
    assert isinstance(model.net.denoiser.prior, {"white": WhitePrior, "gaussian": GaussianPrior}[prior])
    law = model.net.covariance
    assert float(law.lam.sum() + law.mean.square().sum()) == pytest.approx(16, rel=0.05)
    seen = nfd.observe(nfd.problems.get("gp1d").draw(1, seed=3), nfd.patterns.Random(count=5), seed=1)
    values = model.draw(seen, 4, seed=0, steps=4)(nfd.cell_centres((16,)))
    assert torch.isfinite(values).all() and values.std(0).min() > 0


def test_latents_of_more_than_1024_numbers_have_a_white_prior():
    net = LatentField(cells=24, width=8).build(2, 1)
    assert net.covariance is None and isinstance(net.denoiser.prior, WhitePrior)


def test_a_linear_encoder_makes_latents_of_sums():
    """The latent of a mixture of two fields is the mixture of theirs: so latents of Gaussian fields are Gaussian."""
    model = small()
    two = nfd.problems.get("gp2d").draw(2, seed=3)
    mixed = EvaluatedFields(lambda x, part: 0.3 * two.rule(x, slice(0, 1)) + 0.7 * two.rule(x, slice(1, 2)), 1, 2)
    a, b = model.encode(two)
    torch.testing.assert_close(model.encode(mixed)[0], 0.3 * a + 0.7 * b, rtol=0, atol=1e-4)


def test_latents_are_reused_as_often_as_the_config_says():
    """Four steps with latents used twice ask the source twice for them, each time for other functions."""
    asked = []

    class Source:
        def draw(self, n, *, seed):
            asked.append((n, seed))
            return nfd.problems.get("gp1d").draw(n, seed=seed)

    LatentField(**{**SMALL, "diffusion_batch": 13}, reuse=2).fit(
        Source(), views=None, budget=nfd.Budget(steps=8), seed=0, device="cpu")
    own = [seed for n, seed in asked if n == 13]
    assert len(own) == 2 and len(set(own)) == 2


@pytest.mark.parametrize("wrong", [{"prior": "grey"}, {"autoencoder": "flat"}, {"encoder_input": "boxes"},
                                   {"decoder_output": "boxes"}])
def test_unknown_choices_are_refused(wrong):
    with pytest.raises(KeyError, match="why:"):
        LatentField(**wrong)
