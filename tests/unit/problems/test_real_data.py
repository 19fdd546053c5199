"""What all problems of real data keep to: consistency, seeds, plain draws beside varied ones."""

import pytest
import torch

import nfdlab as nfd

REAL = ["digits2d", "head2d", "photo2d", "terrain2d", "film2dt", "shapes3d"]


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("kind", ["draw", "plain"])
def test_draws_are_consistent_and_more_only_append(name, kind):
    problem = nfd.problems.get(name)
    draw = getattr(problem, kind)
    coords = nfd.cell_centres((9, 7, 5)[:problem.d], dtype=torch.float64)
    fields = draw(4, seed=7)
    values = fields(coords)
    assert values.shape == (4, len(coords), 1) and torch.isfinite(values).all() and values.std() > 0.1
    assert torch.equal(draw(2, seed=7)(coords), values[:2]) and not torch.equal(draw(4, seed=8)(coords), values)
    torch.testing.assert_close(fields(coords[5:20:3]), values[:, 5:20:3])
    torch.testing.assert_close(fields[1:3](coords), values[1:3])
    own = torch.stack([coords.roll(k, 0) for k in range(4)])
    torch.testing.assert_close(fields(own), torch.stack([values[k].roll(k, 0) for k in range(4)]))
    assert fields(coords.float()).dtype == torch.float32


@pytest.mark.parametrize("name", REAL)
def test_the_training_side_is_varied_and_the_held_out_side_is_not_and_they_differ(name):
    problem = nfd.problems.get(name)
    other, coords = nfd.problems.held_out(problem), nfd.cell_centres((8,) * problem.d)
    assert not torch.equal(problem.draw(8, seed=0)(coords), problem.plain(8, seed=0)(coords))
    assert torch.equal(other.draw(8, seed=0)(coords), other.plain(8, seed=0)(coords))
    assert not torch.equal(other.draw(8, seed=0)(coords), problem.plain(8, seed=0)(coords))
    assert nfd.problems.held_out(other) == other

