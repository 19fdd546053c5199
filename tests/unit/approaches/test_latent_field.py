"""Approach 1: averages over pixels are what they say, latents keep their scale, one latent is one function at any width."""

import pytest
import torch
from nfdlab.inference.latent_diffusion import averaged

import nfdlab as nfd
from nfdlab.approaches.latent_field import LatentField
from nfdlab.core.fields import EvaluatedFields
from nfdlab.core.grid import interpolate
from nfdlab.core.rng import stream
from nfdlab.inference import latent_diffusion as squeezed

BUDGET = nfd.Budget(steps=8)
SMALL = {"width": 16, "batch": 8, "queries": 32, "latents": 8, "num_particles": 32}


def small(problem="gp2d", **knobs):
    return nfd.train(LatentField(**{**SMALL, **knobs}), problem, budget=BUDGET, device="cpu")


@pytest.mark.parametrize("d", [1, 2, 3])
def test_the_average_of_a_parabola_over_a_box_is_known(d):
    """Σ x² over a box h wide is Σ x² + d h²/12; of a straight slope, its value; where the width is 0, both exactly."""
    bent = EvaluatedFields(lambda x, part: torch.stack([x.square().sum(-1), x.sum(-1)], -1).expand(4000, -1, 2), 4000, d, 2)
    size = torch.tensor([0.0, 0.3]).repeat(2000)
    coords = torch.linspace(-0.5, 0.5, 3)[:, None].expand(4000, 3, d)
    found = averaged(EvaluatedFields(lambda x, part: bent.rule(x, part)[:len(x)] if x.ndim == 3 else bent.rule(x, part)[:1],
                               4000, d, 2), coords, size, stream(0, "boxes"))
    square, slope = coords.square().sum(-1), coords.sum(-1)
    torch.testing.assert_close(found[::2], torch.stack([square, slope], -1)[::2])
    off = found[1::2] - torch.stack([square + d * 0.3**2 / 12, slope], -1)[1::2]
    assert float((off.mean(0) / (off.std(0) / 2000**0.5)).abs().max()) < 4.5


def test_an_encoder_of_pixels_sees_their_averages():
    """Of a field that is constant on each pixel the average is that constant; elsewhere the mean of 4 × 4 places."""
    config = LatentField(cells=4, fine=2, pixels=True)
    steps = EvaluatedFields(lambda x, part: (8 * (x[..., :1] + 1) / 2).floor().expand(1, -1, 1), 1, 2)
    assert torch.equal(config.look(steps)[0, :, 0].reshape(8, 8), torch.arange(8.0)[:, None].expand(8, 8))
    slope = EvaluatedFields(lambda x, part: x[None, :, 1:] ** 2, 1, 2)
    fine = nfd.cell_centres((32,))[:, 0].square().reshape(8, 4).mean(1)
    torch.testing.assert_close(config.look(slope)[0, :8, 0], fine)
    assert torch.equal(LatentField(cells=4, fine=2).look(slope), slope(nfd.cell_centres((8, 8))))


def test_a_folded_code_is_the_grid_at_unit_scale_from_the_first_step():
    """Hardly trained, the field reads the grid that was encoded: discs, whose mean is not 0 and spread not 1, too."""
    model = small("discs2d", folded=True, cells=16, fine=2, dilations=(1,))
    fields = nfd.problems.get("discs2d").draw(64, seed=4)
    latent, points = model.encode(fields), 2 * torch.rand(200, 2, generator=stream(1, "points")) - 1
    grid = fields(nfd.cell_centres((32, 32))).unflatten(1, (32, 32))[..., 0][:, None]
    torch.testing.assert_close(model.net.auto.points(latent), grid, rtol=0, atol=1e-5)
    assert float(latent.std()) == pytest.approx(1, abs=0.2)
    assert float((model.decode(latent)(points) - interpolate(grid, points, cubic=True)).square().mean()) ** 0.5 < 0.05
    assert model.about["floor"] < 0.06


def test_a_folded_code_has_its_scale_before_the_field_learns(monkeypatch):
    """At the first step the statistics are those of the data, discs here, and not yet to be measured."""
    found = []
    monkeypatch.setattr(squeezed, "train", lambda net, *_: found.append((net.auto.unit.mean, net.auto.unit.std)))
    small("discs2d", folded=True, cells=16, fine=2, dilations=(1,))
    values = nfd.problems.get("discs2d").draw(2000, seed=1)(nfd.cell_centres((16, 16)))
    (mean, std), = found
    assert float(mean.mean() - values.mean()) == pytest.approx(0, abs=0.02)
    assert float(std.mean() / values.std()) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("knobs", [{}, {"flat": 6, "linear": False}, {"folded": True, "cells": 16, "fine": 2}])
def test_codes_decode_at_any_width(knobs):
    model = small(**knobs)
    latent, coords = model.encode(nfd.problems.get("gp2d").draw(3, seed=1)), nfd.cell_centres((7, 7))
    assert latent.shape == (3, *model.net.shape)
    assert torch.equal(model.decode(latent)(coords), model.decode(latent, size=0.0)(coords))
    assert not torch.allclose(model.decode(latent)(coords), model.decode(latent, size=0.2)(coords))
    assert torch.allclose(model.decode(latent, size=0.2)(coords), model.net.values(coords, latent, 0.2), atol=1e-5)
    plain = small(sized=False, **knobs)
    latent = plain.encode(nfd.problems.get("gp2d").draw(3, seed=1))
    assert torch.equal(plain.decode(latent)(coords), plain.decode(latent, size=0.2)(coords))


def test_a_linear_encoder_makes_codes_of_sums():
    """Codes of a mixture of two fields are the mixture of their latents: so latents of Gaussian fields are Gaussian."""
    model = small()
    two = nfd.problems.get("gp2d").draw(2, seed=3)
    mixed = EvaluatedFields(lambda x, part: 0.3 * two.rule(x, slice(0, 1)) + 0.7 * two.rule(x, slice(1, 2)), 1, 2)
    a, b = model.encode(two)
    torch.testing.assert_close(model.encode(mixed)[0], 0.3 * a + 0.7 * b, rtol=0, atol=1e-4)


def test_codes_are_reused_as_often_as_told():
    """Four steps with latents used twice ask the source twice for them, each time for other functions."""
    asked = []

    class Source:
        def draw(self, n, *, seed):
            asked.append((n, seed))
            return nfd.problems.get("gp1d").draw(n, seed=seed)

    LatentField(**{**SMALL, "latents": 13}, reuse=2).fit(Source(), views=None, budget=nfd.Budget(steps=8), seed=0)
    own = [seed for n, seed in asked if n == 13]
    assert len(own) == 2 and len(set(own)) == 2
