"""Cards: what problems and approaches say of themselves, readable without importing them."""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class ProblemCard:
    """Description of a problem, printed by reports."""

    name: str
    title: str
    equation: str
    domain: str
    units: str
    axes: tuple[str, ...]
    hard: str
    source: str
    exact: str                       # which exact posterior there is, or why none


@dataclass(frozen=True)
class Card:
    """Description of an approach. `limits` says where it fails and may not be empty."""

    order: int
    title: str
    idea: str
    papers: str
    best_for: str
    limits: str


@cache
def cards_in(path: Path) -> list[Card | ProblemCard]:
    """The cards that a module makes, from its text: neither it nor torch is imported, which takes seconds.

    What is not a literal stands as its source, so names, titles and orders are written as literals.
    """
    classes = {each.__name__: each for each in (Card, ProblemCard)}
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)
             and isinstance(node.func, ast.Name) and node.func.id in classes]
    return [classes[call.func.id](*map(_literal, call.args), **{k.arg: _literal(k.value) for k in call.keywords})
            for call in calls]


def _literal(node: ast.expr):
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)
