"""Patterns give what they say; observing adds noise of the stated size; views cover what a user may do."""

import math

import pytest
import torch

import nfdlab as nfd
from nfdlab.core.fields import EvaluatedFields
from nfdlab.core.rng import stream
from nfdlab.core.types import LinearObservations
from nfdlab.observation.patterns import ALL, LINEAR, fold
from nfdlab.observation.training_views import TrainingViews

SIZES = [{"count": 0}, {"count": 1}, {"count": 30}, {"share": 0.05, "of": 16}, {"share": 0.4, "of": 8}]
FRAME_SIZES = [{"count": 0}, {"count": 13}, {"share": 0.05}, {"share": 0.4, "frames": 6, "cells": 9}]
TIMED = ("frames", "sensors")                                           # these have a base grid of frames and cells
CALM = {("grid", 1), ("tracks", 1), ("sensors", 1)}                     # no chance in these: regular points on one axis
DISC = EvaluatedFields(lambda x, part: 0.6 - x.square().sum(-1, keepdim=True).sqrt().expand(1, -1, 1), 1, 2)


@pytest.mark.parametrize("name,size", [(name, size) for name in ALL if name != "outline"
                                       for size in (FRAME_SIZES if name in TIMED else SIZES)])
@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_patterns_give_exactly_as_many_distinct_points_in_the_box(name, d, size):
    pattern = ALL[name](**size, **({"width": 0.5} if name == "border" else {}))
    coords = pattern.coords(d, seed=4)
    assert coords.shape == (pattern.size(d), d) and (not len(coords) or coords.abs().max() <= 1)
    assert coords.dtype == torch.float32 and len(coords.unique(dim=0)) == len(coords)
    grid = size.get("frames", 16) * size.get("cells", 16) ** (d - 1) if name in TIMED else size.get("of", 64) ** d
    assert len(coords) == size.get("count", round(size.get("share", 0) * grid))
    assert torch.equal(coords, pattern.coords(d, seed=4))
    if len(coords) > 2 and (name, d) not in CALM:
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


def test_a_border_lies_within_its_width_of_a_wall():
    for size in ({"count": 400}, {"share": 0.1}):
        for d in (1, 2, 3):
            pattern = nfd.patterns.Border(width=0.2, **size, **({"of": 20} if "share" in size else {}))
            depth = 1 - pattern.coords(d, seed=0).abs().amax(-1)
            assert depth.max() <= 0.2 + 1e-6
            if d == 2 and "count" in size:                              # every wall, and not only the wall itself
                places = pattern.coords(d, seed=0)
                assert all(((side * places[:, i]) > 0.8).sum() > 60 for i in (0, 1) for side in (-1, 1))
                assert abs(depth.mean() / 0.2 - 13 / 27) < 4.5 * 0.29 / 20          # areas shrink inwards


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("every", [1, 3, 5, 7, 16, 99])
def test_every_gth_frame_is_whole_and_at_its_exact_time(d, every):
    pattern = nfd.patterns.Frames(every=every)
    coords = pattern.coords(d, seed=0)
    frames = list(range(0, 16, every))
    assert len(coords) == pattern.size(d) == len(frames) * 16 ** (d - 1)
    times, whole = nfd.cell_centres((16,))[frames, 0], nfd.cell_centres((16,) * (d - 1)) if d > 1 else None
    for time, frame in zip(times, coords.split(16 ** (d - 1)), strict=True):
        assert (frame[:, 0] == time).all() and (whole is None or torch.equal(frame[:, 1:], whole))


