"""Laws of approach 6: films as latents of frames, the mixture's own denoiser, fields that know no frame rate."""

from functools import cache

import pytest
import torch
from nfdlab.approaches.temporal_field.linear_latents import Frames, blended, surprise
from nfdlab.approaches.temporal_field.neural_latents import MOST
from nfdlab.encoders.rasterise import Rasterise

import nfdlab as nfd
from nfdlab.approaches.temporal_field import TemporalField
from nfdlab.core import spline
from nfdlab.core.rng import normals, seeded, stream, uniforms
from nfdlab.core.types import ObservationBatch, Observations
from nfdlab.diffusion.samplers import path
from nfdlab.diffusion.schedule import NoiseLevels
from nfdlab.evaluate.scores import crps
from nfdlab.fields.space_time import SpaceTimeField, around, between
from nfdlab.gaussian.karhunen_loeve import WeightPosterior
from nfdlab.observation.space_time_views import FrameViews

FRAMES = 16


def measured(name, kinds, rank, draws, k, side=33, smooth=0.0):
    """Codes of frames with the statistics of a problem, and values of a few films that they were measured from."""
    problem, latents = nfd.problems.get(name), Frames(2, 1, side, rank, FRAMES, 32, k, kinds, smooth)
    values = problem.draw(draws, seed=1)(torch.cat([latents.places, latents.grid]))
    latents.calibrate(values[:, :len(latents.places)], values[:, len(latents.places):], seed=2)
    return latents, values[:64, len(latents.places):]


@cache
def drifting():
    return measured("drift1dt", 1, 120, 4096, 20)


@cache
def two_speeds():
    return measured("two_speed1dt", 2, 60, 8192, 7)


def jostle(net, *, seed, size=0.3):
    """Random weights everywhere, so that what starts at zero is put to use."""
    with torch.no_grad():
        rng = stream(seed, "jostle")
        for p in net.parameters():
            p.add_(size * torch.randn(p.shape, generator=rng) / max(1, p.shape[-1] if p.ndim else 1) ** 0.5)
    return net


def seen_of(name, pattern, seed, noise_std=0.05):
    truth = nfd.problems.get(name).draw(1, seed=seed)
    return truth, nfd.observe(truth, pattern, noise_std=noise_std, seed=seed)


# Splines

@pytest.mark.parametrize("d", [1, 2, 3])
def test_splines_read_cubics_exactly_and_waves_closely(d):
    """A cubic is its own spline; of a wave of eight points a period at most 0.12 % is lost, away from the walls."""
    side = {1: 33, 2: 17, 3: 17}[d]
    at = torch.linspace(-1, 1, side)
    places = torch.stack([g.flatten() for g in torch.meshgrid(*[at] * d, indexing="ij")], -1)
    coords = 2 * uniforms(1, 200, (d,), "places", dtype=torch.float32) - 1
    coords[:2] = torch.tensor([[-1.0] * d, [1.0] * d])

    def cubic(x):
        return (0.3 + x - 0.7 * x**2 + 1.3 * x**3).prod(-1)

    def wave(x):
        return torch.sin(torch.pi * (side - 1) / 8 * x).prod(-1)

    inside = (coords.abs() < 1 - 8 / (side - 1)).all(1)
    for function, close, where in ((cubic, 5e-6, slice(None)), (wave, 1.2e-3 * d, inside)):
        found = spline.read(spline.table(function(places).reshape(1, *[side] * d)), coords, side)[:, 0]
        assert (found - function(coords))[where].abs().max() < close
    share = spline.taps(coords, side)[1]
    torch.testing.assert_close(share.sum(-1), torch.ones(200))


# Codes of frames

def test_codes_are_linear_of_unit_scale_and_read_back():
    latents, films = drifting()
    latent = latents.encode(films)
    assert latent.shape == (64, 20, FRAMES)
    assert abs(float(latent.square().mean()) - 1) < 0.1
    mixed = latents.encode(0.3 * films + 0.7 * films.flip(0))
    torch.testing.assert_close(mixed, 0.3 * latent + 0.7 * latent.flip(0), atol=1e-3, rtol=1e-3)
    found = latents.reading(latents.grid, latents.prepare(latent))
    assert (found - films).square().mean().sqrt() < 0.06          # what 120 directions leave


