"""Inputs that people bring, numbers of numpy, masks, equal values, thin patterns: accepted where they mean something,
and refused in four parts where not."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import nfdlab as nfd
from nfdlab.core.types import LinearObservations, Observations
from nfdlab.evaluate.bench import grid
from nfdlab.evaluate.continuity import consistency, gradient_error, seam_jump
from nfdlab.evaluate.table import measured
from nfdlab.observation.active import Search
from nfdlab.problems.arrays import Arrays, observations

SMOOTH = nfd.problems.get("gp1d")


def refused(kind, call, words="came: "):
    with pytest.raises(kind, match=words) as error:
        call()
    assert all(part in str(error.value) for part in ("\n  came: ", "\n  why:  ", "\n  do:   "))


def test_numbers_of_numpy_are_numbers():
    truth = SMOOTH.draw(np.int64(3), seed=np.int32(2))
    assert torch.equal(truth(nfd.cell_centres((5,))), SMOOTH.draw(3, seed=2)(nfd.cell_centres((5,))))
    assert truth[np.int64(1)].n == 1 and truth[-1].n == 1
    seen = Observations(torch.zeros(1, 1), torch.zeros(1, 1), np.float32(0.25))
    assert seen.noise_std == 0.25 and type(seen.noise_std) is float
    assert Arrays(np.random.default_rng(0).normal(size=(40, 80)), patch=np.int64(8)).patch == (8, 8)


@pytest.mark.parametrize("draws", [[], [0, 1], "first", slice(2, 2), slice(0, 3, 2), 1.0, 7])
def test_draws_are_taken_singly_or_in_a_row(draws):
    refused(IndexError, lambda: SMOOTH.draw(3, seed=0)[draws])


def test_thin_patterns_end_with_a_sentence():
    for pattern in (nfd.patterns.Clusters(count=5, width=1e-9), nfd.patterns.Border(count=5, width=1e-12),
                    nfd.patterns.Lines(count=20, width=1e-6)):
        refused(ValueError, lambda pattern=pattern: pattern.coords(2, seed=0), "wide enough")


def test_fields_of_no_coordinates_or_channels_are_refused():
    refused(ValueError, lambda: Observations(torch.zeros(2, 0), torch.zeros(2, 1)))
    refused(ValueError, lambda: Observations(torch.zeros(2, 1), torch.zeros(2, 0)))


def test_doors_say_what_they_want():
    refused(TypeError, lambda: nfd.score(5, SMOOTH)), refused(TypeError, lambda: nfd.score(SMOOTH.oracle(), 5))
    refused(TypeError, lambda: nfd.train("score_field", "gp1d", budget=5))
    refused(TypeError, lambda: nfd.train("score_field", "gp1d", budget="smoke", seed=None))
    refused(TypeError, lambda: nfd.load(None)), refused(ValueError, lambda: nfd.train("score_field", "arrays"), "data")
    for out in ([1], np.zeros((1, 8, 1), int)):
        refused(TypeError, lambda out=out: nfd.render(SMOOTH.draw(1, seed=0), (8,), out=out), "floating point")


def test_what_is_masked_is_not_data():
    values = np.random.default_rng(0).normal(size=(8, 20))
    refused(ValueError, lambda: Arrays(np.ma.masked_less(values, 0)), "mask")
    refused(ValueError, lambda: observations(np.ma.masked_less(values, 0)), "mask")
    refused(ValueError, lambda: observations([[1.0, 2.0], [3.0]]), "a table of numbers")
    assert Arrays(np.ma.masked_less(values, -99)).c == 1, "nothing is masked"
    refused(TypeError, lambda: Arrays([[1.0, 2.0], [3.0]]))


def test_tensors_of_any_real_kind_are_data():
    values = torch.rand(8, 20, generator=torch.Generator().manual_seed(0))
    for kind in (values.clone().requires_grad_(), values.bfloat16(), (10 * values).int()):
        assert Arrays(kind).d == 1 and observations(kind[:, :3]).m == 8
    refused(ValueError, lambda: observations(values[:, :6]), "columns=")


def test_a_knob_of_own_data_can_be_changed():
    """They are built again from the same numbers: one name, one hash."""
    problem = Arrays(np.random.default_rng(0).normal(size=(12, 20)))
    other = replace(problem, test_share=0.5)
    assert other.data == problem.data and len(other._sides["test"]) == 6 and replace(other, smooth=False).c == 1


def test_equal_values_have_no_spread_but_rounding():
    """Twelve times 273.15: the standard deviation of the sum's rounding is no scale."""
    table = np.column_stack([np.linspace(0, 1, 12), np.full(12, 273.15)])
    found = observations(table)
    assert found.scaling.std == (1.0,) and found.values.abs().max() < 1e-6
    assert Arrays(np.full((12, 40), 273.15)).scaling.std == (1.0,)
    table[3, 1] += 1e-6
    assert observations(table).scaling.std[0] < 1e-5, "a small spread is a spread"


