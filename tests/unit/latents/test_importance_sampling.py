"""Importance sampling of query points: more where a function changes, and no mean moves."""

import pytest
import torch

import nfdlab as nfd
from nfdlab import problems
from nfdlab.core.rng import stream
from nfdlab.latents.importance_sampling import importance_sampled


@pytest.mark.parametrize("name,d", [("step1d", 1), ("bump2d", 2)])
def test_importance_sampling_moves_no_mean(name, d):
    """Weights average to 1 and weighted means of x² to a third, to 4.5 standard errors; more than a third of the points
    lie where the function changes, and no weight exceeds 1 / (1 − share)."""
    fields, rng = problems.get(name).draw(400, seed=1), stream(0, "even")
    even = 2 * torch.rand(400, 32, d, generator=rng) - 1
    values = fields(nfd.cell_centres((32,) * d)).movedim(-1, 1).unflatten(-1, (32,) * d)
    places, weight = importance_sampled(values, even, 0.5, rng)
    for h, mean in ((torch.ones(400, 32), 1.0), (places.square().mean(-1), 1 / 3)):
        each = (weight * h).mean(1)
        assert abs(float(each.mean()) - mean) < 4.5 * float(each.std()) / 20
    assert float(weight.max()) <= 2 + 1e-5 and torch.equal(places[:, 16:], even[:, 16:])
    assert float((weight < 0.5).float().mean()) > 1 / 3