def test_between_frames_a_code_is_read_by_the_same_statistics():
    """At moments no frame has, the error of a reading is what frames leave open: 3 % of a standard deviation."""
    latents, _ = two_speeds()
    truth = nfd.problems.get("two_speed1dt").draw(32, seed=1)
    coords = nfd.cell_centres((33, 16))
    found = latents.reading(coords, latents.prepare(latents.encode(truth(latents.grid))))
    assert (found - truth(coords)).square().mean().sqrt() < 0.03


@pytest.mark.parametrize("sigma", [0.1, 1.0, 15.0])
def test_the_start_is_the_posterior_of_a_mixture_of_gaussians(sigma):
    """Mean, spread and odds given observations and noisy latents, by conditioning each kind's own large Gaussian in float64."""
    latents, _ = two_speeds()
    _, seen = seen_of("two_speed1dt", nfd.patterns.Random(count=9), 3, noise_std=0.2)
    x = (1 + sigma**2) ** 0.5 * normals(4, 3, (7 * FRAMES,), "x")
    found, spread, odds = blended(latents.sensors, latents.condition(ObservationBatch.of([seen])), x, torch.tensor(sigma))
    means, variances, logs = [], [], []
    for kl, sensor, share in zip(latents.each, latents.sensors, latents.share, strict=True):
        A, own, rows = sensor.matrix.double(), sensor.own.double(), kl.rows(seen.coords).double()
        z, both = A @ A.T + own.diag(), torch.cat([rows, A])
        noise = torch.cat([0.2**2 + kl.rest(seen.coords)[0, :, 0].double(), own + sigma**2])
        S, cross = both @ both.T + noise.diag(), torch.cat([A @ rows.T, z], 1)
        away = torch.cat([(seen.values - kl.mean(seen.coords)[0])[:, 0].expand(3, -1), x - sensor.middle], 1).double()
        means.append(sensor.middle + away @ torch.linalg.solve(S, cross.T))
        variances.append((z - cross @ torch.linalg.solve(S, cross.T)).diagonal().expand(3, -1))
        logs.append(share.double().log() + torch.distributions.MultivariateNormal(
            torch.zeros(len(S)).double(), S).log_prob(away))
    weight = torch.stack(logs).softmax(0)
    torch.testing.assert_close(odds.T.double(), weight, atol=0.02, rtol=0.02)
    weight, means = odds.T.double()[..., None], torch.stack(means)
    mean = (weight * means).sum(0)
    torch.testing.assert_close(found.double(), mean, atol=5e-3, rtol=5e-3)
    wide = (weight * (torch.stack(variances) + (means - mean).square())).sum(0).sqrt()
    torch.testing.assert_close(spread.double().expand(3, -1), wide, atol=5e-3, rtol=2e-2)


@pytest.mark.parametrize("sigma", [0.3, 3.0])
def test_surprise_is_the_density_of_what_came(sigma):
    """log N of noisy latents given what observations said, constants and all, against the density of one large Gaussian."""
    latents, _ = drifting()
    _, seen = seen_of("drift1dt", nfd.patterns.Random(count=6), 3, noise_std=0.2)
    sensor, before = latents.sensors[0], latents.condition(ObservationBatch.of([seen]))[0][0]
    x = (1 + sigma**2) ** 0.5 * normals(4, 3, (20 * FRAMES,), "x")
    after = sensor.condition(before, x, torch.tensor(sigma))[0]
    A, inverse = sensor.matrix.double(), torch.linalg.inv(before.precision[0].double())
    law = torch.distributions.MultivariateNormal(sensor.middle.double() + A @ inverse @ before.information[0].double(),
                                                 A @ inverse @ A.T + (sensor.own.double() + sigma**2).diag())
    found = surprise(sensor, before, after, x, sigma)
    torch.testing.assert_close(found.double(), law.log_prob(x.double()), atol=0.05, rtol=1e-4)


def test_a_clean_code_shows_its_kind():
    """From the latent alone, right for every film; and the two kinds are the two directions, each found by itself."""
    latents, _ = two_speeds()
    forth, back = (latents.odds(latents.encode(part.draw(64, seed=7)(latents.grid)))
                   for part in nfd.problems.get("two_speed1dt").prior.parts)
    assert (torch.cat([forth, back]).max(1).values > 0.99).all()
    assert len(forth.argmax(1).unique()) == len(back.argmax(1).unique()) == 1
    assert forth.argmax(1)[0] != back.argmax(1)[0]
    assert (latents.share - 0.5).abs().max() < 4 * (0.25 / 8192) ** 0.5


