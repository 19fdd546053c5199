"""Laws of approach 10: tokens that do not know how a function was sampled, sets without order, fields of tokens."""

from functools import cache

import pytest
import torch

import nfdlab as nfd
from nfdlab.approaches.sparse_features import SparseFeatures, SparseFeaturesPosterior, as_points
from nfdlab.approaches.sparse_features.tokeniser import farthest
from nfdlab.core.rng import normals, seeded, stream, uniforms
from nfdlab.core.types import ObservationBatch, Observations
from nfdlab.evaluate.scores import crps
from nfdlab.fields.anchored import AnchoredField
from nfdlab.observation.training_views import OutlineViews


@cache
def known(d=1):
    """Approach 10, untrained but calibrated on a Gaussian field: the measured Gaussian is all it has."""
    problem = nfd.problems.get(f"gp{d}d")
    small = {1: {"expansion_side": 96, "expansion_rank": 40},
             2: {"anchors": 36, "expansion_side": 24, "expansion_rank": 60}}[d]
    net = SparseFeatures(width=16, depth=1, field_width=16, field_depth=1, **small).build(d, 1).eval()
    draws = problem.draw(4096, seed=1)(net.tokeniser.places)
    net.tokeniser.measure(draws, seed=0)
    coords = uniforms(3, 64, (300, d), "points", dtype=torch.float32) * 2 - 1
    net.tokeniser.measure_own(as_points(coords, problem.draw(64, seed=1)(coords)), draws[:64])
    return net


def in_the_span(tokens, b, p, seed, noise=0.0):
    """b functions that the kept directions make, seen at p places of their own: weights (b, r), points."""
    weights = normals(seed, b, (tokens.expansion.rank,), "weights")
    coords = uniforms(seed, b, (p, tokens.expansion.d), "places", dtype=torch.float32) * 2 - 1
    values = tokens.expansion.mean(coords) + (tokens.expansion.rows(coords) @ weights[..., None])
    return weights, as_points(coords, values)


def jostle(net, *, seed):
    """Random weights everywhere, so that what starts at zero is put to use."""
    with torch.no_grad():
        rng = stream(seed, "jostle")
        for p in net.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=rng) / max(1, p.shape[-1] if p.ndim else 1) ** 0.5)
    return net


# Anchors and tokens

@pytest.mark.parametrize("d", [1, 2, 3])
def test_anchors_cover_the_box_and_more_only_append(d):
    """No place is farther from an anchor than anchors are from each other (Gonzalez 1985)."""
    anchors = farthest(20, d)
    assert torch.equal(farthest(30, d)[:20], anchors) and anchors.abs().max() <= 1
    apart = torch.pdist(anchors).min()
    everywhere = torch.cdist(nfd.cell_centres(({1: 256, 2: 40, 3: 14}[d],) * d), anchors).amin(1).max()
    assert everywhere <= apart + 1e-5


def test_tokens_are_linear_in_the_values_and_know_no_order():
    tokens = known().tokeniser
    _, one = in_the_span(tokens, 1, 30, seed=1)
    other = normals(2, 1, (30, 1), "other")
    mixed = tokens.encode(as_points(one.coords, 0.3 * one.values + 0.7 * other))
    parts = 0.3 * tokens.encode(one) + 0.7 * tokens.encode(as_points(one.coords, other))
    torch.testing.assert_close(mixed, parts, atol=1e-3, rtol=1e-3)
    turned = tokens.encode(as_points(one.coords.flip(1), one.values.flip(1)))
    torch.testing.assert_close(turned, tokens.encode(one), atol=1e-3, rtol=1e-3)


