"""Approach 6: frames as latents of both kinds, observations, both priors, guides, long films, learning."""

from functools import cache

import pytest
import torch

import nfdlab as nfd
from nfdlab import store
from nfdlab.approaches.temporal_field import TemporalField, TemporalPosterior
from nfdlab.core.grid import blend
from nfdlab.core.rng import child, normals
from nfdlab.core.types import ObservationBatch, Observations
from nfdlab.evaluate.continuity import consistency, flicker, seam_jump
from nfdlab.evaluate.regret import regret
from nfdlab.evaluate.scores import crps
from nfdlab.exact.normal import Normal
from nfdlab.observation.training_views import FrameViews

MINE = [problem for (approach, problem), file in store.shipped().items()
        if approach == "temporal_field" and "cells" in store.about(file)["config"]]
SMALL = {"widths": (16,), "depth": 1, "batch": 8, "encoder_width": 16, "field_width": 16}
FEW = {"frames": 8, "cells": 4, "points_per_cell": 2, "frame_side": 8}
SEAMS = (-0.5, -1 / 6, 1 / 6, 0.5)               # where the nearest window of three films changes
KINDS, EVERY = ("lattice", "vector"), nfd.patterns.Frames(every=4)


def fitted(name: str, steps: int, use: str | None = None, **knobs) -> TemporalPosterior:
    config, budget = TemporalField(**{**SMALL, **knobs}), nfd.Budget(steps=steps, name=use)
    return config.fit(nfd.problems.get(name), views=FrameViews(), budget=budget, seed=1, device="cpu")


def silence(model: TemporalPosterior) -> TemporalPosterior:
    model.net.denoiser.silence("network")
    return model


@cache
def start() -> TemporalPosterior:
    """The approach before any learning, on drift1dt: the Gaussian of 4096 films, and networks that add nothing."""
    model, films = fitted("drift1dt", 2, "smoke", prior="gaussian"), nfd.problems.get("drift1dt").draw(4096, seed=7)
    prior = model.net.denoiser.prior
    prior.calibrate(films(prior.places), model.encode(films), seed=0)
    model.net.autoencoder.silence("field")
    return silence(model)


def untrained(d: int = 2, kind: str = "lattice", **knobs) -> TemporalPosterior:
    """An untrained approach whose networks add something."""
    sides = {"cells": 1, "points_per_cell": 1, "frame_side": 1} if d == 1 else {}
    config = TemporalField(**{**SMALL, **FEW, **sides, "frame_autoencoder": kind, **knobs})
    net, rng = config.build(d, 1, seed=0).eval(), torch.Generator().manual_seed(0)
    for weight in net.parameters():
        if not weight.any():
            torch.nn.init.normal_(weight, std=0.3, generator=rng)
    net.denoiser.noise_levels.set(0.01, 20.0, 1.0)
    return TemporalPosterior(net, {"approach": "temporal_field", "d": d, "c": 1, "floor": 0.02,
                                   "config": {"guide": "encoder"}}, 6)


def places(m: int, d: int = 2, seed: int = 0) -> torch.Tensor:
    return 2 * torch.rand(m, d, generator=torch.Generator().manual_seed(seed)) - 1


def scattered(m: int = 7, d: int = 2, seed: int = 0) -> Observations:
    return Observations(places(m, d, seed), normals(seed, m, (1,), "y"), 0.05)


def seen_of(name: str, pattern, seed: int):
    truth = nfd.problems.held_out(nfd.problems.get(name)).draw(1, seed=seed)
    return truth, nfd.observe(truth, pattern, noise_std=0.05, seed=seed)


# Frames as latents

