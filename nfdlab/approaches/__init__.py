"""Ten marriages of a neural field and a diffusion model. The folder is the registry: one file, one approach."""

from importlib import import_module
from pathlib import Path

from ..core.checks import require_name

_HERE = Path(__file__).parent


def names() -> list[str]:
    """The approaches there are, in the order of the course."""
    found = [f.stem for f in _HERE.glob("*.py") if not f.stem.startswith("_")]
    return sorted(found, key=lambda name: get_module(name).APPROACH.card.order)


def get_module(name: str):
    """The module of an approach."""
    require_name(name, [f.stem for f in _HERE.glob("*.py") if not f.stem.startswith("_")], "approach")
    return import_module(f"{__name__}.{name}")


def get(name: str):
    """The class of an approach: a frozen dataclass whose fields are its config."""
    return get_module(name).APPROACH
