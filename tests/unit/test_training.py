"""The loop: it learns, it can be watched, cancelled, killed and resumed, and it refuses torn checkpoints."""

import warnings
from functools import partial

import pytest
import torch

import nfdlab as nfd
from nfdlab import training
from nfdlab.core.fields import EvaluatedFields
from nfdlab.core.rng import child, seeded, stream
from nfdlab.core.types import Budget
from nfdlab.training import Run, Stage, Undertrained, resolve_device, reused, steps, train


def regression(seed=0):
    """A small network and one stage that fits it to a line; data derived from the step's number."""
    with seeded(seed):
        net = torch.nn.Sequential(torch.nn.Linear(1, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    asked = []

    def loss(i):
        asked.append(i)
        x = 2 * torch.rand(32, 1, generator=stream(seed, "data", i)) - 1
        return (net(x) - (0.5 * x - 0.2)).square().mean()

    return net, [Stage("fit", loss, net.parameters(), lr=1e-2)], asked


def test_it_learns_and_averages():
    net, stages, _ = regression()
    losses = [s.loss for s in steps(net, stages, Budget(steps=300))]
    assert len(losses) == 300 and sum(losses[-20:]) < 0.05 * sum(losses[:20])
    x = torch.linspace(-1, 1, 50)[:, None]
    assert (net(x) - (0.5 * x - 0.2)).square().mean() < 1e-3


def test_weights_are_averaged_over_the_run_and_gradients_clipped():
    """Karras et al. 2024, eq. 2 with gamma = 16, recomputed from the weights after every step; on closing, too."""
    for stop in (60, 25):
        net, [stage], _ = regression()
        scaled = Stage("fit", lambda i, loss=stage.loss: 1e4 * loss(i), stage.parameters, lr=1e-2)
        scaled.parameters = list(net.parameters())
        average, run = [p.detach().clone() for p in net.parameters()], steps(net, [scaled], Budget(steps=60))
        for step in run:
            keep = (1 - 1 / step.index) ** 17
            average = [keep * a + (1 - keep) * p.detach() for a, p in zip(average, net.parameters(), strict=True)]
            assert torch.stack([p.grad.norm() for p in net.parameters()]).norm() < 1 + 1e-4
            if step.index == stop:
                last = [p.detach().clone() for p in net.parameters()]
                run.close()
        for p, a, raw in zip(net.parameters(), average, last, strict=True):
            torch.testing.assert_close(p, torch.nn.Parameter(a), atol=1e-6, rtol=1e-5)
            assert not torch.equal(p, raw)


def test_the_model_so_far_has_averaged_weights_and_training_keeps_its_own():
    """At any step it is what stopping there leaves; after the block the weights are the step's, to the last bit. It is
    for drawing, not for learning."""
    net, [stage], _ = regression()
    stage.model, shown = lambda: ([p.clone() for p in net.parameters()], net.training), {}
    for step in steps(net, [stage], Budget(steps=40)):
        before = [p.detach().clone() for p in net.parameters()]
        with step.model() as (averages, training):
            shown[step.index] = averages
        assert not training and all(map(torch.equal, before, net.parameters()))
    for stop in (1, 7, 40):
        again, stages, _ = regression()
        train(again, stages, Budget(steps=40), lambda step, stop=stop: step.index == stop)
        assert all(map(torch.equal, shown[stop], again.parameters()))
    net, stages, _ = regression()
    assert all(step.model is None for step in steps(net, stages, Budget(steps=3))), "nothing to draw from"


def test_the_rate_warms_up_and_dies_down():
    """Adam's first step is the rate itself: a fortieth of what was asked; the last is almost nothing."""
    net, [stage], _ = regression()
    before, moves = [p.detach().clone() for p in net.parameters()], []
    for _ in steps(net, [stage], Budget(steps=200)):
        now = [p.detach().clone() for p in net.parameters()]
        moves.append(max(float((a - b).abs().max()) for a, b in zip(now, before, strict=True)))
        before = now
    assert moves[0] == pytest.approx(1e-2 / 40, rel=0.02) and max(moves) > 0.4 * 1e-2 and moves[-1] < 0.03 * 1e-2


def test_same_seed_same_weights():
    a, b = regression(), regression()
    for net, stages, _ in (a, b):
        train(net, stages, Budget(steps=30), lambda step: None)
    for p, q in zip(a[0].parameters(), b[0].parameters(), strict=True):
        assert torch.equal(p, q)


def test_progress_runs_from_nought_to_one_through_all_stages():
    net, stages, _ = regression()
    ended = []
    two = [Stage("one", stages[0].loss, net.parameters(), 0.25, after=lambda: ended.append("one")),
           Stage("two", stages[0].loss, net.parameters(), 0.75, after=lambda: ended.append("two"))]
    seen = list(steps(net, two, Budget(steps=40)))
    assert [s.stage for s in seen] == ["one"] * 10 + ["two"] * 30 and ended == ["one", "two"]
    progress = [s.progress for s in seen]
    assert progress == sorted(progress) and progress[-1] == pytest.approx(1.0) and progress[9] == pytest.approx(0.25)


def test_a_time_budget_ends_in_time():
    net, stages, _ = regression()
    last = train(net, stages, Budget(seconds=0.5), lambda step: None)
    assert 0.5 <= last.seconds < 1.5 and last.progress == 1.0


def test_a_watcher_cancels():
    net, stages, asked = regression()
    last = train(net, stages, Budget(steps=1000), lambda step: step.index == 7)
    assert last.index == 7 and len(asked) == 7 and not net.training


def test_killed_and_resumed_is_as_if_nothing_happened(tmp_path):
    """Stop in the middle of either stage, start again: the same steps, the same weights, no step twice."""
    file = tmp_path / "run.checkpoint"

    def two(net, loss):
        return [Stage("one", loss, net.parameters(), 0.4), Stage("two", loss, list(net.parameters())[2:], 0.6)]

    def stop_after(asked, count, step):
        return len(asked) == count

    whole, stages, _ = regression()
    train(whole, two(whole, stages[0].loss), Budget(steps=50), lambda step: None)
    for stop in (9, 31):
        net, stages, asked = regression()
        train(net, two(net, stages[0].loss), Budget(steps=50, checkpoint=file), partial(stop_after, asked, stop))
        assert file.exists()
        again, stages, asked_again = regression()
        train(again, two(again, stages[0].loss), Budget(steps=50, checkpoint=file), lambda step: None)
        assert len(asked) + len(asked_again) == 50
        kept, stages, asked_no_more = regression()               # and what is finished is kept until it is removed
        train(kept, two(kept, stages[0].loss), Budget(steps=50, checkpoint=file), lambda step: None)
        assert not asked_no_more
        for p, q, r in zip(whole.parameters(), again.parameters(), kept.parameters(), strict=True):
            torch.testing.assert_close(p, q), torch.testing.assert_close(p, r)
        file.unlink()


def test_a_torn_checkpoint_is_refused_and_kept(tmp_path):
    file = tmp_path / "run.checkpoint"
    file.write_bytes(b"torn")
    net, stages, _ = regression()
    with pytest.raises(ValueError, match="do:"):
        train(net, stages, Budget(steps=5, checkpoint=file), lambda step: None)
    assert file.read_bytes() == b"torn"


def test_divergence_is_said_at_once():
    net, _, _ = regression()
    stage = Stage("fit", lambda i: next(net.parameters()).sum() * float("nan"), net.parameters())
    with pytest.raises(FloatingPointError, match="diverged at step 0"):
        train(net, [stage], Budget(steps=5), lambda step: None)


def test_devices():
    assert resolve_device("cpu").type == "cpu" and resolve_device("auto").type in ("cpu", "cuda")
    with pytest.raises(ValueError, match="device: 'auto'"):
        resolve_device("abacus")


def test_what_follows_a_stage_follows_once_however_it_ends(tmp_path):
    """Cancelled in the first stage, or resumed in the second: each `after` is called once, in order."""
    file = tmp_path / "run.checkpoint"
    for stop in (3, 20, 99):
        net, stages, asked = regression()
        ended = []
        two = [Stage(name, stages[0].loss, list(net.parameters()), 0.5, after=partial(ended.append, name))
               for name in ("one", "two")]
        train(net, two, Budget(steps=30, checkpoint=file), lambda step, n=stop, asked=asked: len(asked) == n)
        assert ended == ["one", "two"]
        if stop == 20:
            again, stages, _ = regression()
            resumed = [Stage(name, stages[0].loss, list(again.parameters()), 0.5, after=partial(ended.append, name))
                       for name in ("one", "two")]
            train(again, resumed, Budget(steps=30, checkpoint=file), lambda step: None)
            assert ended == ["one", "two", "two"], "what the first stage measured is in the checkpoint"
        file.unlink()


def test_a_batch_serves_some_steps_in_turn():
    made = []
    batch = reused(lambda i: made.append(i) or i, 3)
    assert [batch(i) for i in range(7)] == [0, 0, 0, 1, 1, 1, 2] and made == [0, 1, 2]


class Line:
    """A source that says which seeds it was asked with."""

    def __init__(self):
        self.seeds = []

    def draw(self, n, *, seed):
        self.seeds.append(seed)
        return EvaluatedFields(lambda coords, part: coords.sum(-1, keepdim=True).expand(n, -1, 2), n, 3, 2)


def test_a_run_derives_every_batch_from_its_seed():
    """Dimensions from a probe, data of a use from ("data", use), views from ("views", use), queries in the box."""
    source, seeds = Line(), []
    run = Run(source, lambda fields, seed: seeds.append(seed), Budget(steps=1), 7, "cpu")
    assert (run.d, run.c, run.device.type) == (3, 2, "cpu")
    run.observe(run.functions(4, "fit", 5), 5)
    assert source.seeds == [child(7, "probe"), child(7, "data", "fit", 5)] and seeds == [child(7, "views", 5)]
    queries = run.queries(2, 50, run.rng("fit", 5))
    assert queries.shape == (2, 50, 3) and queries.abs().max() <= 1
    assert torch.equal(queries, run.queries(2, 50, stream(7, "noise", "fit", 5)))


def test_a_training_says_what_it_made_and_one_too_short_says_so_each_time_it_draws(tmp_path, monkeypatch):
    """When it begins, and in `about`; drawing repeats it, saved and loaded too; a smoke test knows it is one."""
    monkeypatch.setattr(training, "LEAST_STEPS", 16)
    small = {"encoder_width": 8, "widths": (16,), "depth": 1, "field_width": 8, "cells": 8, "batch": 16, "queries": 8}
    approach = nfd.approaches.get("sparse_conditional")(**small)
    made = []

    def watch(step):
        if step.model is not None:
            with step.model() as so_far:
                made.append((so_far.about["made"]["steps"], "undertrained" in so_far.about))

    with pytest.warns(Undertrained, match=r"will make about 1\d steps"):
        model = nfd.train(approach, "gp1d", budget=Budget(steps=12), device="cpu", watch=watch)
    assert made == [(i, False) for i in range(13 - len(made), 13)], "while it learns, who watches knows"
    assert model.about["made"]["steps"] in (11, 12) and model.about["made"]["seconds"] > 0
    again = nfd.load(nfd.save(model, tmp_path / "short.safetensors"), device="cpu")
    for one in (model, again):
        with pytest.warns(Undertrained, match="sparse_conditional: Trained for 12 steps"):
            one.draw(None, 1, seed=0)
    for budget in (Budget(steps=24), Budget(steps=6, name="smoke")):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            made = nfd.train(approach, "gp1d", budget=budget, device="cpu")
            made.draw(None, 1, seed=0)
        assert budget.steps - 2 < made.about["made"]["steps"] <= budget.steps and "undertrained" not in made.about


def test_a_checkpoint_of_another_training_is_refused_and_kept(tmp_path):
    """Another seed, another problem, another knob of it, another config: each is named. The same one goes on."""
    from nfdlab.approaches.latent_field import LatentField

    file, small = tmp_path / "run.checkpoint", {"width": 8, "widths": (8,), "depth": 1, "batch": 4, "queries": 8}
    problem, other = nfd.problems.get("gp1d"), nfd.problems.get("gp1d", lengthscale=0.3)

    def fit(problem=problem, seed=0, **knobs):
        return nfd.train(LatentField(**{**small, **knobs}), problem, budget=Budget(steps=6, checkpoint=file), seed=seed,
                         device="cpu")

    first = fit()
    before = file.read_bytes()
    for words, wrong in (("seeds", {"seed": 1}), ("problems or their knobs", {"problem": other}),
                         ("configs", {"lr": 1e-4}), ("configs", {"width": 16})):
        with pytest.raises(ValueError, match=words) as error:
            fit(**wrong)
        assert "\n  do:   " in str(error.value) and file.read_bytes() == before
    again = fit()
    assert all(torch.equal(a, b) for a, b in zip(first.tensors().values(), again.tensors().values(), strict=True))


def test_a_disk_that_refuses_a_checkpoint_does_not_cost_the_training(tmp_path):
    (tmp_path / "file").write_text("no folder")
    net, stages, asked = regression()
    with pytest.warns(UserWarning, match="could not be written"):
        train(net, stages, Budget(steps=5, checkpoint=tmp_path / "file" / "run.checkpoint"), lambda step: None)
    assert len(asked) == 5
