"""Observations as means of cells: by hand, on grids of several sides; what does not matter of them, and what does."""

import pytest
import torch

from nfdlab.core.types import ObservationBatch, Observations
from nfdlab.encoders.grid_channels import CellMeans


def scattered(d: int, m: int, c: int = 1, seed: int = 0) -> Observations:
    rng = torch.Generator().manual_seed(seed)
    return Observations(2 * torch.rand(m, d, generator=rng) - 1, torch.randn(m, c, generator=rng), 0.1)


def test_a_film_of_two_frames_of_four_cells_by_hand():
    """Channels: n/(1 + n), mean value, mean offset in time and in space, in cells, log noise."""
    coords = torch.tensor([[-0.5, -0.75], [-0.3, -0.95], [0.9, 0.3]])       # cells (0, 0) twice, and (1, 2)
    seen = Observations(coords, torch.tensor([[1.0], [3.0], [5.0]]), 0.01)
    found = CellMeans(2, 1, (2, 4))(ObservationBatch.of([seen]))[0]
    want = torch.zeros(5, 2, 4)
    want[:, 0, 0] = torch.tensor([2 / 3, 2.0, 0.1, -0.2, 0.0])              # offsets 0 and 0.2, 0 and -0.4
    want[:, 1, 2] = torch.tensor([1 / 2, 5.0, 0.4, 0.1, 0.0])
    want[4] = torch.tensor(0.01).log() / 3 + 1
    torch.testing.assert_close(found, want, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_of_points_alone_in_their_cells_nothing_is_lost(d):
    """The offsets say where in its cell a point lies, and the values are there as they were, every channel."""
    shape = (16, 3, 4, 2)[:d]
    seen = scattered(d, 9, c=2)
    sides = torch.tensor(shape)
    cell = ((seen.coords + 1) / 2 * sides).long()
    alone = (cell[:, None] == cell).all(-1).sum(1) == 1
    found = CellMeans(d, 2, shape)(ObservationBatch.of([seen]))[0]
    assert found.shape == (d + 4, *shape) and alone.sum() > 2
    here = found[(slice(None), *cell[alone].T)].T                              # (m, channels)
    torch.testing.assert_close(here[:, 1:3], seen.values[alone], atol=1e-5, rtol=1e-5)
    back = (cell[alone] + 0.5 + here[:, 3:3 + d]) / sides * 2 - 1
    torch.testing.assert_close(back, seen.coords[alone], atol=1e-5, rtol=1e-5)
    assert int((found[0] > 0).sum()) == len(cell.unique(dim=0))


@pytest.mark.parametrize("d", [1, 2, 3])
def test_order_padding_and_what_is_masked_change_nothing(d):
    net, seen = CellMeans(d, 1, (4, 3, 5)[:d]), scattered(d, 6)
    plain = net(ObservationBatch.of([seen]))
    turned = net(ObservationBatch.of([seen.take(torch.arange(6).flip(0))]))
    padded = net(ObservationBatch.of([seen, scattered(d, 20, seed=1)]))
    more = ObservationBatch.of([Observations(torch.cat([seen.coords, scattered(d, 4, seed=2).coords]),
                                             torch.cat([seen.values, torch.full((4, 1), 99.0)]), 0.1)])
    more.mask[:, 6:] = False
    for found in (turned, padded[:1], net(more)):
        torch.testing.assert_close(found, plain, atol=1e-5, rtol=1e-5)
    assert net(ObservationBatch.of([Observations.none(d, 1)]))[:, :-1].abs().max() == 0


def test_points_on_walls_lie_in_the_outermost_cells():
    coords = torch.tensor([[-1.0, -1.0], [1.0, 1.0], [1.0, -1.0]])
    found = CellMeans(2, 1, (3, 2))(ObservationBatch.of([Observations(coords, torch.tensor([[1.0], [2.0], [3.0]]))]))[0]
    assert found[1].tolist() == [[1.0, 0.0], [0.0, 0.0], [3.0, 2.0]]
    torch.testing.assert_close(found[2:4, 2, 1], torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(found[2:4, 0, 0], torch.tensor([-0.5, -0.5]))