def test_padding_changes_nothing():
    tokens = known().tokeniser
    x, y = uniforms(1, 7, (1,), "x", dtype=torch.float32) * 2 - 1, normals(1, 7, (1,), "y")
    plain = tokens.encode(ObservationBatch.of([Observations(x, y, 0.1)]))
    padded = tokens.encode(ObservationBatch.of([Observations(x, y, 0.1), Observations(x.repeat(4, 1), y.repeat(4, 1))]))
    torch.testing.assert_close(padded[:1], plain, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("d,p", [(1, 120), (2, 400)])
def test_two_point_sets_of_one_function_give_one_latent(d, p):
    """Far less apart than two functions are; also where one of the sets crowds into one half."""
    tokens = known(d).tokeniser
    weights, even = in_the_span(tokens, 16, p, seed=3)
    exact = (weights @ tokens.measurement.matrix.T).unflatten(1, tokens.shape)
    crowd = torch.cat([even.coords, even.coords * 0.25 + 0.7], 1)
    crowd = as_points(crowd, tokens.expansion.mean(crowd) + tokens.expansion.rows(crowd) @ weights[..., None])
    between = (exact - exact.roll(1, 0)).square().mean().sqrt()
    for points in (even, crowd):
        assert (tokens.encode(points) - exact).square().mean().sqrt() < 0.06 * between


def test_tokens_have_unit_scale():
    tokens = known(2).tokeniser
    latent = tokens.encode(in_the_span(tokens, 400, 300, seed=4)[1])
    assert (latent.transpose(0, 1).flatten(1).std(1) - 1).abs().max() < 0.1


def test_a_latent_is_read_back_as_its_function():
    tokens = known(2).tokeniser
    weights, _ = in_the_span(tokens, 8, 4, seed=5)
    latent = (weights @ tokens.measurement.matrix.T).unflatten(1, tokens.shape)
    coords = nfd.cell_centres((9, 9))
    truth = tokens.expansion.mean(coords) + (weights @ tokens.expansion.rows(coords).T)[..., None]
    assert (tokens.reading(coords, latent) - truth).square().mean().sqrt() < 0.02
    own = coords.expand(8, -1, -1)
    torch.testing.assert_close(tokens.reading(own, latent), tokens.reading(coords, latent), atol=1e-5, rtol=1e-4)


# Denoiser

@pytest.mark.parametrize("sigma", [0.05, 1.0, 20.0])
def test_untrained_it_is_the_gaussian_posterior(sigma):
    """The mean of a latent given its noisy self and points, by conditioning one large Gaussian in float64."""
    net = known()
    tokens = net.tokeniser
    T, own = tokens.measurement.matrix.double(), tokens.measurement.own.double()
    seen = nfd.observe(nfd.problems.get("gp1d").draw(1, seed=7), nfd.patterns.Random(count=5), noise_std=0.1, seed=2)
    x = sigma * normals(8, 3, net.shape, "x")
    found = net.denoiser(x, torch.tensor(sigma), net.condition(ObservationBatch.of([seen])))
    rows = tokens.expansion.rows(seen.coords).double()
    noise = (0.1**2 + tokens.expansion.residual_variance(seen.coords)[0, :, 0]).double()
    both, z = torch.cat([rows, T]), T @ T.T + own.diag()                        # covariances of the weights' makings
    S = both @ both.T + torch.cat([noise, own + sigma**2]).diag()
    cross = torch.cat([T @ rows.T, z], 1)
    away = (seen.values - tokens.expansion.mean(seen.coords)[0])[:, 0]
    away = torch.cat([away.expand(3, -1), x.flatten(1)], 1).double()
    want = (cross @ torch.linalg.solve(S, away.T)).T.unflatten(1, net.shape)
    torch.testing.assert_close(found.double(), want, atol=3e-3, rtol=3e-3)


def test_with_the_white_prior_it_starts_where_a_white_gaussian_would():
    net = SparseFeatures(prior="white", width=16, depth=1, field_width=16, field_depth=1).build(1, 1).eval()
    x = normals(0, 2, net.shape, "x")
    conditioning = net.condition(ObservationBatch.of([Observations(torch.zeros(1, 1), torch.ones(1, 1))]))
    torch.testing.assert_close(net.denoiser(x, torch.tensor(2.0), conditioning), x / 5)
    assert net.values(nfd.cell_centres((5,)), x).abs().max() == 0


# Field

@cache
def nearby(near):
    with seeded(near):
        return jostle(AnchoredField(farthest(16, 2), near, 1, 16).eval(), seed=2)


@pytest.mark.parametrize("near", [2, 5, 16])
def test_a_query_asks_the_nearest_and_no_other_query(near):
    field, memory, coords = nearby(near), normals(0, 3, (16, 16), "memory"), 0.97 * nfd.cell_centres((7, 6))
    index, weights = field.attend(coords)
    torch.testing.assert_close(weights.sum(-1), torch.ones(42))
    away = torch.cdist(coords, field.anchors)
    assert torch.equal(index.sort(1).values, away.topk(near, largest=False).indices.sort(1).values)
    values = field(coords, memory)
    torch.testing.assert_close(field(coords[5:9], memory), values[:, 5:9], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(field(coords.expand(3, -1, -1), memory), values, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("near", [3, 5])
def test_the_field_is_continuous_where_the_nearest_change(near):
    field, memory = nearby(near), normals(0, 1, (16, 16), "memory")
    line = torch.linspace(-1, 1, 40_001)
    coords = torch.stack([line, 0.3 * line + 0.1], 1)
    with torch.no_grad():
        steps = field(coords, memory)[0, :, 0].diff().abs()
        changes = (field.attend(coords)[0].sort(1).values.diff(dim=0) != 0).any(1)
        spread = field(coords, memory).std()
    assert changes.sum() > 5 and steps.max() < 2e-3 * spread


def test_a_field_moves_with_its_anchors():
    """Anchors and queries moved by one vector: the same values, for only the way from one to the other counts."""
    field, memory, coords = nearby(5), normals(0, 2, (16, 16), "memory"), 0.8 * nfd.cell_centres((5, 5))
    with torch.no_grad():
        values, there = field(coords, memory), field.anchors
        field.anchors = there + torch.tensor([0.11, -0.07])
        moved = field(coords + torch.tensor([0.11, -0.07]), memory)
        across = field(coords + torch.tensor([0.0, 0.09]), memory)
        field.anchors = there
    torch.testing.assert_close(moved, values, atol=1e-4, rtol=1e-3)
    assert (across - values).abs().max() > 1e-3


def test_tokens_influence_what_is_near_and_shares_sum_to_one():
    net = known(2)
    model = SparseFeaturesPosterior(net, {"d": 2, "c": 1, "config": {"guide": "encoder"}}, 8)
    influence = model.token_influence(net.tokeniser.anchors, torch.zeros(net.shape))
    torch.testing.assert_close(influence.sum(1), torch.ones(36), atol=1e-5, rtol=1e-5)
    assert (influence.argmax(1) == torch.arange(36)).float().mean() > 0.8
    far = torch.cdist(net.tokeniser.anchors, net.tokeniser.anchors) > 1.0
    assert (influence * far).sum(1).mean() < 0.25 * far.float().mean() / (1 - far.float().mean()) + 0.15


# Views along an outline

def test_outlines_are_seen_on_the_outline_and_the_seed_is_the_view():
    shapes, views = nfd.problems.get("stars2d").draw(24, seed=1), OutlineViews(usual=40, most=40, outlined=1.0)
    seen = views(shapes, seed=3)
    assert torch.equal(views(shapes, seed=3).values, seen.values) and seen.mask.sum(1).max() <= 48
    away = shapes(seen.coords)[..., 0][seen.mask]
    assert abs(float(away.std() / 0.02) - 1) < 0.15                  # |slope| is 1: the jitter across the outline
    assert (seen.coords[~seen.mask] == 0).all() and (seen.values[~seen.mask] == 0).all()
    error = (seen.values - shapes(seen.coords))[..., 0] / seen.noise_std[:, None]
    assert abs(float(error[seen.mask].std()) - 1) < 0.15
    never = OutlineViews(usual=40, most=40, outlined=0.0)(shapes, seed=3)
    assert shapes(never.coords)[..., 0][never.mask].abs().mean() > 0.15


# What ships

@pytest.mark.parametrize("problem", ["gp2d", "stars2d"])
def test_shipped_tokens_do_not_know_how_a_function_was_sampled(problem):
    model, fields = nfd.load("sparse_features", problem, device="cpu"), nfd.problems.get(problem).draw(16, seed=3)
    coords = uniforms(4, 32, (400, 2), "points", dtype=torch.float32) * 2 - 1
    one, two = (model.encode_points(as_points(x, fields(x))) for x in (coords[:16], coords[16:]))
    assert (one - two).norm() < 0.1 * (one - one.roll(1, 0)).norm()
    grid = nfd.cell_centres((24, 24))
    assert (model.decode(one)(grid) - fields(grid)).square().mean().sqrt() < 0.03


@pytest.mark.parametrize("problem", ["gp2d", "stars2d"])
def test_nothing_leaks_past_the_tokens(problem):
    """The field sees points through its tokens alone: silent ones, or those of noise, are far worse."""
    model, place = nfd.load("sparse_features", problem, device="cpu"), nfd.problems.get(problem)
    coords, scores = nfd.cell_centres((12, 12)), torch.zeros(3)
    for seed in range(4):
        truth = place.draw(1, seed=seed)
        x = list(model.path(nfd.observe(truth, nfd.patterns.Random(count=60), seed=seed), 8, seed=seed, steps=8))[-1].x
        for i, latent in enumerate((x, 0 * x, normals(seed, 8, model.net.shape, "foreign"))):
            scores[i] += float(crps(model.decode(latent)(coords), truth(coords)[0]).mean()) / 4
    assert scores[0] < 0.6 * scores[1] and scores[0] < 0.6 * scores[2], scores


def test_an_outline_is_found_from_24_points_where_kriging_is_lost():
    """Overlap of the regions inside: five points above kriging of the same values; draws differ where none was seen."""
    model, problem, grid = nfd.load("sparse_features", "stars2d", device="cpu"), nfd.problems.get("stars2d"), \
        nfd.cell_centres((32, 32))
    ours, theirs, wide = [], [], []
    for seed in range(6):
        truth = problem.draw(1, seed=500 + seed)
        seen = nfd.observe(truth, nfd.patterns.Outline(count=24, level=0.0), noise_std=0.02, seed=seed)
        inside = truth(grid)[0, :, 0] > 0
        for found, rival in ((ours, model), (theirs, nfd.baselines.get("kriging"))):
            mean = rival.draw(seen, 12, seed=seed)(grid).mean(0)[:, 0] > 0
            found.append(float((mean & inside).sum() / (mean | inside).sum()))
        left = seen.coords[:, 0] < seen.coords[:, 0].mean()
        part = Observations(seen.coords[left], seen.values[left], seen.noise_std)
        spread, edge = model.draw(part, 12, seed=seed)(grid).std(0)[:, 0], truth(grid)[0, :, 0].abs() < 0.1
        shown = grid[:, 0] < seen.coords[:, 0].mean()
        wide.append(float(spread[edge & ~shown].mean() / spread[edge & shown].mean()))
    assert sum(ours) / 6 > sum(theirs) / 6 + 0.05 and sum(ours) / 6 > 0.85
    assert sum(wide) / 6 > 1.4
