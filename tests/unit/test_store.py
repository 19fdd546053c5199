"""Weights files: every bit counts, approaches are not mixed up, and a save that fails costs nothing."""

import json
import os
import struct
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import nfdlab as nfd
from nfdlab import store
from nfdlab.approaches.latent_field import LatentField

SMALL = {"width": 8, "widths": (8,), "depth": 1, "batch": 4, "queries": 8, "cells": 4}


@pytest.fixture(scope="module")
def model():
    return nfd.train(LatentField(**SMALL), "gp1d", budget=nfd.Budget(steps=2, name="smoke"), device="cpu")


def test_no_bit_of_the_data_can_change_unseen(model, tmp_path):
    """40 single bits, spread over the data: each file is refused."""
    path = nfd.save(model, tmp_path / "whole.safetensors")
    whole = path.read_bytes()
    begins = 8 + struct.unpack("<Q", whole[:8])[0]
    for i in range(40):
        at = begins + (len(whole) - begins) * i // 40
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << i % 8)]) + whole[at + 1:])
        with pytest.raises(ValueError, match="checksum") as error:
            nfd.load(path, device="cpu")
        assert "\n  do:   " in str(error.value)
    path.write_bytes(whole)
    assert nfd.load(path, device="cpu").about == json.loads(json.dumps(model.about))


def test_no_bit_of_the_header_can_change_what_is_drawn(model, tmp_path):
    """40 single bits, spread over the header, and one of 40 digits, which makes another digit: a file is refused, or
    what it holds is the same."""
    path = nfd.save(model, tmp_path / "whole.safetensors")
    whole, held = path.read_bytes(), model.tensors()
    size = 8 + struct.unpack("<Q", whole[:8])[0]
    digits = [at for at in range(8, size) if whole[at:at + 1].isdigit()]
    spread = [(size * i // 40, i % 8) for i in range(40)] + [(digits[len(digits) * i // 40], 0) for i in range(40)]
    for at, bit in spread:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << bit)]) + whole[at + 1:])
        try:
            found = nfd.load(path, device="cpu")
        except ValueError as error:
            assert "\n  do:   " in str(error)
        else:
            assert found.about == json.loads(json.dumps(model.about))
            assert all(torch.equal(value, held[name]) for name, value in found.tensors().items())


@pytest.mark.parametrize("pair", sorted(store.shipped()), ids="--".join)
def test_no_bit_of_shipped_weights_can_change_unseen(pair, tmp_path):
    whole, path = store.shipped()[pair].read_bytes(), tmp_path / "flipped.safetensors"
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ValueError, match="checksum"):
        nfd.load(path, device="cpu")


def test_a_file_that_is_replaced_while_it_is_read_gives_one_model(model, tmp_path, monkeypatch):
    path = nfd.save(model, tmp_path / "whole.safetensors")
    other = nfd.train(LatentField(**SMALL), "gp1d", budget=nfd.Budget(steps=1, name="smoke"), device="cpu")
    read, times = Path.read_bytes, []

    def then_replaced(self):
        data = read(self)
        times.append(nfd.save(other, path))
        return data

    monkeypatch.setattr(Path, "read_bytes", then_replaced)
    found = nfd.load(path, device="cpu")
    assert len(times) == 1 and found.about["made"]["steps"] == 2
    assert all(torch.equal(value, model.tensors()[name]) for name, value in found.tensors().items())


def test_weights_that_are_not_finite_are_refused(model, tmp_path):
    path = nfd.save(model, tmp_path / "whole.safetensors")
    with safe_open(path, "pt") as f:
        tensors = {key: f.get_tensor(key) for key in f.keys()}  # noqa: SIM118
    name = next(iter(tensors))
    tensors[name].view(-1)[0] = float("nan")
    save_file(tensors, path, store.header(model.about, tensors))
    with pytest.raises(ValueError, match="Finite weights"):
        nfd.load(path, device="cpu")


def test_a_file_of_another_approach_is_refused(model, tmp_path):
    path = nfd.save(model, tmp_path / "mine.safetensors")
    assert nfd.load("latent_field", path, device="cpu").about == json.loads(json.dumps(model.about))
    with pytest.raises(ValueError, match="weights of latent_field") as error:
        nfd.load("score_field", path, device="cpu")
    assert "\n  do:   " in str(error.value)


@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.complex64])
def test_weights_are_floating_point_numbers(model, tmp_path, dtype):
    with pytest.raises(ValueError, match="floating point"):
        nfd.save(model, tmp_path / "weights.safetensors", dtype=dtype)
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_to_is_said_in_four_parts(model, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match="still in memory") as error:
        nfd.save(model, tmp_path / "file" / "weights.safetensors")
    assert "\n  do:   " in str(error.value)


def test_a_pipe_is_no_weights_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(ValueError, match="exists"):
        nfd.load(tmp_path / "pipe.safetensors")


@pytest.mark.parametrize("change", [{"config": None}, {"config": {"steps": "many"}}, {"d": None}, {"c": 2}],
                         ids=["config null", "a word for a number", "d null", "another c"])
def test_an_odd_header_is_refused_in_four_parts(model, tmp_path, change):
    path = nfd.save(model, tmp_path / "odd.safetensors")
    with safe_open(path, "pt") as f:
        tensors = {key: f.get_tensor(key) for key in f.keys()}  # noqa: SIM118
    save_file(tensors, path, store.header({**model.about, **change}, tensors))
    with pytest.raises(ValueError, match="why: ") as error:
        nfd.load(path, device="cpu").draw(None, 1, seed=0)
    assert "\n  do:   " in str(error.value)


def test_a_header_as_deep_as_memory_is_refused(tmp_path):
    text = b'{"__metadata__":{"format":"nfdlab 2","about":"' + b"[" * 50_000 + b'"}}'
    (tmp_path / "deep.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    with pytest.raises(ValueError, match="RecursionError") as error:
        nfd.load(tmp_path / "deep.safetensors")
    assert "\n  do:   " in str(error.value)


def test_a_model_loaded_under_inference_mode_can_be_guided(model, tmp_path):
    """Guidance asks for gradients through its weights."""
    path = nfd.save(model, tmp_path / "whole.safetensors")
    with torch.inference_mode():
        found = nfd.load(path, device="cpu")
    assert not any(value.is_inference() for value in found.net.state_dict().values())


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_are_saved_in_any_precision(model, tmp_path, kind):
    """And come back as the numbers that this precision holds."""
    again = nfd.load(nfd.save(model, tmp_path / "coarse.safetensors", dtype=kind), device="cpu").tensors()
    for name, value in model.tensors().items():
        assert torch.equal(again[name], value.to(kind).to(value) if value.dtype == torch.float32 else value)


@pytest.mark.parametrize("kind", [torch.int8, torch.bool, torch.float8_e4m3fn, "float16"])
def test_other_types_of_number_ruin_weights_and_are_refused(model, tmp_path, kind):
    with pytest.raises(ValueError, match="floating point") as error:
        nfd.save(model, tmp_path / "ruined.safetensors", dtype=kind)
    assert "\n  do:   " in str(error.value) and not list(tmp_path.iterdir())


def test_a_model_used_otherwise_is_saved_and_loaded(tmp_path):
    """Also with a knob that the config of its approach does not have."""
    model = nfd.load("sparse_conditional", "gp1d", device="cpu").using(num_particles=8, rounds=3)
    again = nfd.load(nfd.save(model, tmp_path / "otherwise.safetensors"), device="cpu")
    assert again.about == json.loads(json.dumps(model.about)) and again.about["config"]["num_particles"] == 8
