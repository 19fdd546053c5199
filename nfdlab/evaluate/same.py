"""Weights answer for the problem they were trained on, and for no other."""

import json
from dataclasses import fields

from ..core.checks import describe, require


def knobs(problem) -> dict:
    """A problem's knobs as plain data: its fields, but for the side of the data it stands on."""
    found = {f.name: getattr(problem, f.name) for f in fields(problem) if f.init and f.name != "side"}
    return _plain(found)


def _plain(found: dict) -> dict:
    """Through JSON and back, as in the header of a weights file: tuples become lists, arrays a short word."""
    return json.loads(json.dumps(found, default=describe))


def require_same_problem(fitted, problem) -> None:
    """Refuse a trained `fitted` whose problem has another name or other knobs. The exact posterior and the classical
    baselines carry no such record, and are asked about any problem."""
    about = getattr(fitted, "about", None)
    if about is None or "problem" not in about:
        return
    name, mine = problem.card.name, knobs(problem)
    theirs = {key: value for key, value in _plain(dict(about.get("knobs", {}))).items() if key != "side"}
    differ = sorted(key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key))
    came = f"weights of {about['problem']} with " + ", ".join(f"{k}={theirs.get(k)!r}" for k in sorted(theirs))
    line = ", ".join([repr(name), *(f"{key}={mine[key]!r}" for key in differ if key in mine)])
    require(about["problem"] == name and not differ,
            must=f"A model trained on {name} with " + ", ".join(f"{k}={v!r}" for k, v in sorted(mine.items())) + ".",
            came=came, why="The prior is in the weights: of another problem they give a sure and wrong answer.",
            do=f'nfdlab.train("{about.get("approach", "sparse_conditional")}", nfdlab.problems.get({line})) refits.')