@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_a_lattice_keeps_every_value_and_is_linear_between(d):
    frames, coords = untrained(d).net.autoencoder, places(40, d)
    frames.unit.mean.fill_(1.0), frames.unit.std.fill_(2.0)
    films, lattice = normals(0, 2, (1, *frames.points), "films"), nfd.cell_centres(frames.points)
    prepared = frames.prepare(frames.encode(films))
    torch.testing.assert_close(frames.evaluate(lattice, prepared), films.flatten(2).mT, atol=1e-4, rtol=1e-4)
    assert (frames.evaluate(coords, prepared) - blend(films, coords)).abs().max() > 0.01
    frames.silence("field")
    torch.testing.assert_close(frames.evaluate(coords, prepared), blend(films, coords), atol=1e-5, rtol=1e-5)


def test_vectors_that_move_on_a_parabola_are_decoded_on_it_between_the_frames():
    frames = TemporalField(**SMALL, **FEW, frame_autoencoder="vector", sharpness=2.0).build(2, 1, seed=0).autoencoder
    at, coords, bow = nfd.cell_centres((8,))[:, 0], 0.6 * places(50), normals(0, 2, (6, 3), "bow")
    latent, now = (bow @ torch.stack([t**0, t, t**2]) for t in (at, coords[:, 0]))
    want = [frames.frame.field(coords[p:p + 1, 1:], now[..., p]) for p in range(50)]
    torch.testing.assert_close(frames.evaluate(coords, (latent,)), torch.cat(want, 1), atol=1e-4, rtol=1e-4)


def test_other_units_of_a_vector_change_no_film():
    """Nor whether films share their points; what is learned of the moments between frames takes part."""
    frames, coords = untrained(3, "vector").net.autoencoder, places(30, 3)
    films = normals(0, 4, (1, *frames.points), "films")
    before = frames.evaluate(coords, (frames.encode(films),))
    frames.rescale(2 + 3 * normals(1, 9, (6, 8), "raw"))
    latent = frames.encode(films)
    for found in (frames.evaluate(coords, (latent,)), torch.no_grad()(frames.evaluate)(coords, (latent,)),
                  frames.evaluate(coords.expand(4, -1, -1), (latent,))):
        torch.testing.assert_close(found, before, atol=1e-4, rtol=1e-4)
    moved = frames.at(latent, coords[:, 0])
    frames.move[-1].weight.data.zero_(), frames.move[-1].bias.data.zero_()
    assert (moved - frames.at(latent, coords[:, 0])).abs().max() > 1e-3


@pytest.mark.parametrize("kind,d", [(kind, d) for kind in KINDS for d in (1, 2, 3, 4) if kind == "lattice" or d > 1])
def test_draws_are_functions_at_every_frame_rate(kind, d):
    draws = untrained(d, kind).draw(scattered(d=d), 3, seed=0)
    for rate in (1, 3, 8) if d < 4 else (3,):
        assert consistency(draws, nfd.cell_centres((8 * rate, *(5, 3, 2)[:d - 1]))) < 1e-5


# Observations and priors

