"""nfdlab: sparse observations become a distribution over continuous functions, with the exact answer beside it.

A problem makes fields; a pattern hides most of each; an approach, a marriage of a neural field and a diffusion model,
fills them in; the exact posterior says how well; a notebook lets you turn every knob. Imports are lazy: nothing heavy
is loaded until a name is used.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    "problems": "nfdlab.problems",
    "patterns": "nfdlab.observation.patterns",
    "approaches": "nfdlab.approaches",
    "baselines": "nfdlab.baselines",
    "observe": "nfdlab.observation.observing:observe",
    "cell_centres": "nfdlab.core.grid:cell_centres",
    "render": "nfdlab.fields.rendering:render",
    "Observations": "nfdlab.core.types:Observations",
    "Budget": "nfdlab.core.types:Budget",
    "load": "nfdlab.store:load",
    "save": "nfdlab.store:save",
    "train": "nfdlab.recipes:train",
    "load_or_train": "nfdlab.loading:load_or_train",
    "score": "nfdlab.evaluate.table:score",
    "explore": "nfdlab.panels.sliders:explore",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'nfdlab' has no attribute {name!r}; it offers {', '.join(_HOMES)}")
    home, _, member = _HOMES[name].partition(":")
    value = import_module(home)
    value = getattr(value, member) if member else value
    globals()[name] = value
    return value


def __dir__():
    return sorted(__all__)
