"""Three stages measured apart: an approach that is at fault in one of them shows it there and nowhere else."""

from dataclasses import dataclass

import pytest

import nfdlab as nfd
from nfdlab.core.fields import EvaluatedFields
from nfdlab.evaluate.error_breakdown import stages
from nfdlab.panels import plots

PROBLEM = nfd.problems.get("gp1d")


@dataclass
class Model:
    """The exact posterior, whose latents are functions; `floor` off when decoded, `prior` and `given` times too wide."""

    floor: float = 0.0
    prior: float = 1.0
    given: float = 1.0

    def latent(self, fields):
        return fields

    def decode(self, fields):
        return EvaluatedFields(lambda x, part: fields.rule(x, part) + self.floor, fields.n, 1)

    def draw(self, seen, n, *, seed, steps=None):
        exact, wide = PROBLEM.oracle().draw(seen, n, seed=seed), self.given if seen is not None else self.prior
        return EvaluatedFields(lambda x, part: wide * exact.rule(x, part), n, 1)


def test_each_fault_shows_in_its_own_stage():
    good, forgets, dreams, mishears = (stages(m, PROBLEM, counts=(3,), tasks=12, functions=400) for m in
                                       (Model(), Model(floor=0.1), Model(prior=1.5), Model(given=1.5)))
    assert good.floor < 1e-6 and abs(good.prior) < 0.01 and abs(good.real) < 0.01 and 0.9 < good.conditional < 1.1
    assert forgets.floor == pytest.approx(0.1, rel=0.1) and forgets.prior == good.prior
    assert dreams.prior > 0.03 and dreams.floor == good.floor and dreams.conditional == good.conditional
    assert dreams.gap == dreams.prior - dreams.real and dreams.real == good.real
    assert mishears.conditional > 1.15 and mishears.prior == good.prior
    assert plots.stages({"good": good, "dreams": dreams}, title="the prior is at fault").png(40)[:4] == b"\x89PNG"


def test_approaches_without_codes_are_refused():
    with pytest.raises(TypeError, match="why:"):
        stages(PROBLEM.oracle(), PROBLEM)
