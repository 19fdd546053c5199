"""Whatever the kit does on the CPU it does on a second device, with the same values: no operation mixes the two.

The second device is that of `tests/second_device.py`, which needs no GPU: it checks places and branches, and neither
kernels nor speed. Where there is a GPU, `nfdlab doctor --device cuda` measures those.
"""

from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from lines_run import LinesRun, lines_of_functions
from second_device import DEVICE, Mixed, second_device

import nfdlab as nfd
from nfdlab import approaches, problems, store
from nfdlab.approaches.coarse_to_fine.tiling import wide
from nfdlab.core.capabilities import HasAsk, HasLatents, HasMoments, HasSequential
from nfdlab.core.rng import normals
from nfdlab.core.types import Observations
from nfdlab.diffusion.denoiser import GaussianPrior
from nfdlab.diffusion.guidance import METHODS, Measurement, linearised, repaint
from nfdlab.diffusion.samplers import fresh_noise
from nfdlab.diffusion.smc import annealed_smc
from nfdlab.evaluate.ablation import silenced
from nfdlab.inference.posterior import AMORTISED, GUIDES, DecoderError, LatentPosterior

STEPS, FEW = 2, {"num_particles": 8, "rounds": 3}       # of the rounds one raises the temperature in part
ELSEWHERE = "ancestral, asked from where it is"         # the one answer that stays on the device
# heun divides by the lowest noise level, guides by the noise of what was measured, rounding and all; a crossing goes up
# the noise levels and down again; sixty steps of a fit take latents apart where many fit
CLOSE = {"heun": 3e-4, "latents, fitted": 1e-4, "averages": 3e-5, "linearised_pigdm": 3e-5, "crossed": 1e-3}
GRID = {1: (9,), 2: (4, 3), 3: (3, 2, 2)}
PARTICLES = "particles", "reweighted"
# pairs whose lines are counted, which is slow; two of them read observations by an encoder
COUNTED = ("adaptive_sampling", "step1d"), ("modulated_field", "families1d"), ("sparse_features", "stars2d")


def few(path, device: str):
    """A trained approach with few sampling steps and few particles."""
    fitted = replace(store.load(path, device=device), steps=STEPS)
    return fitted.using(**FEW) if "floor" in fitted.about else fitted


@cache
def questions(name: str) -> dict:
    """What is asked of a problem's models: places, a function, observations of it and averages, on the CPU."""
    problem, rng = problems.get(name), torch.Generator().manual_seed(1)
    truth = problem.draw(2, seed=1)
    return {"places": 2 * torch.rand(7, problem.d, generator=rng) - 1, "grid": nfd.cell_centres(GRID[problem.d]),
            "fields": truth, "seen": nfd.observe(truth[0], nfd.patterns.Random(count=4), noise_std=0.1, seed=2),
            "averages": nfd.observe(truth[0], nfd.patterns.BlockAverage(cells=2, parts=2), noise_std=0.1, seed=3)}


def draws(fitted, ask: dict):
    """Draws of the prior, and by each way that observations enter, by name: values at places. Each sampler has a turn,
    and observations and places that are on the device already."""
    seen, places = ask["seen"], ask["places"]
    yield "prior", fitted.draw(None, 2, seed=1)(places)
    for sampler in ("euler", "heun"):
        yield sampler, fitted.draw(None, 2, seed=2, sampler=sampler)(places)
    usual = fitted.draw(seen, 2, seed=3)
    yield "usual guide, on a grid", usual(ask["grid"])
    yield "one draw, own places", usual[1:](places[None])
    moved = Observations(seen.coords.to(fitted.device), seen.values.to(fitted.device), seen.noise_std)
    yield ELSEWHERE, fitted.draw(moved, 2, seed=4, sampler="ancestral")(places.to(fitted.device))
    if not isinstance(fitted, LatentPosterior):
        return
    for guide in guides(fitted):
        if guide != fitted.guide():
            yield guide, fitted.draw(seen, 2, seed=5, guide=guide)(places)
    if "floor" in fitted.about:
        guide = "linearised" if fitted.guide() in AMORTISED else None
        yield "averages", fitted.draw(ask["averages"], 2, seed=6, guide=guide)(places)


