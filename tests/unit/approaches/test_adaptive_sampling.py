"""Approach 7: what a look promises, where the next one goes, a cloud carried along, pictures asked only in part."""

import math

import pandas as pd
import pytest
import torch
from nfdlab.diffusion.gaussian_prior import GaussianPrior
from torch import nn

import nfdlab as nfd
from nfdlab import problems
from nfdlab.approaches.adaptive_sampling import AdaptiveSampling
from nfdlab.baselines.adaptive_grid import adaptive_grid
from nfdlab.core.acquisition import ACQUISITIONS, acquisition, conditioned
from nfdlab.core.capabilities import HasAsk
from nfdlab.core.fields import EvaluatedFields
from nfdlab.core.rng import normals, seeded, stream
from nfdlab.core.types import Observations
from nfdlab.diffusion.schedule import NoiseLevels
from nfdlab.evaluate.active_learning import learning_curves, shrinkage
from nfdlab.exact.normal import Normal
from nfdlab.fields.deepsdf import DeepSDF
from nfdlab.fields.refining import render_adaptive
from nfdlab.inference.posterior import LatentPosterior
from nfdlab.inference.sequential import SequentialPosterior
from nfdlab.latents.importance_sampling import importance_sampled
from nfdlab.latents.vector_autoencoder import VectorAutoencoder
from nfdlab.observation.active import POLICIES, Search, best, farthest_first, interval
from nfdlab.panels.active_figure import window_round
from nfdlab.panels.active_panel import looking
from nfdlab.panels.sweeps import MIME

F64 = torch.float64
SMALL = {"width": 16, "batch": 8, "queries": 24, "latents": 16, "num_particles": 32, "rounds": 4, "layers": (16, 1), "steps": 4}


def gaussian(n=20_000, seed=0):
    """Draws of three numbers with covariance C: (n, 3, 1), C (3, 3)."""
    root = torch.tensor([[1.0, 0, 0], [0.8, 0.6, 0], [0, 0.2, 0.1]])
    return (normals(seed, n, (3,)) @ root.T)[..., None], root @ root.T


# ---------------------------------------------------------------------------------------- what a look promises

def test_mutual_information_of_two_distant_values_is_ln_2():
    """A reading says which of two it is, ln 2 nats, however far apart; of four, ln 4; of one, nothing."""
    for c in (1, 2):
        near = torch.tensor([0.0, 0, 1, 1]).reshape(4, 1, 1).expand(4, 1, c)
        assert float(acquisition("mutual_information", near, 0.05)) == pytest.approx(math.log(2), abs=1e-6)
        assert float(acquisition("mutual_information", 40 * near, 0.05)) == pytest.approx(math.log(2), abs=1e-6)
        assert float(acquisition("mutual_information", torch.arange(4.0).reshape(4, 1, 1).expand(4, 1, c), 0.05)) == \
            pytest.approx(math.log(4), abs=1e-6)
        assert float(acquisition("mutual_information", torch.ones(4, 1, c), 0.05)) == pytest.approx(0, abs=1e-9)
    assert float(acquisition("variance", 40 * near, 0.05)) == pytest.approx(2 * 1600 / 3, rel=1e-5)      # two channels


def test_acquisition_values_of_a_gaussian_are_known():
    """I = ½ ln(1 + v/s²); the variance drops by C²/(v + s²). By 700 draws v is known to 5.3 % in one
    standard error, sqrt(2/n): the entropy, half its logarithm, to 6 %; what drops is of second degree in C, to 12."""
    values, C = gaussian(700)
    s, v = 0.5, C.diagonal()
    torch.testing.assert_close(acquisition("mutual_information", values, s), 0.5 * torch.log1p(v / s**2), rtol=0.06, atol=0.02)
    drop = (C.square() / (v + s**2)[:, None]).sum(1) / 3
    torch.testing.assert_close(acquisition("expected_error_reduction", values, s), drop, rtol=0.12, atol=0.01)
    at = acquisition("expected_error_reduction", values, s, values[:, 1:2])
    torch.testing.assert_close(at, C[:, 1].square() / (v + s**2), rtol=0.12, atol=0.01)


