"""Configs: frozen dataclasses of plain values, made from a dictionary such as a weights file's header holds."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Self

from torch import nn

from .checks import require, require_name
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
        with seeded(seed):
            return self.network(self.at(d), d, c)