def guides(fitted: LatentPosterior) -> list[str]:
    """Those that its weights allow; particles, which are many, of pairs that take them and of those COUNTED."""
    known, counted = "floor" in fitted.about, (fitted.about["approach"], fitted.about["problem"]) in COUNTED
    found = list(AMORTISED[:1 + known]) * fitted.net.amortised + list(GUIDES) * known
    return [guide for guide in found if counted or guide not in PARTICLES or guide == fitted.guide()]


def extras(fitted, ask: dict):
    """What some approaches offer beside draws, by name."""
    seen, places = ask["seen"], ask["places"]
    if isinstance(fitted, HasAsk):
        yield "ask", fitted.ask(seen, places, seed=1, draws=3)
    particles = fitted.sequential(seed=1) if isinstance(fitted, HasSequential) else None
    if particles is not None:
        for k in range(seen.m):
            particles = particles.tell(seen.take(slice(k, k + 1)))
        yield "sequential", particles.draw(3, seed=2)(places)
    if isinstance(fitted, HasLatents):
        latents = fitted.encode(ask["fields"])
        assert latents.device == fitted.device
        how = ", fitted" if fitted.about["config"].get("bank") else ""
        yield from ((f"latents{how}", latents.cpu()), (f"decoded{how}", fitted.decode(latents)(places)))
    if isinstance(fitted, HasMoments):
        yield from zip(("mean", "std"), fitted.moments(seen, places), strict=True)
    if fitted.about["approach"] == "score_field":
        yield "averages, by its own guide", fitted.draw(ask["averages"], 2, seed=5)(places)
        yield "denoised", fitted.denoise(ask["fields"](fitted.lattice), 0.5, seen)(places)
        yield "score", fitted.score(normals(0, 2, fitted.net.shape, "z"), 0.5, seen).cpu()
    if fitted.about["approach"] == "stochastic_field":
        yield "pushed", fitted.push(seen, fitted.noise(2, seed=6))(places)
    if fitted.about["approach"] == "modulated_field":
        a, b = fitted.encode(ask["fields"])
        yield "crossed", fitted.decode(fitted.cross(a, b, torch.tensor([0.3, 0.8]), steps=2))(places)
        yield "styles mixed", fitted.mix_styles(a[None], b[None], 1)(places)
    if fitted.about["approach"] == "temporal_field":
        yield "long", fitted.long(seen, 2, 3, seed=7, steps=STEPS)(places)
        yield "films side by side", fitted.long(seen, 1, 2, seed=7, steps=STEPS, blended=False)(places)
    if fitted.about["approach"] == "coarse_to_fine":
        yield "averages", fitted.draw(ask["averages"], 2, seed=5)(places)
        yield "regression", fitted.draw(seen, 2, seed=5, stages="regression")(places)
        yield "refined", fitted.refine(fitted.coarse(ask["fields"])[0], 2, seed=6, seen=seen, augmentation=0.1)(places)
        yield "tiled", wide(fitted, 1, (2,) + (1,) * (places.shape[1] - 1), seed=7, steps=STEPS)(places)


def apart(a: torch.Tensor, b: torch.Tensor) -> float:
    """Largest difference in units of the scale."""
    return float((a.cpu() - b.cpu()).abs().max()) / float(b.abs().max())


# The device itself, and the parts by themselves

def test_the_second_device_refuses_what_cuda_refuses_and_nothing_else():
    with second_device() as device:
        here, there = torch.arange(6.0).reshape(2, 3), torch.arange(6.0).reshape(2, 3).to(device)
        index, number = torch.tensor([1, 0]), torch.tensor(2.0)
        assert torch.equal((there * number + 1)[index].cpu(), (here * 2 + 1)[index])
        assert torch.tensor([1.5], device=device).cpu() == 1.5 and float(there.sum()) == 15
        there[:, index] += 1                                      # in place, through a view
        assert there.tolist() == [[1.0, 2.0, 2.0], [4.0, 5.0, 5.0]]
        mixes = {"a sum": lambda: here + there, "a number there": lambda: here * there.sum(),
                 "an index there": lambda: here[index.to(device)], "a mask there": lambda: here[here.to(device) > 1],
                 "gather": lambda: there.gather(1, index[:, None]), "cat": lambda: torch.cat([here, there]),
                 "where": lambda: torch.where(here > 1, there, there), "assigned": lambda: here[0].mul_(there[0]),
                 "index_copy": lambda: there.index_copy(0, index, there), "a product": lambda: there @ here.T,
                 "a generator": lambda: torch.rand(2, device=device, generator=torch.Generator()),
                 "a number written": lambda: number.add_(there[0, 0])}
        for name, mix in mixes.items():
            with pytest.raises(Mixed):
                mix()
                pytest.fail(f"{name} passed")
    leaf = torch.ones(3)
    with second_device() as device:
        there = leaf.to(device).requires_grad_()
        slope = torch.autograd.grad(there.square().sum(), there)[0]
    assert slope.device == DEVICE and slope.cpu().tolist() == [2, 2, 2]


