"""What every `Fitted` promises alike: trained approaches, shipped weights, classical rivals, the exact posteriors.

`nfdlab.approaches`, `.baselines`, `.problems` and the folder of weights say who is asked; nobody is named here. Sizes
are relative to the field's own scale, its largest absolute value at the points asked.
"""

import json
import pickle
import random
import re
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache

import numpy as np
import pytest
import torch

import nfdlab as nfd
from nfdlab import approaches, baselines, problems, recipes, store
from nfdlab.core.capabilities import HasMoments
from nfdlab.core.rng import child
from nfdlab.core.types import Fields, Observations, Trained, quiet

GRID = {1: (37,), 2: (9, 7), 3: (5, 4, 3), 4: (4, 3, 3, 2)}
EXACT = [name for name in problems.names() if name != "arrays" and problems.get(name).oracle() is not None]
TASKS = range(40)                  # seeds that tests, notebooks and tables use


def four_parts(error) -> bool:
    return all(part in str(error.value) for part in ("\n  came: ", "\n  why:  ", "\n  do:   "))


@contextmanager
def untouched(*tensors):
    """Global random state, default dtype, threads and the tensors given are as they were."""
    def world():
        return (torch.get_rng_state().tolist(), torch.get_default_dtype(), torch.get_num_threads(), random.getstate(),
                np.random.get_state()[1].tolist(), torch.is_grad_enabled(),         # noqa: NPY002 (to see it unmoved)
                [t.clone() for t in tensors])

    before = world()
    yield
    after = world()
    assert before[:-1] == after[:-1], "global state was moved"
    assert all(map(torch.equal, before[-1], after[-1])), "an input was written to"


class Source:
    """All that an approach may see of a problem, `draw`; keeps the seeds it was handed."""

    def __init__(self, problem):
        self._draw, self.seeds = problem.draw, []

    def draw(self, n, *, seed):
        self.seeds.append(seed)
        return self._draw(n, seed=seed)


def views_of(problem):
    """The recipe's views, and the list of seeds they were handed."""
    views, seeds = recipes.views_for(problem), []

    def hide(fields, *, seed):
        seeds.append(seed)
        return views(fields, seed=seed)

    return hide, seeds


def fit(name, *, steps=6, seed=3, watch=quiet):
    """A few steps on gp1d: the fitted object, the seeds of the source and those of the views."""
    problem = problems.get("gp1d")
    budget, source, (hide, seen) = nfd.Budget(steps=steps, name="smoke"), Source(problem), views_of(problem)
    with untouched():
        found = recipes.approach_for(name, problem, budget).fit(source, views=hide, budget=budget, seed=seed,
                                                                device="cpu", watch=watch)
    return found, source.seeds, seen


@cache
def smoke(name):
    """An approach after the budget of a smoke test, once a session."""
    with untouched():
        return nfd.train(name, "gp1d", budget="smoke", device="cpu")


@dataclass(frozen=True)
class Case:
    """Somebody who keeps the promises, and the problem to ask about. `close` is what rounding may do to its draws."""

    name: str
    make: object
    problem: str
    close: float = 1e-4

    @property
    def fitted(self):
        return self.make()

    @property
    def drawn(self):
        """Four draws given `seen`, from seed 3, made once."""
        return drawn(self)

    def seen(self, m=9, noise_std=0.1, seed=5):
        truth = problems.get(self.problem).draw(1, seed=seed)
        return nfd.observe(truth, nfd.patterns.Random(count=m), noise_std=noise_std, seed=seed)


@cache
def drawn(case):
    return case.fitted.draw(case.seen(), 4, seed=3)


@cache
def load(approach, problem, device):
    """Shipped weights with few sampling steps, and few particles where they answer, which promise the same as many."""
    fitted = replace(nfd.load(approach, problem, device=device), steps=recipes.SMOKE["steps"])
    config = fitted.about["config"]
    config.update({key: recipes.SMOKE[key] for key in ("steps", "num_particles", "rounds") if key in config})
    return fitted


