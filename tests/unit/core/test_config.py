"""Configs from headers: what JSON holds becomes what a frozen dataclass holds."""

from dataclasses import dataclass

import pytest

from nfdlab.core.config import from_mapping


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
