"""Approach 9: meta-learned latents, style mixing, both priors, and latents through which alone observations enter."""

import pytest
import torch

import nfdlab as nfd
from nfdlab import store
from nfdlab.approaches.modulated_field import ModulatedField, ModulatedFieldPosterior
from nfdlab.approaches.modulated_field.meta_learning import MetaLearnedEncoder
from nfdlab.core.rng import normals, seeded
from nfdlab.core.types import Budget
from nfdlab.fields.siren import ModulatedSiren
from nfdlab.observation.training_views import TrainingViews

MINE = [problem for approach, problem in store.shipped() if approach == "modulated_field"]
SMALL = {"field_width": 24, "field_depth": 3, "width": 16, "encoder_dilations": (1,), "denoiser_dilations": (1,),
         "denoiser_layers": (32, 1)}


def fresh(d: int = 2, **knobs) -> ModulatedFieldPosterior:
    """An untrained approach, ready to draw."""
    net = ModulatedField(**{**SMALL, **knobs}).build(d, 1, seed=0).eval()
    net.denoiser.noise_levels.set(0.01, 20.0, 1.0)
    return ModulatedFieldPosterior(net, {"d": d, "c": 1, "config": {"guide": "encoder"}, "floor": 0.0}, 6)


# Meta-learned latents

def test_a_step_of_cavia_is_gradient_descent_by_hand():
    """For a field that is linear in its latent, z = 0 − rate · ∂/∂z mean(Φz − y)² = rate · 2/p Φᵀy; many steps solve
    the least squares."""
    coords, rate = nfd.cell_centres((40,)), torch.tensor([0.3, 0.1, 0.2])
    basis = torch.cat([torch.ones_like(coords), coords, coords**2], 1)
    adapted = MetaLearnedEncoder(3, steps=1)
    with torch.no_grad():
        adapted.rate.copy_(rate)
    values = normals(0, 5, (40, 1), "values")

    def field(x, latent):
        return (torch.cat([torch.ones_like(x), x, x**2], -1) * latent[:, None]).sum(-1, keepdim=True)

    one = adapted(field, coords, values)
    torch.testing.assert_close(one, rate * 2 / 40 * (values[..., 0] @ basis), atol=1e-6, rtol=1e-5)
    many = adapted(field, coords, values, steps=4000)
    torch.testing.assert_close(many, torch.linalg.lstsq(basis, values[..., 0].T).solution.T, atol=1e-3, rtol=1e-3)


