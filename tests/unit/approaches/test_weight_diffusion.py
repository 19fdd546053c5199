"""Approach 2: many small fields at once are what each is alone, and weights are latents only while all began together."""

from functools import cache

import pytest
import torch
from torch import nn

import nfdlab as nfd
from nfdlab.approaches.weight_diffusion import WeightDiffusion
from nfdlab.core.rng import seeded
from nfdlab.core.types import Budget
from nfdlab.fields.batched_mlp import BatchedMLP, fit, misfit, nearest, places

LINE = nfd.cell_centres((101,))
PROBLEM = nfd.problems.get("families1d")
TINY = {"width": 6, "nets": 64, "layers": (16, 1), "batch": 16}


class Sine(nn.Module):
    def __init__(self, omega):
        super().__init__()
        self.omega = omega

    def forward(self, x):
        return torch.sin(self.omega * x)


def unconditional_share(small, theta):
    """One row of parameters as an ordinary network."""
    parts, at = [], 0
    for k, (a, b) in enumerate(small.sizes):
        with seeded(0):
            layer = nn.Linear(a, b)
        weight, bias = theta[at:at + a * b], theta[at + a * b:at + (a + 1) * b]
        with torch.no_grad():
            layer.weight.copy_(weight.reshape(a, b).T), layer.bias.copy_(bias)
        parts += [layer] + ([] if k == small.depth else [Sine(small.omega) if k == 0 else nn.Tanh()])
        at += (a + 1) * b
    return nn.Sequential(*parts)


@cache
def trained(start="shared", nets=64, seed=0, steps=12):
    return nfd.train(WeightDiffusion(**{**TINY, "nets": nets}, start=start), PROBLEM, budget=Budget(steps=steps),
                     seed=seed, device="cpu")


@pytest.mark.parametrize("d,c,depth", [(1, 1, 2), (2, 3, 1), (3, 1, 3)])
def test_many_at_once_are_what_each_is_alone(d, c, depth):
    small = BatchedMLP(d, c, width=7, depth=depth, omega=5.0)
    theta, coords = small.start(4, seed=1), 2 * torch.rand(4, 9, d, generator=torch.Generator().manual_seed(0)) - 1
    assert theta.shape == (4, small.size)
    own, shared = small(theta, coords), small(theta, coords[0])
    for row, places_, mine, ours in zip(theta, coords, own, shared, strict=True):
        assert torch.allclose(mine, unconditional_share(small, row)(places_), atol=1e-5)
        assert torch.allclose(ours, unconditional_share(small, row)(coords[0]), atol=1e-5)
    assert torch.equal(small.flat(small.layers(theta)), theta)
    assert torch.allclose(small.fields(theta)(coords[0]), shared)


def test_each_start_has_its_own_stream_and_its_spread():
    small = BatchedMLP(1, width=32)
    theta = small.start(200, seed=3)
    assert torch.equal(small.start(2, seed=3), theta[:2]) and not torch.equal(theta[0], theta[1])
    (first, phases), (second, bias), (last, _) = small.layers(theta)
    for weight, fan in ((first, 1), (second, 32), (last, 32)):
        bound = {1: 1.0, 32: (6 / 32) ** 0.5}[fan]
        assert weight.abs().max() <= bound and abs(weight.std() / (bound / 3**0.5) - 1) < 0.02
    assert phases.std() > 0.5 and not bias.any()


def test_neurons_in_another_order_are_the_same_field():
    """All fields as they were; all rows other, each in an order of its own; the multiset of weights kept."""
    small = BatchedMLP(2, 2, width=9, depth=3)
    theta = small.start(1, seed=0).expand(5, -1) + 0.1 * small.start(5, seed=1)
    mixed, coords = small.permute(theta, seed=4), nfd.cell_centres((6, 6))
    assert torch.allclose(small(mixed, coords), small(theta, coords), atol=1e-5)
    assert torch.equal(mixed.sort(1).values, theta.sort(1).values)
    assert not any(torch.equal(a, b) for a, b in zip(mixed, theta, strict=True))
    same = small.permute(theta[:1].expand(5, -1), seed=4)
    assert len({tuple(row.tolist()) for row in same}) == 5 and torch.equal(small.permute(theta, seed=4), mixed)


def test_misfit_is_a_square_near_zero_and_a_size_far_away():
    near, far = torch.tensor([1e-3]), torch.tensor([50.0])
    assert abs(misfit(near, 0.1) / (near**2 / 0.2) - 1) < 1e-3 and abs(misfit(far, 0.1) - 49.9) < 1e-3


def test_places_are_even_and_shifted():
    """In one dimension n places leave no gap wider than three times the mean; the shift is uniform over seeds."""
    found = places(32, 1, seed=1)[:, 0].sort().values
    assert found.abs().max() <= 1 and found.diff().max() < 3 * 2 / 32 and found.diff().min() > 2 / 32 / 4
    first = torch.stack([places(1, 2, seed=i)[0] for i in range(500)])
    assert (first.mean(0).abs() < 4 * (1 / 3) ** 0.5 / 500**0.5).all() and not torch.equal(first[0], first[1])


@cache
def fitted(kind):
    """Sixteen curves as small fields: begun at one place, at one each, or shuffled after."""
    small, curves = BatchedMLP(1, width=12, omega=6.0), PROBLEM.draw(16, seed=5)
    theta = fit(small, small.start(16 if kind == "random" else 1, seed=0), curves, seed=2, steps=250)
    return small, curves, small.permute(theta, seed=1) if kind == "permuted" else theta


