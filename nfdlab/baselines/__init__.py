"""Classical baselines as `Fitted`: climatology, five interpolations by scipy, kriging, and optimal interpolation."""

from importlib import import_module

from ..core.checks import require_name

_HOMES = {"climatology": "climatology",
          "nearest": "interpolation", "linear": "interpolation", "linear_in_time": "interpolation",
          "cubic": "interpolation", "rbf": "interpolation",
          "kriging": "kriging", "optimal_interpolation": "optimal_interpolation"}


def names() -> list[str]:
    """The names that `get` knows."""
    return list(_HOMES)


def get(name: str, problem=None, **knobs):
    """The baseline of that name: get("kriging").draw(seen, 64, seed=0).

    "climatology" and "optimal_interpolation" are made of training draws of `problem`; the others ignore it.
    """
    require_name(name, _HOMES, "baseline")
    kind = import_module(f"{__name__}.{_HOMES[name]}").BASELINES[name]
    for knob in knobs:
        require_name(knob, kind.__dataclass_fields__, f"knob of {name}")
    return kind(problem, **knobs) if "problem" in kind.__dataclass_fields__ else kind(**knobs)
