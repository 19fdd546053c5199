"""Modes of torch and of Python that change nothing: inference mode, `python -O`."""

import subprocess
import sys

import pytest
import torch

import nfdlab as nfd
from nfdlab import problems, store
from nfdlab.inference.posterior import GUIDES

PAIRS = {approach: problem for approach, problem in reversed(store.shipped())}             # one of each approach
ASKED = """
import nfdlab as nfd
problem = nfd.problems.get("gp1d")
seen = nfd.observe(problem.draw(1, seed=0), nfd.patterns.Random(count=3), seed=0)
for refused in (lambda: nfd.patterns.Random(count=-1), lambda: problem.draw(0, seed=0), lambda: nfd.load("x", "gp1d")):
    try:
        refused()
    except (ValueError, KeyError) as error:
        print("\\n  why:" in str(error))
print(nfd.load("score_field", "gp1d", device="cpu").draw(seen, 1, seed=0, steps=2)(nfd.cell_centres((2,))).tolist())
"""


def asked(approach, **knobs):
    model = nfd.load(approach, PAIRS[approach], device="cpu")
    few = {"num_particles": 16, "rounds": 2} if "guide" in model.about["config"] else {}
    return model.using(**few, **knobs) if few else model


def answer(model, approach):
    problem = problems.get(PAIRS[approach])
    seen = nfd.observe(problem.draw(1, seed=0), nfd.patterns.Random(count=3), seed=0)
    return model.draw(seen, 2, seed=0, steps=2)(nfd.cell_centres((3,) * problem.d))


@pytest.mark.parametrize("approach,guide", [*((name, None) for name in PAIRS), *(("latent_field", g) for g in GUIDES)])
def test_a_model_is_loaded_and_asked_in_inference_mode_or_outside(approach, guide):
    """In any order: what is loaded inside answers outside, and what outside inside, as ever."""
    knobs = {} if guide is None else {"guide": guide}
    with torch.inference_mode():
        inside = asked(approach, **knobs)
    outside = asked(approach, **knobs)
    found = answer(outside, approach)
    assert torch.allclose(answer(inside, approach), found, rtol=0, atol=1e-5 * float(found.abs().max()))
    with torch.inference_mode():
        again = answer(asked(approach, **knobs), approach)
    assert torch.allclose(again, found, rtol=0, atol=1e-5 * float(found.abs().max()))


def test_without_asserts_and_docstrings_python_gives_the_same():
    said = [subprocess.run([sys.executable, *flags, "-c", ASKED], capture_output=True, text=True, check=True).stdout
            for flags in ([], ["-OO"])]
    assert said[0] == said[1] and said[0].startswith("True\nTrue\nTrue\n[[[")
