"""Everything that draws: one style, lesson figures, live panels. No other package imports a plotting library."""

from importlib import import_module

_HOMES = {"Panel": "sliders", "explore": "sliders", "State": "state", "LossWatch": "watch", "Latest": "live",
          "plots": "plots", "style": "style"}

__all__ = [*_HOMES]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'nfdlab.panels' has no attribute {name!r}; it offers {', '.join(_HOMES)}")
    home = import_module(f"{__name__}.{_HOMES[name]}")
    return home if name == _HOMES[name] else getattr(home, name)
