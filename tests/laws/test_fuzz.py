"""Fuzzing: whatever comes to a public door is answered with finite numbers, or refused in four parts, within seconds.

    pytest tests/laws/test_fuzz.py          some inputs of each door, the same every time
    pytest -m fuzz -n 0 -s                  ten thousand, new ones every time, and how many were refused or answered

A door is a function of this module with a strategy for each of its arguments. Most values make sense and some do not:
they are extreme but finite, of other types, of other shapes, or not finite.
"""

import math
import signal
import tempfile
import traceback
import warnings
from collections import Counter, defaultdict
from contextlib import contextmanager
from dataclasses import fields as dataclass_fields
from functools import cache
from pathlib import Path
from types import FunctionType

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import nfdlab as nfd
from nfdlab import approaches, baselines, cli, problems
from nfdlab.core.types import LinearObservations, ObservationBatch, Observations
from nfdlab.evaluate import continuity
from nfdlab.evaluate.bench import grid as bench_grid
from nfdlab.evaluate.skill import skill
from nfdlab.evaluate.table import compare, measured
from nfdlab.observation import patterns
from nfdlab.observation.active import Search
from nfdlab.problems.arrays import Arrays, observations

FEW, MANY = 9, 10_000                # inputs of one door in every run of the tests, and of all doors with -m fuzz
PATIENCE = 10.0                      # seconds of the processor that one input may take
KINDS = (ValueError, TypeError, KeyError, IndexError, OSError)         # that a refusal may be
MODELS = {"score_field": "gp1d", "sparse_conditional": "gp1d", "stochastic_field": "sawtooth1d",
          "modulated_field": "families1d", "weight_diffusion": "families1d", "adaptive_sampling": "step1d",
          "temporal_field": "two_speed1dt", "coarse_to_fine": "powerlaw2d", "sparse_features": "stars2d",
          "latent_field": "discs2d"}
DOORS = {}


def door(weight=1, **strategies):
    """Register a function as a door, asked `weight` times as often as others, with strategies for its arguments."""
    def register(function):
        DOORS[function.__name__] = function, st.fixed_dictionaries(strategies), weight
        return function

    return register


# What comes

JUNK = st.sampled_from([
    None, True, "", "3", b"x", (), [], {}, [1], {"a": 1}, object(), int, 2 + 1j, math.nan, math.inf, -math.inf, 1e300,
    -1e300, 1e30, 1e-30, 5e-324, -1, 0, 1.5, 10**12, 10**30, -10**12, np.float32(2), np.int64(3), np.float64("nan"),
    np.array([1.0]), torch.tensor(2.0), torch.tensor([1.0, 2.0]), torch.tensor(3), slice(0, 2), range(2)])


def mostly(*values, junk=JUNK):
    """One of the values, or now and then something else."""
    return seldom(junk, st.sampled_from([*values[:1] * 8, *values]))


def seldom(odd, usual):
    """The odd strategy once in twenty times, else the usual one."""
    return st.integers(0, 19).flatmap(lambda k: odd if k == 13 else usual)


NS, SEEDS = mostly(1, 2, 3), mostly(0, 1, 2**63)
NOISE = mostly(0.05, 0.0, 0.5, 1e-30, 1e30, 1e38, 5e-324)
SIZES = st.sampled_from([0, 1, 2, 3, 9, 40])
SCALES = st.sampled_from([*[1.0] * 6, 0.0, 1e-30, 1e-12, 1e5, 1e30, 3e38, 1e300])
DTYPES = st.sampled_from([*[torch.float32] * 4, torch.float64, torch.float64, torch.float16, torch.bfloat16])
NAMES = st.sampled_from([name for name in problems.names() if name != "arrays"])
TENSORS = st.one_of(JUNK, st.builds(
    lambda shape, dtype, fill: torch.full(shape, fill).to(dtype), st.lists(st.integers(0, 3), max_size=4),
    st.sampled_from([torch.float32, torch.float64, torch.int64, torch.bool, torch.complex64]),
    st.sampled_from([0.0, 1.0, 0.5, -2.0, math.nan, math.inf, 1e30])))