@pytest.mark.parametrize("kind,prior", [("lattice", "gaussian"), ("lattice", "white"), ("vector", "white")])
def test_observations_have_no_order_padding_changes_nothing_and_time_matters(kind, prior):
    """A point a quarter of a frame later, in the same frame, is another answer."""
    model = start() if prior == "gaussian" else untrained(2, kind)
    z, values = normals(3, 2, model.net.shape, "x"), torch.tensor([[1.0], [-1.0], [0.5]])
    seen = Observations(torch.tensor([[-0.95, 0.1], [0.02, -0.5], [0.02, 0.7]]), values, 0.05)

    def denoised(*seen: Observations) -> torch.Tensor:
        return model.net.denoiser(z, 0.5, model.net.condition(ObservationBatch.of(list(seen))))

    plain = denoised(seen)
    torch.testing.assert_close(denoised(seen.take(torch.tensor([2, 0, 1]))), plain, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(denoised(seen, scattered(21, seed=1))[:1], plain[:1], atol=1e-4, rtol=1e-4)
    for other in (Observations(seen.coords + torch.tensor([0.03, 0.0]), values, 0.05), Observations.none(2, 1),
                  Observations(seen.coords, -values, 0.05), Observations(seen.coords, values, 0.5)):
        assert (denoised(other) - plain).abs().max() > 1e-3


def test_of_frames_that_were_seen_whole_the_vectors_are_given():
    """Of the others, of which a point is missing, nothing is."""
    model = untrained(2, "vector")
    film, lattice = model.draw(None, 1, seed=0), nfd.cell_centres(model.net.autoencoder.points)
    third = 2 * model.net.autoencoder.points[1]
    seen = Observations(lattice, film(lattice)[0], 0.0).take(torch.arange(len(lattice)) != third)
    whole, *given = model.net.channels(ObservationBatch.of([seen]))[1].T
    assert whole.tolist() == [1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    torch.testing.assert_close(torch.stack(given), whole * model.encode(film)[0], atol=1e-4, rtol=1e-4)


def test_levels_of_training_are_the_configs_and_a_gaussian_shown_to_the_encoder_is_measured():
    net = fitted("drift1dt", 2, "smoke", gaussian_rank=20, noise_levels=(0.2, 1.5), late_levels=None).net
    assert (net.denoiser.noise_levels.median, net.denoiser.noise_levels.width) == pytest.approx((0.2, 1.5))
    assert fitted("drift1dt", 2, "smoke", late_levels=None).net.denoiser.noise_levels.median > 1.5     # the films' own
    late = fitted("drift1dt", 2, "smoke", late_levels=(0.1, 1.2)).net.denoiser.noise_levels
    assert (late.median, late.width) == pytest.approx((0.1, 1.2))
    shown = net.gaussian_channels
    assert 0.5 < float(shown.root.square().sum() / shown.places.shape[0] + shown.left) < 1.5     # a film's variance


def exact(model: TemporalPosterior, seen: Observations | None) -> Normal:
    """The exact posterior of the latents: values at the lattice, gathered by cell, of unit scale."""
    frames = model.net.autoencoder
    points = nfd.cell_centres(frames.points)
    where = frames.encoder(torch.arange(1.0 * len(points)).reshape(1, 1, *frames.points)).flatten().long()
    mean, std = (t.double().repeat_interleave(len(where) // len(t)) for t in (frames.unit.mean, frames.unit.std))
    rows = torch.eye(len(points), dtype=torch.float64)[where] / std[:, None]
    return nfd.problems.get("drift1dt").oracle().at(seen, points.double()).image(rows, -mean / std)


@pytest.mark.parametrize("m", [0, 12])
def test_on_a_gaussian_the_start_is_the_exact_denoiser(m):
    """Regret under 3 % at each level; below them counts what 112 directions leave, which is taken for white."""
    model = start()
    seen = seen_of("drift1dt", nfd.patterns.Random(count=m), 3)[1] if m else None
    law, D = exact(model, seen), model.denoiser(model.conditioning(seen))
    found = regret(lambda x, s: D(x.float().unflatten(1, model.net.shape), s).flatten(1).double(), law.denoiser(),
                   law.draw(64, seed=4), (0.3, 1.0, 3.0, 15.0), seed=0)
    assert found["regret"].max() < 0.03


@pytest.mark.parametrize("kind", KINDS)
def test_with_the_white_prior_it_starts_where_a_white_gaussian_would(kind):
    model = silence(untrained(2, kind))
    x, D = normals(0, 3, model.net.shape, "x"), model.denoiser(model.conditioning(scattered()))
    for sigma in (0.1, 3.0):
        torch.testing.assert_close(D(x, sigma), x / (1 + sigma**2))


# Guides

@pytest.mark.parametrize("guide", ["linearised", "particles"])
def test_linear_observations_pull_draws_by_a_guide(guide):
    """Averages of a film that the prior knows: draws miss them by less than half of what draws of the prior do."""
    model = silence(untrained(2, "vector", sharpness=0.5))                  # a decoder that bends little
    model.net.autoencoder.frame.field.answer[-1].weight.data *= 40          # and whose films are no rounding errors
    seen = nfd.observe(model.draw(None, 1, seed=5), nfd.patterns.BlockAverage(cells=3, parts=2), noise_std=0.02, seed=1)
    told, free = (float((seen.measure(draws(seen.points)) - seen.values).square().mean()) ** 0.5 for draws in (
        model.using(guide=guide, num_particles=128, rounds=8).draw(seen, 16, seed=0), model.draw(None, 16, seed=0)))
    assert told < 0.5 * free
    with pytest.raises(TypeError, match="linearised"):
        model.draw(seen, 2, seed=0)


# Long films

@pytest.mark.parametrize("kind", KINDS)
def test_windows_of_a_long_film_have_no_seams_and_films_side_by_side_do(kind):
    model = untrained(2, kind)
    long, cut = (model.long(scattered(), 4, 3, seed=0, blended=blended) for blended in (True, False))
    assert (long.n, long.d, long.c) == (4, 2, 1) and long(places(9)).std() > 0.1
    assert seam_jump(long, SEAMS, lines=64) < 2 < 10 < seam_jump(cut, SEAMS, lines=64)
    for draws in (long, cut):
        assert consistency(draws, nfd.cell_centres((31, 4))) < 1e-5


@pytest.mark.parametrize("films,blended", [(1, True), (3, True), (3, False)])
def test_a_long_film_goes_through_what_was_seen_at_its_time(films, blended):
    """A sensor at one place whose values no draw of the prior has: windows read the reports they show."""
    coords = torch.tensor([[-0.97, 0.1], [-0.45, 0.1], [-0.2, 0.1], [0.33, 0.1], [0.98, 0.1]])
    seen = Observations(coords, torch.tensor([[2.0], [-2.0], [2.0], [-2.0], [2.0]]), 0.01)
    told, free = (start().long(given, 6, films, seed=0, blended=blended)(coords) for given in (seen, None))
    assert told.shape == (6, 5, 1) and (told - seen.values).abs().max() < 0.5 < 1 < (free - seen.values).abs().mean()


def test_a_window_sees_what_is_in_it_and_nothing_else():
    """What was seen early in the first of three films: windows by themselves that begin later draw as if unseen."""
    model, line = untrained(), nfd.cell_centres((30, 4))
    first = Observations(torch.tensor([[-0.9, 0.3], [-0.8, -0.2]]), torch.tensor([[1.0], [-1.0]]), 0.05)
    told, free, none = (model.long(seen, 2, 3, seed=0, blended=False)(line) for seen in (
        first, None, Observations(first.coords[:0], first.values[:0], 0.5)))
    away, late = (told - free).abs().amax((0, 2)), line[:, 0] > -0.5
    assert away[late].max() == 0 and away[~late].min() > 1e-4 and torch.equal(none, free)


def test_a_long_film_refuses_in_four_parts():
    model, line = untrained(), Observations(torch.zeros(1, 1), torch.zeros(1, 1))
    for wrong in ({"films": 0}, {"films": 1.5}, {"n": 0}, {"seed": -1}, {"steps": 1}, {"seen": line}, {"seen": 3}):
        with pytest.raises((ValueError, TypeError)) as error:
            model.long(**{"seen": None, "n": 1, "films": 2, "seed": 0, **wrong})
        assert all(part in str(error.value) for part in ("\n  came: ", "\n  why:  ", "\n  do:   ")), wrong


# Learning

@pytest.mark.filterwarnings("ignore::nfdlab.training.Undertrained")
@pytest.mark.parametrize("kind,name,gap,steps,knobs", [
    ("lattice", "drift1dt", 4, 200, {**FEW, "points_per_cell": 4, "batch": 16, "lr": 0.01}),
    ("vector", "two_speed1dt", 3, 600, {"latent_channels": 7, "frame_side": 16, "field_share": 0.6, "field_depth": 2,
                                        "field_width": 32, "lr": 0.004, "noise_levels": (1.0, 1.6),
                                        "late_levels": None})])
def test_it_learns_what_is_between_the_frames_it_is_shown(kind, name, gap, steps, knobs):
    """After a few hundred small steps: CRPS given some frames below 0.85 of that at the start, and of that given none.
    """
    coords, tasks = nfd.cell_centres((24, 16)), [seen_of(name, nfd.patterns.Frames(every=gap), i) for i in range(4)]
    first, last = (fitted(name, count, frame_autoencoder=kind, **knobs) for count in (2, steps))
    told, before, free = (sum(float(crps(model.draw(seen if shown else None, 12, seed=0)(coords), truth(coords)[0]))
                              for truth, seen in tasks)
                          for model, shown in ((last, True), (first, True), (last, False)))
    assert told < 0.85 * min(before, free)


# What ships

@pytest.mark.parametrize("name", [p for p in MINE if p == "moving_disc2dt"])
def test_shipped_discs_between_frames_are_near_the_exact_posterior(name):
    """CRPS of two tasks below 4 times that of the exact posterior given every fourth frame (2.5 over 40 tasks, a
    twentieth of the best linear answer's), below 2 times given every eighth (1.26)."""
    model, problem = nfd.load("temporal_field", name, device="cpu"), nfd.problems.get(name)
    for every, most in ((4, 4), (8, 2)):
        table = nfd.score(model, problem, pattern=nfd.patterns.Frames(every=every), tasks=2, draws=16,
                          points=nfd.cell_centres((16, 12, 12)))
        assert table.ratio("crps")["crps"]["mean"] < most


@pytest.mark.parametrize("name", [p for p in MINE if p == "two_speed1dt"])
def test_shipped_draws_go_each_way_with_its_posterior_probability(name):
    """A draw goes the way under which it is likelier. Given every fifth frame the share that goes one way is within 0.2
    of the exact probability, in the mean of four tasks; given every seventh it is known, and within 0.05."""
    model, problem = nfd.load("temporal_field", name, device="cpu"), nfd.problems.get(name)
    grid = nfd.cell_centres((16, 12))
    one, other = (part.at(grid) for part in problem.prior.parts)
    for gap, close in ((5, 0.2), (7, 0.05)):
        away = 0.0
        for seed in range(90, 94):
            _, seen = seen_of(name, nfd.patterns.Frames(every=gap), seed)
            draws = model.draw(seen, 64, seed=seed, steps=6)(grid)[..., 0]
            share = (one.log_prob_noisy(draws, 0.1) > other.log_prob_noisy(draws, 0.1)).double().mean()
            away += abs(float(share - problem.prior.posterior(seen).log_weights.exp()[0])) / 4
        assert away < close, gap


@pytest.mark.parametrize("name", [p for p in MINE if p == "film2dt"])
def test_shipped_draws_of_a_film_beat_straight_lines_in_time_and_move_as_films_do(name):
    """Four held-out films given every fourth frame: CRPS below 0.95 of linear in time's (0.74; the header has those to
    the best linear answer); flicker at eight times the frame rate 0.79 of the films' own (ten films, standard error
    0.08)."""
    model, problem = nfd.load("temporal_field", name, device="cpu"), nfd.problems.get(name)
    table = nfd.score(model, problem, pattern=EVERY, tasks=4, draws=8,
                      against=nfd.baselines.get("linear_in_time", problem))
    assert table.ratio("crps")["crps"]["mean"] < 0.95
    films = [nfd.problems.held_out(problem).draw(1, seed=child(5, "f", i)) for i in range(5)]
    found = [flicker(model.draw(nfd.observe(film, EVERY, seed=i), 2, seed=i), film) for i, film in enumerate(films)]
    assert 0.5 < sum(found) / 5 < 1.2
