"""Approach 9: meta-learned latents from scattered points, sources of points alone, style mixing, both priors, and
latents through which alone observations enter."""

from dataclasses import dataclass

import pytest
import torch

import nfdlab as nfd
from nfdlab import store
from nfdlab.approaches.modulated_field import MetaLearnedEncoder, ModulatedField, ModulatedFieldPosterior
from nfdlab.approaches.sparse_conditional import SparseConditional
from nfdlab.core.config import from_mapping
from nfdlab.core.grid import blend, interpolate
from nfdlab.core.rng import child, normals, seeded, stream
from nfdlab.core.types import Budget, ObservationBatch
from nfdlab.fields.siren import ModulatedSiren
from nfdlab.observation.training_views import TrainingViews
from nfdlab.training import Run

MINE = [problem for approach, problem in store.shipped() if approach == "modulated_field"]
SMALL = {"field_width": 24, "field_depth": 3, "encoder_width": 16, "widths": (16,), "depth": 1, "points": 48,
         "field_batch": 16, "batch": 16}


def fresh(d: int = 2, **knobs) -> ModulatedFieldPosterior:
    """An untrained approach, ready to draw."""
    net = ModulatedField(**{**SMALL, **knobs}).build(d, 1, seed=0).eval()
    net.denoiser.noise_levels.set(0.01, 20.0, 1.0)
    return ModulatedFieldPosterior(net, {"d": d, "c": 1, "config": {"guide": "encoder"}, "floor": 0.0}, 6)


@dataclass(frozen=True)
class OnlyPoints:
    """A source of scattered noisy points, as many of each function as there happen to be."""

    most: int = 60

    def points(self, n: int, *, seed: int) -> ObservationBatch:
        return TrainingViews(usual=self.most, most=self.most)(nfd.problems.get("gp1d").draw(n, seed=seed), seed=seed)


# Meta-learned latents