def test_a_measurement_that_decides_everything_has_the_whole_error_reduction():
    """Two kinds of draws that differ at place 0 and at the target: a look at 0 leaves nothing, one at 1 leaves all."""
    values = torch.tensor([[0.0, 3.0], [1.0, 3.0]]).repeat(4, 1)[..., None]
    targets = torch.tensor([2.0, -2.0]).repeat(4)[:, None, None]
    torch.testing.assert_close(acquisition("expected_error_reduction", values, 0.05, targets), torch.tensor([4.0, 0.0]))


@pytest.mark.parametrize("noise_std", [0.0, 0.3])
def test_a_look_ahead_leaves_what_kalman_says(noise_std):
    """Exactly, for the draws' own covariance, and the mean stays."""
    values = gaussian(40)[0].repeat(1, 1, 2) + torch.tensor([0.0, 2.0])                   # two channels, alike
    values[..., 1] = values[..., 1].roll(1, 0)
    found, flat = conditioned(values, 1, noise_std), values.double().flatten(1)
    cov, rows = flat.T.cov(), [2, 3]
    K = cov[:, rows] @ torch.linalg.inv(cov[rows][:, rows] + noise_std**2 * torch.eye(2, dtype=F64))
    torch.testing.assert_close(found.double().flatten(1).T.cov(), cov - K @ cov[rows], rtol=0, atol=1e-5)
    torch.testing.assert_close(found.mean(0), values.mean(0), rtol=0, atol=1e-5)


def test_bad_questions_are_refused():
    for values, knobs in ((torch.zeros(1, 3, 1), {}), (torch.zeros(4, 3), {}), (torch.zeros(4, 3, 1), {"by": "luck"}),
                          (torch.zeros(4, 3, 1), {"noise_std": -1.0})):
        with pytest.raises((ValueError, KeyError), match="why:"):
            acquisition(**{"by": "variance", "values": values, **knobs})
    step = problems.get("step1d")
    for knobs in ({"policy": "luck"}, {"draws": 1}, {"looks": 0}, {"noise_std": -1.0},
                  {"candidates": torch.full((3, 1), 2.0)}):
        with pytest.raises((ValueError, KeyError), match="why:"):
            Search(step.oracle(), d=1, seed=0, **knobs)
    with pytest.raises(ValueError, match="one function"):
        Search(step.oracle(), d=1, seed=0).look(step.draw(2, seed=0))
    with pytest.raises(ValueError, match="two draws"):
        render_adaptive(step.draw(1, seed=0), (64,), tolerance=0.1, by="spread")


# ------------------------------------------------------------------------------------------- where to look next

def test_the_exact_posterior_bisects():
    """16 draws split at their middle: a look leaves 2 Var + ½ of the interval, Var = 34/(17² 18)·…, on average.

    Of 16 uniform draws the middle of the 8th and 9th has variance (2·72 + 2·64)/(4·17²·18), so the factor is 0.5261;
    five looks leave its fifth power, to 4 standard errors and the candidates' 1/128.
    """
    step, widths = problems.get("step1d"), []
    for task in range(60):
        now = Search(step.oracle(), d=1, seed=task, looks=5).run(step.draw(1, seed=1000 + task))
        low, high = interval(now.seen)
        widths.append((high - low) / 2)
    share, factor = torch.tensor(widths), 0.5 + 2 * (2 * 72 + 2 * 64) / (4 * 17**2 * 18)
    assert abs(float(share.mean()) - factor**5) < 4 * float(share.std()) / 60**0.5 + 1 / 128
    assert float(share.mean()) < 0.65 * (2 / 7)                                           # random: 2/(m + 2)


def test_the_interval_of_a_step_lies_between_its_looks():
    assert interval(None) == (-1.0, 1.0)
    seen = Observations(torch.tensor([[0.5], [-0.5], [0.25], [0.0]]), torch.tensor([[1.0], [0.0], [1.1], [-0.1]]))
    assert interval(seen) == (0.0, 0.25)
    assert best(torch.tensor([0.0, 1, 1, 1, 0])) == 2


