"""Checked exercises: right and wrong answers, answers that cannot be judged, numbers that do not exist."""

import pytest

from nfdlab.jupyter.exercises import Exercises


def test_an_answer_is_judged_and_a_wrong_one_gets_a_hint(capsys):
    check = Exercises({1: (lambda answer: abs(answer - 3) < 0.5, "Count again."), 2: (lambda answer: answer, "Look.")})
    assert check(1, 3.2) and "right" in capsys.readouterr().out
    assert not check(1, 4) and "Count again." in capsys.readouterr().out
    assert not check(1, "three") and "TypeError" in capsys.readouterr().out
    with pytest.raises(KeyError, match="exercise"):
        check(3, 0)
