"""Ablation: each arm takes away what it says and nothing else, and a kept table belongs to the weights that ship."""

from dataclasses import replace

import pytest
import torch

import nfdlab as nfd
from nfdlab import problems, store
from nfdlab.core.capabilities import Silenceable
from nfdlab.core.types import ObservationBatch
from nfdlab.evaluate import ablation
from nfdlab.evaluate.ablation import BASE, FULL, ChannelDraws, GaussianDraws, LinearReading, silenced
from nfdlab.evaluate.stamp import cases_of
from nfdlab.evaluate.table import compare
from nfdlab.gaussian.cosines import CosineGaussian
from nfdlab.gaussian.karhunen_loeve import LEAST_NOISE
from nfdlab.inference.posterior import LatentNetwork

GRID = nfd.cell_centres((24,))


def seen_of(problem, m=4):
    return nfd.observe(problem.draw(1, seed=3), nfd.patterns.Random(count=m), seed=4)


def test_gaussian_draws_have_the_mean_and_covariance_of_the_draws():
    """On two-humped draws: the first two moments agree within 5 standard errors, the humps are gone."""
    problem = problems.get("step1d")
    seen, exact = seen_of(problem, 3), problem.oracle()
    base, n = exact.draw(seen, BASE, seed=5)(GRID)[..., 0], 4000
    found = GaussianDraws(exact).draw(seen, n, seed=5)(GRID)[..., 0]
    spread = base.std(0)
    open_ = spread > 0.1
    assert open_.sum() >= 3
    assert ((found.mean(0) - base.mean(0)).abs() <= 5 * spread / n**0.5 + 1e-5).all()
    z = ((found - base.mean(0)) / spread.clamp_min(1e-6))[:, open_]
    wanted = torch.corrcoef(base[:, open_].T)
    assert ((z.T @ z / n - wanted).abs() < 5 * 2**0.5 / n**0.5).all()
    between = ((found > 0.2) & (found < 0.8)).float().mean(0)[open_]
    assert (between > 0.1).all() and not ((base > 0.2) & (base < 0.8)).any()


def test_arms_of_the_same_draws_are_drawn_once():
    calls = []

    class Counted:
        def draw(self, seen, n, *, seed, steps=None):
            calls.append(n)
            return problems.get("gp1d").draw(n, seed=seed)

    arm, (a, b) = ablation.DrawnOnce(Counted()), (seen_of(problems.get("gp1d"), m) for m in (3, 4))
    first = arm.draw(a, 5, seed=1)(GRID)
    assert torch.equal(GaussianDraws(arm).fitted.draw(a, 9, seed=2)(GRID)[:5], first) and calls == [BASE]
    assert not torch.equal(arm.draw(b, 5, seed=2)(GRID), first) and calls == [BASE, BASE]


def test_gaussian_draws_only_append():
    arm, seen = GaussianDraws(problems.get("gp1d").oracle()), seen_of(problems.get("gp1d"))
    assert torch.allclose(arm.draw(seen, 6, seed=1)(GRID)[:4], arm.draw(seen, 4, seed=1)(GRID), atol=1e-6)


class Linear(LatentNetwork):
    """A field that is linear in its latent: f(x) = a + b x + 1."""

    shape = (2,)

    def __init__(self):
        super().__init__()
        self.denoiser = None

    def evaluate(self, coords, prepared):
        (latent,) = prepared
        x = coords[None] if coords.ndim == 2 else coords
        return latent[:, :1, None] + latent[:, 1:, None] * x + 1


def test_a_linear_reading_of_a_linear_field_is_that_field():
    net, latents = Linear(), torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    functions = nfd.core.fields.EvaluatedFields(lambda x, part: net.values(x, latents[part]), 500, 1)
    reading, some = LinearReading(net, latents, functions), torch.tensor([[0.3, -1.2], [2.0, 0.5]])
    own = torch.linspace(-1, 1, 10).reshape(2, 5, 1)
    for coords in (GRID, own):
        assert torch.allclose(reading.values(coords, some), net.values(coords, some), atol=0.01)


@pytest.mark.parametrize("approach,name", [("score_field", "gp1d"), ("adaptive_sampling", "step1d")])
def test_a_silent_network_is_the_priors_own_answer_and_the_original_is_untouched(approach, name):
    model, problem = nfd.load(approach, name, device="cpu"), problems.get(name)
    before = {key: value.clone() for key, value in model.tensors().items()}
    silent, seen = silenced(model, "network", problem), seen_of(problem)
    x = torch.randn(3, *model.net.shape, generator=torch.Generator().manual_seed(1))
    for one, differs in ((silent, False), (model, True)):
        denoiser, D = one.net.denoiser, one.denoiser(None)
        mean = denoiser.prior(x, torch.tensor(0.7))[0]
        assert ((D(x, torch.tensor(0.7)) - mean).abs().max() > 1e-4) == differs
    silent.draw(seen, 2, seed=0, steps=3)(nfd.cell_centres((8,) * problem.d))
    assert all(torch.equal(value, before[key]) for key, value in model.tensors().items())


