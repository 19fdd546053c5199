"""Configs: frozen dataclasses of plain values, made from a dictionary such as a weights file's header holds."""

from collections.abc import Mapping
from typing import Any


def frozen(value: Any) -> Any:
    """A JSON value as a config holds it: lists, at any depth, become tuples."""
    return tuple(frozen(v) for v in value) if isinstance(value, list | tuple) else value


def from_mapping(kind: type, values: Mapping[str, Any]) -> Any:
    """A config of class `kind` from a mapping of its fields. An unknown field is a TypeError."""
    return kind(**{name: frozen(value) for name, value in values.items()})