@pytest.mark.parametrize("kind", ["shared", "random", "permuted"])
def test_fits_come_close_however_they_begin(kind):
    small, curves, theta = fitted(kind)
    away = (small(theta, LINE) - curves(LINE)).abs().mean()
    assert away < 0.1 * curves(LINE).std() and not theta.requires_grad


def test_a_fit_is_its_seed_and_a_strong_pull_holds_it_back():
    small, curves = BatchedMLP(1, width=6), PROBLEM.draw(3, seed=5)
    begin = small.start(1, seed=0)
    one, two, other = (fit(small, begin, curves, seed=s, steps=20) for s in (1, 1, 2))
    assert torch.equal(one, two) and not torch.equal(one, other)
    held = fit(small, begin, curves, seed=1, steps=20, pull=1e3)
    assert (held - begin).norm() < 0.2 * (one - begin).norm()


def test_networks_can_be_averaged_if_they_began_together():
    """Half-way between two rows lies half-way between two curves: of one beginning nearly, of others not at all."""
    def bend(kind):
        small, _, theta = fitted(kind)
        a, b, middle = (small(t, LINE) for t in (theta[:8], theta[8:], (theta[:8] + theta[8:]) / 2))
        return ((middle - (a + b) / 2).square().mean() / (a - b).square().mean()).sqrt()

    assert bend("shared") < 0.5 * min(bend("random"), bend("permuted"))


def test_the_rival_has_the_mean_and_the_covariance_of_the_weights():
    """Along each of the widest directions the variance of its draws is the weights', within errors of 2000 draws."""
    model = trained()
    *_, last = model.gaussian.path(None, 2000, seed=1, steps=60, sampler="heun")
    known = model.net.spectrum
    along = (last.x - known.mean) @ known.Q[:, -4:]
    assert ((along.mean(0) / known.lam[-4:].sqrt()).abs() < 4 / 2000**0.5).all()
    assert ((along.var(0) / known.lam[-4:] - 1).abs() < 4 * (2 / 2000) ** 0.5 + 0.03).all()
    assert abs(known.lam.sum() / model.net.small.size - 1) < 0.05, "codes have unit scale"
    seen = nfd.observe(PROBLEM.draw(1, seed=1), nfd.patterns.Random(count=3), noise_std=0.1, seed=1)
    assert torch.isfinite(model.gaussian.draw(seen, 4, seed=0)(LINE)).all()


def test_what_was_learned_from_is_known_and_a_copy_is_found():
    handed = []

    class Source:
        def draw(self, n, *, seed):
            handed.append(PROBLEM.draw(n, seed=seed))
            return handed[-1]

    model = WeightDiffusion(**TINY).fit(Source(), views=None, budget=Budget(steps=4), seed=0, device="cpu")
    members = model.members(PROBLEM)(LINE)
    assert torch.equal(members, handed[0](LINE)) and len(handed) == 1
    distance, which = nearest(members[[7, 3]], members)
    assert which.tolist() == [7, 3] and distance.max() < 1e-6
    distance, which = nearest(members[:1] + 0.01, members)
    assert which.item() == 0 and abs(distance.item() - 0.01) < 1e-5


def test_files_hold_no_training_data():
    few, many = (trained(nets=n).tensors() for n in (64, 128))
    assert {k: v.shape for k, v in few.items()} == {k: v.shape for k, v in many.items()}


def test_shuffled_training_learns_from_the_same_fields():
    """The fits are those of a shared start; only what the diffusion sees of them differs, and holds much less order."""
    one, other = (trained(start=kind, steps=120) for kind in ("shared", "permuted"))
    assert one.about["floor"] == other.about["floor"]
    assert other.net.spectrum.lam[-8:].sum() < 0.7 * one.net.spectrum.lam[-8:].sum()


def test_training_resumed_in_its_second_stage_is_training_in_one_go(tmp_path):
    budget = Budget(steps=20, checkpoint=tmp_path / "half")
    whole = nfd.train(WeightDiffusion(**TINY), PROBLEM, budget=Budget(steps=20), seed=1, device="cpu")
    nfd.train(WeightDiffusion(**TINY), PROBLEM, budget=budget, seed=1, device="cpu",
              watch=lambda step: step.stage == "diffuse" and step.index == 3)
    again = nfd.train(WeightDiffusion(**TINY), PROBLEM, budget=budget, seed=1, device="cpu")
    assert all(torch.allclose(v, again.tensors()[k], atol=1e-5) for k, v in whole.tensors().items())


def test_a_code_of_fields_renders_them_again():
    model, curves = trained(steps=120), PROBLEM.draw(8, seed=9)
    again = model.decode(model.encode(curves, seed=1))
    assert (again(LINE) - curves(LINE)).abs().mean() < 0.25 * curves(LINE).std()
    theta = model.weights(model.encode(curves, seed=1))
    assert torch.allclose(model.net.small.fields(theta)(LINE), again(LINE), atol=1e-4)


@pytest.mark.parametrize("wrong,kind", [({"start": "shred"}, KeyError), ({"nets": 3}, ValueError)])
def test_wrong_configs_are_refused(wrong, kind):
    with pytest.raises(kind) as error:
        nfd.train(WeightDiffusion(**wrong), PROBLEM, budget=Budget(steps=2), device="cpu")
    assert "\n  do:   " in str(error.value)