def test_a_step_of_cavia_is_gradient_descent_by_hand():
    """For a field that is linear in its latent, z = 0 − rate · ∂/∂z mean(Φz − y)² = rate · 2/p Φᵀy; many steps solve
    the least squares."""
    coords, rate = nfd.cell_centres((40,)), torch.tensor([0.3, 0.1, 0.2])
    basis = torch.cat([torch.ones_like(coords), coords, coords**2], 1)
    adapted = MetaLearnedEncoder((3,), steps=1)
    with torch.no_grad():
        adapted.rate.copy_(rate)
    values = normals(0, 5, (40, 1), "values")
    seen = ObservationBatch.exact(coords.expand(5, -1, -1), values)

    def field(x, latent):
        return (torch.cat([torch.ones_like(x), x, x**2], -1) * latent[:, None]).sum(-1, keepdim=True)

    one = adapted(field, seen)
    torch.testing.assert_close(one, rate * 2 / 40 * (values[..., 0] @ basis), atol=1e-6, rtol=1e-5)
    many = adapted(field, seen, steps=4000)
    torch.testing.assert_close(many, torch.linalg.lstsq(basis, values[..., 0].T).solution.T, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("shape", [(4,), (2, 3, 3)])
def test_training_goes_through_the_steps(shape):
    """The gradient of a loss of the latents with respect to a step size is the finite difference, also where the latent
    is interpolated; and that interpolation is the other one."""
    d = max(1, len(shape) - 1)
    with seeded(2):
        field = ModulatedSiren(d, shape[0], width=16, depth=3, scales=True).double()
    torch.nn.init.normal_(field.scale.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    coords = (2 * torch.rand(3, 12, d, generator=stream(1, "coords")) - 1).double()
    adapted, values = MetaLearnedEncoder(shape, steps=2, lr=0.2).double(), normals(0, 3, (12, 1), "values").double()
    seen = ObservationBatch.exact(coords, values)

    def loss():
        return (field(coords, adapted(field, seen, learn=True)) - values).square().mean()

    slope, = torch.autograd.grad(loss(), adapted.rate)
    step, found = 1e-3, torch.zeros_like(slope)
    for i in range(len(slope)):
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                adapted.rate[i] += sign * step
            ends.append(loss().detach())
            with torch.no_grad():
                adapted.rate[i] -= sign * step
        found[i] = (ends[0] - ends[1]) / (2 * step)
    torch.testing.assert_close(slope, found, atol=1e-4 * float(found.abs().max()), rtol=1e-3)
    grid = normals(0, 3, (2, *[5] * d), "grid").double()
    torch.testing.assert_close(blend(grid, coords), interpolate(grid, coords))


@pytest.mark.parametrize("d,encoder", [(1, "meta_learned"), (2, "meta_learned"), (1, "network"), (2, "network")])
def test_latents_know_no_order_and_no_padding_of_the_points(d, encoder):
    net, rng = fresh(d, encoder=encoder).net, stream(3, "points")
    coords, values = 2 * torch.rand(2, 30, d, generator=rng) - 1, torch.randn(2, 30, 1, generator=rng)
    points = ObservationBatch.exact(coords, values)
    latent = net.encode(points)
    assert latent.shape == (2, *net.shape) and latent.std() > 0
    turned = points.take(torch.randperm(30, generator=rng).expand(2, -1))
    none = torch.zeros(2, 7, dtype=torch.bool)
    padded = ObservationBatch(torch.cat([coords, coords[:, :7]], 1), torch.cat([values, 0 * values[:, :7]], 1),
                              torch.cat([points.mask, none], 1), points.noise_std)
    for same in (turned, padded):
        torch.testing.assert_close(net.encode(same), latent, atol=1e-5, rtol=1e-4)


def test_cavia_trains_and_its_latents_are_of_unit_scale():
    """After training each step of gradient descent lowers the error, and a decoded latent is the field that the encoder
    fitted."""
    config = ModulatedField(**{**SMALL, "latent_channels": 6, "field_width": 32, "field_share": 0.9})
    model = nfd.train(config, "gp1d", budget=nfd.Budget(steps=120), device="cpu")
    fields, coords = nfd.problems.get("gp1d").draw(256, seed=1), nfd.cell_centres((64,))
    latent = model.encode(fields)
    assert latent.shape == (256, 6) and latent.std(0).sub(1).abs().max() < 0.35
    errors = [float((model.decode(model.encode(fields, inner_steps=k))(coords) - fields(coords)).square().mean())
              for k in range(4)]
    assert errors == sorted(errors, reverse=True) and errors[3] < 0.7 * errors[0], errors
    at = nfd.cell_centres((128,)).expand(256, -1, -1)
    raw = model.net.encoder(model.net.field, ObservationBatch.exact(at, fields(at)))
    same = model.net.field(coords, raw).detach()
    torch.testing.assert_close(model.decode(latent)(coords), same, atol=1e-4, rtol=1e-4)
    with torch.inference_mode():
        assert torch.equal(model.encode(fields), latent)


@pytest.mark.parametrize("d", [1, 2])
def test_folded_latents_are_the_same_field(d):
    """What the encoder finds on the fine grid is what the field is given, though the denoiser sees fewer cells."""
    net = fresh(d, cells=4, points_per_cell=2, latent_channels=3, side=16).net
    coords = 2 * torch.rand(2, 60, d, generator=stream(5, "coords")) - 1
    points = ObservationBatch.exact(coords, normals(0, 2, (60, 1), "values"))
    net.rescale(net.raw(points))
    raw, latent = net.raw(points), net.encode(points)
    assert raw.shape == (2, 3, *[8] * d) and latent.shape == (2, *net.shape) == (2, 3 * 2**d, *[4] * d)
    torch.testing.assert_close(net.modulation(latent), raw, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(net.evaluate(coords, net.prepare(latent)), net.field(coords, raw), atol=1e-5, rtol=1e-5)
    moved = net.folded(raw + torch.arange(8.0).reshape(-1, *[1] * (d - 1)))[0] - net.folded(raw)[0]
    assert torch.equal(moved.amin(0).round(), 2 * torch.arange(4.0).reshape(-1, *[1] * (d - 1)).expand([4] * d))


# Functions known by scattered points

def test_a_source_of_points_alone_trains_saves_and_draws(tmp_path):
    config = ModulatedField(**{**SMALL, "latent_channels": 6})
    model = config.fit(OnlyPoints(), views=None, budget=Budget(steps=30), seed=1, device="cpu")
    model.about.update(problem="gp1d", knobs={}, seed=0, scores={}, budget={})
    again = nfd.load(nfd.save(model, tmp_path / "mine.safetensors"), device="cpu")
    seen = nfd.observe(nfd.problems.get("gp1d").draw(1, seed=3), nfd.patterns.Random(count=5), noise_std=0.05, seed=1)
    values = model.draw(seen, 3, seed=0, steps=4)(nfd.cell_centres((5,)))
    assert torch.isfinite(values).all() and values.std(0).max() > 0
    assert torch.equal(again.draw(seen, 3, seed=0, steps=4)(nfd.cell_centres((5,))), values)


def test_points_of_a_source_of_points_are_its_own():
    """Up to as many as are asked for, in an order that depends on the use; what is observed is some of them."""
    run = Run(OnlyPoints(), None, Budget(steps=1), 0, "cpu", whole=False)
    functions = run.functions(8, "field", 1)
    known = [{tuple(row) for row in c[m].tolist()} for c, m in zip(functions.coords, functions.mask, strict=True)]
    for batch, most in ((run.points(functions, 20, "field", 1), 20), (run.observe(functions, 1), 60)):
        found = [{tuple(row) for row in c[m].tolist()} for c, m in zip(batch.coords, batch.mask, strict=True)]
        assert all(some <= mine for some, mine in zip(found, known, strict=True))
        assert batch.mask.shape[1] <= max(most, functions.mask.shape[1])
    points = run.points(functions, 20, "field", 1)
    assert points.mask.sum(1).tolist() == functions.mask.sum(1).clamp_max(20).tolist()
    assert not torch.equal(points.coords, run.points(functions, 20, "field", 2).coords)


@pytest.mark.parametrize("config", [SparseConditional(), ModulatedField(prior="gaussian")])
def test_a_source_of_points_alone_is_refused_where_functions_must_be_whole(config):
    with pytest.raises(TypeError, match="draw") as error:
        config.fit(OnlyPoints(), views=None, budget=Budget(steps=1), seed=0, device="cpu")
    assert "\n  do:   " in str(error.value)


def test_a_source_of_nothing_is_refused():
    with pytest.raises(TypeError, match="points") as error:
        ModulatedField().fit(object(), views=None, budget=Budget(steps=1), seed=0, device="cpu")
    assert "\n  do:   " in str(error.value)


@pytest.mark.parametrize("wrong,kind", [
    ({"encoder": "maml"}, KeyError), ({"prior": "grey"}, KeyError), ({"modulate": "scale"}, KeyError),
    ({"inner_steps": 0}, ValueError), ({"inner_lr": -1.0}, ValueError)])
def test_unknown_choices_and_numbers_that_mean_nothing_are_refused(wrong, kind):
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
        foreign = model.encode(place.draw(16, seed=child(seed, "foreign")))
        for i, given in enumerate((x, 0 * x, foreign)):
            scores[i] += float(crps(model.decode(given)(coords), truth(coords)[0]).mean()) / 6
    assert scores[0] < 0.7 * scores[1] and scores[0] < 0.7 * scores[2], scores


@pytest.mark.parametrize("problem", MINE)
def test_shipped_latents_are_of_unit_scale(problem):
    """Those of as many scattered points as in training."""
    model, place = nfd.load("modulated_field", problem, device="cpu"), nfd.problems.get(problem)
    count, functions = from_mapping(ModulatedField, model.about["config"]).at(place.d).points, place.draw(300, seed=3)
    coords = 2 * torch.rand(300, count, place.d, generator=stream(3, "places")) - 1
    latent = model.encode(ObservationBatch.exact(coords, functions(coords)))
    std = latent.transpose(0, 1).flatten(1).std(1)
    assert (std - 1).abs().max() < 0.2


@pytest.mark.parametrize("problem,knobs", [
    ("gp1d", {"prior_draws": 1}), ("gp1d", {"prior": "gaussian"}), ("gp1d", {"encoder": "network"}),
    ("gp2d", {"prior": "gaussian", "cells": 4, "side": 16})])
def test_both_priors_and_encoders_train_and_draw(problem, knobs):
    problem = nfd.problems.get(problem)
    model = ModulatedField(**SMALL, **knobs).fit(problem, views=TrainingViews(), budget=Budget(steps=4), seed=1,
                                                 device="cpu")
    seen = nfd.observe(problem.draw(1, seed=3), nfd.patterns.Random(count=5), noise_std=0.05, seed=1)
    values = model.draw(seen, 3, seed=0, steps=4)(nfd.cell_centres((5,) * problem.d))
    assert torch.isfinite(values).all() and values.std(0).max() > 0 and model.net.denoiser.noise_levels.known
