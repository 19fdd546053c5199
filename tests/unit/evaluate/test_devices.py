"""`nfdlab doctor --device`: a device that is not there is refused, one that is there is compared and timed."""

import pytest
import torch
from second_device import second_device
from typer.testing import CliRunner

from nfdlab import cli, store
from nfdlab.evaluate import devices
from nfdlab.evaluate.devices import compared
from nfdlab.terminal import show_devices

PAIRS = [("score_field", "gp1d"), ("adaptive_sampling", "step1d")]          # convolutions, and particles


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Fewer draws, cells and particles."""
    monkeypatch.setattr(devices, "DRAWS", 2)
    monkeypatch.setattr(devices, "CELLS", {1: 16})
    monkeypatch.setattr(devices, "FEW", {"num_particles": 8, "rounds": 2})


def test_another_device_draws_the_same_and_takes_time():
    with second_device() as device:
        rows = list(compared(device, PAIRS))
    assert [(r.approach, r.problem) for r in rows] == PAIRS and all(r.same for r in rows)
    assert all(t > 0 for r in rows for t in (*r.sampling, *r.decoding))
    assert all(r.sampling[0] != r.sampling[1] for r in rows), "the CPU beside itself"


def test_a_device_that_draws_otherwise_is_named(monkeypatch, capsys):
    """A device that is a thousandth off."""
    def rough(path, device, seen, coords):
        return torch.linspace(-1, 1, 8)[:, None, None] * (1.0 if device == "cpu" else 1.001), 3.0, 1.0

    monkeypatch.setattr(devices, "measured", rough)
    rows = list(compared("meta", PAIRS[:1]))
    assert not rows[0].same and 1e-4 < rows[0].apart < 1e-2
    assert show_devices(rows, "a rough machine") == 1
    said = capsys.readouterr().out
    assert "1 of 1 pictures differ" in said and "a rough machine" in said and "score_field on gp1d" in said


@pytest.mark.parametrize("device,code,said", [("cpu", 0, "score_field on gp1d"), ("cuda:99", 2, "refused"),
                                              ("tpu", 2, "refused")])
def test_the_command_times_the_cpu_and_refuses_what_is_not_there(device, code, said, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("TERM", "dumb")
    here = {PAIRS[0]: store.shipped()[PAIRS[0]]}
    monkeypatch.setattr(store, "shipped", lambda prior=None: here)
    result = CliRunner().invoke(cli.app, ["doctor", "--device", device])
    assert result.exit_code == code and said in result.output
    if code:
        assert all(part in result.output for part in ("came: ", "why:  ", "do:   "))
