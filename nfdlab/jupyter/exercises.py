"""Checked exercises: an answer comes in, a sentence says whether it holds and, if not, where to look."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.checks import require_name


@dataclass(frozen=True)
class Exercises:
    """The exercises of a lesson: for each number what an answer must satisfy, and a hint for those that do not.

    `check = Exercises({1: (lambda answer: answer > 2, "Count the steps.")})`, then `check(1, 3)`.
    """

    rules: Mapping[int, tuple[Callable[[Any], bool], str]]

    def __call__(self, number: int, answer: Any) -> bool:
        """Print whether `answer` holds for the exercise, and return it."""
        rule, hint = self.rules[int(require_name(str(number), [str(n) for n in self.rules], "exercise"))]
        try:
            right = bool(rule(answer))
        except (TypeError, ValueError, RuntimeError, AttributeError, KeyError, IndexError) as error:
            right, hint = False, f"{hint} ({type(error).__name__}: {error})"
        print(f"Exercise {number}: " + ("right." if right else f"not yet. {hint}"))
        return right