def test_sizes_that_memory_cannot_hold_are_refused():
    most = 10**12
    for call in (lambda: nfd.cell_centres((most,)), lambda: nfd.cell_centres((10**5, 10**5)),
                 lambda: SMOOTH.draw(most, seed=0), lambda: nfd.patterns.Random(count=most),
                 lambda: nfd.render(SMOOTH.draw(2, seed=0), (most,)),
                 lambda: nfd.patterns.Clusters(count=10**7, clusters=10**4).coords(2, seed=0),
                 lambda: nfd.patterns.Random(share=0.1).coords(8, seed=0),
                 lambda: nfd.patterns.BlockAverage(16, 4).rows(4, seed=0),
                 lambda: nfd.patterns.Blur(count=9).rows(9, seed=0),
                 lambda: nfd.patterns.Random(count=1).coords(most, seed=0)):
        refused(ValueError, call)
    assert nfd.cell_centres((np.int64(4),)).shape == (4, 1)


def test_a_config_of_which_no_network_can_be_made_is_refused():
    kind = nfd.approaches.get("sparse_conditional")
    refused(TypeError, lambda: kind(depth="two")), refused(ValueError, lambda: kind(lr=float("nan")))
    refused(TypeError, lambda: kind(widths=3), "tuple")
    refused(ValueError, lambda: kind(widths=("wide",)).build(1, 1), "network")
    assert kind(widths=[32, 48]) == kind(widths=(32, 48))
    refused(ValueError, lambda: nfd.approaches.get("coarse_to_fine")(width=3).build(1, 1), "network")
    refused(TypeError, lambda: nfd.train(kind, "gp1d", budget="smoke"), "an Approach")


def test_observations_beyond_single_precision_are_refused_by_everyone():
    at = torch.zeros(1, 1)
    for seen in (Observations(at, at.double() + 1e300), Observations(at, at, 1e300),
                 LinearObservations(at, at + 1e30, at)):
        for fitted in (SMOOTH.oracle(), nfd.problems.get("sawtooth1d").oracle(), nfd.baselines.get("kriging")):
            kind = TypeError if isinstance(seen, LinearObservations) and not hasattr(fitted, "prior") else ValueError
            refused(kind, lambda fitted=fitted, seen=seen: fitted.draw(seen, 1, seed=0))


