"""A trained model may be shared by threads, drawing writes nothing into it; and models and draws by processes."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context

import pytest
import torch

import nfdlab as nfd
from nfdlab import store
from nfdlab.core.types import Observations

THREADS = 8


def loaded(approach, problem):
    """Shipped weights; of sequential Monte Carlo few particles, which promise the same as many."""
    fitted = store.load(store.shipped()[approach, problem], device="cpu")
    if fitted.about["config"].get("guide") in ("particles", "reweighted"):
        fitted = fitted.using(num_particles=16, rounds=2)
    return fitted


def seen_by(fitted) -> Observations:
    rng, d, c = torch.Generator().manual_seed(1), fitted.about["d"], fitted.about["c"]
    return Observations(2 * torch.rand(6, d, generator=rng) - 1, torch.randn(6, c, generator=rng), 0.1)


def draw(fitted, seen, seed: int):
    return fitted.draw(seen, 2, seed=seed, steps=3)


def asked(fields, seed: int) -> torch.Tensor:
    """Values at places of the seed's own."""
    return fields(2 * torch.rand(20, fields.d, generator=torch.Generator().manual_seed(seed)) - 1)


def contents(net: torch.nn.Module) -> dict:
    """What a network holds: every attribute of every part by identity, every tensor with how often it was written."""
    found = {}
    for name, module in net.named_modules():
        for key, value in vars(module).items():
            found[name, key] = id(value) if not isinstance(value, dict) else {k: id(v) for k, v in value.items()}
    return {**found, **{("version", k): t._version for k, t in net.state_dict(keep_vars=True).items()}}


@pytest.mark.parametrize("approach,problem", sorted(store.shipped()))
def test_eight_threads_draw_what_one_draws(approach, problem):
    """Draws of one model at once are those one after the other of another copy: equal to 1e-5 of the scale, since the
    last bits of a matrix product depend on where its memory lies. Copies are fresh, so that what is computed on the
    first draw is computed by eight threads at once."""
    shared, alone = loaded(approach, problem), loaded(approach, problem)
    seen = seen_by(shared)
    questions = [(None if i % 4 == 3 else Observations(seen.coords, seen.values + i % 4, seen.noise_std), i)
                 for i in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:                    # all are drawn before the first is asked
        draws = list(pool.map(lambda question: draw(shared, *question), questions))
        together = list(pool.map(asked, draws, range(THREADS)))
    for (observations, seed), found in zip(questions, together, strict=True):
        expected = asked(draw(alone, observations, seed), seed)
        assert float((found - expected).abs().max()) < 1e-5 * float(expected.abs().max())


@pytest.mark.parametrize("approach,problem", sorted(store.shipped()))
def test_drawing_writes_nothing_into_a_network(approach, problem):
    fitted = loaded(approach, problem)
    seen, before = seen_by(fitted), contents(fitted.net)
    asked(draw(fitted, seen, 0), 0), asked(draw(fitted, None, 1), 1)
    after = contents(fitted.net)
    assert {key for key in after if after[key] != before.get(key)} == set()




def test_a_spawned_worker_is_sent_models_and_sends_draws():
    """A process that shares nothing: model and observations go there, draws come back as functions."""
    truth = nfd.problems.get("gp1d").draw(1, seed=0)
    seen, grid = nfd.observe(truth, nfd.patterns.Random(count=4), seed=1), nfd.cell_centres((9,))
    asked = (nfd.load("sparse_conditional", "gp1d", device="cpu"), nfd.problems.get("gp1d").oracle())
    with get_context("spawn").Pool(1) as pool:
        for fitted in asked:
            there = pool.apply(partial(fitted.draw, seen, 2, seed=3))
            torch.testing.assert_close(there(grid), fitted.draw(seen, 2, seed=3)(grid), rtol=0, atol=1e-5)
