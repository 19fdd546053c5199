"""Problems: distributions of functions, by name. Each module lists its own in `PROBLEMS`."""

from importlib import import_module
from pathlib import Path

from ..core.cards import ProblemCard, cards_in
from ..core.checks import require, require_name

_HOMES = {
    "gp1d": "gaussian_fields", "gp2d": "gaussian_fields", "sawtooth1d": "families", "families1d": "families",
    "step1d": "families", "bump2d": "shapes", "powerlaw2d": "gaussian_fields", "drift1dt": "space_time",
    "two_speed1dt": "space_time", "styles2d": "gaussian_fields", "discs2d": "shapes", "moving_disc2dt": "shapes",
    "ball3dt": "shapes", "stars2d": "stars", "terrain2d": "pictures", "digits2d": "pictures", "head2d": "pictures",
    "photo2d": "pictures", "film2dt": "films", "shapes3d": "solids",
    "arrays": "arrays",
}


def names() -> list[str]:
    """The names that `get` knows."""
    return list(_HOMES)


def card(name: str) -> ProblemCard | None:
    """The card of a problem, from its module's text; None for `arrays`, whose card comes from the user's data."""
    found = cards_in(Path(__file__).with_name(f"{_HOMES[require_name(name, _HOMES, 'problem')]}.py"))
    return next((c for c in found if c.name == name and isinstance(c.axes, tuple)), None)


def get(name: str, **knobs):
    """The problem of that name, with knobs: get("gp1d", lengthscale=0.3)."""
    require_name(name, _HOMES, "problem")
    kind = import_module(f"{__name__}.{_HOMES[name]}").PROBLEMS[name]
    for knob in knobs:
        require_name(knob, kind.__dataclass_fields__, f"knob of {name}")
    require(name != "arrays" or "data" in knobs, must="arrays: your data.", came="none", why="It is your own problem.",
            do='problems.get("arrays", data=array), or problems.arrays.Arrays(array).')
    return kind(**knobs)


def held_out(problem):
    """The side of a problem that training never sees; the problem itself where functions are endless and fresh."""
    from ..core.capabilities import HasHeldOut
    from ..core.types import Source

    require(isinstance(problem, Source), kind=TypeError, must="problem: a Problem.", came=problem,
            why="Only problems have a held-out side.", do='nfdlab.problems.get("gp1d").')
    return problem.held_out() if isinstance(problem, HasHeldOut) else problem