def test_what_measures_says_what_it_needs():
    fields, one = SMOOTH.draw(2, seed=0), torch.zeros(1, 1)
    refused(ValueError, lambda: consistency(fields, one[:0]))
    refused(ValueError, lambda: gradient_error(fields, SMOOTH.draw(1, seed=0), one, step=1e-30))
    refused(TypeError, lambda: seam_jump(fields, b"x")), refused(ValueError, lambda: measured(fields, one, 1))
    refused(ValueError, lambda: nfd.score(SMOOTH.oracle(), SMOOTH, counts=(1,), tasks=1, draws=2, points=one))
    refused(ValueError, lambda: Search(SMOOTH.oracle(), 5, 0)), refused(TypeError, lambda: Search(3, 1, 0))
    refused(ValueError, lambda: grid(["nearest"], 3)), refused(ValueError, lambda: grid(3.0, ["gp1d"]))
    refused(ValueError, lambda: SMOOTH.oracle().moments(None, one.T[0]))
    refused(TypeError, lambda: nfd.score(SMOOTH.oracle(), SMOOTH, counts=3, tasks=1, draws=2), "counts")
    refused(TypeError, lambda: nfd.score(SMOOTH.oracle(), SMOOTH, pattern=3, tasks=1, draws=2), "pattern")
    refused(ValueError, lambda: measured(1e30 * torch.ones(2, 5, 1), torch.ones(5, 1), 1), "infinite")


def test_places_of_any_precision_are_candidates():
    seen = Observations(torch.tensor([[0.5]], dtype=torch.float64), torch.tensor([[1.0]], dtype=torch.float64), 0.1)
    for kind in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        search = Search(SMOOTH.oracle(), 1, 0, seen=seen, candidates=nfd.cell_centres((8,)).to(kind), draws=4)
        assert search.ask().dtype == torch.float32


def test_averages_of_no_places_are_answered():
    ball = nfd.problems.get("ball3dt")
    seen = LinearObservations(torch.zeros(0, 4), torch.zeros(1, 0), torch.zeros(1, 1), 0.1)
    assert ball.oracle().draw(seen, 2, seed=0)(torch.zeros(1, 4)).isfinite().all()


def test_places_a_hair_apart_are_one_place():
    at = torch.tensor([[0.3], [0.3 + 1e-12], [0.7]], dtype=torch.float64)
    seen = Observations(at, torch.tensor([[1.0], [-1.0], [0.5]], dtype=torch.float64))
    for name in nfd.baselines.names():
        draws = nfd.baselines.get(name, SMOOTH).draw(seen, 1, seed=0)
        assert float(draws(nfd.cell_centres((50,))).abs().max()) < 20


def test_huge_numbers_of_data_are_refused_and_columns_are_a_list():
    refused(ValueError, lambda: observations(np.full((3, 2), 1e300) * [[1], [2], [3]]), "infinite")
    refused(ValueError, lambda: Arrays(1e300 * np.random.default_rng(0).normal(size=(8, 20))), "infinite")
    refused(TypeError, lambda: observations(np.eye(3), columns=1))


def test_a_latent_is_of_the_model(tmp_path):
    model = nfd.load("adaptive_sampling", "step1d", device="cpu")
    shape = (1, *model.net.shape)
    for latent in (None, torch.zeros(2, 99), torch.full(shape, float("nan")), torch.zeros(shape, dtype=torch.int64)):
        refused(ValueError, lambda latent=latent: model.fields(None, latent))
        refused(ValueError, lambda latent=latent: model.decode(latent))
    refused(TypeError, lambda: nfd.save(model, {}))
    refused(OSError, lambda: nfd.save(model, tmp_path / "\0.safetensors"))


def test_a_box_ends_where_arithmetic_says():
    assert float(observations(np.array([[0.1 * 3, 1.0], [0.1, 2.0]]), box=[(0, 0.3)]).coords.max()) == 1
    refused(ValueError, lambda: observations(np.array([[0.3001, 1.0], [0.1, 2.0]]), box=[(0, 0.3)]), "outside|inside")
    refused(ValueError, lambda: observations(np.random.default_rng(0).random((5, 2)), box={"x": (0, 1)}), "box")
    refused(ValueError, lambda: observations(np.empty((0, 3))), "at least 1")


