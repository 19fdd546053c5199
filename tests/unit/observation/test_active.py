"""Active learning: where the next measurement goes, and that a search is a value."""

import pytest
import torch

import nfdlab as nfd
from nfdlab import problems
from nfdlab.baselines.adaptive_grid import adaptive_grid
from nfdlab.core.acquisition import ACQUISITIONS, acquisition, conditioned
from nfdlab.core.fields import EvaluatedFields
from nfdlab.core.rng import normals
from nfdlab.core.types import Observations
from nfdlab.observation.active import POLICIES, Search, best, interval, planned


def test_the_exact_posterior_bisects():
    """16 draws split at their middle: a measurement leaves 2 Var + ½ of the interval, Var = 34/(17² 18)·…, on average.

    Of 16 uniform draws the middle of the 8th and 9th has variance (2·72 + 2·64)/(4·17²·18), so the factor is 0.5261;
    five measurements leave its fifth power, to 4 standard errors and the candidates' 1/128.
    """
    step, widths = problems.get("step1d"), []
    for task in range(60):
        now = Search(step.oracle(), d=1, seed=task, looks=5).run(step.draw(1, seed=1000 + task))
        low, high = interval(now.seen)
        widths.append((high - low) / 2)
    share, factor = torch.tensor(widths), 0.5 + 2 * (2 * 72 + 2 * 64) / (4 * 17**2 * 18)
    assert abs(float(share.mean()) - factor**5) < 4 * float(share.std()) / 60**0.5 + 1 / 128
    assert float(share.mean()) < 0.65 * (2 / 7)                                           # random: 2/(m + 2)


def test_the_interval_of_a_step_lies_between_its_measurements():
    assert interval(None) == (-1.0, 1.0)
    seen = Observations(torch.tensor([[0.5], [-0.5], [0.25], [0.0]]), torch.tensor([[1.0], [0.0], [1.1], [-0.1]]))
    assert interval(seen) == (0.0, 0.25)
    assert best(torch.tensor([0.0, 1, 1, 1, 0])) == 2


def test_a_place_with_wrong_draws_is_not_measured_again():
    """Draws that always vary most at one place, whatever was measured there, are wrong: it is measured once. With noise
    1 their variance is what four measurements at one place may leave, and they all go there."""

    class Stubborn:
        def __init__(self, size):
            self.size = size

        def draw(self, seen, n, *, seed, steps=None):
            height = self.size * normals(seed, n, (1, 1))
            return EvaluatedFields(lambda x, part: height[part] * (1 - x.abs()[None, :, 0, None]), n, 1)

    truth = problems.get("gp1d").draw(1, seed=0)
    looks = Search(Stubborn(1.0), d=1, seed=0, noise_std=0.05).run(truth, 4).seen.coords[:, 0]
    assert len(looks.unique()) == 4 and float(looks.abs().max()) < 0.03
    again = Search(Stubborn(0.5), d=1, seed=0, noise_std=1.0).run(truth, 4).seen.coords[:, 0]
    assert len(again.unique()) == 1


def test_a_plan_of_a_gaussian_is_what_it_would_have_looked_at():
    """No reading changes a Gaussian's variance: the places planned from prior draws are those of a search that reads,
    up to the spread of 256 draws; and a plan is followed whatever is read."""
    gauss = problems.get("gp1d")
    plan = Search(gauss.oracle(), d=1, seed=0, draws=256).ask(4)
    followed = Search(gauss.oracle(), d=1, seed=1, policy=planned(plan)).run(gauss.draw(1, seed=2), 4)
    assert torch.equal(followed.seen.coords, plan)
    seen = [Search(gauss.oracle(), d=1, seed=0, draws=256).run(gauss.draw(1, seed=s), 4).seen.coords for s in (2, 3)]
    assert torch.equal(seen[0][:1], plan[:1])
    spread = [gauss.oracle().moments(Observations(c, 0 * c, 0.05), nfd.cell_centres((64,)))[1] for c in (plan, *seen)]
    assert all(float(s.mean()) == pytest.approx(float(spread[0].mean()), rel=0.1) for s in spread[1:])


