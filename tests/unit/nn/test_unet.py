"""The U-Net: shapes in every dimension, on odd grids too; shared features; attention that knows no order."""

import pytest
import torch

from nfdlab.core.rng import seeded
from nfdlab.nn.unet import CellAttention, UNet


def net(d: int, **knobs) -> UNet:
    with seeded(0):
        made = UNet(d, 2, 3, (8, 16, 16), **knobs)
        torch.nn.init.normal_(made.output[-1].weight), torch.nn.init.normal_(made.attention.output.weight)
    return made


def numbers(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("d,cells", [(1, 14), (2, 14), (2, 16), (3, 5)])
def test_it_answers_on_the_grid_it_was_given(d, cells):
    x, features = numbers(4, 2, *[cells] * d), numbers(1, 3, *[cells] * d)
    out = net(d)(x, torch.zeros(1), features)
    assert out.shape == x.shape and torch.isfinite(out).all() and out.std() > 0.1
    torch.testing.assert_close(out, net(d)(x, torch.zeros(4), features.expand(4, *features.shape[1:])))


def test_a_fresh_one_answers_zero():
    with seeded(0):
        made = UNet(2, 2, 0, (8, 16))
    assert made(numbers(1, 2, 8, 8), torch.zeros(1)).abs().max() == 0


def test_a_value_in_one_corner_reaches_the_other():
    """By attention: without it the receptive field of two levels is too small."""
    one = numbers(1, 2, 48)
    other = one.clone()
    other[..., 0] += 5
    features, level = numbers(1, 3, 48), torch.zeros(1)

    @torch.no_grad()
    def moved(made: UNet) -> float:
        return float((made(one, level, features) - made(other, level, features))[..., -1].abs().max())

    with seeded(0):
        blind = UNet(1, 2, 3, (8,), depth=1)
        torch.nn.init.normal_(blind.output[-1].weight)
        # group normalisation looks at all cells at once; set aside, so that attention alone can carry it
        blind.attention.norm = torch.nn.Identity()
        for block in (blind.down[0][0], blind.up[0][0]):
            block.norm = torch.nn.Identity()
        blind.output[0] = torch.nn.Identity()
    assert moved(blind) == 0
    with seeded(0):
        torch.nn.init.normal_(blind.attention.output.weight)
    assert moved(blind) > 1e-4


def test_attention_among_cells_knows_no_order():
    with seeded(0):
        attention = CellAttention(16)
        torch.nn.init.normal_(attention.output.weight)
    h = numbers(2, 16, 12)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(attention(h)[..., order], attention(h[..., order]), atol=1e-5, rtol=1e-5)
