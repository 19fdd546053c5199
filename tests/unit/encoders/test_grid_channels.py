"""Box averages as channels on a grid: pictures enlarged, holes, overlaps, boxes narrower than a cell."""

import pytest
import torch

import nfdlab as nfd
from nfdlab.core.rng import normals
from nfdlab.core.types import ObservationBatch
from nfdlab.encoders.grid_channels import BoxAverages, spread


def channels(side: int, middles, values, widths, mask=None) -> torch.Tensor:
    """Channels (c + 2, *[side]*d) of the boxes of one function."""
    middles, values = torch.as_tensor(middles), torch.as_tensor(values)
    mask = torch.ones(len(middles), dtype=torch.bool) if mask is None else mask
    values = torch.cat([values, torch.as_tensor(widths).expand(len(values))[:, None]], 1)
    net = BoxAverages(middles.shape[1], values.shape[1] - 1, side)
    found = net(ObservationBatch(middles[None], values[None], mask[None], torch.tensor([0.1])))
    assert found.shape == (1, net.channels, *[side] * middles.shape[1])
    return found[0]


@pytest.mark.parametrize("d,c", [(1, 2), (2, 1), (3, 2)])
def test_a_coarse_picture_is_enlarged(d, c):
    """Each average fills its block, with its width, 2/3, and 1; where one is missing all is 0."""
    values = normals(0, 3**d, (c,), "values")
    mask = torch.arange(3**d) != 1
    found = channels(6, nfd.cell_centres((3,) * d), values, 2 / 3, mask)
    each = torch.cat([values, torch.tensor([2 / 3, 1.0]).expand(3**d, 2)], 1) * mask[:, None]
    want = each.T.unflatten(1, (3,) * d)
    for axis in range(1, d + 1):
        want = want.repeat_interleave(2, axis)
    torch.testing.assert_close(found, want)


def test_boxes_that_overlap_are_averaged_and_narrow_ones_cover_a_cell():
    """Of cells a quarter wide: one box over all of them, one over the first two, one a hair wide in the third; padding,
    whatever it says, is in none."""
    found = channels(4, [[0.0], [-0.5], [0.2], [0.9]], [[1.0], [3.0], [8.0], [99.0]], [2.0, 1.0, 0.001, 2.0],
                     torch.tensor([True, True, True, False]))
    torch.testing.assert_close(found, torch.tensor([[2.0, 2.0, 4.5, 1.0], [1.5, 1.5, 1.0005, 2.0], [1.0] * 4]))


@pytest.mark.parametrize("sides", [(4,), (3, 4), (2, 3, 4), (2, 3, 2, 3)])
def test_sums_over_observations_are_products_along_the_axes(sides, rng):
    values, near = torch.rand(2, 5, 3, generator=rng), [torch.rand(2, 5, side, generator=rng) for side in sides]
    cells = torch.cartesian_prod(*map(torch.arange, sides)).reshape(-1, len(sides))
    shares = torch.stack([one[:, :, cells[:, a]] for a, one in enumerate(near)]).prod(0)             # (b, m, cells)
    torch.testing.assert_close(spread(values, near).flatten(2), values.mT @ shares)
