"""Laws of the panels: a state is checked once, a view is pure, a zoom draws nothing anew, a drag shows frames."""

import base64
import io
import subprocess
import sys
import time
import types
import xml.etree.ElementTree as ET
from dataclasses import replace

import matplotlib
import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from PIL import Image

import nfdlab as nfd
from nfdlab.core.fields import EvaluatedFields
from nfdlab.core.rng import uniforms
from nfdlab.core.types import Step
from nfdlab.panels import LossWatch, plots, style
from nfdlab.panels import film as films
from nfdlab.panels.active_panel import looking
from nfdlab.panels.figure import describe, plates
from nfdlab.panels.lineup import Lineup
from nfdlab.panels.live import Latest
from nfdlab.panels.matplotlib_figure import still
from nfdlab.panels.page import Page
from nfdlab.panels.plate import Plate, colour_bar, png, ticks
from nfdlab.panels.sliders import explore
from nfdlab.panels.state import State, offered, with_changes
from nfdlab.panels.status import STALE, many_tasks
from nfdlab.panels.svg import paint
from nfdlab.panels.sweeps import MIME, bundles
from nfdlab.panels.view import Comparison, draw_model, last, make_task, read_window, view
from nfdlab.store import shipped

GP1D, GP2D = nfd.problems.get("gp1d"), nfd.problems.get("gp2d")


class StandIn:
    """A stand-in for a trained approach: the exact posterior that records how it was called, and sleeps if asked to."""

    device = torch.device("cpu")

    def __init__(self, problem, seconds=0.0, **about):
        self.oracle, self.seconds, self.asked = problem.oracle(), seconds, []
        self.about = {"approach": "sparse_conditional", "problem": problem.card.name,
                      "knobs": {"lengthscale": problem.lengthscale}, **about}

    def path(self, seen, n, *, seed, steps=None, sampler="dpmpp"):
        self.asked.append((seen.m, n, steps, sampler))
        time.sleep(self.seconds)
        yield types.SimpleNamespace(x=(n, seed), sigma=0.0, denoised=(n, seed))

    def fields(self, seen, latent):
        return self.oracle.draw(seen, latent[0], seed=latent[1])

    def draw(self, seen, n, *, seed, steps=None):
        return self.fields(seen, (n, seed))

    def tensors(self):
        return {}


class Moving:
    """A stand-in for a problem in space-time: a hill that moves across, and on a page at one of many heights."""

    c = 1

    def __init__(self, *axes, exact="enumerated"):
        self.d, self.asked = len(axes), []
        self.card = replace(GP2D.card, name="moving", axes=axes, exact=exact)

    def draw(self, seen=None, n=None, *, seed, steps=None):
        """Its own exact answer, that learns nothing from what was seen."""
        n = seen if n is None else n                                    # as a problem: draw(n, seed=)
        self.asked.append(n)
        heights = 2 * uniforms(seed, n, (1,)).float() - 1

        def rule(coords, part):
            away = (coords[..., 1] - coords[..., 0]) ** 2
            return torch.exp(-8 * (away + (coords[..., -1] - heights[part]) ** 2))[..., None]

        return EvaluatedFields(rule, n, self.d)

    def oracle(self):
        return self


FILM, STRIP = Moving("t", "x", "y"), Moving("t", "x")


def comparison(problem):
    return Comparison(problem, problem.oracle(), "model", problem.oracle(), "exact posterior")


@pytest.fixture(autouse=True)
def not_headless(monkeypatch):
    monkeypatch.delenv("NFDLAB_HEADLESS", raising=False)


@pytest.fixture
def opened(request):
    """Open panels, and close them afterwards."""
    panels = []

    def open_one(model, problem=GP1D, **state):
        panels.append(explore(model, problem, **state))
        assert panels[-1].wait(20)
        return panels[-1]

    yield open_one
    for panel in panels:
        panel.close()


# ---- State ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("bad, kind", [
    ({"pattern": "rings"}, KeyError), ({"share": 0.0}, ValueError), ({"share": 1.5}, ValueError),
    ({"share": 0.1, "count": 3}, ValueError), ({"count": -1}, ValueError), ({"draws": 0}, ValueError),
    ({"draws": 2.5}, TypeError), ({"noise": -0.1}, ValueError), ({"noise": float("nan")}, ValueError),
    ({"scale": 0.5}, ValueError), ({"scale": 33}, ValueError), ({"centre": (2.0,)}, ValueError),
    ({"centre": 0.5}, TypeError), ({"sampler": "hein"}, KeyError), ({"steps": 1}, ValueError),
    ({"every": 3}, ValueError), ({"pattern": "frames", "every": 0}, ValueError), ({"time": 1.5}, ValueError),
    ({"pattern": "frames", "every": 3, "count": 9}, ValueError),
    ({"view": "all"}, KeyError), ({"device": "abacus"}, KeyError), ({"seed": -1}, ValueError),
])
def test_a_bad_state_is_refused_in_four_parts(bad, kind):
    with pytest.raises(kind) as error:
        State(**bad)
    assert all(part in str(error.value) for part in ("came:", "why:", "do:"))


def test_an_unknown_knob_is_named_with_the_nearest():
    with pytest.raises(KeyError, match="did you mean 'scale'|Did you mean 'scale'"):
        with_changes(State(), scael=2.0)


def test_the_window_stays_inside_the_box_and_keeps_its_size():
    for scale, centre in ((1.0, 0.9), (4.0, 1.0), (32.0, -1.0), (2.0, 0.1)):
        (low, high), = State(scale=scale, centre=(centre,)).window(1)
        assert high - low == pytest.approx(2 / scale) and low >= -1 - 1e-12 and high <= 1 + 1e-12
    with pytest.raises(ValueError, match="centre"):
        State(centre=(0.1, 0.2)).window(1)