def test_where_draws_are_wrong_of_themselves_one_does_not_look_again():
    """A stubborn answer that always differs most at one place is asked there once; an honest one, as often as it is
    worth it: with noise 1, four looks at the same place beat one elsewhere where nothing is unknown."""

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


def test_a_batch_is_spread_and_starts_as_one_look_would():
    """Of a Gaussian field in 2D: the second place is where variance is largest once the first is read."""
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
    """Same seed, same looks, in order; the noise of look i is the same for every policy; random places only append."""
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
    order = farthest_first(nfd.cell_centres((4, 4)))
    assert len(order.unique(dim=0)) == 16 and float(torch.pdist(order[:4]).min()) >= 1.0


def test_a_learner_without_a_prior_bisects_a_step_it_has_met_and_misses_a_hill_it_has_not():
    step, bump = problems.get("step1d"), problems.get("bump2d")
    now = Search(step.oracle(), d=1, seed=0, policy=adaptive_grid, noise_std=0.0).run(step.draw(1, seed=0), 8)
    assert sorted(now.seen.coords[:2, 0].tolist()) == [-1.0, 1.0]
    low, high = interval(now.seen)
    assert high - low == pytest.approx(2 / 2**6)
    hill = EvaluatedFields(lambda x, part: (-0.5 * ((x - 0.3) / 0.02).square().sum(-1)).exp()[None, :, None], 1, 2)
    lost = Search(bump.oracle(), d=2, seed=0, policy=adaptive_grid, noise_std=0.0).run(hill, 12)
    assert float(lost.seen.values.max()) < 0.01


# --------------------------------------------------------------------------------------- a cloud carried along

class SpectralPrior(nn.Module):
    """A field that is linear in its latent, a cos 2x + b sin 2x, latents Gaussian: every posterior is known."""

    shape, noise_levels = (2,), NoiseLevels(0.01, 20.0, 1.0)

    def __init__(self):
        super().__init__()
        self.spectrum, self.one = GaussianPrior(2), nn.Parameter(torch.zeros(1))
        self.spectrum.lam = torch.tensor([1.5, 0.5])
        self.law = Normal(torch.zeros(2, dtype=F64), torch.diag(self.spectrum.lam.double().sqrt()))

    def denoiser(self, x, sigma):
        return self.spectrum.denoiser()(x, sigma)

    @staticmethod
    def rows(coords):
        return torch.cat([(2 * coords).cos(), (2 * coords).sin()], -1)

    def values(self, coords, latent):
        return (self.rows(coords) @ latent[..., None] if coords.ndim == 3 else latent @ self.rows(coords).T
                ).reshape(len(latent), -1, 1)


def waves(num_particles=512):
    about = {"d": 1, "c": 1, "floor": 0.03, "config": {"guide": "particles", "num_particles": num_particles, "rounds": 16}}
    return LatentPosterior(SpectralPrior(), about, 16)


PLACES, READ = torch.tensor([[-0.7], [0.1], [0.6]]), torch.tensor([[0.8], [0.1], [-0.4]])


def test_a_carried_cloud_is_the_posterior_after_every_look():
    """Noise 0.04 and a floor of 0.03 count as 0.05. Mean within 0.2 of the posterior's spread, spread within 20 %:
    several times the error of 512 members that were partly doubled."""
    particles, model = SequentialPosterior.start(waves(), seed=1), waves()
    for i in range(3):
        particles = particles.tell(Observations(PLACES[i:i + 1], READ[i:i + 1], 0.04))
        law = model.net.law.condition(SpectralPrior.rows(PLACES[:i + 1]).double(), READ[:i + 1, 0].double(), 0.05)
        w, x = particles.logs.softmax(0), particles.x.double()
        mean = w @ x
        std = (w @ (x - mean).square()).sqrt()
        assert float(((mean - law.mean) / law.std).abs().max()) < 0.2, i
        assert float((std / law.std - 1).abs().max()) < 0.2, i
    assert particles.seen.m == 3 and len(particles.x) == 512
    again = particles.model.push(16, "dpmpp")[0](particles.noise)
    assert torch.allclose(again, particles.x, atol=1e-4)                                # noise and latents agree


