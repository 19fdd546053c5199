"""Marriages of a neural field and a diffusion model. The folder is the registry: a file or a folder, an approach."""

from importlib import import_module
from pathlib import Path

from ..core.cards import Card, cards_in
from ..core.checks import require_name

_HERE = Path(__file__).parent


def _found() -> list[str]:
    entries = [p.stem for p in _HERE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()]
    return sorted(name for name in entries if not name.startswith("_"))


def names() -> list[str]:
    """The approaches there are, in the order of the course."""
    return sorted(_found(), key=lambda name: card(name).order)


def card(name: str) -> Card:
    """The card of an approach, from its module's text."""
    home = _HERE / require_name(name, _found(), "approach")
    return cards_in(home / "__init__.py" if home.is_dir() else home.with_suffix(".py"))[0]


def get_module(name: str):
    """The module of an approach."""
    return import_module(f"{__name__}.{require_name(name, _found(), 'approach')}")


def get(name: str):
    """The class of an approach: a frozen dataclass whose fields are its config."""
    return get_module(name).APPROACH
