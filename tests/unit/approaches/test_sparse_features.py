"""Laws of approach 10: sets without order, tokens that do not know how a function was sampled, fields of tokens."""

from dataclasses import replace
from functools import cache

import pytest
import torch

import nfdlab as nfd
from nfdlab import recipes, store
from nfdlab.approaches.sparse_features import SparseFeatures, SparseFeaturesLosses, SparseFeaturesPosterior
from nfdlab.core.config import PRIORS
from nfdlab.core.rng import normals, stream, uniforms
from nfdlab.core.types import ObservationBatch, Observations
from nfdlab.evaluate.scores import crps
from nfdlab.observation.training_views import OutlineViews
from nfdlab.training import Run

MINE = [problem for approach, problem in store.shipped() if approach == "sparse_features"]
SMALL = {"tokens": 12, "latent_channels": 4, "heads": 2, "field_width": 16, "encoder_depth": 1, "field_depth": 1,
         "width": 16, "depth": 1}


@cache
def untrained(d: int = 2, c: int = 1):
    """A network whose every part is put to use."""
    net, rng = SparseFeatures(**SMALL).build(d, c, seed=0).eval(), stream(0, "jostle")
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=rng) / max(1, p.shape[-1] if p.ndim else 1) ** 0.5)
    net.denoiser.noise_levels.set(0.01, 20.0, 1.0)
    return net.requires_grad_(False)


@cache
def trained(prior: str = "white") -> SparseFeaturesPosterior:
    config = SparseFeatures(**SMALL, prior=prior, points=(24, 48), queries=32, batch=8, autoencoder_batch=8, lr=1e-2)
    return nfd.train(config, "gp1d", budget=nfd.Budget(steps=40), seed=0, device="cpu")


def points(b: int, p: int, d: int = 2, seed: int = 0) -> ObservationBatch:
    return ObservationBatch.exact(2 * uniforms(seed, b, (p, d), "x", dtype=torch.float32) - 1,
                                  normals(seed, b, (p, 1), "y"))


# Sets