TRAINED = [Case(f"{name}-smoke", lambda name=name: smoke(name), "gp1d") for name in approaches.names()]
SHIPPED = [Case(f"{a}-{p}", lambda a=a, p=p: load(a, p, device="cpu"), p) for a, p in store.shipped()]
# rivals are asked in one and two dimensions; kriging fits by descent, which ends a little elsewhere in another order
RIVALS = [Case(f"{name}-{p}", lambda name=name, p=p: baselines.get(name, problems.get(p)), p,
               1e-2 if name == "kriging" else 1e-4) for name in baselines.names() for p in ("gp1d", "gp2d")]
ORACLES = [Case(f"exact-{p}", lambda p=p: problems.get(p).oracle(), p) for p in EXACT]
EVERYONE = TRAINED + SHIPPED + RIVALS + ORACLES
KINDS = TRAINED + RIVALS[::2] + ORACLES[:1]        # one of each class: what is refused depends on nothing else


def each(cases):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


def scale(values):
    return float(values.abs().max()) + 1e-12


def apart(a, b):
    """Largest difference in units of the field's scale."""
    return float((a - b).abs().max()) / scale(b)


def same(a, b):
    """Two trained models hold the same tensors, bit for bit."""
    a, b = a.tensors(), b.tensors()
    return list(a) == list(b) and all(map(torch.equal, a.values(), b.values()))


# Cards and names

def test_the_weights_that_are_promised_ship():
    """Every pair of approach and problem that has a recipe of its own, and each file says the same of itself."""
    assert set(store.shipped()) >= set(recipes.CONFIGS)
    for (approach, problem), path in store.shipped().items():
        told = store.about(path)
        assert (told["approach"], told["problem"]) == (approach, problem) and told["scores"]
        assert told["knobs"] == recipes.knobs(problems.get(problem)) and path.stat().st_size < 4e6


@pytest.mark.parametrize("name", approaches.names())
def test_a_card_is_complete(name):
    kind = approaches.get(name)
    card = kind.card
    assert is_dataclass(kind) and kind.__dataclass_params__.frozen and kind()
    assert card.order >= 1 and all(getattr(card, f.name) for f in fields(card))
    assert re.search(r"\b(19|20)\d\d\b", card.papers), "papers have a year"
    assert approaches.names().index(name) == sorted(approaches.get(n).card.order for n in approaches.names()).index(
        card.order)


@pytest.mark.parametrize("name", [p for p in problems.names() if p != "arrays"])
def test_a_problems_card_is_complete_and_says_whether_an_answer_is_known(name):
    problem = problems.get(name)
    assert problem.card.name == name and len(problem.card.axes) == problem.d
    assert all(getattr(problem.card, f.name) for f in fields(problem.card))
    assert (problem.oracle() is None) == problem.card.exact.startswith("none")
    draws = problem.draw(3, seed=1)
    assert isinstance(draws, Fields) and (draws.n, draws.d, draws.c) == (3, problem.d, problem.c)
    coords = nfd.cell_centres(GRID[problem.d])
    assert apart(problem.draw(2, seed=1)(coords), draws(coords)[:2]) < 1e-5
    assert not torch.equal(problem.draw(3, seed=2)(coords), draws(coords))


# Draws

@each(EVERYONE)
def test_draws_are_fields_of_the_right_shape_everywhere(case):
    seen, problem, draws = case.seen(), problems.get(case.problem), case.drawn
    assert isinstance(draws, Fields) and (draws.n, draws.d, draws.c) == (4, problem.d, problem.c)
    walls = torch.tensor([[-1.0] * problem.d, [1.0] * problem.d])
    for coords in (walls[:1], walls, seen.coords, nfd.cell_centres(GRID[problem.d]), walls[:0]):
        for dtype in (torch.float32, torch.float64):
            values = draws(coords.to(dtype))
            assert values.shape == (4, len(coords), problem.c) and values.dtype is dtype
            assert torch.isfinite(values).all()


