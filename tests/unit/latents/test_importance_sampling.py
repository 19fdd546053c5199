"""Importance sampling of query points: more where a function changes, and no mean moves."""

import pytest
import torch

import nfdlab as nfd
from nfdlab import problems
from nfdlab.core.rng import stream
from nfdlab.latents.importance_sampling import importance_sampled


@pytest.mark.parametrize("name,sides", [("step1d", (32,)), ("bump2d", (32, 32)), ("bump2d", (12, 40))])
def test_importance_sampling_moves_no_mean(name, sides):
    """Weights average to 1 and weighted means of x² to a third, to 4.5 standard errors; more than a third of the points
    lie where the function changes, and no weight exceeds 1 / (1 − share)."""
    fields, rng = problems.get(name).draw(400, seed=1), stream(0, "even")
    even = 2 * torch.rand(400, 32, len(sides), generator=rng) - 1
    values = fields(nfd.cell_centres(sides)).movedim(-1, 1).unflatten(-1, sides)
    places, weight = importance_sampled(values, even, 0.5, rng)
    for h, mean in ((torch.ones(400, 32), 1.0), (places.square().mean(-1), 1 / 3)):
        each = (weight * h).mean(1)
        assert abs(float(each.mean()) - mean) < 4.5 * float(each.std()) / 20
    assert float(weight.max()) <= 2 + 1e-5 and torch.equal(places[:, 16:], even[:, 16:])
    assert float((weight < 0.5).float().mean()) > 1 / 3


def test_points_lie_where_the_function_changes_on_a_grid_of_several_sides():
    """A jump along the long axis alone: half of the points in the two cells beside it, evenly along the other axis."""
    values = (torch.arange(20.0) > 6).float().expand(8, 1, 4, 20)
    rng = torch.Generator().manual_seed(0)
    places, weight = importance_sampled(values, torch.zeros(8, 400, 2), 0.5, rng)
    drawn = places[:, :200]
    assert ((drawn[..., 1] - (2 * 7 / 20 - 1)).abs() < 0.1 + 1e-6).all()
    assert abs(float(drawn[..., 0].mean())) < 4.5 * (1 / 3 / 1600) ** 0.5
    torch.testing.assert_close(weight[:, :200], torch.full((8, 200), 1 / (0.5 + 0.5 * 10)), atol=1e-3, rtol=0)


def test_without_a_share_points_stay_where_they_are():
    even = torch.zeros(2, 5, 1)
    places, weight = importance_sampled(torch.ones(2, 1, 8), even, 0.0, torch.Generator())
    assert torch.equal(places, even) and torch.equal(weight, torch.ones(2, 5))