def test_frames_at_random_are_whole_but_for_the_last():
    for size, cells in (({"count": 80}, 80), ({"share": 0.25}, 64), ({"count": 70}, 70)):
        coords = nfd.patterns.Frames(**size).coords(2, seed=3)
        times, counts = coords[:, 0].unique(return_counts=True)
        assert len(coords) == cells and set(times.tolist()) <= set(nfd.cell_centres((16,))[:, 0].tolist())
        assert sorted(counts.tolist()) == sorted([16] * (cells // 16) + [cells % 16] * (cells % 16 > 0))
    first = [nfd.patterns.Frames(count=16).coords(2, seed=s)[0, 0].item() for s in range(60)]
    assert len(set(first)) > 12                                         # any frame may be the one


@pytest.mark.parametrize("size", [{"count": 64}, {"share": 0.25}])
def test_sensors_stand_at_the_same_places_in_every_frame(size):
    coords = nfd.patterns.Sensors(**size).coords(2, seed=1)
    by_time = [coords[coords[:, 0] == time, 1] for time in nfd.cell_centres((16,))[:, 0]]
    assert all(torch.equal(places, by_time[0]) and len(places) == 4 for places in by_time)
    assert not torch.equal(by_time[0], nfd.patterns.Sensors(**size).coords(2, seed=2)[:4, 1])
    silent = nfd.patterns.Sensors(count=70).coords(3, seed=1)           # four sensors, and a fifth that falls silent
    places, counts = silent[:, 1:].unique(dim=0, return_counts=True)
    assert sorted(counts.tolist()) == [6, 16, 16, 16, 16] and silent[-6:, 0].max() < 0


@pytest.mark.parametrize("d", [2, 3])
def test_tracks_move_without_a_jump_no_faster_than_their_speed(d):
    for speed in (0.0, 0.7, 2.0):
        pattern = nfd.patterns.Tracks(count=300, tracks=3, speed=speed)
        coords = pattern.coords(d, seed=2)
        torch.testing.assert_close(coords[:, :1], nfd.cell_centres((300,)))
        for k in range(3):
            steps = coords[k::3].diff(dim=0)
            pace = steps[:, 1:].norm(dim=1) / steps[:, 0]
            assert pace.max() <= 1.5 * speed + 1e-3
            assert speed == 0 or (pace > 0.5 * speed - 1e-3).float().mean() > 0.9   # slower only where one turns back
    near = nfd.patterns.Tracks(share=0.02, tracks=2, speed=0.5, of=64)
    cells = near.coords(2, seed=0)
    courses = near.at(cells[:, :1], near._shape(2, stream(0, "Tracks")))[..., 0]
    assert (cells[:, 1:] - courses).abs().amin(1).max() < 5 * near.width


def test_folding_is_a_ball_between_walls():
    x = torch.tensor([-3.0, -2.0, -1.5, -1.0, -0.2, 0.0, 0.7, 1.0, 1.5, 2.0, 3.5])
    torch.testing.assert_close(fold(x), torch.tensor([1.0, 0.0, -0.5, -1.0, -0.2, 0.0, 0.7, 1.0, 0.5, 0.0, -0.5]),
                               atol=1e-6, rtol=0)


def test_an_outline_is_where_the_field_crosses_the_level():
    sharp = nfd.observe(DISC, nfd.patterns.Outline(count=2000, level=0.0, width=1e-6), noise_std=0.0, seed=1)
    assert sharp.m == len(sharp.coords.unique(dim=0)) == 2000 and sharp.values.abs().max() < 1e-5
    turns = torch.atan2(sharp.coords[:, 1], sharp.coords[:, 0])         # even along the length, no side favoured
    for k in (1, 2, 4):
        assert torch.polar(torch.ones(2000), k * turns).mean().abs() < 4.5 / math.sqrt(2000)
    blurred = nfd.observe(DISC, nfd.patterns.Outline(count=2000, level=0.0, width=0.03), noise_std=0.0, seed=1)
    assert abs(blurred.values.var() / 0.03**2 - 1) < 4.5 * math.sqrt(2 / 2000) + 0.03**2 / 0.6**2
    assert nfd.patterns.Outline(share=0.01).places(DISC, seed=0).shape == (41, 2)
    middle = nfd.patterns.Outline(count=50, width=1e-6).places(DISC, seed=0)         # values from 0.6 to 0.6 - √2
    torch.testing.assert_close(middle.norm(dim=1), torch.full((50,), math.sqrt(2) / 2), atol=0.03, rtol=0)
    assert nfd.observe(DISC, nfd.patterns.Outline(count=0), seed=0).m == 0


def test_an_outline_in_three_dimensions_is_uniform_over_the_surface():
    """A sphere: points on it, their mean and second moments those of uniform directions, to 4.5 standard errors."""
    ball, m = EvaluatedFields(lambda x, part: (0.6 - x.norm(dim=-1))[None, ..., None], 1, 3), 1500
    places = nfd.patterns.Outline(count=m, level=0.0, width=1e-6).places(ball, seed=0)
    assert places.shape == (m, 3) and (places.norm(dim=-1) - 0.6).abs().max() < 1e-4
    way = places / 0.6
    assert way.mean(0).abs().max() < 4.5 / (3 * m) ** 0.5
    assert (way.square().mean(0) - 1 / 3).abs().max() < 4.5 * (4 / 45 / m) ** 0.5
    assert (way.abs() > 0.9).double().mean(0).sub(0.1).abs().max() < 4.5 * (0.09 / m) ** 0.5      # Archimedes
    blurred = nfd.patterns.Outline(count=m, level=0.0, width=0.03).places(ball, seed=0)
    assert abs((blurred.norm(dim=-1) - 0.6).std() / 0.03 - 1) < 4.5 / (2 * m) ** 0.5


@pytest.mark.parametrize("d", [1, 2, 3])
def test_an_outline_is_in_the_box_and_its_seeds(d):
    wall = EvaluatedFields(lambda x, part: (x[None, :, :1] > 0.97).float(), 1, d)         # a jump near the wall
    places = nfd.patterns.Outline(count=30, width=0.1).places(wall, seed=0)
    assert places.shape == (30, d) and places.abs().max() <= 1 and len(places.unique(dim=0)) == 30
    assert torch.equal(places, nfd.patterns.Outline(count=30, width=0.1).places(wall, seed=0))
    assert not torch.equal(places, nfd.patterns.Outline(count=30, width=0.1).places(wall, seed=1))
    exact = nfd.patterns.Outline(count=30, width=1e-6).places(wall, seed=0)
    assert (exact[:, 0] - 0.97).abs().max() < 1e-5


def test_observing_adds_noise_of_the_stated_size():
    truth = nfd.problems.get("gp1d").draw(1, seed=0)
    clean = nfd.observe(truth, nfd.patterns.Random(count=4000), noise_std=0.0, seed=1)
    torch.testing.assert_close(clean.values, truth(clean.coords)[0])
    noisy = nfd.observe(truth, nfd.patterns.Random(count=4000), noise_std=0.2, seed=1)
    assert torch.equal(noisy.coords, clean.coords)
    assert abs((noisy.values - clean.values).var() / 0.04 - 1) < 4.5 * math.sqrt(2 / 4000)


def test_views_cover_sparse_dense_uneven_and_noisy():
    problem, views = nfd.problems.get("gp1d"), TrainingViews(usual=32, most=400, tail=0.3)
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
    (lambda: nfd.patterns.Frames(count=3, every=2), ValueError), (lambda: nfd.patterns.Frames(every=0), ValueError),
    (lambda: nfd.patterns.Frames(count=257).coords(2, seed=0), ValueError),
    (lambda: nfd.patterns.Frames(every=2.5), TypeError), (lambda: nfd.patterns.Sensors(), ValueError),
    (lambda: nfd.patterns.Sensors(count=17).coords(1, seed=0), ValueError),
    (lambda: nfd.patterns.Tracks(count=3, tracks=0), ValueError),
    (lambda: nfd.patterns.Tracks(count=3, speed=-1.0), ValueError),
    (lambda: nfd.patterns.Border(share=0.3).coords(2, seed=0), ValueError),
    (lambda: nfd.patterns.Border(count=3, width=0.0), ValueError),
    (lambda: nfd.patterns.Outline(count=3).coords(2, seed=0), ValueError),
    (lambda: nfd.patterns.Outline(count=3, level=9.0).places(DISC, seed=0), ValueError),
    (lambda: nfd.patterns.Outline(count=3, level="shore"), TypeError),
    (lambda: nfd.patterns.Clusters(count=3, clusters=0), ValueError),
    (lambda: TrainingViews(usual=50, most=10), ValueError),
    (lambda: nfd.observe(nfd.problems.get("gp1d").draw(2, seed=0), nfd.patterns.Random(count=3), seed=0), ValueError),
    (lambda: nfd.observe(torch.zeros(3), nfd.patterns.Random(count=3), seed=0), TypeError),
    (lambda: nfd.observe(nfd.problems.get("gp1d").draw(1, seed=0), "random", seed=0), TypeError),
    (lambda: nfd.observe(nfd.problems.get("gp1d").draw(1, seed=0), nfd.patterns.Random(count=3), noise_std=-1.0,
                         seed=0), ValueError)])
