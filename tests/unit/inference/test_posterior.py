"""Posteriors of latent diffusion: which guides are open."""

import pytest

import nfdlab as nfd


def test_a_guide_through_the_decoder_needs_its_error():
    """Weights that record none refuse such a guide by name; those that do take it."""
    problem = nfd.problems.get("gp1d")
    seen = nfd.observe(problem.draw(1, seed=0), nfd.patterns.Random(count=4), seed=1)
    model = nfd.load("sparse_conditional", "gp1d", device="cpu")
    with pytest.raises(KeyError, match="linearised") as error:
        model.draw(seen, 2, seed=0, guide="linearised")
    assert "encoder" in str(error.value).rpartition("do:")[2]
    other = nfd.load("modulated_field", "sawtooth1d", device="cpu")
    assert other.guide("linearised") == "linearised" and other.guide("encoder") == "encoder"
    assert other.draw(seen, 2, seed=0, steps=3, guide="linearised")(nfd.cell_centres((5,))).isfinite().all()
