"""Approach 6: films as latents of frames, the mixture prior of its denoiser, readers of single frames."""

from functools import cache

import pytest
import torch

import nfdlab as nfd
from nfdlab.approaches.temporal_field import TemporalField
from nfdlab.approaches.temporal_field.frame_latents import (
    MOST,
    ComponentPosteriors,
    LinearFrameLatents,
    Rasterise,
    log_likelihood,
    mixture_moments,
)
from nfdlab.core.rng import normals, seeded, uniforms
from nfdlab.core.types import Budget, ObservationBatch, Observations
from nfdlab.diffusion.samplers import path
from nfdlab.diffusion.schedule import NoiseLevels
from nfdlab.evaluate.scores import crps
from nfdlab.fields.space_time import SpaceTimeField
from nfdlab.observation.training_views import FrameViews

FRAMES = 16


def measured(name, components, rank, draws, k, side=33, noise_lengthscale=0.0):
    """Linear latents of frames measured on a problem's films, and values of a few of these films."""
    problem = nfd.problems.get(name)
    with seeded(0):
        field = SpaceTimeField(2, k, 1, 16, 1, 2)
    latents = LinearFrameLatents(2, 1, side, rank, FRAMES, 32, k, field, components, noise_lengthscale)
    values = problem.draw(draws, seed=1)(torch.cat([latents.places, latents.grid]))
    latents.calibrate(values[:, :len(latents.places)], values[:, len(latents.places):], seed=2)
    return latents, values[:64, len(latents.places):]


@cache
def drifting():
    return measured("drift1dt", 1, 120, 4096, 20)


@cache
def two_speeds():
    return measured("two_speed1dt", 2, 60, 8192, 7)


def weights(known: ComponentPosteriors) -> torch.Tensor:
    """Posterior probabilities of the mixture components, given observations: (b, components)."""
    return torch.stack(known.log_weights, 1).softmax(1)


def seen_of(name, pattern, seed, noise_std=0.05):
    truth = nfd.problems.get(name).draw(1, seed=seed)
    return truth, nfd.observe(truth, pattern, noise_std=noise_std, seed=seed)


# Linear latents of frames

def test_latents_are_linear_of_unit_scale_and_reconstruct():
    latents, films = drifting()
    latent = latents.encode(films)
    assert latent.shape == (64, 20, FRAMES)
    assert abs(float(latent.square().mean()) - 1) < 0.1
    mixed = latents.encode(0.3 * films + 0.7 * films.flip(0))
    torch.testing.assert_close(mixed, 0.3 * latent + 0.7 * latent.flip(0), atol=1e-3, rtol=1e-3)
    found = latents.reconstruct(latents.grid, latents.prepare(latent))
    assert (found - films).square().mean().sqrt() < 0.06          # what 120 directions leave


def test_between_frames_latents_reconstruct_as_well():
    """At times between frames the reconstruction error is what frames leave open: 3 % of a standard deviation."""
    latents, _ = two_speeds()
    truth = nfd.problems.get("two_speed1dt").draw(32, seed=1)
    coords = nfd.cell_centres((33, 16))
    found = latents.reconstruct(coords, latents.prepare(latents.encode(truth(latents.grid))))
    assert (found - truth(coords)).square().mean().sqrt() < 0.03