def test_aliased_frames_leave_even_odds_and_others_none():
    """The wagon wheel: at every fifth frame both directions are as likely, at every third and seventh one is sure."""
    latents, _ = two_speeds()
    for gap, low, high in ((3, 0.99, 1.0), (5, 0.5, 0.72), (7, 0.9, 1.0)):
        most = []
        for i in range(8):
            votes = latents.condition(ObservationBatch.of([seen_of("two_speed1dt", nfd.patterns.Frames(every=gap), i)[1]]))
            most.append(float(torch.stack([v for _, v in votes], 1).softmax(1).max()))
        assert low <= sum(most) / 8 <= high, (gap, most)


def test_draws_go_one_way_each_and_as_often_as_the_odds_say():
    """At gap 5: no draw stands between the kinds, and shares follow the evidence (within 4 standard errors of 128)."""
    latents, films = two_speeds()
    heard = latents.condition(ObservationBatch.of([seen_of("two_speed1dt", nfd.patterns.Frames(every=5), 5)[1]]))
    levels = NoiseLevels.of(latents.encode(films)).sigmas(16)
    x = levels[0] * normals(1, 128, (7 * FRAMES,), "x")
    for visit in path(lambda x, s: blended(latents.sensors, heard, x, s)[0], x, levels, method="dpmpp"):
        x = visit.x
    odds = latents.odds(x.unflatten(1, (7, FRAMES)))[:, 0]
    vote = float(torch.stack([v for _, v in heard], 1).softmax(1)[0, 0])
    assert ((odds < 0.02) | (odds > 0.98)).float().mean() > 0.98
    assert abs(float(odds.mean()) - vote) < 4 * (vote * (1 - vote) / 128) ** 0.5 + 0.03


# The field

