"""Approach 2: what it learned from, its Gaussian rival, permuted neurons, both priors."""

from functools import cache

import pytest
import torch

import nfdlab as nfd
from nfdlab.approaches.weight_diffusion import WeightDiffusion
from nfdlab.core.types import Budget
from nfdlab.fields.batched_mlp import nearest

LINE = nfd.cell_centres((101,))
PROBLEM = nfd.problems.get("families1d")
TINY = {"field_width": 6, "num_fields": 64, "denoiser_layers": (16, 1), "batch": 16}


@cache
def trained(seed=0, steps=12, **knobs):
    return nfd.train(WeightDiffusion(**{**TINY, **knobs}), PROBLEM, budget=Budget(steps=steps), seed=seed, device="cpu")


def test_the_rival_has_the_mean_and_the_covariance_of_the_weights():
    """Along each of the widest directions the variance of its draws is the weights', within errors of 2000 draws."""
    model = trained()
    *_, last = model.gaussian.path(None, 2000, seed=1, steps=60, sampler="heun")
    known = model.net.covariance
    along = (last.x - known.mean) @ known.Q[:, -4:]
    assert ((along.mean(0) / known.lam[-4:].sqrt()).abs() < 4 / 2000**0.5).all()
    assert ((along.var(0) / known.lam[-4:] - 1).abs() < 4 * (2 / 2000) ** 0.5 + 0.03).all()
    assert abs(known.lam.sum() / model.net.field.size - 1) < 0.05, "latents have unit scale"
    seen = nfd.observe(PROBLEM.draw(1, seed=1), nfd.patterns.Random(count=3), noise_std=0.1, seed=1)
    assert torch.isfinite(model.gaussian.draw(seen, 4, seed=0)(LINE)).all()


def test_the_training_functions_are_known_and_a_copy_is_found():
    handed = []

    class Source:
        def draw(self, n, *, seed):
            handed.append(PROBLEM.draw(n, seed=seed))
            return handed[-1]

    model = WeightDiffusion(**TINY).fit(Source(), views=None, budget=Budget(steps=4), seed=0, device="cpu")
    members = model.training_functions(PROBLEM)(LINE)
    assert torch.equal(members, handed[1](LINE)) and [fields.n for fields in handed] == [1, 64], "a probe, then the set"
    distance, which = nearest(members[[7, 3]], members)
    assert which.tolist() == [7, 3] and distance.max() < 1e-6
    distance, which = nearest(members[:1] + 0.01, members)
    assert which.item() == 0 and abs(distance.item() - 0.01) < 1e-5


def test_files_hold_no_training_data():
    few, many = (trained(num_fields=n).tensors() for n in (64, 128))
    assert {k: v.shape for k, v in few.items()} == {k: v.shape for k, v in many.items()}


def test_permuted_training_learns_from_the_same_fields():
    """The fits are those of a shared start; only what the diffusion sees of them differs, and holds much less order."""
    one, other = (trained(initialisation=kind, steps=120) for kind in ("shared", "permuted"))
    assert one.about["floor"] == other.about["floor"]
    assert other.net.covariance.lam[-8:].sum() < 0.7 * one.net.covariance.lam[-8:].sum()


@pytest.mark.parametrize("initialisation", ["shared", "permuted"])
def test_training_resumed_in_its_second_stage_is_training_in_one_go(initialisation, tmp_path):
    config = WeightDiffusion(**TINY, initialisation=initialisation)
    budget = Budget(steps=20, checkpoint=tmp_path / "half")
    whole = nfd.train(config, PROBLEM, budget=Budget(steps=20), seed=1, device="cpu")
    nfd.train(config, PROBLEM, budget=budget, seed=1, device="cpu",
              watch=lambda step: step.stage == "diffuse" and step.index == 3)
    again = nfd.train(config, PROBLEM, budget=budget, seed=1, device="cpu")
    assert all(torch.allclose(v, again.tensors()[k], atol=1e-5) for k, v in whole.tensors().items())
    assert again.about["floor"] == whole.about["floor"]


def test_a_latent_of_fields_renders_them_again():
    model, curves = trained(steps=120), PROBLEM.draw(8, seed=9)
    again = model.decode(model.encode(curves, seed=1))
    assert (again(LINE) - curves(LINE)).abs().mean() < 0.25 * curves(LINE).std()
    theta, = model.net.prepare(model.encode(curves, seed=1))
    assert torch.allclose(model.net.field.fields(theta)(LINE), again(LINE), atol=1e-4)


def test_with_a_white_prior_the_gaussian_is_kept_beside_for_guidance_and_as_the_rival():
    model = trained(prior="white")
    net = model.net
    assert net.covariance is net.gaussian and model.gaussian.net.denoiser.prior is net.gaussian
    seen = nfd.observe(PROBLEM.draw(1, seed=1), nfd.patterns.Random(count=3), noise_std=0.1, seed=1)
    for guide in ("linearised", "particles"):
        rough = model.using(num_particles=16, rounds=2)
        assert torch.isfinite(rough.draw(seen, 3, seed=0, steps=4, guide=guide)(LINE)).all()
    assert trained().net.gaussian is None and trained().net.covariance is trained().net.denoiser.prior


@pytest.mark.parametrize("wrong,kind", [({"initialisation": "shred"}, KeyError), ({"num_fields": 3}, ValueError),
                                        ({"prior": "grey"}, KeyError)])
def test_wrong_configs_are_refused(wrong, kind):
    with pytest.raises(kind) as error:
        nfd.train(WeightDiffusion(**wrong), PROBLEM, budget=Budget(steps=2), device="cpu")
    assert "\n  do:   " in str(error.value)
