"""Laws of a panel that is touched, watched and compared: what a hand does, how draws form, a second contestant."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest
import torch

import nfdlab as nfd
from nfdlab.panels import style
from nfdlab.panels.controls import PRESETS
from nfdlab.panels.figure import plates
from nfdlab.panels.lineup import Lineup
from nfdlab.panels.shading import screen
from nfdlab.panels.sliders import explore
from nfdlab.panels.state import DRAWN, State, with_changes
from nfdlab.panels.svg import paint
from nfdlab.panels.touch import Hand, place, readout, rows
from nfdlab.panels.view import draw_model, form, last, make_task, view

GP1D, GP2D = nfd.problems.get("gp1d"), nfd.problems.get("gp2d")


@pytest.fixture
def opened(monkeypatch):
    """Open panels that compute in place, and close them afterwards."""
    monkeypatch.setenv("NFDLAB_HEADLESS", "1")
    panels = []

    def open_one(problem=GP1D, model=None, **state):
        panels.append(explore(model or problem.oracle(), problem, **state).move())       # a report draws when asked
        return panels[-1]

    yield open_one
    for panel in panels:
        panel.close()


def touch(panel, *kinds, x, y=0.0, px=0.01, area="", tile=0, **more):
    """Messages as the browser sends them, all at one place."""
    for kind in kinds:
        panel._touched({"kind": kind, "x": x, "y": y, "px": px, "py": px, "area": area, "tile": tile, **more})
    assert panel.error.value == ""


def click(panel, **where):
    touch(panel, "down", "up", **where)


# ---- observations by hand ------------------------------------------------------------------------------------------

def test_a_click_sees_the_truth_there_a_drag_moves_it_and_a_double_click_removes_it(opened):
    panel = opened(count=3)
    before, truth = rows(panel.state, panel.frame()), panel.frame().task.truth
    click(panel, x=0.25, y=5.0)
    *old, new = panel.state.own
    np.testing.assert_allclose(old, before, atol=1e-4)
    assert new == pytest.approx((0.25, float(truth(torch.tensor([[0.25]])))), abs=1e-4)
    assert panel.frame().task.seen.m == 4 and "4 points seen, yours" in panel.picture.value
    touch(panel, "down", x=new[0] + 0.02, y=new[1])                      # two pixels beside it
    touch(panel, "move", x=0.6, y=-1.0)
    touch(panel, "up", x=0.6, y=-1.0)
    assert panel.state.own[-1] == pytest.approx((0.6, -1.0)) and len(panel.state.own) == 4
    touch(panel, "down", "up", "down", "up", "double", x=0.6, y=-1.0)    # as a browser reports a double click
    np.testing.assert_allclose(panel.state.own, old, atol=1e-4)
    touch(panel, "down", "up", "down", "up", "double", x=-0.9, y=3.0)    # where nothing was: nothing is left
    np.testing.assert_allclose(panel.state.own, old, atol=1e-4)


def test_a_placed_value_is_the_hands_and_contradictions_are_seen(opened):
    panel = opened(count=0)
    panel.knobs["tool"].value = "place"
    click(panel, x=0.1, y=1.7)
    assert panel.state.own == ((0.1, 1.7),)
    flat = opened(GP2D, count=0, draws=2)
    flat.knobs["tool"].value, flat.knobs["brush"].value = "place", -2.5
    click(flat, x=0.5, y=-0.5)
    assert flat.state.own == ((0.5, -0.5, -2.5),)


def test_a_point_of_a_film_is_seen_at_its_moment_and_others_are_out_of_reach(opened):
    disc = nfd.problems.get("moving_disc2dt")
    panel = opened(disc, nfd.baselines.get("nearest"), count=0, draws=2, time=0.5)
    click(panel, x=0.2, y=-0.4)
    assert panel.state.own[0][:3] == pytest.approx((0.5, 0.2, -0.4))
    panel.move(time=-0.5)
    touch(panel, "down", "up", "down", "up", "double", x=0.2, y=-0.4)   # it is not in this picture
    assert len(panel.state.own) == 1
    panel.move(time=0.5)
    touch(panel, "down", "up", "down", "up", "double", x=0.2, y=-0.4)
    assert panel.state.own == ()


def test_on_a_map_that_runs_downwards_a_click_lies_where_it_is_drawn(opened):
    digits = nfd.problems.get("digits2d")
    panel = opened(digits, nfd.baselines.get("nearest"), count=0, draws=2)
    frame = panel.frame(16)
    click(panel, x=0.5, y=-0.75)                                        # across and up: left to right, top to bottom
    assert panel.state.own[0][:2] == pytest.approx((-0.75, 0.5)) and place(frame, 0.5, -0.75) == (-0.75, 0.5)
    drawn = next(mark for mark in plates(panel.frame(16))[4].marks if mark[0] == "circles")
    assert (drawn[1][0], drawn[2][0]) == pytest.approx((0.5, -0.75))


def test_another_pattern_or_truth_takes_the_place_of_points_by_hand(opened):
    panel = opened(count=3)
    click(panel, x=0.25)
    noisy = panel.move(noise=0.2).state
    assert len(noisy.own) == 4 and panel.frame().task.seen.noise_std == 0.2
    assert panel.move(count=5).state.own is None
    click(panel, x=0.25)
    assert panel.move(seed=4).state.own is None and panel.frame().task.seen.m == 5


# ---- the truth by hand ---------------------------------------------------------------------------------------------

def test_a_drawn_truth_is_what_was_drawn_and_the_exact_answer_follows_it(opened):
    panel = opened(count=64, pattern="grid", noise=0.01, draws=64)
    panel.knobs["tool"].value = "draw"
    touch(panel, "down", x=-1.0, y=-1.0)
    touch(panel, "move", x=1.0, y=1.0)
    touch(panel, "up", x=1.0, y=1.0)
    frame = panel.frame()
    assert len(panel.state.truth) == DRAWN[1]
    torch.testing.assert_close(frame.truth, frame.coords[:, 0], atol=0.02, rtol=0)           # a straight line
    assert (frame.reference.mean - frame.truth).abs().max() < 0.1
    assert frame.task.seen.m == 64 and "Of what is placed by hand" in panel.scores.value
    assert panel.move(seed=3).state.truth is None


def test_a_stroke_on_a_map_moves_values_towards_its_own_and_only_near_it(opened):
    panel = opened(GP2D, count=9, draws=2)
    panel.knobs["tool"].value, panel.knobs["brush"].value = "draw", 3.0
    before = panel.frame(16)
    for _ in range(4):
        click(panel, x=0.0, y=0.0)
    change = panel.frame(16).truth - view(with_changes(panel.state, truth=tuple(
        before.task.truth(nfd.cell_centres((DRAWN[2],) * 2))[0, :, 0].tolist())), before.comparison, 16).truth
    away = panel.frame(16).coords.norm(dim=1)
    middle = panel.frame(16).truth[away.argmin()]
    assert middle > 2.7 and change[away > 0.7].abs().max() < 1e-3


def test_truths_and_points_that_fit_no_problem_are_refused():
    for bad, problem in (({"truth": (1.0, 2.0)}, GP1D), ({"own": ((0.1, 0.2, 0.3),)}, GP1D), ({"own": (0.1,)}, GP1D),
                         ({"own": ((0.1, float("nan")),)}, GP1D), ({"view": "surface"}, GP1D)):
        with pytest.raises((ValueError, TypeError), match="do:"):
            view(State(**bad), Lineup(problem.oracle(), problem).comparison("gp1d"))


# ---- window, undo, code --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("problem", [GP1D, GP2D], ids=["1d", "2d"])
def test_the_wheel_keeps_what_lies_under_the_pointer_and_a_drag_moves_the_window_with_it(problem, opened):
    panel = opened(problem, count=2, draws=2)

    def share(x):
        low, high = panel.state.window(problem.d)[0]
        return (x - low) / (high - low)

    touch(panel, "wheel", x=0.4, y=0.1, by=1)
    touch(panel, "wheel", x=0.4, y=0.1, by=1)
    assert panel.state.scale == pytest.approx(2.0) and share(0.4) == pytest.approx(0.7, abs=1e-6)
    low = panel.state.window(problem.d)[0][0]
    panel.knobs["tool"].value = "pick"                                  # so that it holds no point
    touch(panel, "down", x=0.3, y=0.0)
    touch(panel, "move", x=0.2, y=0.0)
    touch(panel, "up", x=0.2, y=0.0)
    assert panel.state.window(problem.d)[0][0] == pytest.approx(low + 0.1)
    for _ in range(4):
        touch(panel, "wheel", x=0.4, y=0.1, by=-1)
    assert panel.state.scale == 1 and panel.state.centre == ()


def test_undo_takes_back_a_drag_as_a_whole_and_reset_can_be_undone(opened, monkeypatch):
    clock = iter(np.arange(1e9, 1e9 + 1e4, 1.0))
    panel = opened(count=3)
    monkeypatch.setattr("nfdlab.panels.base.time.monotonic", lambda: next(clock))
    first = panel.state
    panel.move(count=5)
    panel.move(scale=2.0)
    two = panel.state
    monkeypatch.setattr("nfdlab.panels.base.TOGETHER", 50.0)            # what follows comes at once
    for scale in (3.0, 4.0, 5.0):
        panel.move(scale=scale)
    monkeypatch.setattr("nfdlab.panels.base.TOGETHER", 0.7)
    assert (panel.undo().state.scale, panel.state.count) == (1.0, 5)    # all changes of the scale were one
    panel.reset()
    assert panel.state == first and panel.undo().state != first
    while panel._history:
        panel.undo()
    assert panel.state == first and panel.knobs["scale"].value == 1.0 and two != first


def test_the_line_of_code_opens_the_same_panel(opened):
    panel = opened(GP1D, nfd.load("sparse_conditional", "gp1d"), count=5, draws=4, steps=3)
    panel.move(scale=4.0, centre=(0.5,), rival="kriging", pick=2)
    click(panel, x=0.4)
    assert panel.code in panel.line.value.replace("&quot;", '"').replace("&#x27;", "'")
    again = eval(panel.code, {"nfd": nfd}).move()                       # noqa: S307 - our own line
    assert again.state == panel.state and again.picture.value == panel.picture.value
    again.close()
    plain = opened(GP2D)
    assert plain.code == 'nfd.explore(model, nfd.problems.get("gp2d"))'


def test_presets_set_what_fits_the_problem(opened):
    panel = opened(GP1D)
    for name, preset in PRESETS.items():
        fits = preset["pattern"] != "frames"
        assert (panel.knobs[name].layout.display is None) == fits
        if fits:
            panel.knobs[name].click()
            assert panel.error.value == "" and panel.state.pattern == preset["pattern"]
    assert panel.knobs["one point"].click() is None and panel.frame().task.seen.m == 1


# ---- reading -------------------------------------------------------------------------------------------------------

def test_what_is_read_under_the_pointer_is_what_the_draws_say(opened):
    panel = opened(count=4, draws=40)
    touch(panel, "hover", x=0.3)
    frame, at = panel.frame(), torch.tensor([[0.3]])
    values = frame.task.model(at)[:, 0, 0]
    said = panel.picture.tip.replace("−", "-")
    assert said == readout(frame, 0.3, 0.0).replace("−", "-") and "x = 0.3" in said
    for number in (float(frame.task.truth(at)), float(values.mean())):
        assert style.number(number, 2) in said
    assert said.count(" to ") == 2                                       # both bands


def test_a_picked_draw_is_shown_in_place_of_all_and_let_go_by_another_click(opened):
    panel = opened(GP1D, nfd.load("sparse_conditional", "gp1d"), count=3, draws=6, steps=3)
    frame = panel.frame()
    panel.knobs["tool"].value = "pick"
    column = int((frame.coords[:, 0] - 0.5).abs().argmin())
    click(panel, x=0.5, y=float(frame.model.draws[4, column]))
    assert panel.state.pick == 4
    thick = [mark for mark in plates(panel.frame())[1].marks if mark[0] == "curve" and mark[4] > 2]
    np.testing.assert_allclose(thick[0][2], frame.model.draws[4], atol=1e-6)
    click(panel, x=0.5, y=float(frame.model.draws[4, column]))
    assert panel.state.pick is None


def test_a_plate_tells_the_browser_its_own_window():
    for problem, scale in ((GP1D, 4.0), (GP2D, 2.0)):
        frame = view(State(problem.card.name, count=3, draws=4, scale=scale, view="draws"),
                     Lineup(problem.oracle(), problem).comparison(problem.card.name), 16)
        areas = [e.attrib for e in ET.fromstring(paint(frame)).iter() if e.attrib.get("class") == "nfdlab-area"]
        named = {a["data-area"]: a for a in areas}
        left, right, *_ = map(float, named["exact posterior"]["data-window"].split())
        assert (left, right) == pytest.approx(frame.window[0])
        assert named["exact posterior"]["data-tiles"] == ("2" if problem is GP2D else "1")


# ---- watching the diffusion ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("approach, name", [("sparse_conditional", "gp1d"), ("score_field", "gp1d"),
                                            ("latent_field", "digits2d"), ("sparse_features", "stars2d")])
def test_draws_form_until_they_are_the_draws(approach, name):
    """After the last step what was formed is what is drawn, to a thousandth of a standard deviation; after the first
    the draws are nearer to each other."""
    problem = nfd.problems.get(name)
    found = Lineup(nfd.load(approach, name), problem).comparison(name)
    state = State(name, count=6, draws=6, steps=4, step=1)
    task = last(draw_model(state, found, make_task(state, found)))
    forming = last(form(state, found, task))
    points = nfd.cell_centres((24,) * problem.d)
    values = [fields(points) for fields in forming.model]
    torch.testing.assert_close(values[-1], task.model(points), atol=1e-3, rtol=0)
    assert values[0].std(0).mean() < values[-1].std(0).mean()
    assert len(forming.sigmas) == 4 and list(forming.sigmas) == sorted(forming.sigmas, reverse=True)
    frame = view(state, found, 16)
    assert frame.sigma == forming.sigmas[0] and frame.traces[1].shape == (6, 4)


def test_the_exact_denoiser_beside_it_ends_at_the_exact_posterior():
    """Means within 4 standard errors of 256 draws at every point, deviations within a tenth; 40 steps."""
    found = Lineup(nfd.load("sparse_conditional", "gp1d"), GP1D).comparison("gp1d")
    state = State(count=4, draws=256, steps=40, step=40)
    task = last(draw_model(state, found, make_task(state, found)))
    at = nfd.cell_centres((32,))
    ends = last(form(state, found, task)).reference[-1](at)[..., 0]
    mean, std = (part[:, 0] for part in GP1D.oracle().moments(task.seen, at))
    assert ((ends.mean(0) - mean).abs() < 4 * std / 16 + 0.02).all()
    assert (ends.std(0) / std - 1).abs().mean() < 0.1


def test_the_slider_of_steps_shows_draws_as_they_form_and_its_end_the_draws(opened):
    panel = opened(GP1D, nfd.load("sparse_conditional", "gp1d"), count=3, draws=4, steps=5)
    assert panel.knobs["step"].max == panel.knobs["step"].value == 5
    panel.knobs["step"].value = 2
    assert panel.state.step == 2 and "step 2, noise" in panel.picture.value and "draws at 0" in panel.picture.value
    panel.knobs["step"].value = 5
    assert panel.state.step is None and "uncertainty" in panel.picture.value
    assert opened(GP1D).knobs["step"].layout.display == "none"          # an exact posterior takes no steps


# ---- a second contestant -------------------------------------------------------------------------------------------

def test_a_rival_of_the_same_weights_and_steps_is_the_model_and_another_sampler_is_not(opened):
    panel = opened(GP1D, nfd.load("sparse_conditional", "gp1d"), count=3, draws=8, steps=4)
    panel.move(rival="sparse_conditional", rival_steps=4)
    task = panel.frame().task
    assert task.rival_score == task.score and style.SECOND in panel.picture.value
    panel.move(rival_sampler="euler")
    other = panel.frame().task
    assert other.score == task.score and other.rival_score != task.score
    assert f">{style.number(other.rival_score)}<" in panel.scores.value


def test_every_rival_that_is_offered_answers(opened):
    for problem, approach in (("gp1d", "sparse_conditional"), ("digits2d", "sparse_conditional")):
        panel = opened(nfd.problems.get(problem), nfd.load(approach, problem), draws=2, steps=2)
        names = panel.lineup.rivals(problem)
        assert {"", approach, "rbf"} <= set(names) and ("kriging" in names) == (problem == "gp1d")
        for name in names:
            if name not in ("optimal_interpolation", "weight_diffusion"):           # slow to measure, to run
                panel.move(rival=name, rival_steps=2)
                assert panel.error.value == "" and (panel.frame(8).rival is None) == (name == "")
    with pytest.raises(KeyError, match="second contestant"):
        panel.move(rival="nobody")


# ---- films and solids ----------------------------------------------------------------------------------------------

def test_a_film_plays_its_frames_and_moments_between_them_and_marks_those_seen(opened):
    disc = nfd.problems.get("moving_disc2dt")
    panel = opened(disc, nfd.baselines.get("nearest"), pattern="frames", every=4, draws=2)
    panel.knobs["film"].value = 5
    assert panel.state.time == pytest.approx(float(nfd.cell_centres((16,))[5]))
    panel.knobs["rate"].value = 4
    assert panel.knobs["film"].max == 63
    panel.knobs["film"].value = 21
    assert panel.state.time == pytest.approx(float(nfd.cell_centres((64,))[21]))
    marks = next(e for e in ET.fromstring(panel.picture.value).iter() if e.attrib.get("class") == "nfdlab-moments")
    assert len(marks) == 4                                              # of sixteen frames
    assert panel.knobs["turn"].layout.display == "none" and opened(GP1D).knobs["film"].layout.display == "none"


def test_a_turned_surface_is_the_same_surface_and_nothing_is_asked_anew(opened):
    solid = nfd.problems.get("shapes3d")
    panel = opened(solid, nfd.baselines.get("rbf"), pattern="outline", count=40, draws=2, view="surface")
    asked = []
    task = panel._recent.get("draws", panel.state.rival_key())
    rule = task.model.rule
    object.__setattr__(task.model, "rule", lambda coords, part: asked.append(len(coords)) or rule(coords, part))
    before = panel.picture.value
    panel.knobs["turn"].value = 120
    assert panel.picture.value != before and asked == [] and panel.error.value == ""
    full = panel.picture.value
    panel.move(turn=0.0)
    start = panel.picture.value
    assert panel.move(turn=360.0).picture.value == start != full
    torch.testing.assert_close(screen(0.4) @ screen(0.4).T, torch.eye(3), atol=1e-6, rtol=0)
    assert [plate.framed for plate in plates(panel.frame(8))] == [False] * len(plates(panel.frame(8)))


def test_a_hand_that_trembles_still_clicks():
    frame = view(State(count=0, draws=2), Lineup(GP1D.oracle(), GP1D).comparison("gp1d"))
    hand, near = Hand(), {"area": "", "px": 0.01, "py": 0.01, "tile": 0}
    assert hand.respond({"kind": "down", "x": 0.5, "y": 0.0, **near}, frame.state, frame) is None
    assert hand.respond({"kind": "move", "x": 0.515, "y": 0.0, **near}, frame.state, frame) is None
    assert len(hand.respond({"kind": "up", "x": 0.515, "y": 0.0, **near}, frame.state, frame)["own"]) == 1
