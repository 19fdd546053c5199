"""Approach 1: decoding at any width, the scale of latents, one latent as one function at any width, both priors."""

from functools import cache

import pytest
import torch

import nfdlab as nfd
from nfdlab.approaches.latent_field import LatentField
from nfdlab.core.fields import EvaluatedFields
from nfdlab.diffusion.denoiser import GaussianPrior, WhitePrior

SMALL = {"width": 16, "widths": (16,), "depth": 1, "batch": 8, "queries": 32, "diffusion_batch": 8, "num_particles": 32}
VECTOR = {"autoencoder": "vector", "latent_channels": 6, "denoiser_layers": (16, 1)}
CELLS = {"autoencoder": "convolutional", "latent_channels": 2}


@cache
def small(problem="gp2d", budget="own", **knobs):
    budget = nfd.Budget(steps=8, name=budget)
    return nfd.train(LatentField(**{**SMALL, **knobs}), problem, budget=budget, device="cpu")


@pytest.mark.parametrize("knobs", [{}, VECTOR, CELLS], ids=["linear", "vector", "convolutional"])
def test_latents_decode_at_any_width(knobs):
    model = small(budget="smoke", **knobs)
    latent, coords = model.encode(nfd.problems.get("gp2d").draw(3, seed=1)), nfd.cell_centres((7, 7))
    assert latent.shape == (3, *model.net.shape)
    assert torch.equal(model.decode(latent)(coords), model.decode(latent, size=0.0)(coords))
    assert not torch.allclose(model.decode(latent)(coords), model.decode(latent, size=0.2)(coords))
    direct = model.net.evaluate(coords, model.net.prepare(latent), 0.2)
    assert torch.allclose(model.decode(latent, size=0.2)(coords), direct, atol=1e-5)


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
    net = LatentField(cells=24, width=8, widths=(8,), prior="gaussian").build(2, 1)
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

    LatentField(**{**SMALL, "diffusion_batch": 13}, reuse=2, autoencoder_share=0.5).fit(
        Source(), views=None, budget=nfd.Budget(steps=8), seed=0, device="cpu")
    own = [seed for n, seed in asked if n == 13]
    assert len(own) == 2 and len(set(own)) == 2


@pytest.mark.parametrize("wrong", [{"prior": "grey"}, {"autoencoder": "flat"}])
def test_unknown_choices_are_refused(wrong):
    with pytest.raises(KeyError, match="why:"):
        LatentField(**wrong)