@pytest.mark.parametrize("sigma", [0.1, 1.0, 15.0])
def test_the_prior_is_the_posterior_of_a_mixture_of_gaussians(sigma):
    """Mean, std and component probabilities given observations and noisy latents, by conditioning each component's own
    large Gaussian in float64."""
    latents, _ = two_speeds()
    _, seen = seen_of("two_speed1dt", nfd.patterns.Random(count=9), 3, noise_std=0.2)
    x = (1 + sigma**2) ** 0.5 * normals(4, 3, (7 * FRAMES,), "x")
    found, std, probabilities = mixture_moments(latents.condition(ObservationBatch.of([seen])), x, torch.tensor(sigma))
    means, variances, logs = [], [], []
    for expansion, measurement, share in zip(latents.expansions, latents.measurements, latents.component_weights,
                                             strict=True):
        A, own, rows = measurement.matrix.double(), measurement.own.double(), expansion.rows(seen.coords).double()
        z, both = A @ A.T + own.diag(), torch.cat([rows, A])
        noise = torch.cat([0.2**2 + expansion.residual_variance(seen.coords)[0, :, 0].double(), own + sigma**2])
        S, cross = both @ both.T + noise.diag(), torch.cat([A @ rows.T, z], 1)
        away = (seen.values - expansion.mean(seen.coords)[0])[:, 0].expand(3, -1)
        away = torch.cat([away, x - measurement.middle], 1).double()
        means.append(measurement.middle + away @ torch.linalg.solve(S, cross.T))
        variances.append((z - cross @ torch.linalg.solve(S, cross.T)).diagonal().expand(3, -1))
        logs.append(share.double().log() + torch.distributions.MultivariateNormal(
            torch.zeros(len(S)).double(), S).log_prob(away))
    weight = torch.stack(logs).softmax(0)
    torch.testing.assert_close(probabilities.T.double(), weight, atol=0.02, rtol=0.02)
    weight, means = probabilities.T.double()[..., None], torch.stack(means)
    mean = (weight * means).sum(0)
    torch.testing.assert_close(found.double(), mean, atol=5e-3, rtol=5e-3)
    wide = (weight * (torch.stack(variances) + (means - mean).square())).sum(0).sqrt()
    torch.testing.assert_close(std.double().expand(3, -1), wide, atol=5e-3, rtol=2e-2)


@pytest.mark.parametrize("sigma", [0.3, 3.0])
def test_the_log_likelihood_of_noisy_latents(sigma):
    """Given observations, constants and all, against the density of one large Gaussian."""
    latents, _ = drifting()
    _, seen = seen_of("drift1dt", nfd.patterns.Random(count=6), 3, noise_std=0.2)
    measurement, before = latents.measurements[0], latents.condition(ObservationBatch.of([seen])).posteriors[0]
    x = (1 + sigma**2) ** 0.5 * normals(4, 3, (20 * FRAMES,), "x")
    after = measurement.condition(before, x, torch.tensor(sigma))[0]
    A, inverse = measurement.matrix.double(), torch.linalg.inv(before.precision[0].double())
    exact = torch.distributions.MultivariateNormal(
        measurement.middle.double() + A @ inverse @ before.information[0].double(),
        A @ inverse @ A.T + (measurement.own.double() + sigma**2).diag())
    found = log_likelihood(measurement, before, after, x, sigma)
    torch.testing.assert_close(found.double(), exact.log_prob(x.double()), atol=0.05, rtol=1e-4)


def test_clean_latents_identify_their_component():
    """From the latent alone, for every film; and the two components are the two directions, found unsupervised."""
    latents, _ = two_speeds()
    forth, back = (latents.prepare(latents.encode(part.draw(64, seed=7)(latents.grid)))[1]
                   for part in nfd.problems.get("two_speed1dt").prior.parts)
    assert (torch.cat([forth, back]).max(1).values > 0.99).all()
    assert len(forth.argmax(1).unique()) == len(back.argmax(1).unique()) == 1
    assert forth.argmax(1)[0] != back.argmax(1)[0]
    assert (latents.component_weights - 0.5).abs().max() < 4 * (0.25 / 8192) ** 0.5


def test_aliased_frames_leave_the_direction_open_and_others_do_not():
    """The wagon wheel: with every fifth frame both directions are equally likely, with every third or seventh one is
    certain."""
    latents, _ = two_speeds()
    for gap, low, high in ((3, 0.99, 1.0), (5, 0.5, 0.72), (7, 0.9, 1.0)):
        most = []
        for i in range(8):
            _, seen = seen_of("two_speed1dt", nfd.patterns.Frames(every=gap), i)
            most.append(float(weights(latents.condition(ObservationBatch.of([seen]))).max()))
        assert low <= sum(most) / 8 <= high, (gap, most)


