"""Batched MLPs: many at once are what each is alone; fits from one start can be averaged, permuted ones cannot."""

from functools import cache

import pytest
import torch
from torch import nn

import nfdlab as nfd
from nfdlab.core.rng import seeded
from nfdlab.fields.batched_mlp import BatchedMLP, fit, nearest, query_points, robust_loss

LINE = nfd.cell_centres((101,))
PROBLEM = nfd.problems.get("families1d")


class Sine(nn.Module):
    def __init__(self, omega):
        super().__init__()
        self.omega = omega

    def forward(self, x):
        return torch.sin(self.omega * x)


def as_a_module(mlp, theta):
    """One row of parameters as an ordinary network."""
    parts, at = [], 0
    for k, (a, b) in enumerate(mlp.sizes):
        with seeded(0):
            layer = nn.Linear(a, b)
        weight, bias = theta[at:at + a * b], theta[at + a * b:at + (a + 1) * b]
        with torch.no_grad():
            layer.weight.copy_(weight.reshape(a, b).T), layer.bias.copy_(bias)
        parts += [layer] + ([] if k == mlp.depth else [Sine(mlp.omega) if k == 0 else nn.Tanh()])
        at += (a + 1) * b
    return nn.Sequential(*parts)


@pytest.mark.parametrize("d,c,depth", [(1, 1, 2), (2, 3, 1), (3, 1, 3)])
def test_many_at_once_are_what_each_is_alone(d, c, depth):
    mlp = BatchedMLP(d, c, width=7, depth=depth, omega=5.0)
    theta, coords = mlp.initialise(4, seed=1), 2 * torch.rand(4, 9, d, generator=torch.Generator().manual_seed(0)) - 1
    assert theta.shape == (4, mlp.size)
    own, shared = mlp(theta, coords), mlp(theta, coords[0])
    for row, points, mine, ours in zip(theta, coords, own, shared, strict=True):
        assert torch.allclose(mine, as_a_module(mlp, row)(points), atol=1e-5)
        assert torch.allclose(ours, as_a_module(mlp, row)(coords[0]), atol=1e-5)
    assert torch.equal(mlp.flatten(mlp.layers(theta)), theta)
    assert torch.allclose(mlp.fields(theta)(coords[0]), shared)


def test_each_initialisation_has_its_own_stream_and_its_std():
    mlp = BatchedMLP(1, width=32)
    theta = mlp.initialise(200, seed=3)
    assert torch.equal(mlp.initialise(2, seed=3), theta[:2]) and not torch.equal(theta[0], theta[1])
    (first, phases), (second, bias), (last, _) = mlp.layers(theta)
    for weight, fan in ((first, 1), (second, 32), (last, 32)):
        bound = {1: 1.0, 32: (6 / 32) ** 0.5}[fan]
        assert weight.abs().max() <= bound and abs(weight.std() / (bound / 3**0.5) - 1) < 0.02
    assert phases.std() > 0.5 and not bias.any()


def test_neurons_in_another_order_are_the_same_field():
    """The same functions; all rows other, each in an order of its own; the multiset of weights kept."""
    mlp = BatchedMLP(2, 2, width=9, depth=3)
    theta = mlp.initialise(1, seed=0).expand(5, -1) + 0.1 * mlp.initialise(5, seed=1)
    mixed, coords = mlp.permute(theta, seed=4), nfd.cell_centres((6, 6))
    assert torch.allclose(mlp(mixed, coords), mlp(theta, coords), atol=1e-5)
    assert torch.equal(mixed.sort(1).values, theta.sort(1).values)
    assert not any(torch.equal(a, b) for a, b in zip(mixed, theta, strict=True))
    same = mlp.permute(theta[:1].expand(5, -1), seed=4)
    assert len({tuple(row.tolist()) for row in same}) == 5 and torch.equal(mlp.permute(theta, seed=4), mixed)


def test_robust_loss_is_quadratic_near_zero_and_linear_far_away():
    near, far = torch.tensor([1e-3]), torch.tensor([50.0])
    assert abs(robust_loss(near, 0.1) / (near**2 / 0.2) - 1) < 1e-3 and abs(robust_loss(far, 0.1) - 49.9) < 1e-3


def test_query_points_are_even_and_shifted():
    """In one dimension n points leave no gap wider than three times the mean; the shift is uniform over seeds."""
    found = query_points(32, 1, seed=1)[:, 0].sort().values
    assert found.abs().max() <= 1 and found.diff().max() < 3 * 2 / 32 and found.diff().min() > 2 / 32 / 4
    first = torch.stack([query_points(1, 2, seed=i)[0] for i in range(500)])
    assert (first.mean(0).abs() < 4 * (1 / 3) ** 0.5 / 500**0.5).all() and not torch.equal(first[0], first[1])


@cache
def fitted(kind):
    """Sixteen curves as small fields: from one start, from one each, or permuted afterwards."""
    mlp, curves = BatchedMLP(1, width=12, omega=6.0), PROBLEM.draw(16, seed=5)
    theta = fit(mlp, mlp.initialise(16 if kind == "random" else 1, seed=0), curves, seed=2, steps=250)
    return mlp, curves, mlp.permute(theta, seed=1) if kind == "permuted" else theta


@pytest.mark.parametrize("kind", ["shared", "random", "permuted"])
def test_fits_come_close_from_any_start(kind):
    mlp, curves, theta = fitted(kind)
    away = (mlp(theta, LINE) - curves(LINE)).abs().mean()
    assert away < 0.1 * curves(LINE).std() and not theta.requires_grad


def test_a_fit_is_its_seed_and_a_strong_penalty_holds_it_back():
    mlp, curves = BatchedMLP(1, width=6), PROBLEM.draw(3, seed=5)
    initial = mlp.initialise(1, seed=0)
    one, two, other = (fit(mlp, initial, curves, seed=s, steps=20) for s in (1, 1, 2))
    assert torch.equal(one, two) and not torch.equal(one, other)
    held = fit(mlp, initial, curves, seed=1, steps=20, l2_penalty=1e3)
    assert (held - initial).norm() < 0.2 * (one - initial).norm()


def test_networks_can_be_averaged_if_they_share_their_start():
    """The mean of two rows is nearly the mean of two curves if both fits had one start, and else not at all."""
    def bend(kind):
        mlp, _, theta = fitted(kind)
        a, b, middle = (mlp(t, LINE) for t in (theta[:8], theta[8:], (theta[:8] + theta[8:]) / 2))
        return ((middle - (a + b) / 2).square().mean() / (a - b).square().mean()).sqrt()

    assert bend("shared") < 0.5 * min(bend("random"), bend("permuted"))


def test_a_copy_is_found_and_distances_do_not_grow_with_the_points():
    others = PROBLEM.draw(20, seed=1)(LINE)
    distance, which = nearest(others[[7, 3]], others)
    assert which.tolist() == [7, 3] and distance.max() < 1e-6
    distance, which = nearest(others[:1] + 0.01, others)
    assert which.item() == 0 and abs(distance.item() - 0.01) < 1e-5
