"""Patterns give what they say; observing adds noise of the stated size; views cover what a user may do."""

import math

import pytest
import torch

import nfdlab as nfd
from nfdlab.sparsity.patterns import ALL
from nfdlab.sparsity.views import Views


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("size", [{"count": 0}, {"count": 1}, {"count": 30}, {"share": 0.05, "of": 16},
                                  {"share": 0.4, "of": 8}])
def test_patterns_give_exactly_as_many_distinct_points_in_the_box(name, d, size):
    pattern = ALL[name](**size)
    coords = pattern.coords(d, seed=4)
    assert coords.shape == (pattern.size(d), d) and (not len(coords) or coords.abs().max() <= 1)
    assert len(coords.unique(dim=0)) == len(coords)
    assert torch.equal(coords, pattern.coords(d, seed=4))
    if len(coords) > 2 and not (name == "grid" and d == 1):             # a 1D grid of n points has no chance in it
        assert not torch.equal(coords, pattern.coords(d, seed=5))


def test_share_counts_cells_and_their_centres():
    coords = nfd.patterns.Random(share=0.05).coords(2, seed=0)
    assert len(coords) == round(0.05 * 4096)
    index = (coords + 1) / 2 * 64 - 0.5
    torch.testing.assert_close(index, index.round(), atol=1e-4, rtol=0)


def test_a_block_is_missing():
    """The largest empty square of a Block view covers what it says; of a Random view of that size it does not."""
    pattern = nfd.patterns.Block(count=300, missing=0.5)
    for seed in range(5):
        rng_low, side = pattern._shape(1, torch.Generator().manual_seed(seed))
        assert side == pytest.approx(1.0)
        places = pattern.coords(1, seed=seed)[:, 0].sort().values
        gaps = torch.cat([torch.tensor([-1.0]), places, torch.tensor([1.0])]).diff()
        assert gaps.max() >= 1.0 - 1e-6
    even = nfd.patterns.Random(count=300).coords(1, seed=0)[:, 0].sort().values.diff()
    assert even.max() < 0.1


def test_a_grid_is_regular_and_clusters_and_lines_are_not_even():
    grid = nfd.patterns.Grid(count=25).coords(2, seed=0)
    torch.testing.assert_close(grid, nfd.cell_centres((5, 5)))
    clumps = nfd.patterns.Clusters(count=60, clusters=2, width=0.05).coords(2, seed=1)
    assert torch.cdist(clumps, clumps).add(10 * torch.eye(60)).amin(1).median() < 0.05
    lines = nfd.patterns.Lines(count=60, lines=2, width=0.001).coords(2, seed=1)
    assert len(lines[:, 0].mul(100).round().unique()) <= 4


def test_observing_adds_noise_of_the_stated_size():
    truth = nfd.problems.get("gp1d").draw(1, seed=0)
    clean = nfd.observe(truth, nfd.patterns.Random(count=4000), noise_std=0.0, seed=1)
    torch.testing.assert_close(clean.values, truth(clean.coords)[0])
    noisy = nfd.observe(truth, nfd.patterns.Random(count=4000), noise_std=0.2, seed=1)
    assert torch.equal(noisy.coords, clean.coords)
    assert abs((noisy.values - clean.values).var() / 0.04 - 1) < 4.5 * math.sqrt(2 / 4000)


def test_views_cover_sparse_dense_uneven_and_noisy():
    problem, views = nfd.problems.get("gp1d"), Views(usual=32, most=400, tail=0.3)
    fields = problem.draw(64, seed=0)
    batches = [views(fields, seed=s) for s in range(40)]
    counts = torch.cat([b.mask.sum(1) for b in batches])
    assert counts.min() == 0 and counts.max() > 300 and (counts <= 400).all()
    levels = torch.cat([b.noise_std for b in batches])
    assert abs((levels == 0.05).float().mean() - 0.65) < 0.05 and levels.min() < 0.015 and levels.max() > 0.3
    for b in batches:
        assert b.coords.abs().max() <= 1 and (b.coords[~b.mask] == 0).all()
    left = torch.stack([(b.coords[..., 0] < 0)[b.mask].float().mean() for b in batches])
    assert abs(left.mean() - 0.5) < 0.03                               # no side is favoured
    halves = [(x[m] < 0).all() for b in batches for x, m in zip(b.coords[..., 0], b.mask, strict=True) if m.sum() > 15]
    assert sum(map(bool, halves)) > 10                                 # yet some see one half only
    noise = torch.cat([((b.values - fields(b.coords)) / b.noise_std[:, None, None])[b.mask].flatten()
                       for b in batches[:10]])
    assert abs(noise.var() - 1) < 5 * math.sqrt(2 / len(noise))


@pytest.mark.parametrize("call,kind", [
    (lambda: nfd.patterns.Random(), ValueError), (lambda: nfd.patterns.Random(count=3, share=0.1), ValueError),
    (lambda: nfd.patterns.Random(count=-1), ValueError), (lambda: nfd.patterns.Random(share=1.5), ValueError),
    (lambda: nfd.patterns.Random(count=2.5), TypeError),
    (lambda: nfd.patterns.Block(share=0.9, missing=0.5), ValueError),
    (lambda: nfd.patterns.Clusters(count=3, clusters=0), ValueError), (lambda: Views(usual=50, most=10), ValueError),
    (lambda: nfd.observe(nfd.problems.get("gp1d").draw(2, seed=0), nfd.patterns.Random(count=3), seed=0), ValueError),
    (lambda: nfd.observe(torch.zeros(3), nfd.patterns.Random(count=3), seed=0), TypeError),
    (lambda: nfd.observe(nfd.problems.get("gp1d").draw(1, seed=0), "random", seed=0), TypeError),
    (lambda: nfd.observe(nfd.problems.get("gp1d").draw(1, seed=0), nfd.patterns.Random(count=3), noise_std=-1.0,
                         seed=0), ValueError)])
def test_bad_views_are_refused_in_four_parts(call, kind):
    with pytest.raises(kind) as error:
        call()
    assert all(part in str(error.value) for part in ("came:", "why:", "do:"))
