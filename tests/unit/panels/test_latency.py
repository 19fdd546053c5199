"""Panels timed without a browser: what is timed is what a move waits for."""

import time
import types

import pytest
import torch
from typer.testing import CliRunner

import nfdlab as nfd
from nfdlab import cli, store, terminal
from nfdlab.panels import latency
from nfdlab.panels.latency import PanelLatency, latencies

GP1D, GP2D = nfd.problems.get("gp1d"), nfd.problems.get("gp2d")


class Slow:
    """The exact posterior as a model whose sampler takes 20 ms a step; or, on a device of another name, nothing."""

    def __init__(self, problem, seconds):
        self.problem, self.seconds, self.steps = problem, seconds, 20
        self.device = torch.device("cpu")
        self.about = {"approach": "sparse_conditional", "problem": problem.card.name,
                      "knobs": {"lengthscale": problem.lengthscale}, "config": {"steps": 20}}

    def path(self, seen, n, *, seed, steps=None, sampler="dpmpp"):
        for _ in range(steps or self.steps):
            time.sleep(self.seconds)
            x = torch.tensor([float(n), float(seed % 1000)])
            yield types.SimpleNamespace(x=x, sigma=0.0, denoised=x)

    def fields(self, seen, latent):
        return self.problem.oracle().draw(seen, int(latent[0]), seed=int(latent[1]))

    def draw(self, seen, n, *, seed, steps=None):
        return self.fields(seen, (n, seed))

    def tensors(self):
        return {}


@pytest.mark.parametrize("problem", [GP1D, GP2D], ids=["1d", "2d"])
def test_a_task_waits_for_the_sampler_and_a_scale_does_not(problem, monkeypatch):
    """A first picture takes three of the sampler's twenty steps, the last one these and all twenty."""
    monkeypatch.setattr(store, "load", lambda approach, name, device: Slow(problem, 0.02))
    scale, first, final = latency.measured("sparse_conditional", problem.card.name, "cpu", 3)
    assert 60 <= first < final and final >= 20 * (3 + 20) and scale < final - 20 * 20


def test_a_device_is_beside_the_cpu_and_pairs_that_do_not_ship_are_left_out(monkeypatch):
    asked = []
    monkeypatch.setattr(latency, "measured", lambda approach, name, device, moves: asked.append(device) or (
        (1.0, 2.0, 3.0) if device == "cpu" else (0.1, 0.2, 0.3)))
    pair = ("sparse_conditional", "gp1d")
    assert list(latencies("meta", (pair, ("nobody", "gp1d")))) == [
        PanelLatency(*pair, (0.1, 1.0), (0.2, 2.0), (0.3, 3.0))]
    assert list(latencies("cpu", (pair,))) == [PanelLatency(*pair, (1.0, 1.0), (2.0, 2.0), (3.0, 3.0))]
    assert asked == ["cpu", "meta", "cpu"]
    assert all(pair in store.shipped() for pair in latency.PAIRS)
    assert sorted(nfd.problems.get(name).d for _, name in latency.PAIRS) == [1, 2]


def test_a_panel_that_cannot_draw_says_so(monkeypatch):
    class Broken(Slow):
        def fields(self, seen, latent):
            raise ValueError("no kernel image")

    monkeypatch.setattr(store, "load", lambda approach, name, device: Broken(GP1D, 0.0))
    with pytest.raises(RuntimeError, match="no kernel image"):
        latency.measured("sparse_conditional", "gp1d", "cpu", 1)


def test_doctor_prints_them(monkeypatch):
    monkeypatch.setattr(terminal.console, "width", 200)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("nfdlab.evaluate.devices.compared", lambda device, progress: [])
    row = PanelLatency("sparse_conditional", "gp1d", (11.0, 12.0), (13.0, 14.0), (15.0, 16.0))
    monkeypatch.setattr(latency, "latencies", lambda device, progress: [row])
    said = CliRunner().invoke(cli.app, ["doctor", "--device", "cpu"])
    line = next(line for line in said.output.splitlines() if line.startswith("sparse_conditional on gp1d"))
    assert said.exit_code == 0 and [*map(float, line.split()[3:])] == [11, 12, 13, 14, 15, 16]
    if not torch.cuda.is_available():
        refused = CliRunner().invoke(cli.app, ["doctor", "--device", "cuda"])
        assert refused.exit_code == 2 and all(part in refused.output for part in ("came: ", "why:  ", "do:   "))