@each(EVERYONE)
def test_the_value_at_a_point_depends_on_no_other(case):
    """The law of consistency, to 1e-5 of the field's scale: shared points, some of them, each draw its own."""
    d = problems.get(case.problem).d
    draws, coords = case.drawn, nfd.cell_centres(GRID[d])
    values = draws(coords)
    for part in (slice(0, 1), slice(5, 21), slice(None, None, 3)):
        assert float((draws(coords[part]) - values[:, part]).abs().max()) < 1e-5 * scale(values)
    own = torch.stack([coords.roll(k, 0) for k in range(4)])
    assert apart(draws(own), torch.stack([values[k].roll(k, 0) for k in range(4)])) < 1e-5
    fine = nfd.cell_centres(tuple(3 * s for s in GRID[d]))
    every = draws(fine)                                          # the last point may lie where there is next to nothing
    assert float((draws(fine[-1:]) - every[:, -1:]).abs().max()) < 1e-5 * scale(every)
    assert apart(draws[1:3](coords), values[1:3]) < 1e-5


@each(EVERYONE)
def test_a_seed_is_the_draw_and_more_only_append(case):
    seen, coords = case.seen(), nfd.cell_centres(GRID[problems.get(case.problem).d])
    with untouched(seen.coords, seen.values, coords):
        draws = case.fitted.draw(seen, 4, seed=3)(coords)
        assert torch.equal(case.drawn(coords), draws)
        assert apart(case.fitted.draw(seen, 2, seed=3)(coords), draws[:2]) < 1e-4
        other = case.fitted.draw(seen, 4, seed=4)(coords)
    if case in TRAINED + SHIPPED:                                # fresh noise at every step is each draw's own, too
        long, short = (case.fitted.draw(seen, n, seed=3, sampler="ancestral", steps=4)(coords) for n in (4, 2))
        assert apart(short, long[:2]) < 1e-4
    if case not in RIVALS or "kriging" in case.name:             # an interpolation has one answer
        assert apart(other, draws) > 1e-3 and apart(draws[1:], draws[:1]) > 1e-3


@each(EVERYONE)
def test_the_order_of_observations_means_nothing(case):
    seen, coords = case.seen(), nfd.cell_centres(GRID[problems.get(case.problem).d])
    turned = Observations(seen.coords.flip(0), seen.values.flip(0), seen.noise_std)
    assert apart(case.fitted.draw(turned, 4, seed=3)(coords), case.drawn(coords)) < case.close


@each(EVERYONE)
def test_nothing_seen_is_none(case):
    problem = problems.get(case.problem)
    coords = nfd.cell_centres(GRID[problem.d])
    prior = case.fitted.draw(None, 4, seed=6)(coords)
    for noise_std in (0.0, 0.05, 0.5):
        nothing = Observations(torch.zeros(0, problem.d), torch.zeros(0, problem.c), noise_std)
        assert apart(case.fitted.draw(nothing, 4, seed=6)(coords), prior) < 1e-5


@each([c for c in TRAINED + SHIPPED + ORACLES])
def test_the_path_and_the_moments_agree_with_the_draws(case):
    seen, coords = case.seen(), nfd.cell_centres(GRID[problems.get(case.problem).d])
    fitted = case.fitted
    if isinstance(fitted, Trained):
        for sampler, steps in (("dpmpp", None), ("heun", 2), ("ancestral", 2)):
            visits = list(fitted.path(seen, 4, seed=3, steps=steps, sampler=sampler))
            assert len(visits) == visits[0].total and visits[-1].sigma == 0
            draws = fitted.draw(seen, 4, seed=3, steps=steps, sampler=sampler) if steps else case.drawn
            assert apart(fitted.fields(seen, visits[-1].x)(coords), draws(coords)) < 1e-5
    if isinstance(fitted, HasMoments):
        mean, std = fitted.moments(seen, coords)
        draws = fitted.draw(seen, 2000, seed=7)(coords)
        error = (draws.mean(0) - mean) / (draws.std(0) / 2000**0.5).clamp_min(1e-3)
        assert error.abs().max() < 5 and abs(draws.std(0).mean() / std.mean() - 1) < 0.06


