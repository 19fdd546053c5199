"""Shapes in three coordinates: left and right together, signed distance, rotated and mirrored on the training side."""

import math

import pytest
import torch

import nfdlab as nfd
from nfdlab.problems.shipped import shipped
from nfdlab.problems.solids import WIDEST, rotations

CENTRES = nfd.cell_centres((32, 32, 32), dtype=torch.float64)
TRUNCATION = 0.25


@pytest.fixture
def problem():
    return nfd.problems.get("shapes3d")


def inside(values, grid):
    """Volume, mean and second moments of where each of n fields is positive: (n,), (n, 3), (n, 3, 3)."""
    weights = (values > 0).double()
    mean = weights @ grid / weights.sum(1, keepdim=True)
    away = grid - mean[:, None]
    return weights.mean(1), mean, torch.einsum("np,npi,npj->nij", weights, away, away) / weights.sum(1)[:, None, None]


def test_left_and_right_of_a_region_are_on_one_side_of_the_split():
    data = shipped("solids")
    sides = {side: data[f"{side}_regions"].tolist() for side in ("train", "test")}
    for side, regions in sides.items():
        assert len(regions) == len(set(regions)) == len(data[side])
        assert {region + 1000 for region in regions if region < 1000} == {r for r in regions if r > 1000}
    assert not {r % 1000 for r in sides["train"]} & {r % 1000 for r in sides["test"]}
    assert 5 < len(sides["train"]) / len(sides["test"]) < 7


@pytest.mark.parametrize("side", ["train", "test"])
def test_a_shape_is_the_stored_grid_read_linearly_and_its_label_is_its_region(side):
    data, problem = shipped("solids"), nfd.problems.get("shapes3d", side=side)
    fields, labels = problem.plain(5, seed=2), problem.labels(5, seed=2)
    values = fields(CENTRES).reshape(5, 32, 32, 32)
    for shape, label in zip(values, labels, strict=True):
        stored = data[side][data[f"{side}_regions"].tolist().index(int(label))]
        torch.testing.assert_close(shape, stored.double() / 127)
    corner = CENTRES.reshape(32, 32, 32, 3)[15, 16, 14] + 1 / 32
    torch.testing.assert_close(fields(corner[None])[:, 0, 0], values[:, 15:17, 16:18, 14:16].mean((1, 2, 3)))
    other = nfd.problems.held_out(problem)
    assert torch.equal(other.draw(3, seed=1)(CENTRES), other.plain(3, seed=1)(CENTRES))


def test_a_shape_is_a_signed_distance_cut_off_centred_and_of_one_size(problem):
    values = problem.plain(40, seed=0)(CENTRES)[..., 0]
    _, mean, _ = inside(values, CENTRES)
    assert values.min() == -1 and values.amax(1).min() > 0.75 * 0.08 / TRUNCATION      # on points
    assert mean.abs().max() < 0.1                                             # smoothing moves the thinnest ones
    farthest = (CENTRES.norm(dim=-1) * (values > 0)).amax(1)
    assert farthest.max() < 0.7 + 1 / 32 and farthest.min() > 0.4               # thin ends are smoothed away
    cube = values.reshape(-1, 32, 32, 32)
    assert all((cube.movedim(axis, 0)[end] == -1).all() for axis in (1, 2, 3) for end in (0, -1))
    slope = torch.stack(torch.gradient(cube, spacing=1 / 16, dim=(1, 2, 3))).norm(dim=0)
    near = (cube > -0.8) & (cube < -0.3)                                       # outside, clear of creases and the cut
    assert abs(slope[near].median() * TRUNCATION - 1) < 0.05


def test_training_shapes_are_rotated_by_at_most_thirty_degrees_and_half_of_them_mirrored(problem):
    turns = problem._turns(400, 3)
    torch.testing.assert_close(turns @ turns.mT, torch.eye(3, dtype=torch.float64).expand(400, 3, 3))
    mirrored = torch.linalg.det(turns) < 0
    assert abs(mirrored.double().mean() - 0.5) < 4 * 0.5 / 20
    turns[mirrored, 0] *= -1
    angle = ((turns.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2).clamp(-1, 1).acos()
    assert angle.max() <= WIDEST + 1e-6 and angle.max() > 0.95 * WIDEST
    axis = torch.stack([turns[:, 2, 1] - turns[:, 1, 2], turns[:, 0, 2] - turns[:, 2, 0],
                        turns[:, 1, 0] - turns[:, 0, 1]], -1)
    axis = torch.nn.functional.normalize(axis, dim=-1)
    assert axis.mean(0).abs().max() < 4.5 / math.sqrt(3 * 400)
    fine, both = 0.75 * nfd.cell_centres((64,) * 3, dtype=torch.float64), (problem.draw, problem.plain)
    drawn, plain = (inside(draw(8, seed=1)(fine)[..., 0], fine) for draw in both)
    assert (drawn[0] / plain[0] - 1).abs().max() < 0.02                       # what rotations leave as it was
    widths = [torch.linalg.eigvalsh(moments) for moments in (drawn[2], plain[2])]
    torch.testing.assert_close(widths[0], widths[1], rtol=0.02, atol=(1.5 / 64) ** 2)               # a cell squared
    assert (drawn[2] - plain[2]).abs().amax((1, 2)).median() > 1e-3


def test_a_rotation_by_the_formula_is_the_matrix_exponential():
    u = torch.rand(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    z, around = 2 * u[:, 0] - 1, 2 * math.pi * u[:, 1]
    axis = torch.stack([(1 - z**2).sqrt() * around.cos(), (1 - z**2).sqrt() * around.sin(), z], -1) * WIDEST * u[:, 2:]
    cross = torch.linalg.cross(axis[:, None].expand(-1, 3, -1), torch.eye(3, dtype=torch.float64).expand(20, 3, 3)).mT
    torch.testing.assert_close(rotations(u), torch.linalg.matrix_exp(cross))


def test_outline_lies_on_and_near_the_surface(problem):
    shape = problem.held_out().draw(1, seed=4)
    for width in (1e-6, 0.02):
        places = nfd.patterns.Outline(count=400, level=0.0, width=width).places(shape, seed=0)
        away = TRUNCATION * shape(places)[0, :, 0]
        assert places.shape == (400, 3) and away.abs().mean() < (1e-4 if width < 0.01 else 1.1 * width)
    seen = nfd.observe(shape, nfd.patterns.Outline(count=60, level=0.0), seed=1)
    assert seen.m == 60 and seen.values.abs().mean() < 0.2
