"""Configs from headers: what JSON holds becomes what a frozen dataclass holds."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from nfdlab.core.config import NetworkConfig, from_mapping


@dataclass(frozen=True)
class Sizes:
    width: int = 1
    kernels: tuple = ()


def test_lists_of_a_header_become_tuples_at_any_depth():
    found = from_mapping(Sizes, {"width": 3, "kernels": [[0.5, [1]], 2]})
    assert found == Sizes(3, ((0.5, (1,)), 2)) and hash(found) == hash(Sizes(3, ((0.5, (1,)), 2)))


def test_an_unknown_field_is_a_type_error():
    with pytest.raises(TypeError):
        from_mapping(Sizes, {"height": 3})


class Layer(torch.nn.Linear):
    def __init__(self, config, d, c):
        super().__init__(config.cells, c)


@dataclass(frozen=True)
class Small(NetworkConfig):
    network: ClassVar[type] = Layer
    choices: ClassVar[dict] = {"kind": ("one", "two")}
    usual: ClassVar[dict] = {"cells": {1: 32, 2: 16}}
    prior: str = "white"
    kind: str | None = None
    cells: int | None = None


def test_a_config_knows_what_is_usual_and_refuses_other_names():
    """None is what is usual in the dimension, anything else stays; the network is a function of config and seed."""
    assert (Small().at(2).cells, Small(cells=5).at(2).cells, Small().cells) == (16, 5, None)
    assert Small(kind="two").kind == "two" and Small(prior="gaussian").prior == "gaussian"
    for wrong in ({"kind": "three"}, {"prior": "grey"}, {"prior": None}):
        with pytest.raises(KeyError, match="why:"):
            Small(**wrong)
    one, same, other = (Small().build(1, 3, seed=seed).weight for seed in (0, 0, 1))
    assert one.shape == (3, 32) and torch.equal(one, same) and not torch.equal(one, other)