# Doors

def test_one_of_each_class_is_asked_what_it_refuses():
    assert {type(case.fitted) for case in KINDS} == {type(case.fitted) for case in EVERYONE}


@each(KINDS)
@pytest.mark.parametrize("change,kind", [
    ({"n": 0}, ValueError), ({"n": -1}, ValueError), ({"n": 2.5}, TypeError), ({"seed": -1}, ValueError),
    ({"seed": "one"}, TypeError), ({"seen": "five dots"}, TypeError)])
def test_bad_questions_are_refused_in_four_parts(case, change, kind):
    asked = {"seen": None, "n": 2, "seed": 0, **change}
    with pytest.raises(kind) as error:
        case.fitted.draw(asked.pop("seen"), asked.pop("n"), **asked)
    assert four_parts(error)


@each(TRAINED)
@pytest.mark.parametrize("verb", ["draw", "path"])
@pytest.mark.parametrize("change,kind", [
    ({"steps": 0}, ValueError), ({"steps": 1}, ValueError), ({"steps": -3}, ValueError), ({"steps": "many"}, TypeError),
    ({"sampler": "huen"}, KeyError), ({"n": -1}, ValueError), ({"seed": 1.5}, TypeError)])
def test_bad_settings_are_refused_in_four_parts_and_at_once(case, verb, change, kind):
    asked = {"n": 2, "seed": 0, **change}
    if verb == "path" and not isinstance(case.fitted, Trained):
        pytest.skip("offers no path")
    with pytest.raises(kind) as error:
        getattr(case.fitted, verb)(None, asked.pop("n"), **asked)
    assert four_parts(error)


@each(KINDS)
@pytest.mark.parametrize("values,noise", [(1e30, 0.05), (1.0, 1e30), (1.0, 1e-30), (1e5, 0.05)])
def test_extreme_observations_give_finite_draws_or_a_sentence(case, values, noise):
    seen, grid = case.seen(), nfd.cell_centres(GRID[problems.get(case.problem).d])
    seen = Observations(seen.coords, values * seen.values, noise)
    try:
        found = case.fitted.draw(seen, 2, seed=0)(grid)
    except ValueError as error:
        assert all(part in str(error) for part in ("came: ", "why:  ", "do:   "))
    else:
        assert torch.isfinite(found).all()


@each(KINDS)
def test_draws_can_be_pickled(case):
    draws, grid = case.drawn, nfd.cell_centres(GRID[problems.get(case.problem).d])
    again = pickle.loads(pickle.dumps(draws[1]))
    torch.testing.assert_close(again(grid), draws(grid)[1:2], rtol=0, atol=case.close * scale(draws(grid)))


@each(TRAINED + SHIPPED + ORACLES)
def test_observations_of_another_kind_of_field_are_refused(case):
    problem = problems.get(case.problem)
    for d, c in ((problem.d + 1, problem.c), (problem.d, problem.c + 1)):
        with pytest.raises(ValueError) as error:
            case.fitted.draw(Observations(torch.zeros(3, d), torch.zeros(3, c)), 2, seed=0)
        assert four_parts(error)


# Training

