"""Linear observations at the doors: who takes them draws better than the prior, everyone else refuses and says who."""

import pytest
import torch

import nfdlab as nfd
from nfdlab import baselines, problems, store
from nfdlab.core.types import LinearObservations
from nfdlab.evaluate.scores import crps

SHIPPED = sorted(store.shipped())
GUIDED = {"latent_field", "score_field", "weight_diffusion", "adaptive_sampling"}
BOXED = {"coarse_to_fine"}                                                       # averages over boxes, no others
OTHERWISE = {"modulated_field", "temporal_field", "sparse_features"}                          # by another guide
POINTS = "adaptive_sampling", "digits2d"                        # its denoiser is given readings at points
TASKS, DRAWS, STEPS = 5, 12, 6


def four_parts(error) -> bool:
    return all(part in str(error.value) for part in ("\n  came: ", "\n  why:  ", "\n  do:   "))


def quick(approach: str, name: str, **knobs):
    fitted = nfd.load(approach, name, device="cpu")
    if "num_particles" in fitted.about["config"]:
        fitted.about["config"].update(num_particles=64, rounds=6)
    return fitted.using(**knobs) if knobs else fitted


@pytest.mark.parametrize("approach,name,knobs", [
    *((approach, name, {}) for approach, name in SHIPPED if approach in GUIDED | BOXED and (approach, name) != POINTS),
    ("modulated_field", "sawtooth1d", {"guide": "particles"})])
def test_draws_given_block_averages_are_better_than_the_priors(approach, name, knobs):
    """CRPS of five tasks in all below two thirds of that of the prior."""
    problem, fitted = problems.get(name), quick(approach, name, **knobs)
    points = nfd.cell_centres({1: (64,), 2: (12, 12)}[problem.d])
    pattern, told, prior = nfd.patterns.BlockAverage(cells={1: 8, 2: 7}[problem.d], parts=2), 0.0, 0.0
    for i in range(TASKS):
        truth = problems.held_out(problem).draw(1, seed=50 + i)
        seen = nfd.observe(truth, pattern, noise_std=0.05, seed=i)
        for given in (seen, None):
            score = float(crps(fitted.draw(given, DRAWS, seed=i, steps=STEPS)(points), truth(points)[0]))
            told, prior = (told + score, prior) if given is not None else (told, prior + score)
    assert told < 0.67 * prior


def averages(name: str) -> LinearObservations:
    problem = problems.get(name)
    pattern = nfd.patterns.BlockAverage(cells=2, parts=2)
    return nfd.observe(problems.held_out(problem).draw(1, seed=0), pattern, seed=1)


@pytest.mark.parametrize("approach,name", [pair for pair in SHIPPED if pair[0] not in GUIDED | BOXED] + [POINTS])
def test_who_reads_points_refuses_and_says_who_does_not(approach, name):
    knobs = {"guide": "encoder"} if approach in OTHERWISE else {}
    with pytest.raises(TypeError, match="optimal_interpolation") as error:
        nfd.load(approach, name, device="cpu").draw(averages(name), 2, seed=0, **knobs)
    assert four_parts(error) and all(other in str(error.value) for other in GUIDED | OTHERWISE | BOXED)


@pytest.mark.parametrize("name", sorted({*baselines.names()} - {"climatology", "optimal_interpolation"}))
def test_classical_baselines_refuse_too(name):
    with pytest.raises(TypeError, match="optimal_interpolation") as error:
        baselines.get(name).draw(averages("bump2d" if name == "adaptive_grid" else "gp1d"), 2, seed=0)
    assert four_parts(error)


@pytest.mark.parametrize("approach", sorted(OTHERWISE))
def test_the_guides_that_the_refusal_names_take_them(approach):
    name = min((problems.get(name).d, name) for key, name in SHIPPED if key == approach)[1]       # the quickest
    for guide in ("linearised", "particles"):
        draws = quick(approach, name).draw(averages(name), 2, seed=0, steps=2, guide=guide)
        assert draws(nfd.cell_centres((3,) * draws.d)).isfinite().all()


def test_a_table_scores_linear_patterns():
    problem = problems.get("gp1d")
    pattern = nfd.patterns.BlockAverage(cells=4)
    table = nfd.score(nfd.load("score_field", "gp1d", device="cpu"), problem, pattern=pattern, tasks=2, draws=8)
    assert set(table.rows["m"]) == {4} and torch.tensor(table.rows["crps"].to_numpy()).isfinite().all()