def test_a_cloud_that_is_not_thin_only_changes_its_weights():
    """A reading that says little moves nobody; draws are members by weight, and more of them append."""
    start = SequentialPosterior.start(waves(), seed=1)
    told = start.tell(Observations(PLACES[:1], READ[:1], 2.0))
    assert told.x is start.x and told.effective < start.effective
    assert start.tell(Observations(torch.zeros(0, 1), torch.zeros(0, 1))) is start
    coords = nfd.cell_centres((5,))
    torch.testing.assert_close(told.draw(9, seed=2)(coords)[:4], told.draw(4, seed=2)(coords), rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="one noise"):
        told.tell(Observations(PLACES[:1], READ[:1], 0.1))


def test_a_cloud_keeps_to_what_is_believed_of_codes():
    """Codes held to be positive stay so through every look and move, and the rest of the posterior is as it was."""
    particles, model = SequentialPosterior.start(waves(), seed=1, believe=lambda x: 0.0 - 1e4 * (x[:, 0] < 0)), waves()
    for i in range(3):
        particles = particles.tell(Observations(PLACES[i:i + 1], 0.3 * READ[i:i + 1], 0.3))
    law = model.net.law.condition(SpectralPrior.rows(PLACES).double(), 0.3 * READ[:, 0].double(), (0.3**2 + 0.03**2) ** 0.5)
    exact = law.draw(20_000, seed=1)
    exact = exact[exact[:, 0] > 0]
    w = particles.logs.softmax(0)
    assert float(w[particles.x[:, 0] < 0].sum()) == 0
    assert float(((w @ particles.x.double() - exact.mean(0)) / exact.std(0)).abs().max()) < 0.25


# ------------------------------------------------------------------------------------------------- the approach

@pytest.mark.parametrize("knobs", [{}, {"joint": 0}, {"flat": 0, "guide": "linearised", "latent": 2}])
def test_a_fitted_approach_says_where_to_look(knobs):
    """`ask` is the worth of its own draws, by any of the three; flat latents with either field, or latents on cells."""
    model = nfd.train(AdaptiveSampling(**{**SMALL, **knobs}), "step1d", budget=nfd.Budget(steps=4), device="cpu")
    candidates, seen = nfd.cell_centres((12,)), Observations(PLACES, READ, 0.1)
    assert isinstance(model, HasAsk)
    for by in ACQUISITIONS:
        asked = model.ask(seen, candidates, seed=3, by=by, draws=6)
        assert torch.equal(asked, acquisition(by, model.draw(seen, 6, seed=3)(candidates), 0.1))
    assert model.encode(problems.get("step1d").draw(3, seed=0)).shape == (3, *model.net.shape)
    with pytest.raises(ValueError, match="why:"):
        model.ask(seen, torch.zeros(3, 2), seed=0)


def test_a_code_is_rescaled_and_the_field_is_as_it_was():
    """Codes come out at unit scale, and mean the same functions as before, to rounding."""
    with seeded(0):
        auto = VectorAutoencoder(1, 1, 16, 3, 8, 2, 4.0)
    grids, x = 3 + 2 * normals(0, 500, (1, 16)), nfd.cell_centres((9,))
    with torch.no_grad():
        before = auto(x, auto.eval().encode(grids[:5]))
        auto.rescale(auto.encoder(grids))
        latent = auto.encode(grids)
        torch.testing.assert_close(latent.mean(0), torch.zeros(3), rtol=0, atol=1e-4)
        torch.testing.assert_close(latent.std(0), torch.ones(3), rtol=0, atol=1e-4)
        torch.testing.assert_close(auto(x, latent[:5]), before, rtol=0, atol=1e-4)