@pytest.mark.parametrize("name", approaches.names())
def test_training_is_repeatable_and_no_test_task_lies_in_its_streams(name):
    """Two runs agree in every weight. Seeds handed to the source and to the views are all different, across runs with
    other seeds too, and none is one that a person, a table or a toy task would use."""
    (one, source, views), (two, again, _), (other, elsewhere, others) = (fit(name, seed=s) for s in (3, 3, 4))
    assert source == again and same(one, two) and not same(one, other)
    everything = [*source, *views, *elsewhere, *others]
    assert len(set(everything)) == len(everything), "two uses share a stream"
    tasks = set(range(100_000))
    for seed in range(12):
        for m in (0, 1, 2, 3, 4, 5, 8, 10, 16, 20, 30, 60, 205):
            own = {child(seed, "task", m, i) for i in TASKS}
            tasks |= own | {child(o, use) for o in own for use in ("truth", "seen")}
    assert not tasks & set(everything), "a test task lies in a training stream"


@pytest.mark.parametrize("name", approaches.names())
@pytest.mark.parametrize("stop", [1, 3])
def test_training_that_is_cancelled_returns_what_it_has(name, stop, tmp_path):
    fitted, *_ = fit(name, steps=10, watch=lambda step: step.index >= stop)
    coords = nfd.cell_centres((11,))
    values = fitted.draw(None, 2, seed=0)(coords)
    assert torch.isfinite(values).all() and fitted.device.type == "cpu"
    again = nfd.load(nfd.save(fitted, tmp_path / "early.safetensors"), device="cpu")
    assert same(again, fitted) and apart(again.draw(None, 2, seed=0)(coords), values) < 1e-5


@pytest.mark.parametrize("name", approaches.names())
def test_who_watches_a_training_draws_from_its_model_and_changes_nothing(name):
    """Drawn from after every step that leaves something to draw from, and by whoever watches told to stop or not, the
    weights are those of a training that nobody saw. What the last step shows is what is returned."""
    problem, coords, shown = problems.get("gp1d"), nfd.cell_centres((11,)), []
    seen = nfd.observe(problem.draw(1, seed=5), nfd.patterns.Random(count=4), seed=5)

    def watch(step):
        if step.model is not None:
            with step.model() as model:
                shown.append(model.draw(seen, 2, seed=1)(coords))

    (watched, *_), (alone, *_) = fit(name, watch=watch), fit(name)
    assert same(watched, alone) and len(shown) >= 2 and all(torch.isfinite(values).all() for values in shown)
    assert apart(shown[-1], watched.draw(seen, 2, seed=1)(coords)) < 1e-6
    assert apart(shown[0], shown[-1]) > 1e-6, "the field forms"


@pytest.mark.parametrize("name", approaches.names())
def test_devices_are_named_or_refused(name, tmp_path):
    path = nfd.save(smoke(name), tmp_path / "weights.safetensors")
    assert nfd.load(path, device="cpu").device.type == "cpu" and smoke(name).device.type == "cpu"
    for door in (lambda: nfd.load(path, device="abacus"),
                 lambda: nfd.train(name, "gp1d", budget="smoke", device="abacus")):
        with pytest.raises(ValueError) as error:
            door()
        assert four_parts(error)


# Files

@each(TRAINED)
@pytest.mark.parametrize("seen", [True, False])
def test_saved_and_loaded_is_the_same(case, seen, tmp_path):
    coords, seen = nfd.cell_centres(GRID[1]), case.seen() if seen else None
    path = nfd.save(case.fitted, tmp_path / "deep" / "weights.safetensors")
    with untouched():
        again = nfd.load(path, device="cpu")
    assert same(again, case.fitted)
    assert apart(again.draw(seen, 3, seed=1)(coords), case.fitted.draw(seen, 3, seed=1)(coords)) < 1e-5
    assert again.about == json.loads(json.dumps(case.fitted.about))
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    half = nfd.load(nfd.save(case.fitted, tmp_path / "half.safetensors", dtype=torch.float16), device="cpu")
    assert apart(half.draw(seen, 3, seed=1)(coords), case.fitted.draw(seen, 3, seed=1)(coords)) < 0.05
    assert (tmp_path / "half.safetensors").stat().st_size < 0.6 * path.stat().st_size


