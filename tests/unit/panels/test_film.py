"""Films as files: what is drawn is the draw, at any frame rate; an MP4 where ffmpeg is, words where it is not."""

import importlib.util
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

import nfdlab as nfd
from nfdlab.panels.film import GAP, HEAD, film


@pytest.mark.parametrize("name", ["drift1dt", "moving_disc2dt"])
def test_a_film_at_eight_times_the_rate_is_the_same_film(name):
    """Moments that both ask are the same pictures; here 5 frames and 15, of which every third is one of the 5."""
    draws = nfd.problems.get(name).draw(2, seed=1)
    few, many = (film({"truth": draws[0], "draw": draws[1]}, frames=n, side=32) for n in (5, 15))
    assert few.frames.shape == (5, 32 + HEAD + 2 * GAP, 2 * (32 + GAP) + GAP, 3)
    inside = slice(HEAD, HEAD + 32)
    away = few.frames[:, inside].astype(int) - many.frames[1::3, inside].astype(int)
    assert (np.abs(away) > 24).mean() < 0.01                        # limits are of what is asked
    assert (many.frames[0, inside] != many.frames[7, inside]).any()
    assert not np.array_equal(few.frames[0, inside, GAP:GAP + 32], few.frames[0, inside, -GAP - 32:-GAP])


def test_the_second_coordinate_runs_across_and_the_third_up():
    class Ramp:
        n, d, c = 1, 3, 1

        def __call__(self, coords):
            return coords[None, :, 1:2] + 10 * (coords[None, :, 2:] > 0)

        def __getitem__(self, i):
            return self

    tile = film({"truth": Ramp()}, frames=1, side=32).frames[0, HEAD:HEAD + 32, GAP:GAP + 32].astype(int).sum(-1)
    assert (tile[0] > tile[-1]).all() and tile[-1, -1] >= tile[-1, 0]


def test_what_was_seen_is_marked_under_its_frame():
    truth = nfd.problems.get("drift1dt").draw(1, seed=1)
    seen = nfd.observe(truth, nfd.patterns.Frames(every=4), seed=1)
    shown = film({"truth": truth}, frames=16, side=32, seen=seen).frames[:, HEAD + 32 + 3, 20]
    assert [i for i, pixel in enumerate(shown) if tuple(pixel) == (0, 114, 178)] == [0, 4, 8, 12]


def test_a_gif_holds_every_frame_and_shows_itself(tmp_path):
    made = film({"truth": nfd.problems.get("moving_disc2dt").draw(1, seed=1)}, frames=6, rate=10.0, side=32)
    image = Image.open(BytesIO(made.gif()))
    assert image.n_frames == 6 and image.info["duration"] == 100
    assert made.gif(tmp_path / "film.gif").read_bytes() == made.gif()
    assert made._repr_html_().startswith("<img") and "image/gif;base64," in made._repr_html_()


def test_an_mp4_is_written_or_refused_in_four_parts(tmp_path, monkeypatch):
    made = film({"truth": nfd.problems.get("moving_disc2dt").draw(1, seed=1)}, frames=4, side=33)
    with pytest.raises(ValueError, match="ends in .mp4"):
        made.mp4(tmp_path / "film.avi")
    if importlib.util.find_spec("imageio_ffmpeg") is not None:
        assert made.mp4(tmp_path / "film.mp4").read_bytes()[4:8] == b"ftyp"

    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr("nfdlab.panels.film.import_module", missing)
    with pytest.raises(ImportError) as error:
        made.mp4(tmp_path / "none.mp4")
    assert all(part in str(error.value) for part in ("\n  came: ", "\n  why:  ", "\n  do:   "))


@pytest.mark.parametrize("change", [{}, {"frames": 0}, {"side": 3}, {"rate": 0.0}])
def test_bad_films_are_refused(change):
    answers = {"truth": nfd.problems.get("gp1d").draw(1, seed=1)} if not change else {
        "truth": nfd.problems.get("drift1dt").draw(1, seed=1)}
    with pytest.raises(ValueError):
        film(answers, **change)
    with pytest.raises(ValueError):
        film({}, **change)
    assert torch.get_num_threads() >= 1
