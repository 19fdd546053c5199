"""Averages over boxes, for fields that are told their pixel."""

import pytest
import torch

from nfdlab.core.fields import EvaluatedFields
from nfdlab.core.rng import stream
from nfdlab.latents.box_averages import box_averages


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