def test_bad_views_are_refused_in_four_parts(call, kind):
    with pytest.raises(kind) as error:
        call()
    assert all(part in str(error.value) for part in ("came:", "why:", "do:"))


CUBE = EvaluatedFields(lambda x, part: (1 + x[..., :1] - 3 * x[..., -1:] ** 3).expand(1, -1, 1), 1, 2)


@pytest.mark.parametrize("name", LINEAR)
def test_linear_patterns_make_linear_observations(name):
    """As many rows as they say, points in the box; noise is added after the sum; a constant field keeps its value."""
    pattern = LINEAR[name](**({"count": 5} if name == "blur" else {}))
    seen, again = (nfd.observe(CUBE, pattern, noise_std=0.5, seed=s) for s in (2, 2))
    clean = nfd.observe(CUBE, pattern, noise_std=0.0, seed=2)
    assert type(seen) is LinearObservations and seen.m == pattern.size(2) == len(seen.values)
    assert torch.equal(seen.values, again.values) and torch.equal(seen.points, clean.points)
    torch.testing.assert_close(clean.values, seen.weights @ CUBE(seen.points)[0])
    assert abs((seen.values - clean.values).std() / 0.5 - 1) < 4.5 / (2 * seen.m) ** 0.5
    if name != "projections":
        torch.testing.assert_close(seen.weights.sum(1), torch.ones(seen.m))


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_block_averages_are_a_picture_made_coarser(d):
    values = torch.rand(*[6] * d, generator=torch.Generator().manual_seed(d))
    points, weights = nfd.patterns.BlockAverage(cells=2, parts=3).rows(d, seed=0)
    index = ((points + 1) * 3).long()
    torch.testing.assert_close((points + 1) * 3 - 0.5, index.float(), atol=1e-5, rtol=0)
    coarse = values
    for axis in range(d):
        coarse = coarse.unflatten(axis, (2, 3)).mean(axis + 1)
    torch.testing.assert_close(weights @ values[tuple(index.T)], coarse.flatten())


