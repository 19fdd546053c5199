"""Reconstruction, prior and conditioning measured apart: an error in one of them shows there and nowhere else."""

from dataclasses import dataclass

import pytest

import nfdlab as nfd
from nfdlab.core.fields import EvaluatedFields
from nfdlab.evaluate.error_breakdown import error_breakdown
from nfdlab.panels import plots

PROBLEM = nfd.problems.get("gp1d")


@dataclass
class Model:
    """The exact posterior, whose latents are functions; `floor` off when decoded, `prior`, `given` times too wide."""

    floor: float = 0.0
    prior: float = 1.0
    given: float = 1.0

    def encode(self, fields):
        return fields

    def decode(self, fields):
        return EvaluatedFields(lambda x, part: fields.rule(x, part) + self.floor, fields.n, 1)

    def draw(self, seen, n, *, seed, steps=None):
        exact, wide = PROBLEM.oracle().draw(seen, n, seed=seed), self.given if seen is not None else self.prior
        return EvaluatedFields(lambda x, part: wide * exact.rule(x, part), n, 1)


def test_each_error_shows_in_its_own_part():
    good, decoder, prior, conditioning = (error_breakdown(m, PROBLEM, counts=(3,), tasks=12, functions=400) for m in
                                          (Model(), Model(floor=0.1), Model(prior=1.5), Model(given=1.5)))
    assert good.reconstruction < 1e-6 and abs(good.prior) < 0.01 and abs(good.fresh) < 0.01
    assert 0.9 < good.conditioning < 1.1
    assert decoder.reconstruction == pytest.approx(0.1, rel=0.1) and decoder.prior == good.prior
    assert prior.prior > 0.03 and prior.reconstruction == good.reconstruction
    assert prior.conditioning == good.conditioning
    assert prior.fresh == good.fresh
    assert conditioning.conditioning > 1.15 and conditioning.prior == good.prior
    assert plots.stages({"good": good, "wide": prior}, title="the prior is at fault").png(40)[:4] == b"\x89PNG"


def test_approaches_without_latents_are_refused():
    with pytest.raises(TypeError, match="why:"):
        error_breakdown(PROBLEM.oracle(), PROBLEM)