def test_each_draw_takes_one_component_with_its_posterior_probability():
    """At gap 5: no draw lies between the components, and shares are the posterior probabilities (within 4 standard
    errors of 128)."""
    latents, films = two_speeds()
    known = latents.condition(ObservationBatch.of([seen_of("two_speed1dt", nfd.patterns.Frames(every=5), 5)[1]]))
    levels = NoiseLevels.of(latents.encode(films)).sigmas(16)
    x = levels[0] * normals(1, 128, (7 * FRAMES,), "x")
    for step in path(lambda x, s: mixture_moments(known, x, s)[0], x, levels, method="dpmpp"):
        x = step.x
    found = latents.prepare(x.unflatten(1, (7, FRAMES)))[1][:, 0]
    exact = float(weights(known)[0, 0])
    assert ((found < 0.02) | (found > 0.98)).float().mean() > 0.98
    assert abs(float(found.mean()) - exact) < 4 * (exact * (1 - exact) / 128) ** 0.5 + 0.03


# Rasterised observations

@pytest.mark.parametrize("d", [1, 2, 3])
def test_observations_are_rasterised_where_they_are(d):
    """Whole frames cell for cell; frames without observations are empty; weights sum to one."""
    rasterise, cells = Rasterise(d, 1, 4, 5), 5 ** (d - 1)
    grid = nfd.cell_centres((4, *[5] * (d - 1)))
    values = normals(0, len(grid), (1,), "values")
    kept = grid[:, 0] > 0
    raster = rasterise(ObservationBatch.of([Observations(grid[kept], values[kept])])).unflatten(2, (cells, 2))[0]
    assert (raster[:2] == 0).all() and (raster[2:, :, 1] > 0.9).all()
    torch.testing.assert_close(raster[2:, :, 0] / raster[2:, :, 1], values[kept, 0].reshape(2, cells), atol=1e-4,
                               rtol=1e-4)
    index, weight = rasterise.weights(2 * uniforms(1, 50, (d,), "x", dtype=torch.float32) - 1)
    assert index.shape == weight.shape == (50, 2**d) and index.max() < 4 * cells
    torch.testing.assert_close(weight.sum(-1), torch.ones(50))


def test_rasters_of_films_are_independent_and_padding_changes_nothing():
    rasterise = Rasterise(2, 1, 4, 5)
    x, y = 2 * uniforms(1, 7, (2,), "x", dtype=torch.float32) - 1, normals(1, 7, (1,), "y")
    alone = rasterise(ObservationBatch.of([Observations(x, y)]))
    both = rasterise(ObservationBatch.of([Observations(x, y), Observations(x.repeat(3, 1), y.repeat(3, 1) + 1)]))
    torch.testing.assert_close(both[:1], alone)
    turned = rasterise(ObservationBatch.of([Observations(x.flip(0), y.flip(0))]))
    torch.testing.assert_close(turned, alone, atol=1e-5, rtol=1e-5)


# Neural latents of frames

SMALL = {"width": 16, "depth": 1, "field_width": 16, "frames": 8, "frame_side": 8}


