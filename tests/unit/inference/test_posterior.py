"""Posteriors of latent diffusion: which guides are open."""

import pytest
import torch
from torch import nn

import nfdlab as nfd
from nfdlab.core.types import Observations
from nfdlab.diffusion.denoiser import NOTHING
from nfdlab.inference import posterior
from nfdlab.inference.posterior import LatentPosterior


class Read(nn.Module):
    """A field that reads the first numbers of its latent, one at each place."""

    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.ones(()))

    def condition(self, seen):
        return NOTHING

    def values(self, coords, z, conditioning):
        return self.scale * z[:, :len(coords), None]


def test_draws_that_meet_the_observations_are_posterior_draws_where_all_is_gaussian(monkeypatch):
    """Randomise-then-optimise is exact for a linear field and x ~ N(0, r²): where something was seen the mean is
    y r²/(r² + s²), the variance r² s²/(r² + s²); elsewhere x is as it was."""
    monkeypatch.setattr(posterior, "REFINEMENTS", 500), monkeypatch.setattr(posterior, "REFINING_RATE", 0.05)
    r, s, y, n = 0.8, 0.5, 1.5, 4000
    model = LatentPosterior(Read(), {"d": 1, "c": 1, "floor": 0.0, "config": {"refine": r}}, 1)
    x = r * torch.randn(n, 3, generator=torch.Generator().manual_seed(1))
    z = model.refined(x, Observations(torch.tensor([[-0.5], [0.5]]), torch.full((2, 1), y), s), seed=2)
    mean, variance = y * r**2 / (r**2 + s**2), r**2 * s**2 / (r**2 + s**2)
    assert (z[:, :2].mean(0) - mean).abs().max() < 4.5 * (variance / n) ** 0.5
    assert (z[:, :2].var(0) / variance - 1).abs().max() < 4.5 * (2 / n) ** 0.5
    torch.testing.assert_close(z[:, 2], x[:, 2], rtol=0, atol=1e-4)


def test_reweighted_draws_meet_the_observations_more_closely():
    """They form as those of the encoder do; the last step weights four times as many as there are particles. Their
    misfit is smaller; n draws are the first of more; of no observations they are the prior's."""
    problem, points = nfd.problems.get("moving_disc2dt"), nfd.cell_centres((4, 8, 8))
    model = nfd.load("temporal_field", "moving_disc2dt", device="cpu").using(guide="reweighted", num_particles=16)
    seen = nfd.observe(problem.draw(1, seed=3), nfd.patterns.Random(count=64), noise_std=0.05, seed=1)
    plain, steps = model.using(guide="encoder"), list(model.path(seen, 3, seed=2, steps=4))
    for one, other in zip(plain.path(seen, 3, seed=2, steps=4), steps[:-1], strict=False):
        # 3 and 64 rows at once are summed in another order: single precision, relative to the noise
        torch.testing.assert_close(one.x, other.x, rtol=0, atol=1e-4 * float(one.x.abs().max()))
    few, many = (model.draw(seen, n, seed=2, steps=4) for n in (3, 16))
    assert torch.equal(model.fields(seen, steps[-1].x)(points), few(points))
    torch.testing.assert_close(few(points), many(points)[:3], rtol=0, atol=1e-5)      # decoded 3 or 16 at a time
    misfit = [float((f.draw(seen, 16, seed=2, steps=4)(seen.coords) - seen.values).square().mean())
              for f in (plain, model)]
    assert misfit[1] < 0.8 * misfit[0]
    assert torch.equal(model.draw(None, 2, seed=2, steps=4)(points), plain.draw(None, 2, seed=2, steps=4)(points))


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