@pytest.mark.parametrize("shape,knobs", [((9, 12, 20, 3), {}), ((9, 3, 12, 20), {}), ((9, 20, 4), {}), ((9, 1, 20), {}),
                                         ((40, 60, 3), {"patch": 8}), ((3, 40, 60), {"patch": 8})])
def test_an_axis_of_colours_is_not_taken_for_space(shape, knobs):
    """Three pictures side by side would be smoothed into one another: it must be said. A patch with a size for each
    axis says it too."""
    data = np.random.default_rng(0).normal(size=shape)
    refused(ValueError, lambda: Arrays(data, **knobs), "channels_last=True for channels; channels_last=False for cells")
    assert Arrays(data, channels_last=True, **({"patch": 2} if knobs else {})).c == shape[-1]
    if knobs == {}:
        assert Arrays(data, channels_last=False).d == len(shape) - 1
    elif shape[0] == 3:
        assert Arrays(data, patch=(3, 8, 8)).patch == (3, 8, 8)


@pytest.mark.parametrize("shape", [(9, 3), (9, 4, 4), (9, 3, 5, 20), (9, 5, 20), (3, 20), (3, 12, 20)])
def test_small_grids_and_few_functions_need_no_word(shape):
    assert Arrays(np.random.default_rng(0).normal(size=shape)).d == len(shape) - 1


@pytest.mark.parametrize("noise_std", [0, 1e-6])
def test_two_values_at_one_place_need_noise(noise_std):
    """Whichever way they come; the sentence names the noise that explains them, in their own units."""
    coords, values = torch.tensor([[0.0], [0.5], [0.0]]), torch.tensor([[1.0], [2.0], [1.6]])
    refused(ValueError, lambda: Observations(coords, values, noise_std), r"noise_std=0\.424, or one value")
    refused(ValueError, lambda: LinearObservations(coords, torch.eye(3)[[0, 1, 0]], values, noise_std), "repeated")
    table = np.column_stack([[3.0, 4.0, 5.0, 3.0], [280.0, 290.0, 300.0, 283.0]])
    refused(ValueError, lambda: observations(table, noise_std=noise_std), r"noise_std=2\.12, or one value")
    fine = observations(table, noise_std=2.12)
    assert fine.m == 4 and nfd.baselines.get("kriging").draw(fine, 8, seed=0)(fine.coords).abs().max() < 6


def test_what_repeats_itself_is_no_contradiction():
    """Equal to rounding, or to noise that was said."""
    coords, values = torch.tensor([[0.0], [0.5], [0.0]]), torch.tensor([[1.0], [2.0], [1.0 + 1e-6]])
    assert Observations(coords, values, 0.0).m == 3
    assert Observations(coords, values + 0.8 * (coords == 0).cumsum(0), 0.05).m == 3, "outliers among readings"
    assert Observations(torch.zeros(0, 1), torch.zeros(0, 1), 0.0).m == 0
    truth, places = SMOOTH.draw(1, seed=0), torch.zeros(2, 1)
    assert Observations(places, truth(places)[0], 0.0).m == 2


def test_moments_are_finite_at_places_of_half_precision():
    """A value a thousand standard deviations away, whose square half precision cannot hold."""
    seen = nfd.Observations(torch.tensor([[0.3, -0.2]]), torch.tensor([[1000.0]]), 0.05)
    places = torch.tensor([[0.3, -0.2], [0.8, 0.5]])
    oracle = nfd.problems.get("two_speed1dt").oracle()
    for rough, fine in zip(oracle.moments(seen, places.half()), oracle.moments(seen, places), strict=True):
        assert rough.dtype == torch.float32 and torch.isfinite(rough).all()
        assert (rough - fine).abs().max() < 0.05 * max(1.0, float(fine.abs().max()))


def test_seams_are_a_list():
    with pytest.raises(TypeError, match="a list of numbers"):
        seam_jump(nfd.problems.get("gp1d").draw(1, seed=0), torch.tensor(0.5))