def test_a_batch_is_spread_and_starts_like_a_single_measurement():
    """Of a Gaussian field in 2D: the second place is where variance is largest given the first."""
    gauss = problems.get("gp2d")
    for policy in ACQUISITIONS:
        now = Search(gauss.oracle(), d=2, seed=1, policy=policy, draws=64, candidates=nfd.cell_centres((9, 9)))
        one, many = now.ask(1), now.ask(4)
        assert torch.equal(many[:1], one)
        assert float(torch.pdist(many).min()) > 0.4
    values = Search(gauss.oracle(), d=2, seed=1, draws=64, candidates=nfd.cell_centres((9, 9))).values
    first = best(acquisition("variance", values))
    second = best(acquisition("variance", conditioned(values, first, 0.05)))
    pair = Search(gauss.oracle(), d=2, seed=1, draws=64, candidates=nfd.cell_centres((9, 9))).ask(2)
    assert torch.equal(pair, nfd.cell_centres((9, 9))[[first, second]])


def test_a_search_is_a_value():
    """Same seed, same places in order; measurement i has the same noise for every policy; random places only append."""
    step, truth = problems.get("step1d"), problems.get("step1d").draw(1, seed=3)
    runs = {p: Search(step.oracle(), d=1, seed=5, policy=p, looks=4, noise_std=0.1).run(truth) for p in POLICIES}
    for policy, now in runs.items():
        again = Search(step.oracle(), d=1, seed=5, policy=policy, looks=4, noise_std=0.1).run(truth)
        assert torch.equal(now.seen.coords, again.seen.coords) and now.m == 4
        noise = now.seen.values - truth(now.seen.coords)[0]
        torch.testing.assert_close(noise, runs["grid"].seen.values - truth(runs["grid"].seen.coords)[0])
    assert sorted(runs["grid"].seen.coords[:, 0].tolist()) == [-0.75, -0.25, 0.25, 0.75]
    fresh = Search(step.oracle(), d=1, seed=5, policy="random")
    assert torch.equal(fresh.ask(6)[:4], runs["random"].seen.coords) and fresh.m == 0
    assert torch.equal(fresh.tell(fresh.ask(2), torch.zeros(2, 1)).ask(1), fresh.ask(3)[2:])


def test_adaptive_without_a_prior_bisects_a_step_and_misses_a_bump():
    step, bump = problems.get("step1d"), problems.get("bump2d")
    now = Search(step.oracle(), d=1, seed=0, policy=adaptive_grid, noise_std=0.0).run(step.draw(1, seed=0), 8)
    assert sorted(now.seen.coords[:2, 0].tolist()) == [-1.0, 1.0]
    low, high = interval(now.seen)
    assert high - low == pytest.approx(2 / 2**6)
    hill = EvaluatedFields(lambda x, part: (-0.5 * ((x - 0.3) / 0.02).square().sum(-1)).exp()[None, :, None], 1, 2)
    lost = Search(bump.oracle(), d=2, seed=0, policy=adaptive_grid, noise_std=0.0).run(hill, 12)
    assert float(lost.seen.values.max()) < 0.01


def test_bad_arguments_of_a_search_are_refused():
    step = problems.get("step1d")
    for knobs in ({"policy": "luck"}, {"draws": 1}, {"looks": 0}, {"noise_std": -1.0},
                  {"candidates": torch.full((3, 1), 2.0)}):
        with pytest.raises((ValueError, KeyError), match="why:"):
            Search(step.oracle(), d=1, seed=0, **knobs)
    with pytest.raises(ValueError, match="one function"):
        Search(step.oracle(), d=1, seed=0).look(step.draw(2, seed=0))


def test_a_class_is_no_policy():
    with pytest.raises(KeyError, match="policy"):
        Search(nfd.problems.get("step1d").oracle(), d=1, seed=0, policy=int)