def particles(device: str) -> torch.Tensor:
    """Particles after annealed sequential Monte Carlo, whose likelihood is narrow: its temperature rises by and by."""
    y = torch.tensor([0.5, -0.5, 1.0]).to(device)
    steps = annealed_smc(torch.tanh, lambda x: -99 * (x - y).square().sum(1), normals(0, 64, (3,), "u").to(device),
                         seed=1, rounds=6, count=16, already=lambda x: -x.square().sum(1))
    return list(steps)[-1].noise


def test_particles_move_on_their_device_as_on_the_cpu():
    expected = particles("cpu")
    with second_device() as device:
        found = particles(device)
    assert found.device == DEVICE and torch.equal(found.cpu(), expected)


def guided(guide: str, kind: str, device: str) -> torch.Tensor:
    """Three x denoised by a Gaussian prior, given a measurement of a kind."""
    x, y, prior = normals(0, 3, (4,), "x").to(device), torch.tensor([0.3, -0.2]).to(device), GaussianPrior(4).to(device)
    matrix, sigmas = normals(1, 2, (4,), "matrix").to(device), torch.tensor([2.0, 0.7, 0.1, 0.0]).to(device)
    measurement = {"linear": lambda: Measurement.linear(matrix, y, 0.1),
                   "points": lambda: Measurement.points(torch.tensor([0, 2]), y, 0.1),
                   "curved": lambda: Measurement(lambda x: (x @ matrix.T).tanh(), y, 0.1)}[kind]()
    if guide == "repaint":
        return list(repaint(prior.denoiser(), measurement, x, sigmas, noise=fresh_noise(1), times=2))[-1].x
    if guide == "linearised":
        return linearised(measurement, prior, (4,)).matrix
    knobs = {"replacement": {"seed": 1}, "dps": {"sigmas": sigmas}}.get(guide, {})
    return METHODS[guide](prior.denoiser(), measurement, **knobs)(x, sigmas[1])


GUIDED = [(guide, kind) for guide in [*METHODS, "linearised", "repaint"] for kind in ("linear", "points", "curved")
          if kind == "points" or guide not in ("replacement", "repaint")]           # those write over what was seen


@pytest.mark.parametrize("guide,kind", GUIDED)
def test_a_guide_denoises_on_its_device_as_on_the_cpu(guide, kind):
    expected = guided(guide, kind, "cpu")
    with second_device() as device:
        found = guided(guide, kind, device)
    assert found.device == DEVICE and apart(found, expected) < 1e-5


# Shipped pairs

def draw_path(approach: str) -> list[Path]:
    """The files that a draw of an approach runs through: its own, and those of guidance where it has guides."""
    guidance = ("diffusion/smc.py", "diffusion/guidance/*.py")
    shared = guidance if issubclass(approaches.get(approach).trained, LatentPosterior) else ()
    names = ("inference/posterior.py", "inference/lattice.py", *shared, f"approaches/{approach}.py",
             f"approaches/{approach}/*.py")
    return [file for name in names for file in sorted(Path(nfd.__file__).parent.glob(name))]


@cache
def answered_elsewhere(approach: str, problem: str) -> tuple[dict, set]:
    """What a shipped pair answers on the second device, and, of those COUNTED, the lines of its draw path that ran."""
    lines = set()
    counting = LinesRun(draw_path(approach), lines) if (approach, problem) in COUNTED else nullcontext()
    with second_device() as device, counting:
        there = few(store.shipped()[approach, problem], device)
        assert {t.device for t in there.tensors().values()} == {DEVICE}
        return {name: value for part in (draws, extras) for name, value in part(there, questions(problem))}, lines


