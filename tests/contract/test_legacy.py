"""Weights files of format 1 load as they are: same config, same tensors under today's names, same draws.

`format1.json` holds the headers and the tensor names of the files that shipped in format 1.
"""

import json
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from nfdlab import legacy, store

HEADERS = Path(__file__).with_name("format1.json")


@cache
def headers() -> dict:
    return json.loads(HEADERS.read_text(encoding="utf-8"))


def renamed(name: str) -> dict[str, str]:
    """Tensor names of format 1 -> of format 2."""
    about, keys = headers()[name]["about"], headers()[name]["keys"]
    marked = {key: torch.tensor(float(i)) for i, key in enumerate(keys)}
    found = legacy.upgraded_tensors(about, marked)
    return {keys[int(v)]: new for new, v in found.items() if v.ndim == 0}


@pytest.mark.parametrize("name", sorted(headers()))
def test_every_file_of_format_1_has_todays_names(name):
    """Each old tensor has one new name; the shipped file holds these, and noise levels, and no other."""
    path = store.shipped().get(tuple(name.split("--")))
    if path is None or store.about(path)["budget"] != headers()[name]["about"]["budget"]:
        pytest.skip("retired or trained anew since")
    names = renamed(name)
    assert len(set(names.values())) == len(names) == len(headers()[name]["keys"])
    with safe_open(path, "pt") as file:
        held = set(file.keys())
    assert held - set(names.values()) <= {key for key in held if key.endswith("noise_levels.values")}
    assert set(names.values()) <= held
    about = store.about(path)
    upgraded = json.loads(json.dumps(legacy.upgraded_about(headers()[name]["about"])))
    assert {**upgraded, "scores": about["scores"]} == about


@pytest.mark.parametrize("name", ["sparse_conditional--gp1d", "score_field--gp1d", "weight_diffusion--families1d"])
def test_a_file_of_format_1_draws_as_before(name, tmp_path):
    """A shipped file under its old names, as a user may have kept one, loads and draws to the last bit the same."""
    path, names, coords = store.shipped()[tuple(name.split("--"))], renamed(name), torch.linspace(-1, 1, 9)[:, None]
    with safe_open(path, "pt") as file:
        tensors = {old: file.get_tensor(new) for old, new in names.items()}
    old = tmp_path / "old.safetensors"
    save_file(tensors, old, {"format": "nfdlab 1", "about": json.dumps(headers()[name]["about"])})
    one, other = store.load(path, device="cpu"), store.load(old, device="cpu")
    assert torch.equal(one.draw(None, 2, seed=0, steps=3)(coords), other.draw(None, 2, seed=0, steps=3)(coords))


def test_an_approach_that_format_1_did_not_know_is_refused_in_four_parts(tmp_path):
    path = tmp_path / "odd.safetensors"
    save_file({"a": torch.zeros(1)}, path, {"format": "nfdlab 1", "about": json.dumps(
        {"approach": "eleventh", "config": {}, "d": 1, "c": 1})})
    with pytest.raises(ValueError) as error:
        store.load(path)
    assert all(part in str(error.value) for part in ("came:", "why:", "do:"))