def test_training_goes_through_the_steps():
    """The gradient of a loss of the latents with respect to a step size is the finite difference."""
    with seeded(2):
        field, coords = ModulatedSiren(1, 4, width=16, depth=3, scales=True).double(), nfd.cell_centres((12,)).double()
    torch.nn.init.normal_(field.scale.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    adapted, values = MetaLearnedEncoder(4, steps=2, lr=0.2).double(), normals(0, 3, (12, 1), "values").double()

    def loss():
        return (field(coords, adapted(field, coords, values, learn=True)) - values).square().mean()

    slope, = torch.autograd.grad(loss(), adapted.rate)
    step, found = 1e-3, torch.zeros(4).double()
    for i in range(4):
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                adapted.rate[i] += sign * step
            ends.append(loss().detach())
            with torch.no_grad():
                adapted.rate[i] -= sign * step
        found[i] = (ends[0] - ends[1]) / (2 * step)
    torch.testing.assert_close(slope, found, atol=1e-4 * float(found.abs().max()), rtol=1e-3)


def test_cavia_trains_and_its_latents_are_of_unit_scale():
    config = ModulatedField(encoder="meta_learned", vector_size=6, field_width=32, field_depth=2, width=16, batch=16,
                            denoiser_layers=(32, 1), encoder_dilations=(1,), diffusion_batch=16)
    model = nfd.train(config, "gp1d", budget=nfd.Budget(steps=40), device="cpu")
    fields = nfd.problems.get("gp1d").draw(256, seed=1)
    latent = model.encode(fields)
    assert latent.shape == (256, 6) and latent.std(0).sub(1).abs().max() < 0.35
    coords = nfd.cell_centres((64,))
    adapted, shared = ((model.decode(z)(coords) - fields(coords)).square().mean() for z in (latent, 0 * latent))
    assert adapted < shared
    raw = model.net.encoder(model.net.field, model.net.grid, fields(model.net.grid))
    same = model.net.field(coords, raw).detach()
    torch.testing.assert_close(model.decode(latent)(coords), same, atol=1e-4, rtol=1e-4)
    with torch.inference_mode():
        assert torch.equal(model.encode(fields), latent)


@pytest.mark.parametrize("wrong,kind", [
    ({"encoder": "meta_learned"}, ValueError), ({"encoder": "linear", "latent": "vector"}, ValueError),
    ({"encoder": "maml"}, KeyError), ({"latent": "flat"}, KeyError), ({"prior": "grey"}, KeyError),
    ({"modulate": "scale"}, KeyError), ({"estimates": "kinds"}, KeyError)])
def test_unknown_choices_and_encoders_that_do_not_fit_are_refused(wrong, kind):
    with pytest.raises(kind) as error:
        ModulatedField(**wrong).build(2, 1)
    assert "\n  do:   " in str(error.value)


# The approach

@pytest.mark.parametrize("d,modulate", [(1, "shift_and_scale"), (2, "shift")])
def test_a_style_of_its_own_is_the_draw_itself(d, modulate):
    """Shallow and deep of one latent: that latent. No shallow layers: the deep latent; no deep ones: the shallow."""
    model, coords = fresh(d, modulate=modulate), nfd.cell_centres((5,) * d)
    a, b = (3 * normals(s, 2, model.net.shape, "latents") for s in (0, 1))
    ours, theirs = model.decode(a)(coords), model.decode(b)(coords)
    assert (ours - theirs).abs().max() > 1e-3
    for shallow, deep, layer, want in ((a, a, 1, ours), (a, b, 0, theirs), (a, b, 3, ours)):
        torch.testing.assert_close(model.mix_styles(shallow, deep, layer)(coords), want, atol=1e-5, rtol=1e-5)
    crossed = model.mix_styles(a, b, 1)
    assert (crossed(coords) - ours).abs().max() > 1e-3 and (crossed(coords) - theirs).abs().max() > 1e-3
    torch.testing.assert_close(crossed(coords[3:4]), crossed(coords)[:, 3:4], atol=1e-5, rtol=1e-5)


def test_latents_on_a_grid_obey_the_law_of_consistency():
    model, coords = fresh(2, modulate="shift_and_scale"), nfd.cell_centres((9, 7))
    draws = model.draw(None, 3, seed=0)
    values = draws(coords)
    torch.testing.assert_close(draws(coords[11:12]), values[:, 11:12], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(draws(coords.flip(0)), values.flip(1), atol=1e-6, rtol=1e-5)


def test_latents_by_encoder_are_of_unit_scale_whatever_its_own():
    """Whatever the encoder's scale, latents that field and denoiser see have unit std."""
    model = fresh(1)
    net, values = model.net, normals(0, 64, (1, 128), "values")
    net.unit.calibrate(net.raw(values))
    latent = net.encode(values)
    torch.testing.assert_close(latent.std(0), torch.ones(16), atol=1e-3, rtol=1e-3)
    with torch.no_grad():
        last = net.encoder[-1]
        last.weight.mul_(20.0), last.bias.mul_(20.0)
        net.unit.calibrate(net.raw(values))
    torch.testing.assert_close(net.encode(values), latent, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("problem", MINE)
def test_nothing_leaks_past_the_latent(problem):
    """The field sees observations through the latent alone: zeros, or a latent made for another task, are far worse."""
    from nfdlab.evaluate.scores import crps

    model, place = nfd.load("modulated_field", problem, device="cpu"), nfd.problems.get(problem)
    coords, scores = nfd.cell_centres((64,) if place.d == 1 else (12, 12)), torch.zeros(3)
    for seed in range(6):
        truth = place.draw(1, seed=seed)
        seen = nfd.observe(truth, nfd.patterns.Random(count=12 if place.d == 1 else 60), noise_std=0.05, seed=seed)
        for step in model.path(seen, 16, seed=seed, guide="encoder"):
            x = step.x
        latent = model.conditioning(seen).latent(x)
        foreign = model.unconditional.latent(normals(seed, 16, model.net.shape, "foreign"))
        for i, given in enumerate((latent, 0 * latent, foreign)):
            scores[i] += float(crps(model.decode(given)(coords), truth(coords)[0]).mean()) / 6
    assert scores[0] < 0.7 * scores[1] and scores[0] < 0.7 * scores[2], scores


@pytest.mark.parametrize("problem", MINE)
def test_shipped_latents_are_of_unit_scale(problem):
    model = nfd.load("modulated_field", problem, device="cpu")
    latent = model.encode(nfd.problems.get(problem).draw(300, seed=3))
    std = latent.transpose(0, 1).flatten(1).std(1)
    assert (std - 1).abs().max() < 0.2


@pytest.mark.parametrize("problem,knobs", [
    ("gp1d", {"prior": "white"}), ("gp1d", {"prior": "gaussian"}),
    ("gp2d", {"estimates": "mixture", "mixture_components": 2, "mixture_rank": 8, "cells": 4, "points_per_cell": 4})])
def test_both_priors_and_the_mixture_train_and_draw(problem, knobs):
    problem = nfd.problems.get(problem)
    config = ModulatedField(**SMALL, **knobs, batch=16, diffusion_batch=16)
    model = config.fit(problem, views=TrainingViews(), budget=Budget(steps=4), seed=1, device="cpu")
    seen = nfd.observe(problem.draw(1, seed=3), nfd.patterns.Random(count=5), noise_std=0.05, seed=1)
    values = model.draw(seen, 3, seed=0, steps=4)(nfd.cell_centres((5,) * problem.d))
    assert torch.isfinite(values).all() and values.std(0).max() > 0 and model.net.denoiser.noise_levels.known