def test_blocks_may_differ_by_axis():
    points, weights = nfd.patterns.BlockAverage(cells=(5, 2), parts=(1, 4)).rows(2, seed=0)
    assert weights.shape == (10, 40) and len(points[:, 0].unique()) == 5 and len(points[:, 1].unique()) == 8
    with pytest.raises(ValueError, match="one an axis"):
        nfd.patterns.BlockAverage(cells=(5, 2)).rows(3, seed=0)


def test_a_blur_is_the_gaussian_average():
    """Of sin kx: its value times exp(−k²w²/2), to 1e-3, where the walls are far."""
    wave = EvaluatedFields(lambda x, part: torch.sin(5 * x).expand(1, -1, 1), 1, 1)
    seen = nfd.observe(wave, nfd.patterns.Blur(count=40, width=0.1), noise_std=0.0, seed=0)
    inner = seen.coords[:, 0].abs() < 0.65
    want = torch.sin(5 * seen.coords) * math.exp(-0.5 * 0.5**2)
    assert inner.sum() > 10 and (seen.values - want)[inner].abs().max() < 2e-3


def test_projections_are_integrals_along_lines():
    """Of 1: the length of the line in the box. Of a disc of radius r: 2 sqrt(r² − offset²). Over all offsets: the
    area, to a thousandth."""
    points, weights = nfd.patterns.Projections(angles=7, offsets=400, parts=64).rows(2, seed=0)
    turn = math.pi * torch.arange(7) / 7
    width = turn.cos().abs() + turn.sin().abs()
    area = weights.sum(1).reshape(7, 400).mean(1) * 2 * width
    torch.testing.assert_close(area, torch.full((7,), 4.0), atol=4e-3, rtol=0)
    line = points.reshape(7, 400, 64, 2)
    offset = line[..., 0] * turn.cos()[:, None, None] + line[..., 1] * turn.sin()[:, None, None]
    assert (offset - offset.mean(-1, keepdim=True)).abs().max() < 1e-5
    chord = 2 * (0.49 - offset[..., 0].square()).clamp_min(0).sqrt()
    inside = (weights @ (points.square().sum(1) < 0.49).float()).reshape(7, 400)
    assert (inside - chord).abs().max() < 0.1 and (inside - chord).mean().abs() < 2e-3
    with pytest.raises(ValueError, match="two coordinates"):
        nfd.patterns.Projections().rows(3, seed=0)