def test_fused_readers_are_bayes_rule():
    """Guesses of single frames as measurements of latents with the films' covariance, conditioned in float64."""
    latents = TemporalField(frame_autoencoder="neural", latent_channels=4, **SMALL).build(3, 1).eval().autoencoder
    films = normals(1, 500, (4, 8), "latents").cumsum(2) / 3
    latents.calibrate(films)
    measurement = latents.measurements[0]
    cov = measurement.matrix.double() @ measurement.matrix.double().T + measurement.own.double().diag()
    flat = films.flatten(1)
    torch.testing.assert_close(cov, flat.double().T.cov(), atol=2e-3, rtol=2e-3)
    mean, std = 0.6 * normals(2, 2, (8, 4), "mean"), 0.1 + 0.8 * uniforms(3, 2, (8, 4), "sd", dtype=torch.float32)
    std[:, 3:6] = MOST                                                  # of frames that were not seen
    mean[:, 3:6] = 0
    fused, variance = latents.fuse(mean, std).predict(measurement.matrix)
    for i in range(2):
        precision = (1 / std[i].double()**2 - 1 / MOST**2).T.flatten()
        read = precision > 1e-9
        value = (mean[i] / std[i]**2).double().T.flatten()[read] / precision[read] - measurement.middle.double()[read]
        A = measurement.matrix.double()
        S = A[read] @ A[read].T + (1 / precision[read] + measurement.own.double()[read]).diag()
        gain = torch.linalg.solve(S, A[read] @ A.T).T
        torch.testing.assert_close(fused[i].double(), gain @ value, atol=2e-3, rtol=2e-3)
        left = (A @ A.T - gain @ A[read] @ A.T).diagonal()
        torch.testing.assert_close(variance[i].double(), left, atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize("prior", ["gaussian", "white"])
@pytest.mark.parametrize("frame_autoencoder", ["linear", "neural"])
def test_untrained_the_denoiser_is_its_prior_and_features_are_of_each_frame_alone(frame_autoencoder, prior):
    with seeded(1):
        net = TemporalField(prior=prior, frame_autoencoder=frame_autoencoder, latent_channels=3, expansion_side=8,
                            expansion_rank=12, **SMALL).build(3, 1).eval()
    latents = net.autoencoder
    if frame_autoencoder == "linear":
        films = normals(0, 64, (len(latents.places) + len(latents.grid), 1), "films")
        latents.calibrate(films[:, :512], films[:, 512:], seed=1)
    coords = nfd.cell_centres((8, 4, 4))[:16]
    conditioning = net.condition(ObservationBatch.of([Observations(coords, torch.ones(16, 1))]))
    x, sigma = 2 * normals(2, 3, net.shape, "x"), torch.tensor(2.0)
    clean, _ = net.denoiser.prior(x, sigma, conditioning.prior)
    torch.testing.assert_close(net.denoiser(x, sigma, conditioning), clean)
    assert isinstance(conditioning.prior, ComponentPosteriors)
    features, = conditioning.features
    assert (features[0, 1:] - features[0, 1]).abs().max() < 1e-6 < (features[0, 0] - features[0, 1]).abs().max()


@pytest.mark.parametrize("prior", ["white", "gaussian"])
@pytest.mark.parametrize("frame_autoencoder", ["linear", "neural"])
def test_both_priors_train_and_draw(frame_autoencoder, prior):
    config = TemporalField(prior=prior, frame_autoencoder=frame_autoencoder, latent_channels=4, num_components=2,
                           expansion_side=16, expansion_rank=20, calibration_functions=512, batch=4, queries=16,
                           **{**SMALL, "frames": FRAMES, "frame_side": 16})
    model = config.fit(nfd.problems.get("drift1dt"), views=FrameViews(), budget=Budget(steps=10), seed=1, device="cpu")
    _, seen = seen_of("drift1dt", nfd.patterns.Frames(every=4), 3)
    coords = nfd.cell_centres((8, 6))
    for given in (seen, None):
        values = model.draw(given, 3, seed=0, steps=4)(coords)
        assert torch.isfinite(values).all() and values.std(0).min() > 0
    assert model.about["config"]["prior"] == prior and model.net.denoiser.noise_levels.known
    films = nfd.problems.get("drift1dt").draw(2, seed=1)
    *_, probabilities = mixture_moments(model.conditioning(None).prior, model.encode(films).flatten(1), 0.5)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(2))
    assert probabilities.shape[1] == (2 if frame_autoencoder == "linear" else 1)


def test_noise_that_is_smooth_in_time_is_the_same_diffusion_in_other_coordinates():
    """White noise on whitened latents is noise on frames with the stated covariance; a film's latents, their posterior
    mean and reconstruction are those without whitening. Within 1e-2: the latents' own small noise is taken to be
    uncorrelated in either coordinates, and cannot be in both."""
    (white, films), (smooth, _) = drifting(), measured("drift1dt", 1, 120, 4096, 20, noise_lengthscale=0.15)
    times = nfd.cell_centres((FRAMES,), dtype=torch.float64)
    wanted = 0.9 * torch.exp(-0.5 * ((times - times.T) / 0.15).square()) + 0.1 * torch.eye(FRAMES)
    noise = smooth.principal_components(normals(3, 4000, (20, FRAMES), "noise")).double()
    found = torch.einsum("bkt,bks->ts", noise, noise) / noise[..., 0].numel()
    assert (found - wanted).abs().max() < 5 * (2 / 80_000) ** 0.5
    assert (white.principal_components(noise) == noise).all()
    torch.testing.assert_close(smooth.principal_components(smooth.encode(films)), white.encode(films), atol=1e-3,
                               rtol=1e-3)
    truth, seen = seen_of("drift1dt", nfd.patterns.Frames(every=4), seed=5)
    line, found = nfd.cell_centres((40, 16)), []
    for latents in (white, smooth):
        known = latents.condition(ObservationBatch.of([seen]))
        clean = mixture_moments(known, torch.zeros(1, 20 * FRAMES), torch.tensor(1e4))[0].unflatten(1, (20, -1))
        found.append((latents.principal_components(clean), latents.reconstruct(line, latents.prepare(clean))))
    for a, b in zip(*found, strict=True):
        assert (a - b).square().mean().sqrt() < 1e-2
    with pytest.raises(ValueError, match="noise_lengthscale: 0"):
        TemporalField(frame_autoencoder="neural", noise_lengthscale=0.1)


