"""Whatever the kit does on the CPU it does on a second device, with the same values: no operation mixes the two.

The second device is that of `tests/second_device.py`, which needs no GPU: it checks places and branches, and neither
kernels nor speed. Where there is a GPU, `nfdlab doctor --device cuda` measures those.
"""

from dataclasses import replace
from functools import cache

import pytest
import torch
from second_device import DEVICE, Mixed, second_device

import nfdlab as nfd
from nfdlab import approaches, problems, store
from nfdlab.core.capabilities import HasAsk, HasLatents, HasMoments, HasSequential
from nfdlab.core.types import Observations
from nfdlab.inference.posterior import GUIDES, LatentPosterior

STEPS, FEW = 2, {"num_particles": 8, "rounds": 3}
SAMPLERS = ("euler", "heun", "ancestral")
GRID = {1: (9,), 2: (4, 3), 3: (3, 2, 2)}


def few(path, device: str):
    """A trained approach with few sampling steps and few particles."""
    fitted = replace(store.load(path, device=device), steps=STEPS)
    return fitted.using(**FEW) if isinstance(fitted, LatentPosterior) else fitted


@cache
def questions(name: str) -> dict:
    """What is asked of a problem's models: places, a function, observations of it and averages, on the CPU."""
    problem, rng = problems.get(name), torch.Generator().manual_seed(1)
    truth = problem.draw(2, seed=1)
    return {"places": 2 * torch.rand(7, problem.d, generator=rng) - 1, "grid": nfd.cell_centres(GRID[problem.d]),
            "fields": truth, "seen": nfd.observe(truth[0], nfd.patterns.Random(count=4), noise_std=0.1, seed=2),
            "averages": nfd.observe(truth[0], nfd.patterns.BlockAverage(cells=2, parts=2), noise_std=0.1, seed=3)}


def draws(fitted, ask: dict):
    """Draws by each way that observations enter, by each sampler, and of the prior, by name: values at places."""
    seen, places = ask["seen"], ask["places"]
    prior, usual = fitted.draw(None, 2, seed=1), fitted.draw(seen, 2, seed=2)
    yield "prior", prior(places)
    yield "usual guide, on a grid", usual(ask["grid"])
    yield "one draw, own places", usual[1:](places[None])
    moved = Observations(seen.coords.to(fitted.device), seen.values.to(fitted.device), seen.noise_std)
    yield "asked from where it is", fitted.draw(moved, 2, seed=2)(places.to(fitted.device))
    for sampler in SAMPLERS:
        yield sampler, fitted.draw(seen, 2, seed=3, sampler=sampler)(places)
    if not isinstance(fitted, LatentPosterior):
        return
    for guide in guides(fitted):
        yield guide, fitted.draw(seen, 2, seed=4, guide=guide)(places)
    if "floor" in fitted.about:
        for guide in ("particles", "linearised"):
            yield f"{guide}, averages", fitted.draw(ask["averages"], 2, seed=5, guide=guide)(places)


def guides(fitted: LatentPosterior) -> list[str]:
    """Those that its weights allow."""
    return ["encoder"] * fitted.net.amortised + [g for g in GUIDES if "floor" in fitted.about]


def extras(fitted, ask: dict):
    """What some approaches offer beside draws, by name."""
    seen, places = ask["seen"], ask["places"]
    if isinstance(fitted, HasAsk):
        yield "ask", fitted.ask(seen, places, seed=1, draws=3)
    if isinstance(fitted, HasSequential):
        particles = fitted.sequential(seed=1)
        for k in range(seen.m):
            particles = particles.tell(seen.take(slice(k, k + 1)))
        yield "sequential", particles.draw(3, seed=2)(places)
    if isinstance(fitted, HasLatents):
        latents = fitted.encode(ask["fields"])
        assert latents.device == fitted.device
        yield from (("latents", latents.cpu()), ("decoded", fitted.decode(latents)(places)))
    if isinstance(fitted, HasMoments):
        yield from zip(("mean", "std"), fitted.moments(seen, places), strict=True)
    for name, knobs in {"linear": {"averages"}}.items():
        if fitted.about["approach"] == "score_field":
            yield name, fitted.draw(ask[knobs.pop()], 2, seed=5)(places)


def apart(a: torch.Tensor, b: torch.Tensor) -> float:
    """Largest difference in units of the scale."""
    return float((a.cpu() - b.cpu()).abs().max()) / float(b.abs().max())


@pytest.mark.parametrize("approach,problem", sorted(store.shipped()))
def test_a_shipped_pair_works_elsewhere_as_it_does_here(approach, problem, tmp_path):
    """Loading, conditioning, denoising, each guide and sampler, decoding, `ask`, saving."""
    path, ask = store.shipped()[approach, problem], questions(problem)
    here = few(path, "cpu")
    expected = {name: value for part in (draws, extras) for name, value in part(here, ask)}
    with second_device() as device:
        there = few(path, device)
        assert {t.device for t in there.tensors().values()} == {DEVICE}
        found = {name: value for part in (draws, extras) for name, value in part(there, ask)}
        saved = nfd.save(there, tmp_path / "weights.safetensors")
    assert found.keys() == expected.keys()
    wrong = {name: f"{apart(found[name], value):.1e}" for name, value in expected.items()
             if apart(found[name], value) > 1e-5}
    assert not wrong
    assert {name for name, value in found.items() if value.device == DEVICE} == {"asked from where it is"}
    again = store.load(saved, device="cpu").tensors()
    assert all(torch.equal(again[key], value) for key, value in here.tensors().items())