def test_a_set_has_no_order_and_padding_changes_nothing():
    """Of the points that are encoded, and of the observations that a denoiser attends to."""
    net, seen = untrained(), points(2, 9)
    turn, level = torch.arange(9).flip(0), torch.tensor(0.7)
    turned = seen.take(turn.expand(2, -1))
    padded = ObservationBatch(*(torch.cat([t, torch.full_like(t[:, :3], 0.5)], 1) for t in (seen.coords, seen.values)),
                              torch.arange(12).expand(2, -1) < 9, seen.noise_std)
    x, plain = normals(1, 2, net.shape, "x"), net.encode(seen)
    denoised = net.denoiser(x, level, net.condition(seen))
    for same in (turned, padded):
        torch.testing.assert_close(net.encode(same), plain, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(net.denoiser(x, level, net.condition(same)), denoised, atol=1e-5, rtol=1e-4)
    other = ObservationBatch(seen.coords, seen.values + 1, seen.mask, seen.noise_std)
    assert (net.encode(other) - plain).abs().max() > 1e-2
    assert (net.denoiser(x, level, net.condition(other)) - denoised).abs().max() > 1e-3


def test_tokens_have_places_and_no_order():
    """Tokens dealt to other rows together with their places: the same field, and denoised tokens dealt alike."""
    net, coords, x = untrained(), nfd.cell_centres((5, 5)), normals(1, 2, untrained().shape, "x")
    order, conditioning = torch.randperm(12, generator=stream(0, "order")), untrained().condition(points(1, 6))
    values, denoised = net.values(coords, x), net.denoiser(x, torch.tensor(0.7), conditioning)
    anchors = net.encoder.anchors.data
    net.encoder.anchors.data = anchors[order]
    moved, again = net.values(coords, x[..., order]), net.denoiser(x[..., order], torch.tensor(0.7),
                                                                   net.condition(points(1, 6)))
    net.encoder.anchors.data = anchors
    torch.testing.assert_close(moved, values, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(again, denoised[..., order], atol=1e-4, rtol=1e-4)
    stayed = net.denoiser(x[..., order], torch.tensor(0.7), conditioning)
    assert (stayed - denoised[..., order]).abs().max() > 1e-3
    assert not torch.equal(net.values(coords, x[..., order]), values)


def test_with_the_white_prior_it_starts_where_a_white_gaussian_would():
    net = SparseFeatures(**SMALL).build(1, 1).eval()
    x, given = normals(0, 2, net.shape, "x"), net.condition(ObservationBatch.of([Observations(torch.zeros(1, 1),
                                                                                              torch.ones(1, 1))]))
    torch.testing.assert_close(net.denoiser(x, torch.tensor(2.0), given), x / 5)


def test_a_query_asks_the_tokens_and_no_other_query():
    """Also where each draw has its own places, and the field is continuous."""
    net, latent, coords = untrained(), normals(0, 3, untrained().shape, "latent"), nfd.cell_centres((7, 6))
    values = net.values(coords, latent)
    torch.testing.assert_close(net.values(coords[5:9], latent), values[:, 5:9], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(net.values(coords.expand(3, -1, -1), latent), values, atol=1e-5, rtol=1e-5)
    line = torch.linspace(-1, 1, 20_001)
    along = net.values(torch.stack([line, 0.3 * line + 0.1], 1), latent[:1])[0, :, 0]
    assert along.diff().abs().max() < 5e-3 * along.std()


# Training

@pytest.mark.parametrize("prior", PRIORS)
def test_both_priors_train_and_draw(prior):
    model, coords = trained(prior), nfd.cell_centres((20,))
    before = SparseFeatures(**SMALL, prior=prior).build(1, 1, seed=0).state_dict()
    after = model.tensors()
    for part in ("encoder.anchors", "encoder.blocks.", "field.", "denoiser.net."):
        assert any(not torch.equal(before[key], after[key]) for key in after if key.startswith(part)), part
    seen = [nfd.observe(nfd.problems.get("gp1d").draw(1, seed=i), nfd.patterns.Random(count=4), seed=i) for i in (3, 4)]
    one, other = (model.draw(s, 3, seed=0, steps=4)(coords) for s in seen)
    assert one.isfinite().all() and not torch.equal(one, other)
    assert model.draw(None, 3, seed=0, steps=4)(coords).isfinite().all()


def test_latents_have_unit_scale_and_the_scale_is_measured():
    latent = trained().encode(nfd.problems.get("gp1d").draw(256, seed=5))
    assert (latent.transpose(0, 1).flatten(1).std(1) - 1).abs().max() < 0.2
    assert latent.transpose(0, 1).flatten(1).mean(1).abs().max() < 0.2


def test_points_lie_where_functions_change_and_weights_make_up_for_it():
    """The weighted mean of 1 over the points is 1; on a step most points lie within a cell of its edge."""
    problem = nfd.problems.get("step1d")
    config = SparseFeatures(**SMALL, importance_share=0.5).at(1)
    learn = SparseFeaturesLosses(config, Run(problem, recipes.views_for(problem), nfd.Budget(steps=1), 0, "cpu"), None)
    fields = problem.draw(64, seed=1)
    coords, weights = learn.sampled_points(fields, 200, stream(0, "points"))
    assert abs(float(weights.mean()) - 1) < 0.05
    edge = coords[fields(coords)[..., 0] < 0.5].max()
    near = [(x[:, 0] - x[v[:, 0] < 0.5, 0].max()).abs() < 0.05 for x, v in zip(coords, fields(coords), strict=True)
            if (v < 0.5).any()]
    assert edge <= 1 and torch.stack(near).float().mean() > 0.4


def test_tokens_influence_what_is_near_and_shares_sum_to_one():
    model = trained()
    influence = model.token_influence(nfd.cell_centres((40,)), torch.zeros(model.net.shape))
    torch.testing.assert_close(influence.sum(1), torch.ones(40), atol=1e-5, rtol=1e-5)
    away = (nfd.cell_centres((40,)) - model.net.encoder.anchors[:, 0].detach()).abs()
    nearest = influence.gather(1, away.topk(4, largest=False).indices).sum(1).mean()
    assert nearest > 1.2 * 4 / 12


def test_a_draw_is_moved_until_the_field_meets_the_observations():
    """Each draw those with noise of its own; little where it may move little; the same draws however many are asked."""
    model, truth = nfd.load("sparse_features", "stars2d", device="cpu"), nfd.problems.get("stars2d").draw(1, seed=3)
    seen = nfd.observe(truth, nfd.patterns.Random(count=5), noise_std=0.05, seed=3)

    def drawn(refine: float, n: int = 4) -> torch.Tensor:
        about = {**model.about, "floor": 0.0, "config": {**model.about["config"], "refine": refine}}
        return list(replace(model, about=about).path(seen, n, seed=1, steps=4))[-1].x

    plain, near, free = (drawn(refine) for refine in (0.0, 1e-4, 10.0))
    misfit = [(model.decode(x)(seen.coords) - seen.values).square().mean().sqrt() for x in (plain, near, free)]
    assert misfit[2] < 0.07 < 0.8 * misfit[0] < misfit[1]
    torch.testing.assert_close(drawn(10.0, 2), free[:2], atol=1e-4, rtol=1e-4)
    apart = model.decode(free)(seen.coords).std(0).mean()
    assert 0.025 < apart < 0.1                                               # about the noise's 0.05


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

@pytest.mark.parametrize("name", MINE)
def test_shipped_tokens_do_not_know_how_a_function_was_sampled(name):
    """Two point sets of one function give latents far nearer to each other than those of two functions."""
    model, problem = nfd.load("sparse_features", name, device="cpu"), nfd.problems.get(name)
    learn = SparseFeaturesLosses(SparseFeatures(**model.about["config"]).at(problem.d),
                                 Run(problem, recipes.views_for(problem), nfd.Budget(steps=1), 0, "cpu"), model.net)
    fields = problem.draw(16, seed=3)
    sets = [learn.sampled_points(fields, learn.config.points[1], stream(i, "points"))[0] for i in range(2)]
    one, two = (model.encode_points(ObservationBatch.exact(x, fields(x))) for x in sets)
    assert (one - two).norm() < 0.5 * (one - one.roll(1, 0)).norm()
    coords = nfd.cell_centres((16,) * problem.d)
    values, (a, b) = fields(coords), (model.decode(latent)(coords) for latent in (one, two))
    spread = (values - values.mean(0)).square().mean().sqrt()
    assert (a - values).square().mean().sqrt() < 0.3 * spread and (a - b).square().mean().sqrt() < 0.2 * spread


@pytest.mark.parametrize("name", MINE)
def test_nothing_leaks_past_the_tokens(name):
    """The field sees points through its tokens alone: those of noise are far worse."""
    model, problem, scores = nfd.load("sparse_features", name, device="cpu"), nfd.problems.get(name), torch.zeros(2)
    coords = nfd.cell_centres((12,) * problem.d)
    for seed in range(4):
        truth = nfd.problems.held_out(problem).draw(1, seed=seed)
        x = list(model.path(nfd.observe(truth, nfd.patterns.Random(count=60), seed=seed), 8, seed=seed))[-1].x
        for i, latent in enumerate((x, normals(seed, 8, model.net.shape, "foreign"))):
            scores[i] += float(crps(model.decode(latent)(coords), truth(coords)[0])) / 4
    assert scores[0] < 0.6 * scores[1], scores


@pytest.mark.parametrize("name", [name for name in MINE if name in ("stars2d", "shapes3d")])
def test_a_shape_is_found_from_points_of_its_surface_and_draws_differ_where_none_was_seen(name):
    """Overlap of the regions inside: well above an interpolation that is told of the outside too."""
    model, problem = nfd.load("sparse_features", name, device="cpu"), nfd.problems.get(name)
    source, d, ours, theirs, wide = nfd.problems.held_out(problem), problem.d, [], [], []
    grid, walls = nfd.cell_centres((24,) * d), 1.25 * nfd.cell_centres((5,) * d)
    walls = walls[walls.abs().amax(1) > 0.99]
    for seed in range(5):
        truth = source.draw(1, seed=500 + seed)
        seen = nfd.observe(truth, nfd.patterns.Outline(count={2: 24, 3: 64}[d], level=0.0), noise_std=0.05, seed=seed)
        inside = truth(grid)[0, :, 0] > 0
        told = Observations(torch.cat([seen.coords, walls]), torch.cat([seen.values, truth(walls)[0]]), seen.noise_std)
        for found, who, data in ((ours, model, seen), (theirs, nfd.baselines.get("rbf"), told)):
            mean = who.draw(data, 12, seed=seed)(grid).mean(0)[:, 0] > 0
            found.append(float((mean & inside).sum() / (mean | inside).sum()))
        left = seen.coords[:, 0] < seen.coords[:, 0].median()
        part = Observations(seen.coords[left], seen.values[left], seen.noise_std)
        spread = model.draw(part, 12, seed=seed)(grid).std(0)
        edge, shown = truth(grid)[0, :, 0].abs() < 0.1, grid[:, 0] < seen.coords[:, 0].median()
        wide.append(float(spread[edge & ~shown].mean() / spread[edge & shown].mean()))
    assert sum(ours) / 5 > sum(theirs) / 5 + 0.05
    assert sum(wide) / 5 > 1.2