def test_what_has_no_meaning_is_left_out():
    sawtooth = problems.get("sawtooth1d")
    amortised = nfd.load("sparse_conditional", "sawtooth1d", device="cpu")
    assert silenced(amortised, "network", sawtooth) is None            # a white prior knows nothing of observations
    assert set(ablation.arms(amortised, sawtooth)) == {FULL, ablation.FIELD, ablation.GAUSSIAN, ablation.EXACT_GAUSSIAN}
    modulated = nfd.load("modulated_field", "sawtooth1d", device="cpu")
    assert silenced(modulated, "field", sawtooth) is None              # its field is all there is


def test_every_denoiser_can_be_silenced():
    for pair in store.shipped():
        net = nfd.load(*pair, device="cpu").net
        assert any(isinstance(m, Silenceable) for m in net.modules()), pair


def test_a_kept_table_is_read_again_and_belongs_to_its_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(ablation, "folder", lambda: tmp_path)
    model, problem = nfd.load("stochastic_field", "gp1d", device="cpu"), problems.get("gp1d")
    table = ablation.ablate(replace(model, steps=2), problem, tasks=2, draws=4)
    assert {"optimal_interpolation", "kriging", "exact", FULL, ablation.NETWORK} <= set(table.contestants)
    path = ablation.keep(table, "stochastic_field", "as a test does")
    again = ablation.kept("stochastic_field", "gp1d")
    for name in table.contestants:
        assert again.ratio("crps", name)["crps"].tolist() == pytest.approx(table.ratio("crps", name)["crps"].tolist(),
                                                                           rel=1e-3)
    worth = ablation.worth(again)
    assert worth.loc[FULL, "to full"] == 1 and worth.loc["exact", "to exact"] == 1
    path.write_text(path.read_text(encoding="utf-8").replace('"tasks": 2', '"tasks": 3'), encoding="utf-8")
    with pytest.raises(ValueError, match="came: ") as error:
        ablation.kept("stochastic_field", "gp1d")
    assert "nfdlab ablate stochastic_field gp1d" in str(error.value)
    with pytest.raises(ValueError, match="nfdlab ablate score_field gp1d"):
        ablation.kept("score_field", "gp1d")


KEPT = sorted(tuple(path.stem.split("--")) for path in ablation.folder().glob("*.csv"))


def test_every_approach_that_ships_has_a_kept_table():
    assert {approach for approach, _ in KEPT} == {approach for approach, _ in store.shipped()}


@pytest.mark.parametrize("approach,name", KEPT)
def test_two_cells_of_a_kept_table_are_what_the_shipped_weights_do(approach, name):
    """The first task of two cells, computed again: its CRPS is the kept one's, within the half width of the cell's 95 %
    interval."""
    table, model, problem = ablation.kept(approach, name), nfd.load(approach, name, device="cpu"), problems.get(name)
    cases = [(m, case) for m, case in cases_of(problem, approach) if case is not None]
    arms = ablation.arms(model, problem)
    arm = next(arm for arm in ablation.ARMS if arm in arms)
    both = {FULL: arms[FULL]} if arm == ablation.GAUSSIAN else {}         # which is made of the whole's own draws
    for name, contestants, (m, case) in ((FULL, {FULL: model}, cases[0]), (arm, both | {arm: arms[arm]}, cases[-1])):
        again = compare(contestants, problem, pattern={m: case}, tasks=1, draws=table.draws, seed=table.seed,
                        against=contestants[name]).values("crps", name)[m]
        cell = table.values("crps", name)[str(m)]
        assert abs(again[0] - cell[0]) <= 1.96 * cell.std(ddof=1) / len(cell) ** 0.5


def test_without_its_networks_an_encoder_that_is_shown_a_gaussian_answers_as_that_gaussian():
    """Draws have its mean and deviation at every place, within five standard errors of 2,000; they are functions."""
    channels = CosineGaussian(1, 1, (48,), 6)                            # so that much is left
    channels.calibrate(nfd.problems.get("gp1d").draw(4096, seed=0)(channels.places))
    seen = nfd.observe(nfd.problems.get("gp1d").draw(1, seed=1), nfd.patterns.Random(count=5), seed=1)
    at, n = torch.linspace(-1, 1, 33)[:, None], 2000
    draws = ChannelDraws(channels).draw(seen, n, seed=2)
    values = draws(at)
    mean, variance = channels.predict(channels.condition(ObservationBatch.of([seen])), at)
    std = (variance[0] - LEAST_NOISE**2).sqrt()
    assert ((values.mean(0) - mean[0]).abs() < 5 * std / n**0.5).all()
    assert ((values.std(0) / std - 1).abs() < 5 / (2 * n) ** 0.5).all()
    torch.testing.assert_close(draws(at[7:9]), values[:, 7:9])
    model = nfd.load("temporal_field", "film2dt")
    assert isinstance(silenced(model, "network", nfd.problems.get("film2dt")), ChannelDraws)
    assert silenced(nfd.load("sparse_conditional", "digits2d"), "network", nfd.problems.get("digits2d")) is None