@st.composite
def places(draw, d):
    """Places (m, d): apart, a hair apart, equal, on the walls, now and then outside."""
    m, kind = draw(SIZES), draw(st.sampled_from([*["apart"] * 6, "hair", "hair", "equal", "walls", "outside"]))
    found = 2 * torch.rand(m, d, generator=torch.Generator().manual_seed(draw(st.integers(0, 9))),
        dtype=torch.float64) - 1
    if kind in ("hair", "equal"):
        found = (found[:1] + (1e-12 * torch.arange(m)[:, None] if kind == "hair" else 0)).clamp(-1, 1).expand(m, d)
    found = found.sign() if kind == "walls" else 1.1 * found if kind == "outside" else found
    return found.to(draw(DTYPES))


@st.composite
def readings(draw, d, c, linear=False):
    """Arguments of Observations of a field of d coordinates and c channels, as a function without arguments."""
    coords, scale, dtype, noise = draw(places(d)), draw(SCALES), draw(DTYPES), draw(NOISE)
    values = scale * torch.randn(len(coords), c, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    if linear and draw(st.booleans()):
        rows = torch.ones(1, len(coords)) * draw(st.sampled_from([1.0, 0.0, 1e30, 1e-30]))
        return lambda: LinearObservations(coords, rows, values[:1].to(dtype), noise)
    return lambda: Observations(coords, values.to(dtype), noise)


def seens(d, c=1, linear=True):
    """What a posterior is given: mostly observations of its kind of field, or none."""
    other = st.one_of(readings(d + 1, c), readings(d, c + 1), JUNK.map(lambda junk: lambda: junk))
    return seldom(other, seldom(st.just(lambda: None), readings(d, c, linear)))


COORDS = {d: seldom(st.one_of(places(d + 1), TENSORS), places(d)) for d in (1, 2)}
TABLES = st.one_of(
    st.builds(lambda m, wide, scale, fill: np.where(
        np.arange(m * wide).reshape(m, wide) == 1, fill, scale * np.random.default_rng(0).normal(size=(m, wide))),
        SIZES, st.integers(1, 4), SCALES, st.sampled_from([0.0, 1.0, 1.0, 1e30, math.nan, math.inf])),
    st.sampled_from([
        pd.DataFrame({"x": [0.0, 1.0], "y": [1.0, 3.0]}), pd.DataFrame({"x": ["a", "b"], "y": [1.0, 3.0]}),
        pd.DataFrame({"x": [0.0, None], "y": [1.0, 3.0]}), pd.DataFrame({"t": pd.to_datetime(["2020", "2021"]),
        "y": [1, 2]}),
        pd.DataFrame(), np.ma.masked_less(np.arange(8.0).reshape(4, 2), 2), np.array([["a", "b"]]), "lost.csv",
        Path("lost.npy"), np.zeros((3, 2), complex), np.full((3, 3), 5.0), [[0.0, 1.0], [1.0, 2.0]],
        [[0.0], [1.0, 2.0]]]),
    TENSORS)


# How it is judged

class TooSlow(BaseException):
    """An input took more than PATIENCE; not an Exception, so that nobody catches it."""


@contextmanager
def patience():
    """Ends what takes too long, by time of the processor, which other programs do not lengthen."""
    def end(number, frame):
        raise TooSlow

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def finite(found) -> bool:
    """Whether all numbers in an answer are finite; fields are asked at a few places."""
    if isinstance(found, torch.Tensor):
        return bool(found.isfinite().all())
    if isinstance(found, np.ndarray):
        return found.dtype.kind not in "fc" or bool(np.isfinite(found).all())
    if isinstance(found, dict):
        return all(map(finite, found.values()))
    if isinstance(found, list | tuple):
        return all(map(finite, found))
    if isinstance(found, nfd.Observations | LinearObservations | ObservationBatch):
        return finite(list(vars(found).values()))
    if isinstance(found, nfd.core.types.Fields):
        return finite(found(nfd.cell_centres((3,) * (found.d or 1))))
    return not isinstance(found, float) or math.isfinite(found)


def judged(function, asked: dict) -> tuple[str, str]:
    """What became of an input, in a word: fine, refused, or one of three faults; and where the fault is."""
    try:
        with patience(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ("fine", "") if finite(function(**asked)) else ("non-finite", function.__name__)
    except TooSlow:
        return "slow", function.__name__
    except Exception as error:
        parts = all(part in str(error) for part in ("\n  came: ", "\n  why:  ", "\n  do:   "))
        where = next((f for f in reversed(traceback.extract_tb(error.__traceback__)) if "nfdlab/" in f.filename), None)
        where = "" if where is None else f"{Path(where.filename).name}:{where.lineno}"
        return ("refused", "") if parts and isinstance(error, KINDS) else (
            "raw", f"{type(error).__name__} at {where}: {str(error).splitlines()[0][:150] if str(error) else ''}")


# The doors

@cache
def model(approach):
    """Shipped weights with few particles, which promise the same as many."""
    fitted = nfd.load(approach, MODELS[approach], device="cpu")
    return fitted.using(num_particles=16, rounds=2) if hasattr(fitted, "using") else fitted


@cache
def exact(name):
    return problems.get(name).oracle()


@cache
def truth(name="gp1d", n=1):
    return problems.get(name).draw(n, seed=0)


@cache
def scratch():
    """A folder for files, removed when the tests end."""
    return tempfile.TemporaryDirectory()


def each_seen(names, d_of=lambda name: problems.get(name).d):
    """Pairs of a name and what its posterior is given."""
    return st.sampled_from(list(names)).flatmap(lambda name: st.tuples(st.just(name), seens(d_of(name))))


@door(weight=6, asked=each_seen(MODELS, lambda a: problems.get(MODELS[a]).d), n=NS, seed=SEEDS,
      steps=mostly(2, 2, 3, None), sampler=mostly("dpmpp", "euler", "heun", "ancestral"))
def draws_of_a_model(asked, n, seed, steps, sampler):
    approach, seen = asked
    steps = 2 if steps is None else steps
    return model(approach).draw(seen(), n, seed=seed, steps=steps, sampler=sampler)


@door(weight=2, seen=seens(2), n=mostly(1, 2), seed=SEEDS, guide=mostly("linearised", "gauss_newton", "tweedie",
      "pigdm", "dps", "particles", "linearised_pigdm"),
      knobs=mostly({}, {"num_particles": 8}, {"rounds": 2}, {"rounds": -1}, {"x": 1},
          junk=JUNK.map(lambda j: {"num_particles": j})))
def guides(seen, n, seed, guide, knobs):
    return model("latent_field").using(**{"num_particles": 16, "rounds": 2, **knobs}).draw(seen(), n, seed=seed,
        steps=2, guide=guide)


@door(seen=seens(1), n=NS, seed=SEEDS, steps=mostly(2, 3), latent=seldom(TENSORS, st.just(None)))
def paths_and_latents(seen, n, seed, steps, latent):
    fitted, seen = model("sparse_conditional"), seen()
    last = list(fitted.path(seen, n, seed=seed, steps=steps))[-1]
    other = model("adaptive_sampling")
    return last.x, fitted.fields(seen, last.x), other.decode(other.encode(truth())), (
        None if latent is None else fitted.fields(seen, latent))


@door(weight=3, asked=each_seen(name for name in problems.names() if name != "arrays" and exact(name) is not None),
      n=NS, seed=SEEDS, coords=st.one_of(*COORDS.values()))
def exact_posteriors(asked, n, seed, coords):
    name, seen = asked
    posterior, seen = exact(name), seen()
    return posterior.draw(seen, n, seed=seed), posterior.moments(seen, coords), posterior.at(seen, coords) and 0.0


@door(weight=3, asked=st.tuples(st.sampled_from(baselines.names()), st.sampled_from([1, 2])).flatmap(
    lambda pair: st.tuples(st.just(pair), seens(pair[1]))), n=NS, seed=SEEDS)
def classical_baselines(asked, n, seed):
    (name, d), seen = asked
    return baselines.get(name, problems.get(f"gp{d}d")).draw(seen(), n, seed=seed)


@door(name=mostly(*baselines.names()), problem=st.one_of(st.just(None), JUNK, st.sampled_from([problems.get("gp1d")])),
      knobs=st.dictionaries(st.sampled_from(["smoothing", "features", "rank", "x", "side", "draws", "noise_std"]),
          JUNK, max_size=2),
      seen=readings(1, 1))
def knobs_of_baselines(name, problem, knobs, seen):
    return baselines.get(name, problem, **knobs).draw(seen(), 1, seed=0)


@door(weight=2, name=mostly("gp1d", "gp2d", "powerlaw2d", "drift1dt", "step1d", "sawtooth1d", "terrain2d", "digits2d",
      "head2d"),
      knob=st.sampled_from(["lengthscale", "slope", "speed", "side", "cells", "x"]),
      value=mostly(0.3, 1.0, 2, "test"), n=NS, seed=SEEDS)
def knobs_of_problems(name, knob, value, n, seed):
    problem = problems.get(name, **{knob: value})
    return problem.draw(n, seed=seed), problems.held_out(problem).draw(1, seed=0)


@door(weight=2, name=NAMES, n=NS, seed=SEEDS, coords=st.one_of(*COORDS.values()), index=mostly(0, slice(0, 1), -1),
      pick=st.booleans())
def fields(name, n, seed, coords, index, pick):
    found = problems.get(name).draw(n, seed=seed)
    return (found[index] if pick else found)(coords)


@door(out=st.one_of(st.just(None), TENSORS, st.just(np.zeros((1, 4, 1))), st.just(np.zeros((1, 4, 1), int))),
      chunk=mostly(1, 7, 65_536),
      shape=mostly((4,), [4], (1,), (4, 4), (0,), (-1,), (2.5,), (10**12,), (True,), ("4",), (np.int64(4),)),
      n=st.sampled_from([1, 2]))
def rendering(out, chunk, shape, n):
    return nfd.render(truth(n=n), shape, out, chunk=chunk)


@door(shape=mostly((4,), [3, 2], (1, 1, 1), (0,), (10**12,), (10**7, 10**7), (np.int64(4),)),
      dtype=mostly(torch.float32, torch.float64, torch.int64),
      device=mostly("cpu", "abacus"))
def grids(shape, dtype, device):
    return nfd.cell_centres(shape, dtype=dtype, device=device)


@door(weight=2, coords=COORDS[1], values=st.one_of(readings(1, 1).map(lambda make: make), TENSORS), noise=NOISE,
      weights=TENSORS)
def made_observations(coords, values, noise, weights):
    if isinstance(values, FunctionType):
        seen = values()
        return seen, seen.sorted(), seen.take(slice(0, 1)), seen.to("cpu", torch.float32)
    return Observations(coords, values, noise), LinearObservations(coords, weights, values, noise)


@door(weight=3, source=TABLES, d=mostly(None, 1, 2), box=mostly(None, None, [(-5, 5)], [(0, 1e300)], {"x": (0, 1)},
      [(1, 0)], [(0, 5e-324)]),
      noise_std=st.one_of(st.none(), NOISE), key=mostly(None, None, "x"),
      columns=mostly(None, None, [0, 1], ["x", "y"], [1, 0], ["z"], [0, 0]),
      scaled=st.booleans())
def tables_of_points(source, d, box, noise_std, key, columns, scaled):
    found = observations(source, d=d, box=box, noise_std=noise_std, key=key, columns=columns)
    scaling = found.scaling
    again = observations(source, d=d, scaling=scaling if scaled else None, key=key, columns=columns)
    return found, again, scaling.restore(scaling.standardise(found.values)), scaling.from_box(found.coords)


@door(weight=3, data=st.one_of(TABLES, st.builds(lambda shape, scale,
      fill: scale * np.random.default_rng(0).normal(size=shape) + fill,
      st.lists(st.sampled_from([1, 2, 5, 40]), min_size=1, max_size=4), SCALES,
      st.sampled_from([0.0, 0.0, 1e30, 273.15]))),
      patch=mostly(None, None, 2, 4, (4, 4), (2,)), channels_last=mostly(False, False, True),
      smooth=mostly(True, False),
      test_share=mostly(0.25, 0.5, 0.9), key=mostly(None, None, "x"), side=mostly("train", "train", "test"), n=NS,
      seed=SEEDS)
def own_arrays(data, patch, channels_last, smooth, test_share, key, side, n, seed):
    problem = Arrays(data, patch=patch, channels_last=channels_last, smooth=smooth, test_share=test_share, key=key,
        side=side)
    return problem.draw(n, seed=seed), problem.held_out().draw(1, seed=0), problem.card and 0.0


@door(weight=4, kind=st.sampled_from([*patterns.ALL.values(), *patterns.LINEAR.values()]), d=mostly(1, 2, 3),
      seed=SEEDS,
      given=st.dictionaries(st.sampled_from(["width", "of", "clusters", "lines", "missing", "frames", "cells",
          "every", "tracks",
                                             "speed", "level", "parts", "angles", "offsets"]),
                            mostly(0.1, 1, 2, 5, 0.5, 1e-6, 1e-12, 0.02), max_size=2),
      size=mostly("count", "count", "share", None, junk=st.nothing()),
      amount=mostly(5, 9, 0.1, 0, 1, 2000, 0.5, 10**12))
def places_of_patterns(kind, d, seed, given, size, amount):
    given = {key: value for key, value in given.items() if key in kind.__dataclass_fields__}
    sized = {} if size is None or size not in kind.__dataclass_fields__ else {size: amount}
    pattern = kind(**{**given, **sized})
    if kind is patterns.Outline:
        return pattern.places(truth("gp2d"), seed=seed)
    return pattern.rows(d, seed=seed) if kind in patterns.LINEAR.values() else pattern.coords(d, seed=seed)


@door(fields=st.one_of(st.just(truth), JUNK.map(lambda junk: lambda: junk), st.just(lambda: truth(n=2))),
      pattern=mostly(patterns.Random(count=3), patterns.Random(count=0), patterns.BlockAverage(2),
          patterns.Outline(count=3), patterns.Blur(count=2),
                     patterns.Projections(2, 2), patterns.Frames(count=3), patterns.Sensors(count=20)),
                     noise_std=NOISE, seed=SEEDS)
def observing(fields, pattern, noise_std, seed):
    return nfd.observe(fields(), pattern, noise_std=noise_std, seed=seed)


@door(seconds=mostly(None, 1.0, 5e-324), steps=mostly(None, 1, 2), checkpoint=mostly(None),
      name=mostly("own", "smoke"),
      named=mostly("smoke", "lesson", "reference", "own"))
def budgets(seconds, steps, checkpoint, name, named):
    nfd.Budget(seconds, steps, checkpoint, name), nfd.Budget.named(named)


@door(approach=mostly(*approaches.names(), "lost.safetensors", "."),
      problem=mostly("gp1d", "gp2d", None, "lost.safetensors", Path("."), Path("lost")),
      prior=mostly(None, None, "white", "gaussian"), device=mostly("cpu", "auto", "abacus"))
def loading(approach, problem, prior, device):
    nfd.load(approach, problem, prior, device=device)


@door(fitted=mostly("model", junk=JUNK), path=mostly("a.safetensors", "b/c.safetensors", "a.pt", "",
      "a.safetensors/b.safetensors", "\0.safetensors"),
      dtype=mostly(None, torch.float16, torch.float64, torch.int8, torch.float8_e4m3fn))
def saving(fitted, path, dtype):
    path = Path(scratch().name, path) if isinstance(path, str) else path
    fitted = model("score_field") if isinstance(fitted, str) and fitted == "model" else fitted
    fitted = nfd.load(nfd.save(fitted, path, dtype=dtype), device="cpu")
    return fitted.draw(None, 1, seed=0, steps=2)


@door(approach=mostly("sparse_conditional", "score_field", approaches.get("score_field")(cells=8, widths=(16,), depth=1,
      field_width=8)),
      problem=mostly("gp1d", "step1d", "gp9d", "arrays"), budget=mostly(nfd.Budget(steps=1, name="smoke"), "huge"),
      seed=SEEDS, device=mostly("cpu", "abacus"),
      watch=mostly(None, lambda step: True, junk=st.nothing()))
def training(approach, problem, budget, seed, device, watch):
    budget = budget if isinstance(budget, nfd.Budget) else "huge" if isinstance(budget, str) else budget
    call = {} if watch is None else {"watch": watch}
    return nfd.train(approach, problem, budget=budget, seed=seed, device=device, **call).draw(None, 1, seed=0, steps=2)


@door(weight=2, pair=st.sampled_from(approaches.names()).flatmap(lambda name: st.tuples(
    st.just(name), st.sampled_from([field.name for field in dataclass_fields(approaches.get(name))]))), value=JUNK)
def configs(pair, value):
    """A config is made, and its network built, or it is refused."""
    approach, key = pair
    config = approaches.get(approach)(**{key: value})
    config.build(1, 1)


@door(weight=2, fitted=st.sampled_from(["exact", "nearest", "junk"]), junk=JUNK, problem=mostly("gp1d", junk=JUNK),
      counts=mostly((1,), [2, 3], (0,), (1, 1), ()),
      pattern=mostly(patterns.Random, patterns.Grid, patterns.Random(count=2), None, {},
          {"a": patterns.Random(count=2)}), tasks=mostly(1, 2),
      draws=mostly(2, 3), noise_std=NOISE, seed=SEEDS, points=st.one_of(st.none(), st.just(nfd.cell_centres((5,))),
          COORDS[1]))
def scoring(fitted, junk, problem, **knobs):
    fitted = {"exact": exact("gp1d"), "nearest": baselines.get("nearest"), "junk": junk}[fitted]
    problem = problems.get("gp1d") if isinstance(problem, str) and problem == "gp1d" else problem
    counts = knobs.pop("counts")
    counts = counts if callable(knobs["pattern"]) else None
    table = nfd.score(fitted, problem, counts=counts, **knobs)
    metrics = [c for c in table.rows.columns if c not in ("contestant", "m", "task",
        "psnr")]      # no errors: infinite
    return table.rows[metrics].to_numpy(float)


@door(shape=st.sampled_from([(2, 5, 1), (1, 5, 1), (3, 4, 2), (2, 1, 1), (2, 2, 5, 1)]), scale=SCALES, dtype=DTYPES,
      other=st.one_of(st.none(), TENSORS))
def scores_of_draws(shape, scale, dtype, other):
    draws = scale * torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    target = draws[..., 0, :, :] / 2 if other is None else other
    target = target.to(dtype) if isinstance(target, torch.Tensor) else target
    found = measured(draws.to(dtype), target, 1)
    return {key: value for key, value in found.items() if key != "psnr"}                # of constant truths undefined


@door(model=mostly(None, "nearest", "lost"), metric=mostly("crps", "rmse", "psnr", "lost"),
      names=st.sampled_from([("nearest",), ("nearest", "rbf")]))
def skills(model, metric, names):
    skill(_table(names), model, metric)


@cache
def _table(names):
    problem = problems.get("gp1d")
    return compare({name: baselines.get(name) for name in names}, problem, counts=(2,), tasks=2, draws=2)


@door(contestants=mostly(None, ["nearest"], ["lost"], [], "nearest", ["exact", "exact_again"]),
      problems=mostly(["gp1d"], ["step1d"], "gp1d", []),
      patterns=mostly(("random",), ("grid", "block"), "random", ("lost",), ()),
      counts=mostly(None, (1,), (0, 3), (-1,)),
      shares=mostly(None, None, (0.1,), (2.0,), (0.0,)), seeds=mostly(1, 2))
def cells_of_a_bench(contestants, problems, patterns, counts, shares, seeds):
    bench_grid(contestants, problems, patterns=patterns, counts=counts, shares=shares, seeds=seeds)


@door(coords=COORDS[1], tries=mostly(1, 4), seed=SEEDS, step=mostly(0.01, 0.5, 1e-30), frames=mostly(2, 4),
      seams=mostly((0.0,), [0.5, -0.5], ()),
      axis=mostly(0), lines=mostly(1, 3))
def continuity_of_fields(coords, tries, seed, step, frames, seams, axis, lines):
    fields = truth(n=2)
    return [continuity.consistency(fields, coords, seed=seed, tries=tries),
            continuity.gradient_error(fields, truth(), 0.4 * coords if isinstance(coords, torch.Tensor) else coords,
                step=step),
            continuity.seam_jump(fields, seams, axis=axis, step=step, lines=lines, seed=seed)]


@door(d=mostly(1, 2), seed=SEEDS, policy=mostly("variance", "random", "grid", "mutual_information", "lost"),
      c=mostly(1), draws=mostly(2, 4), looks=mostly(1, 3),
      noise_std=NOISE, candidates=st.one_of(st.none(), COORDS[1]), seen=seens(1, linear=False), k=mostly(1, 2))
def active_searches(k, seen, candidates, **knobs):
    search = Search(exact("gp1d"), seen=seen(), candidates=candidates, **knobs)
    return search.ask(k), search.look(truth()).seen


WORDS = st.sampled_from(["gp1d", "gp9d", "score_field", "nothing", "--tasks", "--draws", "--counts", "1,x", "-1", "0",
    "--pattern", "random", "randon", "--seed",
                         "--device", "abacus", "--budget", "huge", "-o", "w.bin", "--noise", "nan", "inf", "--shares",
                         "2", "--problems", "--scores", "crsp",
                         "--help", "--lost", "", "é", "--prior", "white", "lost.safetensors", "77", "-p", "sead"])


@door(command=st.sampled_from(["score", "train", "ablate", "bench", "run", "list", "lost", "doctor"]),
      words=st.lists(WORDS, max_size=4))
def command_lines(command, words):
    """Words of which one at least is refused, or that only print; what would train or score is left out."""
    if command == "bench":
        words = [*words, "--contestants", "lost"]
    elif command in ("score", "train", "ablate"):
        words = ["lost", *words]
    elif command == "run":
        words = ["77", *words]
    elif command == "doctor":
        words = ["--lost", *words]
    done = CliRunner().invoke(cli.app, [command, *words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception


# The laws

def settled(count, **more):
    return settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck), **more)


@pytest.mark.parametrize("name", DOORS)
def test_what_comes_to_a_door_is_answered_or_refused(name):
    function, strategy, weight = DOORS[name]

    @settled(FEW, derandomize=True, phases=[Phase.generate])
    @given(strategy)
    def ask(asked):
        outcome, where = judged(function, asked)
        assert outcome in ("fine", "refused"), f"{outcome} {where}\n{asked}"

    ask()


@pytest.mark.fuzz
def test_ten_thousand_inputs(capsys):
    """Counts are printed; each kind of fault with the shortest of its inputs."""
    counts, faults = Counter(), defaultdict(list)
    total = sum(weight for _, _, weight in DOORS.values())

    def asked_at(name, function, strategy, times):
        @settled(times, phases=[Phase.generate])
        @given(strategy)
        def ask(asked):
            outcome, where = judged(function, asked)
            counts[outcome] += 1
            if outcome not in ("fine", "refused"):
                faults[name, outcome, where].append(str(asked))

        ask()

    for name, (function, strategy, weight) in DOORS.items():
        asked_at(name, function, strategy, math.ceil(MANY * weight / total))
        with capsys.disabled():
            print(f"{name:24} {dict(counts)}", flush=True)
    with capsys.disabled():
        for (name, outcome, where), inputs in faults.items():
            print(f"{len(inputs):5} {name}: {outcome} {where}\n      {min(inputs, key=len)[:600]}")
        print(f"\n{counts.total()} inputs: {counts['refused']} refused, {counts['fine']} fine; faults: "
              f"{counts['raw']} raw errors, {counts['non-finite']} not finite, {counts['slow']} slow")
    assert not faults
