"""Provenance: trained weights are refused for any other problem than theirs."""

import json

from ..core.capabilities import record_of
from ..core.checks import describe, require
from ..recipes import knobs, refit_line


def require_same_problem(fitted, problem) -> None:
    """Refuse a trained `fitted` whose problem has another name or other knobs, with the line that refits.

    The side of the data is no knob, and own data are known by their hash. The exact posterior and baselines carry no
    record (`about`) and fit any problem.
    """
    about = record_of(fitted)
    if "problem" not in about:
        return
    name, mine, theirs = problem.card.name, _plain(knobs(problem)), _plain(about.get("knobs", {}))
    theirs.pop("side", None)
    same = about["problem"] == name and _hashed(mine) == _hashed(theirs)
    require(same, must=f"A model trained on {_words(name, mine)}.",
            came=f"weights of {_words(about['problem'], theirs)}",
            why="The weights hold the prior: on another problem their answer is wrong and confident.",
            do=refit_line(about.get("approach", "sparse_conditional"), problem))


def _plain(found: dict) -> dict:
    """Through JSON and back, as in the header of a weights file: tuples become lists."""
    return json.loads(json.dumps(dict(found), default=describe))


def _hashed(found: dict) -> dict:
    """Own data by the last word of their name: a file may be renamed or moved."""
    return {**found, "data": found["data"].split()[-1:]} if "data" in found else found


def _words(name: str, found: dict) -> str:
    return name + (" with " if found else "") + ", ".join(f"{key}={value!r}" for key, value in sorted(found.items()))