@pytest.mark.parametrize("approach,problem", sorted(store.shipped()))
def test_a_shipped_pair_works_elsewhere_as_it_does_here(approach, problem):
    """Loading, conditioning, denoising, each guide and sampler, decoding, encoding, `ask`."""
    here = few(store.shipped()[approach, problem], "cpu")
    expected = {name: value for part in (draws, extras) for name, value in part(here, questions(problem))}
    found, _ = answered_elsewhere(approach, problem)
    assert found.keys() == expected.keys()
    far = {name: apart(found[name], value) for name, value in expected.items()}
    wrong = {name: f"{size:.1e}" for name, size in far.items() if size > CLOSE.get(name, 1e-5)}
    assert not wrong
    assert {name for name, value in found.items() if value.device == DEVICE} == {ELSEWHERE}


@pytest.mark.parametrize("approach,problem", sorted(store.shipped()))
def test_a_shipped_pair_is_saved_from_elsewhere_as_it_was(approach, problem, tmp_path):
    here = store.load(store.shipped()[approach, problem], device="cpu").tensors()
    with second_device() as device:
        there = store.load(store.shipped()[approach, problem], device=device)
        saved = nfd.save(there, tmp_path / "weights.safetensors")
    again = store.load(saved, device="cpu").tensors()
    assert all(torch.equal(again[key], value) for key, value in here.items())


def test_the_law_runs_nine_lines_in_ten_of_guidance_particles_and_posterior():
    """Three pairs, and the parts by themselves."""
    files = draw_path("adaptive_sampling")[:-1]
    lines = set().union(*(answered_elsewhere(*pair)[1] for pair in COUNTED))
    with second_device() as device, LinesRun(files, lines):
        particles(device), DecoderError.record(normals(0, 9, (5,), "errors").to(device))
        for guide, kind in GUIDED:
            guided(guide, kind, device)
    for group in ("posterior.py", "smc.py", "guidance"):
        all_lines = set().union(*(lines_of_functions(file) for file in files if group in str(file)))
        missing = sorted(f"{file.name}:{line}" for file, line in all_lines - lines)
        assert len(missing) <= 0.1 * len(all_lines), f"{group}: not run: {', '.join(missing)}"


@pytest.mark.parametrize("pair,part", [(("adaptive_sampling", "step1d"), "network"),
                                       (("score_field", "gp1d"), "field")])
def test_a_silenced_pair_draws_elsewhere_as_it_does_here(pair, part):
    """Of the first a linear reading of the latents takes the field's place."""
    problem, ask = problems.get(pair[1]), questions(pair[1])

    def found(device: str) -> torch.Tensor:
        return silenced(few(store.shipped()[pair], device), part, problem).draw(ask["seen"], 2, seed=1)(ask["places"])

    expected = found("cpu")
    with second_device() as device:
        assert apart(found(device), expected) < 1e-3                         # a regression of 2,048 draws


# Training

def test_a_training_is_resumed_elsewhere_as_it_was_left_here(tmp_path):
    """A checkpoint of the CPU serves on the second device. (Its own tensors cannot be written.)"""
    def losses(device: str, steps: int, file: str) -> list[float]:
        found = []
        nfd.train("sparse_conditional", "gp1d", device=device, watch=lambda step: found.append(step.loss) and False,
                  budget=nfd.Budget(steps=steps, name="smoke", checkpoint=tmp_path / file))
        return found

    losses("cpu", 4, "here"), (tmp_path / "there").write_bytes((tmp_path / "here").read_bytes())
    expected = losses("cpu", 6, "here")
    with second_device() as device:
        assert losses(device, 6, "there") == pytest.approx(expected, rel=1e-3) and expected


@pytest.mark.parametrize("name", approaches.names())
def test_training_steps_elsewhere_are_those_of_here(name):
    """Losses agree to a thousandth: rounding grows with each step."""
    def losses(device: str) -> list[float]:
        found = []
        fitted = nfd.train(name, "gp1d", budget=nfd.Budget(steps=4, name="smoke"), device=device,
                           watch=lambda step: found.append(step.loss) and False)
        assert fitted.device.type == device
        fitted.draw(None, 2, seed=0)(torch.zeros(1, 1))
        return found

    expected = losses("cpu")
    with second_device() as device:
        assert losses(device) == pytest.approx(expected, rel=1e-3)