def test_a_joint_field_moves_with_its_code():
    """Where the latent's weights mirror the place's, adding to both changes nothing: a shape that is only moved."""
    with seeded(0):
        field = DeepSDF(2, 2, 1, 16, 2)
    with torch.no_grad():
        field.condition.weight.copy_(-field.place.weight)
    x, z, shift = normals(0, 5, (2,)), normals(1, 3, (2,)), torch.tensor([0.3, -0.2])
    torch.testing.assert_close(field(x + shift, z + shift), field(x, z), rtol=0, atol=1e-5)
    assert field(x.expand(3, -1, -1), z).shape == (3, 5, 1)


@pytest.mark.parametrize("name,d", [("step1d", 1), ("bump2d", 2)])
def test_asking_where_a_function_changes_moves_no_mean(name, d):
    """Weights average to 1, weighed means of x² to a third, to 4.5 standard errors; more than a third of places lie
    where there is something to see, and no weight exceeds 1 / (1 − share)."""
    fields, rng = problems.get(name).draw(400, seed=1), stream(0, "even")
    even = 2 * torch.rand(400, 32, d, generator=rng) - 1
    values = fields(nfd.cell_centres((32,) * d)).movedim(-1, 1).unflatten(-1, (32,) * d)
    places, weight = importance_sampled(values, even, 0.5, rng)
    for h, mean in ((torch.ones(400, 32), 1.0), (places.square().mean(-1), 1 / 3)):
        each = (weight * h).mean(1)
        assert abs(float(each.mean()) - mean) < 4.5 * float(each.std()) / 20
    assert float(weight.max()) <= 2 + 1e-5 and torch.equal(places[:, 16:], even[:, 16:])
    assert float((weight < 0.5).float().mean()) > 1 / 3


def test_a_search_carries_a_cloud_where_there_is_one():
    model = nfd.train(AdaptiveSampling(**SMALL), "step1d", budget=nfd.Budget(steps=4), device="cpu")
    truth = problems.get("step1d").draw(1, seed=3)
    now = Search(model, d=1, seed=0).run(truth, 2)
    assert now.particles.seen.m == 2 and Search(model, d=1, seed=0, carry=False).run(truth, 1).particles is None


# ----------------------------------------------------------------------------------------------------- the race

def test_a_race_is_paired_and_its_shrinkage_is_what_it_says():
    step = problems.get("step1d")
    found = learning_curves({"a": {"fitted": step.oracle()}, "b": {"fitted": step.oracle(), "policy": "random"}}, step, looks=2,
                 tasks=3, seed=0, draws=8)
    assert len(found) == 2 * 3 * 3
    start = found[found["looks"] == 0].pivot(index="task", columns="rival", values="rmse")
    assert (start["a"] == start["b"]).all() and (found[found["looks"] == 0]["width"] == 2).all()
    made = pd.DataFrame({"rival": "x", "task": [0, 1], "looks": 5, "width": [2 * 0.5**5, 2 * 0.7**5], "rmse": 0.0})
    row = shrinkage(made).loc["x"]
    assert row["each"] == pytest.approx(0.6) and row["whole"] == pytest.approx(((0.5**5 + 0.7**5) / 2) ** 0.2)


# ---------------------------------------------------------------------------------------------------- the panel