def test_smooth_noise_draws_as_well_as_white():
    """Closed forms alone, networks untrained: draws with smooth noise score as those with white, to 4 % of CRPS."""
    problem, scores = nfd.problems.get("drift1dt"), {}
    for smooth in (0.0, 0.15):
        small = TemporalField(noise_lengthscale=smooth, expansion_side=33, expansion_rank=120,
                              calibration_functions=4096, width=16, depth=1, field_width=16)
        model = nfd.train(small, problem, budget=nfd.Budget(steps=2), seed=1, device="cpu")
        scores[smooth] = [float(crps(model.draw(seen, 32, seed=s)(nfd.cell_centres((24, 16))),
                                     truth(nfd.cell_centres((24, 16)))[0]))
                          for s in range(8) for truth, seen in [seen_of("drift1dt", nfd.patterns.Frames(every=4), s)]]
    assert abs(sum(scores[0.15]) / sum(scores[0.0]) - 1) < 0.04


# What ships

def test_shipped_draws_go_each_way_with_its_posterior_probability():
    """At gap 5 the share of draws that go one way is within 0.07 of the exact probability, and three standard errors of
    256; at gap 7 all go the right way."""
    model, problem = nfd.load("temporal_field", "two_speed1dt", device="cpu"), nfd.problems.get("two_speed1dt")
    first = model.net.prepare(model.encode(problem.prior.parts[0].draw(1, seed=1)))[1].argmax()
    for gap, close in ((5, 0.07 + 3 * 0.031), (7, 0.02)):
        for i in range(3):
            _, seen = seen_of("two_speed1dt", nfd.patterns.Frames(every=gap), 90 + i)
            exact = float(problem.prior.posterior(seen).log_weights.exp()[0])
            z = list(model.path(seen, 256, seed=i, steps=12))[-1].x
            share = float((model.net.prepare(z)[1][:, first] > 0.5).float().mean())
            assert abs(share - exact) < close, (gap, i)


@pytest.mark.parametrize("name,gap", [("drift1dt", 4), ("two_speed1dt", 5), ("moving_disc2dt", 4)])
def test_the_field_depends_on_latents_alone(name, gap):
    """Latents set to zero, or shuffled in time, give far worse films."""
    model, problem = nfd.load("temporal_field", name, device="cpu"), nfd.problems.get(name)
    coords, scores = nfd.cell_centres((16, *[10] * (problem.d - 1))), torch.zeros(3)
    for seed in range(3):
        truth, seen = seen_of(name, nfd.patterns.Frames(every=gap), seed)
        x = list(model.path(seen, 8, seed=seed, steps=10))[-1].x
        for i, latent in enumerate((x, 0 * x, x.roll(5, -1))):
            scores[i] += float(crps(model.decode(latent)(coords), truth(coords)[0])) / 3
    assert scores[0] < 0.6 * scores[1] and scores[0] < 0.6 * scores[2], scores


@pytest.mark.parametrize("name", ["drift1dt", "moving_disc2dt"])
def test_the_std_of_forecasts_grows_as_the_exact_posteriors(name):
    """From one frame alone: at the end at least 0.8 of the exact posterior's std, at the start far less."""
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
