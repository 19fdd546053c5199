"""Configs: frozen dataclasses of plain values, made from a dictionary such as a weights file's header holds."""

from collections.abc import Mapping
from dataclasses import fields, replace
from types import NoneType, UnionType
from typing import Any, ClassVar, Self, get_args, get_origin

from torch import nn

from .checks import four_parts, require, require_count, require_name, require_number
from .rng import seeded

PRIORS = ("white", "gaussian")


def frozen(value: Any) -> Any:
    """A JSON value as a config holds it: lists, at any depth, become tuples."""
    return tuple(frozen(v) for v in value) if isinstance(value, list | tuple) else value


def from_mapping(kind: type, values: Mapping[str, Any]) -> Any:
    """A config of class `kind` from a mapping of its fields. An unknown field is a TypeError."""
    return kind(**{name: frozen(value) for name, value in values.items()})


class NetworkConfig:
    """Base of the configs of approaches: dataclasses with a `prior`, from which a network of class `network` is made.

    `choices`: the names that a field may have, beside `prior`. `usual`: by dimension, what stands for None.
    """

    network: ClassVar[type[nn.Module]]
    choices: ClassVar[dict[str, tuple[str, ...]]] = {}
    usual: ClassVar[dict[str, dict[int, Any]]] = {}

    def __post_init__(self):
        for field in fields(self):
            value, allowed = getattr(self, field.name), get_args(field.type) if isinstance(field.type, UnionType) else (
                field.type,)
            if value is None and NoneType in allowed:
                continue
            if int in allowed:
                require_count(value, field.name, at_least=0)
            elif float in allowed:
                require_number(value, field.name, 0.0)
            elif any(get_origin(one) is tuple for one in allowed):
                require(isinstance(value, tuple | list), kind=TypeError, must=f"{field.name}: a tuple.", came=value,
                        why="It has several entries.", do=f"{field.name}=({value!r},), if that is the only one.")
                object.__setattr__(self, field.name, frozen(value))
        for name, names in {"prior": PRIORS, **self.choices}.items():
            if getattr(self, name) != getattr(type(self), name):         # the default may be None
                require_name(getattr(self, name), names, name)

    def at(self, d: int) -> Self:
        """The same config with what is usual in d dimensions for None."""
        lacking = [name for name, value in self.usual.items() if getattr(self, name) is None and d not in value]
        require(not lacking, must=f"{', '.join(lacking)}: given, for fields of {d} coordinates.", came="None",
                why=f"What is usual for {type(self).__name__} is known for fewer coordinates only.",
                do="Pass them; exact posteriors and classical baselines take any number of coordinates.")
        return replace(self, **{name: value[d] for name, value in self.usual.items() if getattr(self, name) is None})

    def build(self, d: int, c: int, *, seed: int = 0) -> nn.Module:
        """A fresh network for fields of c channels over [-1, 1]^d."""
        try:
            with seeded(seed):
                return self.network(self.at(d), d, c)
        except (RuntimeError, TypeError, ValueError, ArithmeticError, IndexError) as error:
            if "\n  why:" in str(error):
                raise
            raise ValueError(four_parts(
                f"{type(self).__name__}: sizes of which a network can be made.", f"{self}, d={d}, c={c}",
                str(error).splitlines()[0][:200] or type(error).__name__,
                "Change the size that is meant, or leave it out.")) from error