def test_pressing_look_takes_one_look_more(monkeypatch):
    """Headless it computes in place; the same state is the same picture; the query scale takes no look."""
    monkeypatch.setenv("NFDLAB_HEADLESS", "1")
    step = problems.get("step1d")
    panel = looking(step.oracle(), step, looks=1, draws=8)
    panel.button.click()
    assert panel.state.looks == 2 and panel.knobs["looks"].value == 2 and panel.picture.value[:4] == b"\x89PNG"
    two, three = panel.seen(), panel.seen(looks=3)
    assert torch.equal(three.model.seen.coords[:2], two.model.seen.coords) and two.model.m == 2
    assert len(two.errors["model"]) == 3 and two.errors["model"] == two.errors["exact"]     # both are exact here
    assert panel.seen(scale=8.0).model is two.model
    ((low, high),) = window_round(two.model, 8.0)
    assert high - low == pytest.approx(0.25) and low <= float(two.model.seen.coords[-1]) <= high
    panel.knobs["policy"].value = "grid"
    assert sorted(panel.seen().model.seen.coords[:, 0].tolist()) == [-0.5, 0.5]
    with pytest.raises((ValueError, KeyError), match="why:"):
        panel.move(policy="luck")
    with pytest.raises((ValueError, KeyError), match="knob"):
        looking(step.oracle(), step, lookks=2)
    panel.again.click()
    assert panel.state.looks == 0 and panel.error.value == ""
    for bundle in panel.bundles():
        assert "image/png" in bundle and len(bundle[MIME]["frames"]) == len(bundle[MIME]["values"])
    panel.close()


# ------------------------------------------------------------------------------- pictures that are asked in part

def detailed(n=1):
    """Smooth, with ripples in a spot of about 1 % of the area; draw i is i times as high there."""
    def rule(x, part):
        spot = torch.exp(-0.5 * ((x - 0.31) / 0.035).square().sum(-1))
        wave = 0.3 * torch.sin(2 * x[..., 0]) + 0 * x[..., 1]
        heights = (1 + torch.arange(n)[part])[:, None] if x.ndim == 2 else (1 + torch.arange(n)[part])[:, None]
        return (wave + heights * spot * torch.sin(60 * x[..., 1]))[..., None]

    return EvaluatedFields(rule, n, 2)


def test_with_no_tolerance_every_pixel_is_asked():
    for shape, fields in (((300, 217), detailed(2)), ((500,), problems.get("step1d").draw(2, seed=0)),
                          ((40, 36, 70), problems.get("moving_disc2dt").draw(1, seed=0))):
        got, asked = render_adaptive(fields, shape, tolerance=0.0, leaf=4)
        full = nfd.render(fields, shape)
        torch.testing.assert_close(got, full, rtol=0, atol=1e-5)
        assert asked >= full[0, ..., 0].numel()


def test_detail_in_one_hundredth_of_the_area_costs_few_queries():
    """No pixel is further off than the full render itself is between its pixels: an eighth of a second difference."""
    shape = (1024, 1024)
    full = nfd.render(detailed(), shape)
    own = max(float(full.diff(n=2, dim=axis).abs().max()) / 8 for axis in (1, 2))
    got, asked = render_adaptive(detailed(), shape, tolerance=own)
    assert float((got - full).abs().max()) <= own
    assert asked <= 0.05 * full.numel()


def test_by_spread_only_what_differs_is_asked_closely():
    """Two draws that agree but for the spot: outside it few are asked, inside pixels are exact."""
    shape, fields = (512, 512), detailed(2)
    full, (got, asked) = nfd.render(fields, shape), render_adaptive(fields, shape, tolerance=1e-3, by="spread")
    differs = (full[1] - full[0]).abs()[..., 0] > 0.02
    assert asked < 0.15 * 512**2 and torch.allclose(got[:, differs], full[:, differs], atol=1e-6)


def test_blocks_cut_short_by_the_picture_are_filled_too():
    """A parabola is what a block is filled with, so it comes out right in every pixel, in any number of them."""
    fields = EvaluatedFields(lambda x, part: (x.square().sum(-1) + x[..., 0] * x[..., 1])[None, :, None], 1, 2)
    got, asked = render_adaptive(fields, (515, 611), tolerance=10.0)
    torch.testing.assert_close(got, nfd.render(fields, (515, 611)), rtol=0, atol=1e-5)
    assert asked < 0.03 * 515 * 611


def test_a_margin_is_refined_beside_what_bends():
    bent = [render_adaptive(detailed(), (512, 512), tolerance=0.01, margin=m)[1] for m in (0, 1, 3)]
    assert bent[0] < bent[1] < bent[2]