def test_a_size_set_drops_the_others_and_frames_have_their_own():
    frames = with_changes(State(count=5), pattern="frames")
    assert frames.size(2) == ("every", 5) and frames.sized_pattern(2).size(2) == 64
    assert with_changes(frames, every=3).size(2) == ("every", 3)
    assert with_changes(frames, count=32).sized_pattern(2).size(2) == 32
    assert with_changes(frames, every=3, draws=2).every == 3
    back = with_changes(with_changes(frames, every=3), pattern="random")
    assert back.size(1) == ("count", 8) and back.size(2) == ("count", 80)
    assert with_changes(State(share=0.1), pattern="tracks").share == 0.1


def test_patterns_are_offered_where_they_make_sense():
    still = {"random", "grid", "block", "lines", "clusters", "border"}
    assert set(offered(GP1D)) == set(offered(GP2D)) == still
    assert set(offered(FILM)) == set(offered(STRIP)) == still | {"frames", "sensors", "tracks"}
    assert set(offered(Moving("x", "y", exact="none: a photograph"))) == still | {"outline"}


# ---- view ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("problem", [GP1D, GP2D], ids=["1d", "2d"])
def test_a_view_is_pure(problem):
    state = State(problem=problem.card.name, count=6, draws=5, seed=3)
    first, second = view(state, comparison(problem), 16), view(state, comparison(problem), 16)
    assert torch.equal(first.model.draws, second.model.draws) and torch.equal(first.truth, second.truth)
    assert first.task.score == second.task.score and paint(first) == paint(second)
    other = view(with_changes(state, seed=4), comparison(problem), 16)
    assert not torch.equal(first.truth, other.truth)


@pytest.mark.parametrize("problem", [GP1D, GP2D], ids=["1d", "2d"])
def test_a_closer_look_evaluates_the_same_draws(problem):
    state = State(problem=problem.card.name, count=6, draws=4)
    far, near = (view(with_changes(state, scale=s), comparison(problem), 24) for s in (1.0, 8.0))
    torch.testing.assert_close(far.task.model(near.coords)[..., 0], near.model.draws, atol=1e-5, rtol=0)
    torch.testing.assert_close(far.task.truth(near.coords)[0, :, 0], near.truth, atol=1e-5, rtol=0)
    assert near.coords.abs().max() <= 1 / 8 and far.task.score == near.task.score


def test_more_points_keep_truth_and_noise_level_and_only_the_count_changes():
    few, many = (make_task(State(count=m), comparison(GP1D)) for m in (3, 9))
    xs = nfd.cell_centres((16,))
    assert torch.equal(few.truth(xs), many.truth(xs)) and (few.seen.m, many.seen.m) == (3, 9)
    assert make_task(State(share=0.25), comparison(GP1D)).seen.m == 16


def test_nothing_seen_shows_the_prior():
    frame = view(State(count=0, draws=64), comparison(GP1D))
    assert frame.task.seen.m == 0 and 0.8 < float(frame.model.std.mean()) < 1.2
    assert "nothing seen" in paint(frame)


def test_rows_of_a_picture_run_downwards_from_the_top():
    right_up = Page.of(((-1.0, 1.0), (-1.0, 1.0)), ("x", "y"))
    corner = right_up.points(8)[0]
    assert corner[0] < -0.8 and corner[1] > 0.8                         # x at the left, y at the top
    on_a_map = Page.of(((-1.0, 1.0), (-1.0, 1.0)), ("north to south", "west to east"))
    corner = on_a_map.points(8)[0]
    assert corner[0] < -0.8 and corner[1] < -0.8                        # northernmost row on top, west at the left


def test_a_film_shows_one_moment_and_what_was_seen_near_it():
    state = State(problem="moving", pattern="frames", every=8, draws=3, time=0.1, scale=2.0, centre=(0.2, 0.1))
    frame = view(state, comparison(FILM), 24)
    assert (frame.coords[:, 0] == 0.1).all() and frame.axes == ("x", "y") and frame.window[0] == (-0.3, 0.7)
    torch.testing.assert_close(frame.task.truth(frame.coords)[0, :, 0], frame.truth)
    assert frame.task.seen.m == 512 and frame.near.m == 256 and frame.near.coords.shape == (256, 2)
    root = ET.fromstring(paint(frame))
    words = [t.text for t in root.iter() if t.tag.endswith("text")]
    assert {"truth at t = 0.1", "256 of 512 points seen", "x", "y"} <= set(words) and "t = 0.1" in describe(frame)
    whole = with_changes(state, every=1)
    drawn = view(whole, comparison(FILM), 4).task
    for time_now in (-1.0, -0.9375, -0.5, 0.0, 0.03, 1.0):           # one frame at any time, between two the earlier
        assert at_time(whole, time_now, drawn).near.m == 256
    assert at_time(state, 0.5, frame.task).near.m == 0


def at_time(state, time_now, drawn):
    return last(read_window(with_changes(state, time=time_now), comparison(FILM), drawn, 4))


def test_space_time_on_a_line_is_a_map_with_its_own_axes():
    frame = view(State(problem="moving", pattern="sensors", count=32, draws=3), comparison(STRIP), 16)
    words = [t.text for t in ET.fromstring(paint(frame)).iter() if t.tag.endswith("text")]
    assert "t" in words and "x" in words and not frame.film and frame.near is frame.task.seen


def test_without_an_exact_posterior_kriging_is_the_reference(opened):
    terrain = nfd.problems.get("terrain2d")
    panel = opened(nfd.baselines.get("nearest"), terrain, count=12, draws=2)
    assert "kriging" in panel.picture.value and "which is unknown" in panel.scores.value
    assert panel.error.value == "" and style.BASELINE in panel.picture.value