@pytest.mark.parametrize("own", [False, True])
def test_codes_between_frames_are_cubics_and_go_straight_on_beyond(own):
    """Parabolas in time are met exactly inside, straight lines anywhere."""
    times = torch.linspace(-1, 1, 97)
    at = nfd.cell_centres((FRAMES,))[:, 0]
    line, bow = torch.stack([at, -2 * at])[None], torch.stack([at**2, 1 - at**2])[None]
    asked = times.expand(1, -1) if own else times
    found = between(*around(line, asked))[0]
    torch.testing.assert_close(found, torch.stack([times, -2 * times], 1), atol=1e-5, rtol=1e-5)
    inside = (times.abs() < at[-2])
    found = between(*around(bow, asked))[0][inside]
    torch.testing.assert_close(found, torch.stack([times**2, 1 - times**2], 1)[inside], atol=1e-5, rtol=1e-5)
    frames = between(*around(bow, at.expand(1, -1) if own else at))[0]
    torch.testing.assert_close(frames, bow[0].T, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_field_asks_frames_near_by_and_starts_at_nothing(d):
    with seeded(0):
        field = SpaceTimeField(d, 3, 2, 16, 3, 2).eval()
    latent, coords = normals(0, 2, (3, FRAMES), "code"), 2 * uniforms(1, 40, (d,), "x", dtype=torch.float32) - 1
    assert field(coords, latent).abs().max() == 0
    jostle(field, seed=1, size=1.0)
    with torch.no_grad():
        values = field(coords, latent)
        torch.testing.assert_close(field(coords.expand(2, -1, -1), latent), values, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(field(coords[5:9], latent), values[:, 5:9], atol=1e-5, rtol=1e-5)
        far = coords[:, 0] > -1 + 2 * 3 / FRAMES                     # two frames and more after the first
        moved = field(coords, torch.cat([latent[..., :1] + 1, latent[..., 1:]], -1))
    torch.testing.assert_close(moved[:, far], values[:, far])
    assert d == 1 or (moved - values)[:, coords[:, 0] < -0.8].abs().max() > 1e-3


# Observations on frames

@pytest.mark.parametrize("d", [1, 2, 3])
def test_dots_are_laid_where_they_are(d):
    """Whole frames are met cell for cell; a linear function of space is laid without error; frames unseen are empty."""
    splat, cells = Rasterise(d, 1, 4, 5), 5 ** (d - 1)
    grid = nfd.cell_centres((4, *[5] * (d - 1)))
    values = normals(0, len(grid), (1,), "values")
    kept = grid[:, 0] > 0
    laid = splat(ObservationBatch.of([Observations(grid[kept], values[kept])])).unflatten(2, (cells, 2))[0]
    assert (laid[:2] == 0).all() and (laid[2:, :, 1] > 0.9).all()
    torch.testing.assert_close(laid[2:, :, 0] / laid[2:, :, 1], values[kept, 0].reshape(2, cells), atol=1e-4, rtol=1e-4)
    index, loud = splat.weights(2 * uniforms(1, 50, (d,), "x", dtype=torch.float32) - 1)
    assert index.shape == loud.shape == (50, 2**d) and index.max() < 4 * cells
    torch.testing.assert_close(loud.sum(-1), torch.ones(50))


def test_dots_of_one_film_say_nothing_of_another_and_padding_nothing_at_all():
    splat = Rasterise(2, 1, 4, 5)
    x, y = 2 * uniforms(1, 7, (2,), "x", dtype=torch.float32) - 1, normals(1, 7, (1,), "y")
    unconditional_share = splat(ObservationBatch.of([Observations(x, y)]))
    both = splat(ObservationBatch.of([Observations(x, y), Observations(x.repeat(3, 1), y.repeat(3, 1) + 1)]))
    torch.testing.assert_close(both[:1], unconditional_share)
    turned = splat(ObservationBatch.of([Observations(x.flip(0), y.flip(0))]))
    torch.testing.assert_close(turned, unconditional_share, atol=1e-5, rtol=1e-5)


# Flipbooks

@cache
def book():
    return jostle(TemporalField(flat=4, width=16, depth=1, memory=16, frames=8, fine=8).build(3, 1), seed=3).eval()


def test_readers_together_are_bayes_rule():
    """Guesses of single frames as measurements of latents with the films' covariance, conditioned in float64."""
    latents, films = book().latents, normals(1, 500, (4, 8), "codes").cumsum(2) / 3
    latents.calibrate(films)
    sensor = latents.sensors[0]
    cov = sensor.matrix.double() @ sensor.matrix.double().T + sensor.own.double().diag()
    flat = films.flatten(1)
    torch.testing.assert_close(cov, flat.double().T.cov(), atol=2e-3, rtol=2e-3)
    mean, spread = 0.6 * normals(2, 2, (8, 4), "mean"), 0.1 + 0.8 * uniforms(3, 2, (8, 4), "sd", dtype=torch.float32)
    spread[:, 3:6] = MOST                                               # of frames that were not seen
    mean[:, 3:6] = 0
    fused, wide = latents.together(mean, spread).at(sensor.matrix)
    for i in range(2):
        sure = (1 / spread[i].double()**2 - 1 / MOST**2).T.flatten()
        heard = sure > 1e-9
        value = (mean[i] / spread[i]**2).double().T.flatten()[heard] / sure[heard] - sensor.middle.double()[heard]
        A = sensor.matrix.double()
        S = A[heard] @ A[heard].T + (1 / sure[heard] + sensor.own.double()[heard]).diag()
        gain = torch.linalg.solve(S, A[heard] @ A.T).T
        torch.testing.assert_close(fused[i].double(), gain @ value, atol=2e-3, rtol=2e-3)
        torch.testing.assert_close(wide[i].double(), (A @ A.T - gain @ A[heard] @ A.T).diagonal(), atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize("flat", [0, 4])
def test_untrained_it_is_the_start_and_frames_have_no_say_about_others_codes(flat):
    """F is nothing at first; it takes what was seen in a frame to that frame, and by attention to the others."""
    with seeded(1):
        net = TemporalField(flat=flat, latent=3, width=16, depth=1, memory=16, frames=8, fine=8, side=8, rank=12).build(
            3, 1).eval()
    if not flat:
        films = normals(0, 64, (len(net.latents.places) + len(net.latents.grid), 1), "films")
        net.latents.calibrate(films[:, :512], films[:, 512:], seed=1)
    coords = nfd.cell_centres((8, 4, 4))[:16]
    heard = net.condition(ObservationBatch.of([Observations(coords, torch.ones(16, 1))]))
    x, sigma = 2 * normals(2, 3, net.shape, "x"), torch.tensor(2.0)
    clean, _ = net.denoiser.start(x, sigma, heard.features[0])
    torch.testing.assert_close(net.denoiser(x, sigma, *heard.features), clean)
    assert isinstance(heard.features[0][0][0], WeightPosterior)
    told = heard.features[1]
    assert (told[0, 1:] - told[0, 1]).abs().max() < 1e-6 and (told[0, 0] - told[0, 1]).abs().max() > 1e-6


def test_noise_that_is_smooth_in_time_is_the_same_diffusion_in_other_coordinates():
    """White noise on smooth latents is noise on frames with the covariance it should have, neighbours alike; latents of a
    film, what observations say of them and the films they read back as are those of the white ones. 1e-2 of a unit: the latents'
    own small noise is taken to be uncorrelated in either coordinates, and is not in both."""
    (white, films), (smooth, _) = drifting(), measured("drift1dt", 1, 120, 4096, 20, smooth=0.15)
    times = nfd.cell_centres((FRAMES,), dtype=torch.float64)
    wanted = 0.9 * torch.exp(-0.5 * ((times - times.T) / 0.15).square()) + 0.1 * torch.eye(FRAMES)
    noise = smooth.own(normals(3, 4000, (20, FRAMES), "noise")).double()
    found = torch.einsum("bkt,bks->ts", noise, noise) / noise[..., 0].numel()
    assert (found - wanted).abs().max() < 5 * (2 / 80_000) ** 0.5
    assert (white.own(noise) == noise).all()
    torch.testing.assert_close(smooth.own(smooth.encode(films)), white.encode(films), atol=1e-3, rtol=1e-3)
    truth, seen = seen_of("drift1dt", nfd.patterns.Frames(every=4), seed=5)
    line, told = nfd.cell_centres((40, 16)), []
    for latents in (white, smooth):
        votes = latents.condition(ObservationBatch.of([seen]))
        clean = blended(latents.sensors, votes, torch.zeros(1, 20 * FRAMES), torch.tensor(1e4))[0].unflatten(1, (20, -1))
        told.append((latents.own(clean), latents.reading(line, latents.prepare(clean))))
    for a, b in zip(*told, strict=True):
        assert (a - b).square().mean().sqrt() < 1e-2
    with pytest.raises(ValueError, match="smooth: 0"):
        TemporalField(flat=4, smooth=0.1).build(2, 1)


def test_smooth_noise_draws_as_well_as_white():
    """Closed forms alone, networks at nothing: draws with smooth noise score as those with white, to 4 % of CRPS."""
    problem, scores = nfd.problems.get("drift1dt"), {}
    for smooth in (0.0, 0.15):
        small = TemporalField(smooth=smooth, side=33, rank=120, draws=4096, width=16, depth=1, memory=16)
        model = nfd.train(small, problem, budget=nfd.Budget(steps=2), seed=1, device="cpu")
        scores[smooth] = [float(crps(model.draw(seen, 32, seed=s)(nfd.cell_centres((24, 16))),
                                     truth(nfd.cell_centres((24, 16)))[0]))
                          for s in range(8) for truth, seen in [seen_of("drift1dt", nfd.patterns.Frames(every=4), s)]]
    assert abs(sum(scores[0.15]) / sum(scores[0.0]) - 1) < 0.04


# Views

@pytest.mark.parametrize("d", [1, 2, 3])
def test_views_are_frames_sensors_and_dots_and_the_seed_is_the_view(d):
    fields = nfd.problems.get({1: "gp1d", 2: "drift1dt", 3: "moving_disc2dt"}[d]).draw(60, seed=1)
    views = FrameViews(cells=8)
    seen = views(fields, seed=3)
    again = views(fields, seed=3)
    assert torch.equal(again.values, seen.values) and not torch.equal(views(fields, seed=4).mask, seen.mask)
    assert (seen.coords[~seen.mask] == 0).all() and (seen.values[~seen.mask] == 0).all()
    error = (seen.values - fields(seen.coords))[..., 0] / seen.noise_std[:, None]
    assert abs(float(error[seen.mask].std()) - 1) < 0.15
    counts = seen.mask.sum(1)
    assert 0.02 < (counts == 0).float().mean() < 0.45
    whole = FrameViews(cells=8, whole=1.0, cut=0.0, nothing=0.0)(fields, seed=5)
    assert (whole.mask.sum(1) % 8 ** (d - 1) == 0).all() and int(whole.mask.sum(1).max()) <= 0.8 * 16 * 8 ** (d - 1)
    times = (whole.coords[..., 0][whole.mask] + 1) * 8 - 0.5
    assert (times - times.round()).abs().max() < 1e-4
    past = FrameViews(whole=0.0, fixed=0.0, cut=1.0, nothing=0.0)(fields, seed=6)
    latest = torch.where(past.mask, past.coords[..., 0], -1.0).amax(1)
    assert latest.median() < 0.6 and abs(float(latest.mean())) < 0.4
    fixed = FrameViews(whole=0.0, fixed=1.0, cut=0.0, nothing=0.0)(fields, seed=7)
    assert (fixed.mask.sum(1) % 16 == 0).all()


# What ships

def test_shipped_draws_flip_a_coin_as_fair_as_the_frames_leave_it():
    """At gap 5 the share of draws that go one way is within 0.07 of the exact odds, and three standard errors of 256;
    at gap 7 all go the right way."""
    model, problem = nfd.load("temporal_field", "two_speed1dt", device="cpu"), nfd.problems.get("two_speed1dt")
    first = model.kinds(model.encode(problem.prior.parts[0].draw(1, seed=1))).argmax()
    for gap, close in ((5, 0.07 + 3 * 0.031), (7, 0.02)):
        for i in range(3):
            _, seen = seen_of("two_speed1dt", nfd.patterns.Frames(every=gap), 90 + i)
            exact = float(problem.prior.posterior(seen).log_weights.exp()[0])
            z = list(model.path(seen, 256, seed=i, steps=12))[-1].x
            assert abs(float((model.kinds(z)[:, first] > 0.5).float().mean()) - exact) < close, (gap, i)


@pytest.mark.parametrize("name,gap", [("drift1dt", 4), ("two_speed1dt", 5), ("moving_disc2dt", 4)])
def test_nothing_leaks_past_the_codes(name, gap):
    """The field sees frames through latents alone: silent ones, or those of another order, are far worse."""
    model, problem = nfd.load("temporal_field", name, device="cpu"), nfd.problems.get(name)
    coords, scores = nfd.cell_centres((16, *[10] * (problem.d - 1))), torch.zeros(3)
    for seed in range(3):
        truth, seen = seen_of(name, nfd.patterns.Frames(every=gap), seed)
        x = list(model.path(seen, 8, seed=seed, steps=10))[-1].x
        for i, latent in enumerate((x, 0 * x, x.roll(5, -1))):
            scores[i] += float(crps(model.decode(latent)(coords), truth(coords)[0])) / 3
    assert scores[0] < 0.6 * scores[1] and scores[0] < 0.6 * scores[2], scores


@pytest.mark.parametrize("name", ["drift1dt", "moving_disc2dt"])
def test_forecasts_grow_unsure_as_they_should(name):
    """From one frame alone: at the end at least 0.8 of the exact posterior's spread, at the start far less."""
    model, problem = nfd.load("temporal_field", name, device="cpu"), nfd.problems.get(name)
    coords, ours, exact = nfd.cell_centres((16, *[12] * (problem.d - 1))), 0, 0
    for seed in range(2):
        _, seen = seen_of(name, nfd.patterns.Frames(every=16), seed)
        ours, exact = (total + who.draw(seen, 32, seed=seed)(coords)[..., 0].var(0).unflatten(0, (16, -1)).mean(1)
                       for total, who in ((ours, model), (exact, problem.oracle())))
    ours, exact = ours.sqrt(), exact.sqrt()
    assert 0.8 < ours[-1] / exact[-1] < 1.2 and ours[0] < 0.4 * ours[-1]


def test_drawn_films_are_discs_that_move():
    """Of draws given every fourth frame: at all 16 frames one bright region of a size that discs have, hardly any grey
    beyond the truth's, and a path no faster than discs move."""
    model, coords = nfd.load("temporal_field", "moving_disc2dt", device="cpu"), nfd.cell_centres((16, 24, 24))
    for seed in range(3):
        truth, seen = seen_of("moving_disc2dt", nfd.patterns.Frames(every=4), seed)
        for f in (truth, model.draw(seen, 6, seed=seed)):
            light = f(coords)[..., 0].unflatten(1, (16, 576))
            area = (light > 0.5).float().mean(2)
            grey = ((light > 0.15) & (light < 0.85)).float().mean()
            weight = (light - 0.2).clamp_min(0)
            path = weight @ coords[:576, 1:] / weight.sum(-1, keepdim=True).clamp_min(1e-6)
            if f is truth:
                usual = area.mean(), grey
            assert ((area / usual[0]).min() > 0.6) and ((area / usual[0]).max() < 1.5)
            assert grey < 2 * usual[1] and path.diff(dim=1).abs().max() < 0.3
