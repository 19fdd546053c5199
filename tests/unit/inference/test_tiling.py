"""Tiles: where they lie, cutting and blending, and functions of tiles as functions of the whole."""

import pytest
import torch

import nfdlab as nfd
from nfdlab.core.fields import EvaluatedFields
from nfdlab.core.rng import normals
from nfdlab.inference.tiling import Tiles, require_boxes, window

GRIDS = [((8,), (3,)), ((8,), (1,)), ((8, 4), (2, 1)), ((4, 8), (2, 3)), ((6, 4, 2), (3, 1, 2)), ((7,), (2,)),
         ((5, 3), (3, 2)), ((1, 4), (3, 1))]                 # anisotropic, odd sides, axes of one box, a side of one


def of_tiles(tiles: Tiles, n: int) -> EvaluatedFields:
    """Tile t's draw i is 10 t + i everywhere, plus its own first coordinate times a thousand."""
    number = (10 * torch.arange(len(tiles.starts))[:, None] + torch.arange(n)).flatten().float()

    def rule(coords: torch.Tensor, part) -> torch.Tensor:
        return number[part][:, None, None] + 1000 * coords[..., :1].expand(len(number[part]), -1, -1)

    return EvaluatedFields(rule, len(number), len(tiles.tile))


@pytest.mark.parametrize("shape,boxes", GRIDS)
def test_tiles_cover_and_blend_to_what_they_were_cut_from(shape, boxes):
    """Tile by tile, all draws of each."""
    tiles = Tiles(shape, boxes)
    assert tiles.shape == tuple(side * b for side, b in zip(shape, boxes, strict=True))
    x = normals(0, 2, (3, *tiles.shape), "grid")
    parts = tiles.cut(x)
    assert parts.shape == (2 * len(tiles.starts), 3, *shape)
    torch.testing.assert_close(tiles.blend(parts), x, atol=1e-5, rtol=1e-5)
    assert torch.equal(parts[-2:], x[(..., *(slice(-side, None) for side in shape))])
    assert len(tiles.starts) == len(set(tiles.starts)) and (tiles.total > 0).all()


def test_hanns_windows_sum_to_one_half_a_box_apart_and_one_box_needs_none():
    u = torch.linspace(0, 0.5, 9)[:, None]
    both = window(u, torch.tensor([2])) + window(u + 0.5, torch.tensor([2]))
    torch.testing.assert_close(both, torch.ones(9), atol=1e-5, rtol=0)
    assert torch.equal(window(u.expand(9, 2), torch.tensor([1, 1])), torch.ones(9))


@pytest.mark.parametrize("blended", [True, False])
@pytest.mark.parametrize("shape,boxes", GRIDS)
def test_each_point_is_of_tiles_that_hold_it(shape, boxes, blended):
    """Weights sum to one everywhere, at the rim too and a rounding error beyond it, and draws are of their own tiles.
    """
    tiles, d = Tiles(shape, boxes), len(shape)
    coords = torch.cat([2 * torch.rand(60, d, generator=torch.Generator().manual_seed(0)) - 1, torch.ones(1, d),
                        -torch.ones(1, d), torch.full((1, d), 1 + 5e-6)])
    ones = EvaluatedFields(lambda at, part: torch.ones(len(part), at.shape[-2], 1), 2 * len(tiles.starts), d)
    torch.testing.assert_close(tiles.joined(ones, 2, blended)(coords), torch.ones(2, 63, 1))
    draws = tiles.joined(of_tiles(tiles, 2), 2, blended)(coords)
    torch.testing.assert_close(draws[1] - draws[0], torch.ones(63, 1), atol=1e-2, rtol=0)


def test_without_blending_the_tile_with_the_nearest_middle_is_read_in_its_own_coordinates():
    """Three boxes, tiles with their middles at 0.5, 1, 1.5, 2, 2.5 of them."""
    tiles = Tiles((8,), (3,))
    place = torch.tensor([0.1, 0.74, 0.76, 1.2, 1.4, 2.24, 2.26, 2.9])                          # in boxes
    tile = torch.tensor([0, 0, 1, 1, 2, 3, 4, 4])
    found = tiles.joined(of_tiles(tiles, 1), 1, blended=False)(place[:, None] / 1.5 - 1)[0, :, 0]
    torch.testing.assert_close(found, 10 * tile + 1000 * 2 * (place - 0.5 - tile / 2), atol=1e-2, rtol=0)


def test_a_linear_function_seen_tile_by_tile_is_itself():
    """Each tile says in its own coordinates what the whole is: blended, no point is moved; own points, a draw alone."""
    tiles = Tiles((8, 4), (3, 2))
    middles = torch.tensor(tiles.starts) / torch.tensor(tiles.tile) + 0.5                      # in boxes

    def rule(coords: torch.Tensor, part: torch.Tensor) -> torch.Tensor:
        whole = (middles[part // 2][:, None] + coords / 2) / torch.tensor([3, 2]) * 2 - 1
        return whole @ torch.tensor([[1.0], [-2.0]]) + (part % 2)[:, None, None]

    found, coords = tiles.joined(EvaluatedFields(rule, 2 * len(middles), 2), 2), nfd.cell_centres((9, 7))
    want = coords @ torch.tensor([[1.0], [-2.0]])
    torch.testing.assert_close(found(coords), torch.stack([want, want + 1]), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found(torch.stack([coords, coords.flip(0)])), torch.stack([want, want.flip(0) + 1]),
                               atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found[1:](coords), want[None] + 1, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("blended", [True, False])
def test_tiles_of_one_sampler_agree_where_they_overlap_and_others_do_not(blended):
    """Draws of white noise have its spread, and start about the mean that is given."""
    tiles, levels = Tiles((8,), (3,)), torch.tensor([5.0, 2.0, 1.0, 0.5, 0.2, 0.0])
    drawn = tiles.sampled(lambda x, sigma: x / (1 + sigma**2), 64, 1, levels, seed=0, use="test",
                          blended=blended).unflatten(0, (5, 64))
    gap = (drawn[:-1, ..., 4:] - drawn[1:, ..., :4]).abs().max()
    assert gap < 1e-5 if blended else gap > 0.5
    assert abs(drawn.std() - 1) < 0.2
    about = tiles.sampled(lambda x, sigma: x, 2, 1, levels, seed=0, use="test", blended=blended,
                          mean=torch.full((10, 1, 8), 7.0))
    plain = tiles.sampled(lambda x, sigma: x, 2, 1, levels, seed=0, use="test", blended=blended)
    torch.testing.assert_close(about - plain, torch.full((10, 1, 8), 7.0), atol=1e-4, rtol=0)


def test_numbers_of_boxes_are_checked():
    assert require_boxes((3, 1), 2) == (3, 1)
    for wrong in ((3,), (0, 1), (1.5, 1), [3, 1], 3):
        with pytest.raises(ValueError) as error:
            require_boxes(wrong, 2)
        assert all(part in str(error.value) for part in ("\n  came: ", "\n  why:  ", "\n  do:   "))