# ---- painters ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("problem", [GP1D, GP2D], ids=["1d", "2d"])
@pytest.mark.parametrize("look", ["mean ± band", "draws"])
def test_a_picture_is_valid_svg_with_its_numbers(problem, look):
    state = State(problem=problem.card.name, count=7, draws=5, view=look, scale=2.0, seed=2)
    frame = view(state, comparison(problem), 24)
    root = ET.fromstring(paint(frame))
    assert root.tag.endswith("svg") and root.attrib["aria-label"] == describe(frame)
    words = " ".join(t.text for t in root.iter() if t.tag.endswith("text"))
    assert "7 points seen" in words and "exact posterior" in words and "uncertainty" in words
    images = [i.attrib["href"] for i in root.iter() if i.tag.endswith("image")]
    for href in images:
        Image.open(io.BytesIO(base64.b64decode(href.split(",", 1)[1]))).verify()
    maps = 8 if problem is GP2D else 0                                  # bars of colour, one for each picture
    assert len(images) == maps + (0 if not maps else 13 if look == "draws" else 7)
    rings = sum(1 for c in root.iter() if c.tag.endswith("circle"))
    inside = int((frame.task.seen.coords.abs() <= 0.5).all(-1).sum())
    assert inside > 0 and rings == (2 * inside + 1 if problem is GP1D else 3 * inside)       # pictures, and the key


@pytest.mark.parametrize("flat", [True, False], ids=["1d", "2d"])
def test_errors_and_uncertainties_are_each_ones_own(flat):
    """In 2D a row of maps for the exact posterior, then one for the model; in 1D a curve for each. With few draws for
    the model and many for the rival the two differ."""
    problem = GP1D if flat else GP2D
    state = State(problem=problem.card.name, count=9, draws=32)
    task = make_task(state, comparison(problem))
    task = last(draw_model(with_changes(state, draws=4), comparison(problem), task))
    frame = last(read_window(state, comparison(problem), task, 16))
    found, truth = plates(frame), task.truth(frame.coords)[0, :, 0]
    for i, fields in enumerate((task.reference, task.model)):
        values = fields(frame.coords)[..., 0]
        expected = values.mean(0) - truth, values.std(0)
        if flat:
            shown = [found[j].marks[i][2] for j in (2, 3)]
        else:
            shown = [found[4 * i + j].marks[0][1].reshape(-1) for j in (2, 3)]
            assert found[4 * i + 2].ink == found[4 * i + 1].ink == (style.EXACT, style.MODEL)[i]
        for is_there, wanted in zip(shown, expected, strict=True):
            np.testing.assert_allclose(is_there, wanted, atol=1e-5)         # float32, evaluated in other blocks
        assert flat or f"of {fields.n}" in found[4 * i + 1].title


def test_a_png_holds_the_field_in_the_maps_colours():
    grid = np.array([[0.0, 1.0], [0.5, 2.0]])
    image = Image.open(io.BytesIO(png(grid, style.lut(style.FIELD_MAP), 0.0, 1.0)))
    assert image.mode == "P" and image.size == (2, 2)
    colours = np.asarray(image.convert("RGB"))
    expected = np.round(255 * np.array([matplotlib.colormaps["viridis"](v)[:3] for v in (0.0, 1.0, 127 / 255, 1.0)]))
    np.testing.assert_allclose(colours.reshape(4, 3), expected, atol=1)


def test_a_curve_lies_where_its_numbers_say():
    plate = Plate(-1, 1, 0, 2).curve(np.array([-1.0, 0.0, 1.0]), np.array([0.0, 1.0, 2.0]), "#000")
    line, = (e for e in ET.fromstring(f"<g>{plate.svg(10, 20, 100, 50)}</g>").iter() if e.tag.endswith("polyline"))
    assert line.attrib["points"] == "0 500 500 250 1000 0"              # tenths of pixels, y of the page downwards


def test_ticks_are_round_inside_and_tell_neighbours_apart():
    for low, high in ((-1, 1), (0.31, 0.3725), (-2.7, 13.0), (0.0, 1e-3)):
        values, labels = ticks(low, high)
        assert low - 1e-9 <= min(values) and max(values) <= high + 1e-9 and 3 <= len(values) <= 8
        assert len(set(labels)) == len(labels)
        np.testing.assert_allclose([float(x.replace("−", "-")) for x in labels], values, atol=1e-6 * (high - low))


def test_numbers_are_short():
    assert ">0<" in colour_bar(0, 0, 9, style.FIELD_MAP, 1e-14, 1.0, "")
    assert [style.number(v) for v in (0.12345, 12.345, 1234.5, 0.0)] == ["0.123", "12.3", "1230", "0"]


# ---- Latest --------------------------------------------------------------------------------------------------------

class Slow:
    """A generator of `n` pictures, one every `dt` seconds, that writes down what was shown."""

    def __init__(self, n=8, dt=0.02, **kwargs):
        self.n, self.dt, self.shown, self.errors = n, dt, [], []
        self.latest = Latest(self.work, self.shown.append, self.errors.append, **kwargs)

    def work(self, request):
        for k in range(self.n):
            time.sleep(self.dt)
            if request == "bad" and k == 2:
                raise ValueError("the reason")
            yield (request, k) if k % 2 else None


def test_a_drag_shows_a_picture_of_every_run_it_started_and_ends_on_the_newest():
    slow = Slow()
    for i in range(25):
        slow.latest.submit(i)
        time.sleep(0.02)
    during = len(slow.shown)
    assert slow.latest.wait(5)
    slow.latest.close()
    assert during >= 4                                                  # cancelling at once would have shown none
    assert slow.shown[-1] == (24, 7)                                    # the newest, to its end
    runs = [request for request, _ in slow.shown]
    assert runs == sorted(runs) and len([r for r in runs[:during]]) == len(set(runs[:during]))   # one preview each