def damages(path):
    """A whole weights file in, (what was done to it, bytes) out."""
    from safetensors import safe_open
    from safetensors.torch import save

    whole = path.read_bytes()
    with safe_open(path, "pt") as f:
        header, tensors = f.metadata(), {key: f.get_tensor(key) for key in f.keys()}     # noqa: SIM118
    first, told = next(iter(tensors)), header["about"]
    yield from {"empty": b"", "torn": whole[:len(whole) // 2], "short by one": whole[:-1],
                "noise": bytes(range(256)) * 8, "a picture": b"\x89PNG\r\n\x1a\n" + whole[8:],
                "a pickle": b"\x80\x04K\x01."}.items()
    yield "of another program", save(tensors, {"format": "pt"})
    yield "without a header", save(tensors)
    yield "of another version", save(tensors, {**header, "format": "nfdlab 0"})
    yield "with a torn story", save(tensors, {**header, "about": told[:-9]})
    yield "with an empty story", save(tensors, {**header, "about": "{}"})
    yield "of an unknown approach", save(tensors, {**header, "about": told.replace('"approach": "', '"approach": "un')})
    yield "with a foreign knob", save(tensors, {**header, "about": told.replace('"config": {', '"config": {"x": 2, ')})
    yield "without a config", save(tensors, {**header, "about": told.replace('"config"', '"confit"')})
    yield "with a tensor missing", save({k: v for k, v in tensors.items() if k != first}, header)
    yield "with a tensor of another shape", save({**tensors, first: torch.zeros(2, 3)}, header)
    yield "with a tensor too many", save({**tensors, "ears": torch.zeros(2)}, header)


@each(TRAINED)
def test_a_file_that_is_not_ours_is_refused_in_four_parts_and_kept(case, tmp_path):
    path = nfd.save(case.fitted, tmp_path / "whole.safetensors")
    for what, content in damages(path):
        bad = tmp_path / "bad.safetensors"
        bad.write_bytes(content)
        with pytest.raises((ValueError, KeyError)) as error:
            nfd.load(bad, device="cpu")
        assert four_parts(error), what
        assert bad.read_bytes() == content
    with pytest.raises(ValueError, match="exists"):
        nfd.load(tmp_path / "nowhere.safetensors")


def test_a_file_of_format_1_is_refused_and_the_reader_told_what_to_do(tmp_path):
    from safetensors.torch import save_file

    old = tmp_path / "old.safetensors"
    save_file({"a": torch.zeros(1)}, old, {"format": "nfdlab 1", "about": '{"approach": "score_field"}'})
    with pytest.raises(ValueError, match="came: .*nfdlab 1") as error:
        nfd.load(old)
    assert four_parts(error) and "nfdlab train APPROACH PROBLEM" in str(error.value)
    assert "the release that wrote" in str(error.value)


@each(TRAINED)
def test_a_save_that_fails_leaves_what_was_there(case, tmp_path, monkeypatch):
    path = nfd.save(case.fitted, tmp_path / "weights.safetensors")
    whole = path.read_bytes()

    def full(tensors, where, header):
        with open(where, "wb") as f:
            f.write(whole[:100])
        raise OSError("no space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(OSError, match="no space"):
        nfd.save(case.fitted, path)
    monkeypatch.undo()
    monkeypatch.setitem(case.fitted.about, "odd", object())
    with pytest.raises(TypeError):
        nfd.save(case.fitted, path)
    for wrong in (path.with_suffix(".pt"), tmp_path):
        with pytest.raises(ValueError) as error:
            nfd.save(case.fitted, wrong)
        assert four_parts(error)
    assert path.read_bytes() == whole and [p.name for p in tmp_path.iterdir()] == [path.name]
    with pytest.raises(TypeError) as error:
        nfd.save(problems.get("gp1d").oracle(), path)
    assert four_parts(error)
