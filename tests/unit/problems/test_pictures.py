"""Pictures from the shipped arrays: what is held out, how they are read, how the training side is varied."""

import pytest
import torch

import nfdlab as nfd
from nfdlab.problems.pictures import AIR, GAP, head
from nfdlab.problems.shipped import shipped


def rows_of(images):
    """The images as a set of byte strings."""
    return {image.numpy().tobytes() for image in images}


def ink(fields, side=112):
    """Mass, centre and second moments of the ink of n digits: (n,), (n, 2), (n, 2, 2)."""
    grid = nfd.cell_centres((side, side), dtype=torch.float64)
    values = fields(grid)[..., 0]
    weights = values - values.amin(1, keepdim=True)
    weights = weights / weights.sum(1, keepdim=True)
    centre = weights @ grid
    away = grid - centre[:, None]
    return centre, torch.einsum("np,npi,npj->nij", weights, away, away)


# Digits

def test_train_and_test_share_no_digit_and_fifty_of_each_class_are_held_out():
    data = shipped("digits")
    assert data["train"].shape == (4500, 28, 28) and data["test"].shape == (500, 28, 28)
    assert not rows_of(data["train"]) & rows_of(data["test"])
    assert data["test_classes"].bincount().tolist() == [50] * 10
    assert data["train_classes"].bincount().tolist() == [450] * 10


@pytest.mark.parametrize("side", ["train", "test"])
def test_a_digit_is_the_stored_picture_read_bilinearly(side):
    data, problem = shipped("digits"), nfd.problems.get("digits2d", side=side)
    first, mine = data["train"].double(), data[side].double()
    centres = nfd.cell_centres((28, 28), dtype=torch.float64)
    fields, labels = problem.plain(6, seed=3), problem.labels(6, seed=3)
    drawn = (fields(centres)[..., 0] * first.std() + first.mean()).reshape(-1, 28, 28)
    for picture, label in zip(drawn, labels, strict=True):
        which = (mine - picture).abs().amax((1, 2)).argmin()
        assert (mine[which] - picture).abs().max() < 1e-3 and data[f"{side}_classes"][which] == label
    middle = slice(14 * 28, 15 * 28)                                    # a row of pixels that strokes cross
    between, row = torch.lerp(centres[middle][:-1], centres[middle][1:], 0.25), fields(centres)[:, middle]
    torch.testing.assert_close(fields(between), torch.lerp(row[:, :-1], row[:, 1:], 0.25))


def test_held_out_digits_are_as_they_are_and_training_ones_moved_by_a_pixel_and_sheared_by_a_tenth_at_most():
    problem, centres = nfd.problems.get("digits2d"), nfd.cell_centres((28, 28))
    other = nfd.problems.held_out(problem)
    assert torch.equal(other.draw(5, seed=1)(centres), other.plain(5, seed=1)(centres))
    middle, spread = ink(problem.plain(150, seed=0))
    moved, leant = ink(problem.draw(150, seed=0))
    slant = (spread - leant)[:, 0, 1] / spread[:, 0, 0]
    steps = middle - moved
    steps[:, 1] -= slant * middle[:, 0]
    for amount, most in ((slant, 0.1), (steps[:, 0], 2 / 28), (steps[:, 1], 2 / 28)):
        assert 0.9 * most < amount.abs().max() < 1.05 * most            # sums over cells of a quarter of a pixel
        assert abs(amount.mean()) < 4 * most / 3**0.5 / 150**0.5


# Heads

def test_slabs_of_the_head_are_held_out_whole_and_with_a_gap():
    """A slice has both halves of the head: the volume is nearly its own mirror image along the last axis only."""
    volume = shipped("head")["volume"]
    where = {image.numpy().tobytes(): level for level, image in enumerate(volume)}
    train, test = (torch.tensor([where[image.numpy().tobytes()] for image in head()[side]])
                   for side in ("train", "test"))
    assert len(train) == 47 and len(test) == 16
    assert (train[:, None] - test).abs().min() == GAP + 1
    likeness = [float(torch.corrcoef(torch.stack([volume, volume.flip(axis)]).flatten(1).float())[0, 1])
                for axis in range(3)]
    assert likeness[2] > 0.9 and max(likeness[:2]) < 0.85


@pytest.mark.parametrize("side", ["train", "test"])
def test_a_patch_of_the_head_is_a_piece_of_a_slice_of_its_side_and_half_tissue(side):
    problem = nfd.problems.get("head2d", side=side)
    centres = nfd.cell_centres((32, 32), dtype=torch.float64)
    pieces = {other: head()[other].unfold(1, 32, 1).unfold(2, 32, 1).flatten(1, 2) for other in ("train", "test")}
    values = problem.plain(3, seed=0)(centres)[..., 0]
    lowest, step = problem._data.min(), problem._data.unique().diff().min()            # one grey level
    for patch in ((values - lowest) / step).round().to(torch.uint8).reshape(-1, 32, 32):
        found = {other: bool((rows == patch).all((-1, -2)).any()) for other, rows in pieces.items()}
        assert found == {other: other == side for other in found}
        assert (patch > AIR).float().mean() >= 0.5


def test_patches_of_the_head_are_standardised_all_together_and_not_one_by_one():
    problem = nfd.problems.get("head2d")
    values = problem.plain(2000, seed=0)(nfd.cell_centres((16, 16)))[..., 0]
    means, squares = values.mean(1), values.square().mean(1)
    for each, wanted in ((means, 0), (squares, 1)):
        assert abs(each.mean() - wanted) < 4 * each.std() / len(each) ** 0.5
    assert means.std() > 0.3


@pytest.mark.parametrize("name", ["terrain2d", "photo2d", "head2d"])
def test_training_patches_are_the_plain_ones_in_one_of_eight_ways(name):
    problem, centres = nfd.problems.get(name), nfd.cell_centres((16, 16))
    ways = set()
    for drawn, plain in zip(problem.draw(40, seed=1)(centres), problem.plain(40, seed=1)(centres), strict=True):
        drawn, plain = drawn.reshape(16, 16), plain.reshape(16, 16)
        turned = [torch.rot90(flipped, k) for flipped in (plain, plain.flip(0)) for k in range(4)]
        away = torch.stack([(drawn - each).abs().max() for each in turned])
        assert away.min() < 1e-4
        ways.add(int(away.argmin()))
    assert ways == set(range(8))
    other = nfd.problems.held_out(problem)
    assert torch.equal(other.draw(3, seed=1)(centres), other.plain(3, seed=1)(centres))
