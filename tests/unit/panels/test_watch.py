"""A training watched: the field forms before one's eyes, in little of the time, and the training is as if alone."""

import base64
import io
import types
import xml.etree.ElementTree as ET
from contextlib import contextmanager

import pytest
import torch
from PIL import Image

import nfdlab as nfd
from nfdlab.core.rng import child
from nfdlab.core.types import Budget, Step
from nfdlab.panels import LossWatch
from nfdlab.panels.forming import FormingField

GP1D, GP2D = nfd.problems.get("gp1d"), nfd.problems.get("gp2d")


class Oracle:
    """The exact posterior as a model in training, which keeps what it was asked; `steps(n)` trains it in two stages, of
    which the second has something to draw from."""

    def __init__(self, problem, work=lambda: None):
        self.problem, self.work, self.asked, self.open = problem, work, [], False

    @contextmanager
    def model(self):
        self.open = True
        yield self
        self.open = False

    def draw(self, seen, n, *, seed):
        self.work()
        self.asked.append((seen, n, seed))
        return self.problem.oracle().draw(seen, n, seed=seed)

    def steps(self, n):
        return [Step(i + 1, "auto" if i < n // 2 else "diffuse", 1.0 / (i + 1), 0.5 * i, (i + 1) / n,
                     None if i < n // 2 else self.model) for i in range(n)]


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still but for what is added to it."""
    now = [0.0]
    monkeypatch.setattr("nfdlab.panels.watch.time", types.SimpleNamespace(perf_counter=lambda: now[0]))
    return now


def test_a_watched_training_gives_the_weights_of_one_that_is_alone():
    """To the last bit, in a budget of steps, though it is drawn from after every step."""
    small = {"encoder_width": 8, "widths": (16,), "depth": 1, "field_width": 8, "cells": 8, "batch": 16, "queries": 8}
    approach = nfd.approaches.get("sparse_conditional")(**small)
    watch = LossWatch("fit", GP1D, draws_every=0.0)
    watch.drawing.share = 0.0
    found = [nfd.train(approach, GP1D, budget=Budget(steps=12), device="cpu", **more).tensors()
             for more in ({"watch": watch}, {})]
    assert all(map(torch.equal, *(tensors.values() for tensors in found)))
    assert watch.error is None and "8 draws after" in watch.forming.value and len(watch.steps) in (11, 12)


@pytest.mark.parametrize("problem", [GP1D, GP2D], ids=["1d", "2d"])
def test_the_field_forms_for_one_function_that_training_never_sees(problem, clock):
    """The same observations and the same seed all along; curves through them, or maps beside them."""
    oracle, watch = Oracle(problem), LossWatch("fit", problem, draws_every=1.0)
    for step in oracle.steps(40):
        if step.index == 20:
            assert "nothing to draw from yet" in watch.forming.value and not oracle.asked
        watch(step)
        clock[0] += 0.25
    assert len(oracle.asked) == 6 and not oracle.open                # once a second of the second stage, and at its end
    seen, n, seed = oracle.asked[0]
    assert all(asked == (seen, n, seed) for asked in oracle.asked) and watch.steps[-1].model is None
    root = ET.fromstring(watch.forming.value)
    kinds = [part.tag.rpartition("}")[2] for part in root.iter()]
    assert kinds.count("circle") == seen.m
    if problem is GP1D:
        assert kinds.count("polyline") == 8 + 1                      # eight draws and the truth
    else:
        assert kinds.count("image") == 1 + 4 + 3                     # the truth, four draws, and three colour bars
    torch.testing.assert_close(watch.draws, problem.oracle().draw(seen, n, seed=seed)(watch.field.points)[..., 0])


def test_what_is_given_is_what_is_shown():
    """Own observations, with the function or without: then no truth is made up."""
    truth = GP1D.draw(1, seed=4)
    seen = nfd.observe(truth, nfd.patterns.Random(count=3), seed=1)
    for given, curves in (({"seen": seen}, 8), ({"seen": seen, "truth": truth}, 9)):
        field = FormingField.of(GP1D, **given)
        svg = field.svg(field.draws(GP1D.oracle()), "draws")
        assert field.seen is seen and svg.count("<polyline") == curves and svg.count("<circle") == 3
    digits = nfd.problems.get("digits2d")
    own, held_out = FormingField.of(digits), nfd.problems.held_out(digits)
    assert torch.equal(own.truth(own.points), held_out.draw(1, seed=child(0, "forming", "truth"))(own.points))
    middle = FormingField.of(nfd.problems.get("moving_disc2dt"))
    assert set(middle.points[:, 0].tolist()) == {0.0}
    assert [p.title for p in middle.plates(None, "draws")] == ["truth, the middle", "draws"]


def test_drawing_takes_a_twentieth_of_the_time(clock):
    """A model that takes two seconds to draw from, for a thousand seconds; the last picture is drawn all the same."""
    def work():
        clock[0] += 2.0

    oracle, watch = Oracle(GP1D, work), LossWatch("fit", GP1D, every=1e9)
    for step in oracle.steps(2000):
        watch(step)
        clock[0] += 0.5
    drawn, second = 2.0 * len(oracle.asked), clock[0] - 500.0
    assert 0.04 * second < drawn <= 0.05 * second + 2 * 2.0          # and at the beginning and the end


def test_who_cancels_sees_the_field_that_is_kept(clock):
    oracle, watch = Oracle(GP1D), LossWatch("fit", GP1D, draws_every=1e9)
    for step in oracle.steps(40):
        if watch(step):
            break
        if step.index == 30:
            assert "after 10 s" in watch.forming.value
            watch.button.click()
    assert step.index == 31 and "after 15 s" in watch.forming.value and len(oracle.asked) == 2


def test_a_report_shows_the_last_draws_and_draws_no_others(monkeypatch):
    monkeypatch.setenv("NFDLAB_HEADLESS", "1")
    oracle, watch = Oracle(GP2D), LossWatch("fit", GP2D)
    alone, heights = LossWatch("fit"), []
    for step in oracle.steps(40):
        watch(step), alone(step)
    for one in (alone, watch):
        data = base64.b64decode(one._bundle()["image/png"])
        heights.append(Image.open(io.BytesIO(data)).height)
    assert len(oracle.asked) == 1 and heights[1] > 1.5 * heights[0] and watch.words == "4 draws after 20 s"


def test_a_picture_that_fails_costs_no_training(monkeypatch):
    def fail():
        raise ValueError("no such draw")

    oracle, watch = Oracle(GP1D, fail), LossWatch("fit", GP1D)
    assert not any(map(watch, oracle.steps(10)))
    assert "no such draw" in watch.forming.value and "100 %" in watch.picture.value
    monkeypatch.setenv("NFDLAB_HEADLESS", "1")
    assert "no such draw" in watch._bundle()["text/plain"]


def test_what_is_no_problem_is_refused():
    with pytest.raises(TypeError, match="\n  do:   "):
        LossWatch("fit", "gp1d")
