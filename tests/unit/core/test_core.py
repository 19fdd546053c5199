"""Seeds, grids, fields as values, and the doors: what they let in and how they refuse."""

import pytest
import torch

import nfdlab as nfd
from nfdlab.core.fields import EvaluatedFields
from nfdlab.core.grid import cell_centres, farthest_first, interpolate, to_grid
from nfdlab.core.rng import child, normals, seeded, stream, uniforms
from nfdlab.core.types import LinearObservations, ObservationBatch, Observations


def four_parts(error) -> bool:
    text = str(error.value)
    return all(part in text for part in ("\n  came: ", "\n  why:  ", "\n  do:   "))


def test_children_of_a_seed_are_distinct_and_repeatable():
    seeds = {child(s, use, i) for s in range(20) for use in ("data", "views") for i in range(20)}
    assert len(seeds) == 800 and child(3, "data", 1) == child(3, "data", 1)
    assert child(1, 2) != child(12) and all(0 <= s < 2**63 for s in seeds)


def test_streams_append_and_are_standard():
    assert torch.equal(normals(5, 7, (4,), "a")[:3], normals(5, 3, (4,), "a"))
    assert not torch.equal(normals(5, 3, (4,), "a"), normals(5, 3, (4,), "b"))
    many = normals(0, 2000, (5,)).flatten()
    assert abs(many.mean()) < 4.5 / 100 and abs(many.var() - 1) < 4.5 * (2 / 1e4) ** 0.5
    assert abs(uniforms(0, 2000, (5,)).mean() - 0.5) < 4.5 * (1 / 12 / 1e4) ** 0.5


def test_modules_are_built_under_a_seed_and_the_world_stays():
    before = torch.get_rng_state()
    with seeded(3):
        a = torch.nn.Linear(3, 3).weight
    with seeded(3):
        b = torch.nn.Linear(3, 3).weight
    assert torch.equal(a, b) and torch.equal(before, torch.get_rng_state())
    assert torch.equal(torch.rand(3, generator=stream(1, "x")), torch.rand(3, generator=stream(1, "x")))


def test_cell_centres_are_symmetric_and_never_on_the_wall():
    grid = nfd.cell_centres((4, 6))
    assert grid.shape == (24, 2) and grid.abs().max() < 1
    torch.testing.assert_close(grid, -grid.flip(0))
    values = torch.arange(48.0).reshape(1, 24, 2)
    assert torch.equal(to_grid(values, (4, 6)).flatten(1, 2), values)
    coarse = nfd.cell_centres((5,), dtype=torch.float64)
    fine = nfd.cell_centres((15,), dtype=torch.float64)
    torch.testing.assert_close(fine[1::3], coarse)                   # odd refinement keeps the centres


def test_fields_are_asked_together_or_each_by_itself():
    slopes = torch.tensor([1.0, 2.0, 3.0])
    f = EvaluatedFields(lambda coords, part: slopes[part, None, None] * coords, 3, 1)
    shared = torch.tensor([[0.1], [0.5]])
    torch.testing.assert_close(f(shared), f(shared.expand(3, 2, 1)))
    torch.testing.assert_close(f[1](shared)[0], 2 * shared)
    torch.testing.assert_close(f[1:][0](shared)[0], 2 * shared)
    torch.testing.assert_close(f[-1](shared)[0], 3 * shared)
    assert f(shared.double()).dtype is torch.float64
    with pytest.raises(IndexError):
        f[3]


@pytest.mark.parametrize("coords,kind", [
    (torch.zeros(3), ValueError), (torch.zeros(3, 2), ValueError), (torch.zeros(2, 3, 1), ValueError),
    (torch.full((3, 1), 1.2), ValueError), (torch.full((3, 1), float("nan")), ValueError),
    (torch.zeros(3, 1, dtype=torch.long), TypeError), ([[0.0]], TypeError)])
def test_fields_refuse_bad_coordinates(coords, kind):
    with pytest.raises(kind) as error:
        nfd.problems.get("gp1d").draw(4, seed=0)(coords)
    assert four_parts(error)


@pytest.mark.parametrize("change,kind", [
    ({"coords": torch.zeros(3, 1)}, ValueError), ({"values": torch.full((4, 1), float("inf"))}, ValueError),
    ({"coords": torch.full((4, 1), -1.5)}, ValueError), ({"noise_std": -0.1}, ValueError),
    ({"noise_std": float("nan")}, ValueError), ({"noise_std": "loud"}, TypeError), ({"values": [1.0]}, TypeError),
    ({"values": torch.zeros(4)}, ValueError)])
def test_observations_refuse_what_cannot_have_been_seen(change, kind):
    good = {"coords": torch.zeros(4, 1), "values": torch.zeros(4, 1), "noise_std": 0.05}
    Observations(**good)
    with pytest.raises(kind) as error:
        Observations(**{**good, **change})
    assert four_parts(error)


def test_a_batch_pads_and_masks():
    a = Observations(torch.full((2, 1), 0.5), torch.ones(2, 1), 0.1)
    b = Observations(torch.zeros(0, 1), torch.zeros(0, 1), 0.2)
    batch = ObservationBatch.of([a, b])
    assert batch.mask.tolist() == [[True, True], [False, False]]
    assert batch.noise_std.tolist() == pytest.approx([0.1, 0.2])
    with pytest.raises(ValueError) as error:
        ObservationBatch(batch.coords[:1], batch.values, batch.mask, batch.noise_std)
    assert four_parts(error)