def test_a_newer_request_replaces_an_older_and_the_newest_is_finished():
    """Requests at random moments, some in the midst of a run: no older one is shown after a newer, and the last state
    is always shown to its end."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        slow = Slow(n=6, dt=0.003, every=0.0)
        for i in range(8):
            slow.latest.submit(i)
            time.sleep(float(rng.choice([0.0, 0.004, 0.01])))
        assert slow.latest.wait(5)
        slow.latest.close()
        runs = [request for request, _ in slow.shown]
        assert runs == sorted(runs) and slow.shown[-1] == (7, 5)
    slow = Slow(n=60, dt=0.005, every=0.0)
    slow.latest.submit("old")
    while not slow.shown:
        time.sleep(0.002)
    slow.latest.submit("new")
    assert slow.latest.wait(5) and slow.shown[-1] == ("new", 59)
    slow.latest.close()
    assert sum(request == "old" for request, _ in slow.shown) < 15      # of its sixty


def test_a_preview_takes_the_first_draws_and_is_followed_by_all(opened):
    """Its draws are the first of those that follow, where as many steps are taken."""
    panel = opened(StandIn(GP2D), GP2D, draws=8, steps=3)
    sizes = [n for _, n, *_ in panel.lineup.model.asked]
    assert sizes == [4, 8] and "mean of 8" in panel.picture.value
    few, many = (panel._recent.get("model", replace(panel.state, draws=n).draws_key()).model for n in sizes)
    points = nfd.cell_centres((8, 8))
    torch.testing.assert_close(few(points), many(points)[:4])


def test_steps_start_at_the_models_own_and_follow_the_problem():
    own = {name: Lineup(nfd.load("modulated_field", "families1d"), nfd.problems.get("families1d")).steps(name)
           for name in ("families1d", "sawtooth1d")}
    assert own == {name: nfd.load("modulated_field", name).steps for name in own}
    assert Lineup(GP1D.oracle(), GP1D).steps("gp1d") is None


def test_the_last_picture_is_shown_even_when_pictures_come_too_fast():
    slow = Slow(n=8, dt=0.0, every=10.0)
    slow.latest.submit("only")
    assert slow.latest.wait(5)
    slow.latest.close()
    assert slow.shown == [("only", 1), ("only", 7)]


def test_stop_ends_a_run_at_its_next_yield_and_the_next_request_works():
    slow = Slow(n=10_000)
    slow.latest.submit("long")
    while not slow.shown:
        time.sleep(0.01)
    slow.latest.stop()
    assert slow.latest.wait(10) and len(slow.shown) < 5000
    before = len(slow.shown)
    time.sleep(0.1)
    assert len(slow.shown) == before
    slow.n = 4
    slow.latest.submit("next")
    assert slow.latest.wait(5) and slow.shown[-1] == ("next", 3)
    slow.latest.close()


def test_an_error_is_reported_and_the_worker_goes_on():
    slow = Slow(n=4, dt=0.0)
    slow.latest.submit("bad")
    assert slow.latest.wait(5) and [str(e) for e in slow.errors] == ["the reason"]
    slow.latest.submit("good")
    assert slow.latest.wait(5) and slow.shown[-1] == ("good", 3)
    slow.latest.close()


def test_closing_ends_the_thread_and_later_requests_are_ignored():
    slow = Slow(n=2, dt=0.0)
    slow.latest.submit(1)
    thread = slow.latest._thread
    assert slow.latest.wait(5) and thread.is_alive()
    slow.latest.close()
    thread.join(5)
    slow.latest.submit(2)
    assert not thread.is_alive() and slow.latest._thread is thread and {r for r, _ in slow.shown} == {1}


def test_an_interpreter_that_ends_lets_the_worker_end_first():
    script = """if True:
        import atexit, itertools, time
        from nfdlab.panels.live import Latest
        latest = Latest(lambda request: (time.sleep(0.01) for _ in itertools.count()), print, print)
        atexit.register(lambda: print("alive:", latest._thread.is_alive()))       # first in, last out
        latest.submit(1)
        """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout == "alive: False\n", done.stdout + done.stderr


def test_synchronous_work_is_done_when_submit_returns():
    slow = Slow(n=4, dt=0.0, synchronous=True)
    slow.latest.submit("now")
    assert slow.shown[-1] == ("now", 3) and slow.latest._thread is None


# ---- the panel -----------------------------------------------------------------------------------------------------

def test_moving_the_window_never_asks_the_model_again(opened):
    model = StandIn(GP1D)
    panel = opened(model, steps=20)
    assert [(n, steps) for _, n, steps, _ in model.asked] == [(8, 3), (32, 20)]        # a preview, then the real thing
    before = panel.picture.value
    for change in ({"scale": 4.0}, {"centre": (0.5,)}, {"view": "draws"}, {"scale": 1.0, "centre": ()}):
        assert panel.move(**change).wait(20)
        assert panel.picture.value != before and len(model.asked) == 2
    panel.move(count=3).wait(20)
    assert len(model.asked) == 4


def test_a_slider_that_moves_changes_the_state_and_the_picture(opened):
    panel = opened(GP1D.oracle())
    before = panel.picture.value
    panel.knobs["kept"].value = 3
    assert panel.wait(20) and panel.state.count == 3 and "3 points seen" in panel.picture.value != before
    panel.knobs["scale"].value = 4.0
    assert panel.wait(20) and panel.state.scale == 4.0
    panel.knobs["problem"].value = "gp2d"
    assert panel.wait(20) and panel.state.count == 80 and "80 points seen" in panel.picture.value
    assert panel.knobs["centre 2"].layout.display is None
    assert panel.error.value == ""


def test_frames_have_a_slider_of_gaps(opened):
    panel = opened(STRIP, STRIP, draws=4)
    panel.knobs["pattern"].value = "frames"
    assert panel.wait(20) and panel.state.every == 5 and "64 points seen" in panel.picture.value
    assert panel.knobs["kept"].label == "1 in 5 · 64"
    panel.knobs["kept"].value = 3
    assert panel.wait(20) and panel.state.every == 3 and "96 points seen" in panel.picture.value
    panel.knobs["pattern"].value = "tracks"
    assert panel.wait(20) and panel.state.count == 80 and "80 points seen" in panel.picture.value
    panel.knobs["problem"].value = "gp1d"                               # no tracks there
    assert panel.state.pattern == "random" and "tracks" not in panel.knobs["pattern"].options


def test_a_film_has_a_slider_of_time_and_never_asks_again(opened):
    film = Moving("t", "x", "y")
    panel = opened(film, film, draws=4, count=30)
    before, asked = panel.picture.value, len(film.asked)
    assert panel.knobs["time"].layout.display is None and panel.knobs["centre"].description == "centre x"
    panel.knobs["time"].value = 0.5
    assert panel.wait(20) and panel.state.time == 0.5 and panel.picture.value != before
    assert panel.error.value == "" and len(film.asked) == asked
    titles = " ".join(ax.get_title(loc="left") for ax in panel.still().figure.axes)
    assert "truth at t = 0.5" in titles and "of 30 points seen" in titles
    panel.knobs["problem"].value = "gp1d"
    assert panel.knobs["time"].layout.display == "none" and panel.state.time == 0.0


def test_the_panel_shows_its_own_errors_and_recovers(opened, monkeypatch):
    panel = opened(StandIn(GP1D))
    monkeypatch.setattr("nfdlab.panels.lineup.load", lambda *a, **k: (_ for _ in ()).throw(KeyError("no <weights>")))
    panel.knobs["problem"].value = "digits2d"
    assert panel.wait(20) and "no &lt;weights&gt;" in panel.error.value and style.ALERT in panel.error.value
    panel.knobs["problem"].value = "gp1d"
    assert panel.wait(20) and panel.error.value == ""


def test_stop_keeps_the_picture_and_says_so(opened):
    panel = opened(StandIn(GP1D, seconds=0.15))
    before = panel.picture.value
    panel.knobs["kept"].value = 4
    panel.knobs["stop"].click()
    assert "stopped" in panel.status.value and panel.wait(5) and panel.picture.value == before


def test_weights_of_other_knobs_are_refused():
    with pytest.raises(ValueError, match="lengthscale"):
        explore(StandIn(GP1D), nfd.problems.get("gp1d", lengthscale=0.4))


@pytest.mark.parametrize("bad", [{"count": -2}, {"scael": 1.0}, {"centre": (0.0, 0.0)}, {"share": 2},
                                 {"device": "mps"}])
def test_explore_refuses_bad_states(bad):
    with pytest.raises((ValueError, KeyError), match="came:"):
        explore(GP1D.oracle(), GP1D, **bad)


@pytest.mark.parametrize("model, problem", [(None, GP1D), (GP1D.oracle(), "gp1d")])
def test_explore_refuses_what_is_no_model_or_problem(model, problem):
    with pytest.raises(TypeError, match="came:"):
        explore(model, problem)


def test_the_ratio_over_many_tasks_is_the_nearest_counts():
    model = StandIn(GP1D, scores={"crps": {"1": 1.01, "10": 1.23, "mean": 1.1}, "tasks": 400})
    pair = Comparison(GP1D, model, "model", GP1D.oracle(), "exact posterior")
    assert "Over 400 tasks at m = 10: <b>1.23 ×</b>" in many_tasks(view(State(count=8), pair))


def test_a_ratio_of_another_setting_is_never_shown():
    """A ratio stands beside random points or frames at the noise it was measured with, and names them."""
    scores = {"crps": {"0": 1.01, "10": 1.23, "every 4": 1.5, "every 8": 2.5}, "tasks": 60}
    pair = Comparison(GP1D, StandIn(GP1D, scores=scores), "model", GP1D.oracle(), "exact posterior")
    assert "m = 10: <b>1.23 ×</b> the CRPS of exact posterior (random, noise 0.05)" in many_tasks(view(State(), pair))
    for other in ({"pattern": "clusters"}, {"noise": 0.2}, {"pattern": "clusters", "noise": 0.0}):
        assert "No ratio" in (words := many_tasks(view(State(**other), pair))) and "×" not in words
    assert "m = 0: <b>1.01 ×</b>" in many_tasks(view(State(pattern="clusters", count=0), pair))
    film = replace(pair, problem=STRIP, model=StandIn(GP1D, scores=scores), reference=STRIP)
    frame = replace(view(State(pattern="frames", every=7, draws=2), replace(film, model=STRIP), 4), comparison=film)
    assert "one frame in 8: <b>2.50 ×</b>" in many_tasks(frame)


def test_the_picture_of_another_state_is_grey(opened, monkeypatch):
    """From a change to its first new frame; after an error it stays grey."""
    panel, marks = opened(StandIn(GP1D)), []
    picture, scores = (panel.framed[widget] for widget in (panel.picture, panel.scores))
    assert STALE not in picture._dom_classes and STALE not in scores._dom_classes
    monkeypatch.setattr(panel._latest, "submit", lambda state: marks.append(STALE in picture._dom_classes))
    panel.knobs["kept"].value = 3
    assert marks == [True] and "computing" in panel.status.value
    monkeypatch.undo()
    monkeypatch.delenv("NFDLAB_HEADLESS", raising=False)
    panel._show((panel.state, "<svg/>", "", "refining …"))              # a preview: its scores are not there yet
    assert STALE not in picture._dom_classes and STALE in scores._dom_classes
    panel._show((State(count=99), "<svg/>", "", "done in 1 s"))
    assert "refining" in panel.status.value                             # a newer one waits
    monkeypatch.setattr("nfdlab.panels.lineup.load", lambda *a, **k: (_ for _ in ()).throw(KeyError("no weights")))
    panel.move(problem="digits2d").wait(20)
    assert "no weights" in panel.error.value and STALE in picture._dom_classes


def test_each_control_says_what_it_does(opened):
    for panel in (opened(GP1D.oracle()), looking(GP1D.oracle(), GP1D)):
        tips = [knob.tooltip for knob in panel.knobs.values()]
        assert all(tip.endswith(".") and len(tip) > 15 for tip in tips)
        panel.close()


def test_only_problems_with_a_model_are_offered(opened):
    assert list(opened(StandIn(GP1D)).knobs["problem"].options) == [
        name for name in nfd.problems.names() if ("sparse_conditional", name) in shipped()]
    assert "photo2d" not in opened(GP1D.oracle()).knobs["problem"].options                 # no exact posterior


def test_axes_are_true_in_the_view_of_four_draws():
    """Each of the four windows has its own numbers, in both painters."""
    frame = view(State(problem="gp2d", draws=4, view="draws"), comparison(GP2D), 8)
    plate, ax = plates(frame)[1], still(frame).axes[1]
    shares, labels = plate.ticks(-1.0, 1.0, 4)
    assert labels == ["−0.5", "0.0", "0.5"] * 2 and shares == [0.125, 0.25, 0.375, 0.625, 0.75, 0.875]
    assert [t.get_text() for t in ax.get_xticklabels()] == labels and ax.get_xticks().tolist() == [
        -0.75, -0.5, -0.25, 0.25, 0.5, 0.75]
    assert plates(frame)[0].ticks(-1.0, 1.0, 4)[0] == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_a_model_that_gives_nan_is_an_error_not_a_picture(opened):
    class Broken(StandIn):
        def fields(self, seen, latent):
            fields = super().fields(seen, latent)
            return EvaluatedFields(lambda x, part: fields(x)[part] * float("nan"), fields.n, 1)

    panel = explore(Broken(GP1D), GP1D)
    assert panel.wait(20) and "finite" in panel.error.value and panel.picture.value == ""
    panel.close()


# ---- reports -------------------------------------------------------------------------------------------------------

def test_a_report_gets_a_contact_sheet_and_two_sweeps(monkeypatch):
    monkeypatch.setenv("NFDLAB_HEADLESS", "1")
    panel = explore(GP1D.oracle(), GP1D, count=5, draws=8)
    found = panel._repr_mimebundle_()
    sheet = Image.open(io.BytesIO(base64.b64decode(found["image/png"])))
    assert sheet.width > 600 and sheet.height > 900
    kept, scale = (b[MIME] for b in bundles(panel))
    assert found[MIME] == kept and kept["values"][kept["start"]] == "5" and scale["values"][0] == "×1"
    for sweep in (kept, scale):
        assert set(sweep) == {"label", "values", "fmt", "start", "frames"}
        assert len(set(sweep["frames"])) == len(sweep["frames"]) == len(sweep["values"])
        assert sum(map(len, sweep["frames"])) < 2e6
        for frame in sweep["frames"]:
            ET.fromstring(base64.b64decode(frame))
    assert panel._latest._thread is None                                # nothing is left running
    panel.move(count=2)
    assert "2 points seen" in panel.picture.value                       # done when move returns


@pytest.mark.parametrize("problem, sizes", [(FILM, ["3", "5", "7"]), (STRIP, ["1", "2", "3", "5", "7"])])
def test_a_report_on_frames_sweeps_gaps_and_one_on_a_film_time(problem, sizes, monkeypatch):
    monkeypatch.setenv("NFDLAB_HEADLESS", "1")
    found = bundles(explore(problem, problem, pattern="frames", draws=2))
    assert found[0][MIME]["values"] == sizes and found[0][MIME]["values"][found[0][MIME]["start"]] == "5"
    assert len(found) == (3 if problem is FILM else 2)
    if problem is FILM:
        assert found[2][MIME]["values"][0] == "−0.94" and "time" in found[2]["text/plain"]
        assert len(set(found[2][MIME]["frames"])) == len(found[2][MIME]["values"])


def test_a_live_panel_carries_no_report(opened):
    found = opened(GP1D.oracle())._repr_mimebundle_()
    assert "image/png" not in found and MIME not in found and "nfdlab panel" in found["text/plain"]


@pytest.mark.parametrize("problem", [GP1D, GP2D], ids=["1d", "2d"])
def test_a_still_is_the_same_picture_without_pyplot(problem, opened):
    panel = opened(problem.oracle(), problem, count=9, draws=4)
    rc = dict(matplotlib.rcParams)
    figure = panel.still(view="draws")
    data, size = figure._repr_png_()
    assert Image.open(io.BytesIO(data)).width == int(figure.get_size_inches()[0] * 160) and size["width"] > 600
    titles = " ".join(ax.get_title(loc="left") for ax in figure.axes)
    assert "4 draws" in titles and "uncertainty" in titles
    assert not matplotlib._pylab_helpers.Gcf.figs and dict(matplotlib.rcParams) == rc


# ---- training watched ----------------------------------------------------------------------------------------------

def steps(n=40):
    return [Step(i + 1, "auto" if i < n // 2 else "diffuse", 1.0 / (i + 1), 0.5 * i, (i + 1) / n) for i in range(n)]


def test_a_watch_cancels_when_asked_and_paints_the_last_step():
    watch = LossWatch("fit", every=1e9)
    answers = [watch(step) for step in steps()]
    assert not any(answers) and "100 %" in watch.picture.value and watch.button.disabled
    root = ET.fromstring(watch.picture.value)
    assert sum(1 for p in root.iter() if p.tag.endswith("polyline")) == 2          # one curve for each stage
    again = LossWatch()
    assert again(steps()[0]) is False
    again.button.click()
    assert again(steps()[1]) is True and again.cancelled


def test_a_watch_in_a_report_is_silent_and_keeps_a_figure(monkeypatch, capsys):
    monkeypatch.setenv("NFDLAB_HEADLESS", "1")
    watch = LossWatch("fit")
    began = time.thread_time()
    for step in steps(2000):
        watch(step)
    assert time.thread_time() - began < 0.2 and watch.picture.value == "" and capsys.readouterr() == ("", "")
    assert len(watch.figure().axes) == 2 and "image/png" in watch._repr_mimebundle_()


# ---- lesson figures ------------------------------------------------------------------------------------------------

def test_lesson_figures_say_what_they_are_given():
    truth = GP1D.draw(1, seed=0)
    seen = nfd.observe(truth, nfd.patterns.Random(count=5), seed=1)
    draws = GP1D.oracle().draw(seen, 20, seed=2)
    figure = plots.bands(GP1D.card, truth=truth, seen=seen, exact=draws, model=draws, title="the message")
    ax, = figure.axes
    assert ax.get_title(loc="left") == "the message" and ax.get_xlabel() == "x" and GP1D.card.units in ax.get_ylabel()
    labels = ax.get_legend_handles_labels()[1]
    assert "5 seen" in labels and any("exact" in x for x in labels)
    table = {"model": {1: (1.0, 0.9, 1.1), 10: 1.02}, "kriging": {1: 1.5, 10: 1.1}}
    ax, = plots.ratios(table, title="worst 1.02").axes
    assert [t.get_text() for t in ax.get_xticklabels()] == ["1", "10"]
    assert len(plots.ladder(GP1D.card, {"truth": truth, "model": draws}, scales=(1, 4)).axes) == 4


def test_a_gallery_has_a_cell_for_each_pattern_that_suits():
    figure = plots.gallery([GP1D, STRIP], ["random", "frames", nfd.patterns.Sensors(count=48)], side=16, columns=2)
    cells = [ax.get_title(loc="left") for part in figure.subfigs for ax in part.axes if ax.axison]
    assert cells == ["random · 8", "random · 80", "frames · 64", "sensors · 48"]
    curve, chart = figure.subfigs[0].axes[0], figure.subfigs[1].axes[1]
    assert len(curve.lines) == 1 and len(curve.collections[0].get_offsets()) == 8 and curve.get_xlabel() == "x"
    assert len(chart.images) == 1 and len(chart.collections[0].get_offsets()) == 64
    assert Image.open(io.BytesIO(figure.png(50))).width == 145


@pytest.mark.parametrize("problems, names, kind", [([FILM], ["random"], ValueError), ([GP1D], ["frames"], ValueError),
                                                   ([GP1D], ["rings"], KeyError), ([], ["random"], ValueError)])
def test_a_gallery_refuses_films_and_unknown_patterns(problems, names, kind):
    with pytest.raises(kind, match="came:"):
        plots.gallery(problems, names)


def test_of_four_coordinates_a_picture_shows_a_slice_at_one_time():
    """x and y at the time of the slider and in the middle of z; of what was seen, that near to both."""
    ball = nfd.problems.get("ball3dt")
    state = State(problem="ball3dt", time=0.3, draws=3, count=60, seed=2)
    frame = view(state, replace(comparison(GP2D), problem=ball, model=ball.oracle(), reference=ball.oracle()), 8)
    assert frame.film and frame.axes == ("x", "y") and frame.truth.shape == (64,)
    at = nfd.cell_centres((8, 8)).reshape(8, 8, 2).transpose(0, 1).flip(0).reshape(-1, 2)
    points = torch.cat([torch.full((64, 1), 0.3), at, torch.zeros(64, 1)], 1)
    torch.testing.assert_close(frame.truth, frame.task.truth(points)[0, :, 0])
    seen, near = frame.task.seen.coords, frame.near.coords
    assert near.shape == ((((seen[:, 0] - 0.3).abs() <= 1 / 16) & (seen[:, 3].abs() < 0.25)).sum(), 2)
    film = films.film({"truth": frame.task.truth}, frames=3, side=16).frames
    assert len(film) == 3 and len(plots.meet([ball], side=8, columns=1).axes[0].images) == 1


def test_problems_are_shown_as_curves_maps_and_films():
    figure = plots.meet([GP1D, GP2D, FILM, nfd.problems.get("stars2d")], side=16, columns=3, title="four")
    curve, chart, film, shape, *empty = figure.axes
    assert [ax.get_title(loc="left") for ax in (curve, film)] == ["gp1d", FILM.card.name]
    assert len(empty) == 2 and not any(ax.axison for ax in empty)
    assert len(curve.lines) == 3 and len(chart.images) == len(film.images) == 1
    assert np.ma.getmaskarray(film.images[0].get_array())[8].all()                 # a gap between the moments
    now = torch.nn.functional.pad(nfd.cell_centres((8, 8)), (1, 0), value=-0.75)              # the first moment
    first = np.asarray(film.images[0].get_array())[:8, :8]
    assert np.allclose(first[::-1].T, FILM.draw(1, seed=0)(now)[0, :, 0].reshape(8, 8), atol=1e-6)
    assert [ax._left_title.get_color() for ax in (curve, shape)] == [style.EXACT, style.BASELINE]      # exact, or none
    with pytest.raises(ValueError, match="came:"):
        plots.meet([])


def test_noisy_observations_lie_inside_the_axes_and_long_units_cut_no_title():
    step = nfd.problems.get("step1d")
    for seed in range(3):
        panel = explore(step.oracle(), step, noise=0.3, count=20, seed=seed, draws=8)
        axes = panel.still().axes[0]
        values = panel.frame().task.seen.values
        panel.close()
        assert axes.get_ylim()[0] < values.min() and values.max() < axes.get_ylim()[1]
    hills = nfd.problems.get("terrain2d")                            # its units take two lines
    panel = explore(nfd.baselines.get("nearest"), hills, count=5, draws=2)
    shot = np.asarray(Image.open(io.BytesIO(panel.still().png(60))).convert("L"))
    panel.close()
    assert shot[0].min() == 255                                      # the topmost row of pixels is paper


def test_answers_stand_side_by_side():
    truth, seen = GP1D.draw(1, seed=0), nfd.observe(GP1D.draw(1, seed=0), nfd.patterns.Random(count=5), seed=1)
    draws = GP1D.oracle().draw(seen, 20, seed=2)
    left, right = plots.fans({"a": (truth, seen, draws), "b": (truth, seen, draws[:3])}, curves=4).axes
    assert len(left.lines) == 5 and len(right.lines) == 4 and left.get_title(loc="left") == "a"
    assert len(left.collections[0].get_offsets()) == 5
    truth, rough = GP2D.draw(1, seed=0), GP2D.draw(2, seed=9)
    one, other = plots.pages(GP2D.card, {"truth": truth, "a draw": rough}, side=12).axes
    assert one.images[0].get_clim() == other.images[0].get_clim() and other.get_ylabel() == ""
    heights = []
    for pane, title in (("truth", "a title"), ("truth,\nas it is", "two lines\nof a title")):
        page = plots.pages(GP2D.card, {pane: truth}, side=12, title=title)
        page.savefig(io.BytesIO())                                     # lays it out
        heights.append(page.axes[0].get_position().height * page.get_size_inches()[1])
    assert heights[1] > 0.95 * heights[0], "words of two lines take nothing from the map"
    for wrong in (lambda: plots.fans({}), lambda: plots.pages(GP2D.card, {}),
                  lambda: plots.fans({"a": (truth, seen, rough)})):
        with pytest.raises(ValueError, match="came:"):
            wrong()


def test_maps_share_limits_and_centre_errors_at_zero():
    truth = GP2D.draw(1, seed=0)
    seen = nfd.observe(truth, nfd.patterns.Random(count=30), seed=1)
    draws = GP2D.oracle().draw(seen, 6, seed=2)
    figure = plots.row(GP2D.card, truth=truth, seen=seen, model=draws, exact=draws, side=24)
    images = [ax.images[0] for ax in figure.axes if ax.images]
    truth_map, exact_map, model_map, error_map, spread_map = images[:5]
    assert truth_map.get_clim() == exact_map.get_clim() == model_map.get_clim()
    assert error_map.get_clim()[0] == -error_map.get_clim()[1] and spread_map.get_clim()[0] == 0
    surface = plots.surface(GP2D.card, truth, seen=seen, side=16)
    assert type(surface) is go.Figure and [t.type for t in surface.data] == ["surface", "scatter3d"]


def test_a_solid_is_the_surface_where_a_field_crosses_its_level_with_true_axes():
    middle = torch.tensor([0.3, 0.1, -0.2])
    ball = EvaluatedFields(lambda x, part: (0.6 - (x - middle).norm(dim=-1))[None, ..., None], 1, 3)
    card = replace(GP2D.card, axes=("x", "y", "z"))
    seen = nfd.observe(ball, nfd.patterns.Outline(count=9, level=0.0), seed=0)
    figure = plots.solid(card, ball, seen=seen, side=12)
    part, points = figure.data
    assert (part.type, part.isomin, part.isomax, points.type) == ("isosurface", 0.0, 0.0, "scatter3d")
    at = torch.tensor([[float(part.x[i]), float(part.y[i]), float(part.z[i])] for i in range(12**3)])
    assert (ball(at)[0, :, 0] - torch.as_tensor(part.value)).abs().max() < 2e-4
    assert list(points.x) == seen.coords[:, 0].tolist() and list(points.z) == seen.coords[:, 2].tolist()
    with pytest.raises(ValueError, match="three coordinates"):
        plots.solid(GP2D.card, GP2D.draw(1, seed=0))


def test_lesson_figures_refuse_the_wrong_dimension():
    with pytest.raises(ValueError, match="one coordinate"):
        plots.bands(GP1D.card, model=GP2D.draw(1, seed=0))
    with pytest.raises(ValueError, match="two coordinates"):
        plots.surface(GP2D.card, GP1D.draw(1, seed=0))


def test_an_ablation_shows_each_arm_by_its_colour_and_says_the_costs_in_full():
    figure = plots.worth("score_field", "gp1d")
    ax, = figure.axes
    labels = [label.get_text() for label in ax.get_yticklabels()][::-1]
    assert labels[:4] == ["full", "network silenced", "field silenced", "Gaussian draws"]
    shown = {label: style.colour_of(label) for label in nfd.baselines.names()}
    bars = dict(zip(labels, [matplotlib.colors.to_hex(bar.get_facecolor()) for bar in ax.patches][::-1], strict=True))
    assert {name: bars[name] for name in shown if name in bars} == {name: shown[name] for name in shown if name in bars}
    assert bars["full"] == bars["network silenced"] == style.MODEL.lower() != bars["optimal_interpolation"]
    assert bars["exact"] == bars["exact, Gaussian draws"] == style.EXACT.lower()
    title = figure._suptitle.get_text() if figure._suptitle else ax.get_title(loc="left")
    assert all(f"{part} ×" in title for part in labels[1:4])
    assert max(map(len, title.split("\n"))) < 80