@pytest.mark.parametrize("call,kind,hint", [
    (lambda: nfd.problems.get("gp1D"), KeyError, "Did you mean 'gp1d'"),
    (lambda: nfd.problems.get("gp1d", lenghtscale=1.0), KeyError, "Did you mean 'lengthscale'"),
    (lambda: nfd.problems.get("gp1d", lengthscale=-1.0), ValueError, "lengthscale"),
    (lambda: nfd.problems.get("gp1d").draw(0, seed=0), ValueError, "at least 1"),
    (lambda: nfd.problems.get("gp1d").draw(2, seed=-1), ValueError, "seed"),
    (lambda: nfd.problems.get("gp1d").draw(2, seed=0.5), TypeError, "seed"),
    (lambda: nfd.problems.get("gp1d").oracle().draw(None, 0, seed=0), ValueError, "at least 1"),
    (lambda: nfd.problems.get("gp1d").oracle().draw(Observations(torch.zeros(1, 2), torch.zeros(1, 1)), 2, seed=0),
     ValueError, r"\(m, 1\)"),
    (lambda: nfd.cell_centres((0,)), ValueError, "positive"),
    (lambda: nfd.cell_centres(8), ValueError, "tuple"),
    (lambda: nfd.Budget(), ValueError, "seconds"),
    (lambda: nfd.Budget.named("lesso"), KeyError, "lesson"),
    (lambda: nfd.problems.held_out("gp1d"), TypeError, "Problem")])
def test_doors_refuse_in_four_parts(call, kind, hint):
    with pytest.raises(kind, match=hint) as error:
        call()
    assert four_parts(error)


def test_the_package_is_light_until_used():
    """`import nfdlab` loads neither torch nor matplotlib nor plotly, and unknown names say what there is."""
    import subprocess
    import sys

    code = ("import sys, nfdlab; heavy = {'torch', 'matplotlib', 'plotly', 'pandas', 'ipywidgets'} & set(sys.modules); "
            "assert not heavy, heavy; assert 'explore' in dir(nfdlab)")
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="offers"):
        nfd.nothing_of_the_kind  # noqa: B018


def test_in_four_dimensions_a_plane_is_read_exactly():
    """Between the outermost centres; past them the value stays. In three dimensions torch reads the same."""
    shape, slope = (3, 4, 2, 5), torch.tensor([1.0, -2.0, 0.5, 3.0])
    grid = (cell_centres(shape) @ slope).reshape(1, 1, *shape)
    most = 1 - 1 / torch.tensor(shape)
    coords = 2 * torch.rand(200, 4, generator=torch.Generator().manual_seed(0)) - 1
    expected = coords.minimum(most).maximum(-most) @ slope
    torch.testing.assert_close(interpolate(grid, coords)[0, :, 0], expected)
    own = torch.stack([coords[:50], coords[50:100]])
    torch.testing.assert_close(interpolate(grid.expand(2, -1, -1, -1, -1, -1), own)[1, :, 0], expected[50:100])


@pytest.mark.parametrize("change,kind", [
    ({"points": torch.zeros(3, 1)}, ValueError), ({"points": torch.full((4, 1), 1.5)}, ValueError),
    ({"weights": torch.ones(4)}, ValueError), ({"weights": [[1.0]]}, TypeError), ({"noise_std": -0.1}, ValueError),
    ({"weights": torch.full((2, 4), float("nan"))}, ValueError), ({"values": torch.zeros(4, 1)}, ValueError),
    ({"weights": torch.ones(2, 4, dtype=torch.long)}, ValueError), ({"values": torch.zeros(2)}, ValueError)])
def test_linear_observations_refuse_what_cannot_have_been_measured(change, kind):
    good = {"points": torch.zeros(4, 1), "weights": torch.ones(2, 4), "values": torch.zeros(2, 1), "noise_std": 0.05}
    LinearObservations(**good)
    with pytest.raises(kind) as error:
        LinearObservations(**{**good, **change})
    assert four_parts(error)


def test_the_order_of_linear_observations_means_nothing():
    rng = torch.Generator().manual_seed(0)
    points, weights, values = (torch.rand(*shape, generator=rng) for shape in ((6, 2), (3, 6), (3, 1)))
    across, down = torch.randperm(6, generator=rng), torch.tensor([2, 0, 1])
    one = LinearObservations(points, weights, values).sorted()
    two = LinearObservations(points[across], weights[down][:, across], values[down]).sorted()
    for name in ("points", "weights", "values"):
        assert torch.equal(getattr(one, name), getattr(two, name))
    f = torch.rand(6, 1, generator=rng)
    part = LinearObservations(points, weights * (torch.arange(6) != 2), values).take(torch.tensor([1]))
    assert part.points.shape == (5, 2) and part.m == 1
    torch.testing.assert_close(part.measure(f[[0, 1, 3, 4, 5]]), (weights * (torch.arange(6) != 2) @ f)[1:2])


@pytest.mark.parametrize("d", [1, 2, 3])
def test_places_in_farthest_point_order_cover_the_box_and_more_only_append(d):
    """No place is farther from those chosen than they are from each other (Gonzalez 1985)."""
    places = nfd.cell_centres(({1: 256, 2: 40, 3: 14}[d],) * d)
    chosen = farthest_first(places, 20)
    assert torch.equal(farthest_first(places, 30)[:20], chosen) and len(farthest_first(places[:50])) == 50
    assert torch.cdist(places, chosen).amin(1).max() <= torch.pdist(chosen).min() + 1e-5
