"""Your own data: grids between cells, files and their refusals, units there and back."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.interpolate import RegularGridInterpolator

import nfdlab
from nfdlab import baselines, patterns, problems
from nfdlab.evaluate.provenance import require_same_problem
from nfdlab.problems.arrays import Arrays, Scaling, observations
from nfdlab.problems.files import read
from nfdlab.problems.gridded import gridded
from nfdlab.recipes import knobs


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def places(p, d, seed=1):
    return 2 * torch.rand(p, d, generator=torch.Generator().manual_seed(seed)) - 1


# -- between the cells ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize("shape", [(9,), (7, 5), (4, 6, 5)])
def test_a_grid_is_a_function_that_keeps_its_cells(shape, smooth):
    values, q = noise(3, *shape, 2), places(40, len(shape))
    fields = gridded(values, smooth)
    torch.testing.assert_close(fields(nfdlab.cell_centres(shape)), values.flatten(1, -2))
    torch.testing.assert_close(fields(q)[:, 5:9], fields(q[5:9]))
    torch.testing.assert_close(fields(torch.stack([q, q.flip(0), q]))[1].flip(0), fields(q)[1])
    torch.testing.assert_close(fields[1:](q), fields(q)[1:])


@pytest.mark.parametrize("shape", [(9,), (7, 5), (4, 6, 5)])
def test_linear_between_cells_is_scipys(shape):
    values = noise(1, *shape, 1).double()
    axes = [nfdlab.cell_centres((s,), dtype=torch.float64)[:, 0].numpy() for s in shape]
    q = places(40, len(shape)).double() * 0.7                                        # inside the outermost centres
    expected = RegularGridInterpolator(axes, values[0, ..., 0].numpy())(q.numpy())
    np.testing.assert_allclose(gridded(values, smooth=False)(q)[0, :, 0], expected, atol=1e-12)


def test_cubic_between_cells_keeps_parabolas_and_has_no_kinks():
    x = nfdlab.cell_centres((16, 16), dtype=torch.float64)
    plane = (x[:, 0] ** 2 - 3 * x[:, 1] + x[:, 0] * x[:, 1]).reshape(1, 16, 16, 1)
    q = places(200, 2).double() * 0.8
    torch.testing.assert_close(gridded(plane)(q)[0, :, 0], q[:, 0] ** 2 - 3 * q[:, 1] + q[:, 0] * q[:, 1])
    line = torch.linspace(-1, 1, 20_001, dtype=torch.float64)[:, None]
    slope = gridded(noise(1, 8, 1).double())(line)[0, :, 0].diff() / (line[1] - line[0])
    assert slope.diff().abs().max() < 0.02 * slope.abs().max()                       # 2e-4 of a cell between two slopes


def test_beyond_the_last_centre_the_value_goes_on_and_a_margin_is_beyond_the_box():
    values = torch.arange(8.0).reshape(1, 8, 1)
    assert gridded(values, smooth=False)(torch.tensor([[-1.0], [1.0]])).flatten().tolist() == [0.0, 7.0]
    inner = gridded(values, margin=2)(torch.linspace(-1, 1, 5)[:, None])
    torch.testing.assert_close(inner[0, :, 0], torch.linspace(1.5, 5.5, 5))          # a slope up to the box's very edge


# -- the problem ------------------------------------------------------------------------------------------------------

def test_stored_functions_are_drawn_as_they_are_and_the_last_held_out():
    data = torch.arange(8.0)[:, None].expand(8, 16) * torch.ones(16)
    problem = problems.get("arrays", data=data)
    mean, std = np.arange(6).mean(), np.arange(6).std()
    assert (problem.d, problem.c, problem.oracle()) == (1, 1, None) and "none" in problem.card.exact
    got = {side: problem_side.draw(200, seed=0)(torch.zeros(1, 1)).flatten() * std + mean
           for side, problem_side in (("train", problem), ("test", problems.held_out(problem)))}
    assert got["train"].round().unique().tolist() == [0, 1, 2, 3, 4, 5]
    assert got["test"].round().unique().tolist() == [6, 7]
    torch.testing.assert_close(problem.draw(3, seed=4)(places(5, 1)), problem.draw(9, seed=4)(places(5, 1))[:3])


def test_patches_of_a_picture_are_pieces_of_it_and_sides_do_not_overlap():
    rows, columns = np.meshgrid(np.arange(20.0), np.arange(40.0), indexing="ij")
    problem = Arrays(np.stack([rows, columns], -1), patch=8, channels_last=True)
    assert (problem.d, problem.c) == (2, 2)
    centres = nfdlab.cell_centres((8, 8))
    for side, low, high in ((problem, 0, 29), (problem.held_out(), 30, 39)):
        cells = problem.scaling.restore(side.draw(100, seed=0)(centres))              # (100, 64, 2): row, column
        ends = [cells[..., 1].min().item(), cells[..., 1].max().item()]
        assert ends == pytest.approx([low, high], abs=1e-3)
        steps = cells.reshape(100, 8, 8, 2)
        np.testing.assert_allclose(steps.diff(dim=1)[..., 0], 1, atol=1e-4)
        np.testing.assert_allclose(steps.diff(dim=2)[..., 1], 1, atol=1e-4)


def test_training_values_are_standardised_channel_by_channel():
    problem = Arrays(noise(40, 32, 2).numpy() * [3.0, 0.1] + [5.0, -2.0], channels_last=True)
    values = problem._sides["train"]
    torch.testing.assert_close(values.mean((0, 1)), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(values.std((0, 1), correction=0), torch.ones(2), atol=1e-4, rtol=0)


@pytest.mark.parametrize("suffix", ["npy", "npz", "csv", "png"])
def test_every_kind_of_file_is_read(tmp_path, suffix):
    data, path = (noise(8, 16).numpy().clip(-2, 2) + 2) / 4, tmp_path / f"data.{suffix}"
    if suffix == "png":
        data = np.tile(data, (10, 20))
        Image.fromarray((data * 255).round().astype(np.uint8)).save(path)
    else:
        {"npy": np.save, "npz": np.savez, "csv": lambda p, a: np.savetxt(p, a, delimiter=",")}[suffix](path, data)
    problem, same = problems.get("arrays", data=path), Arrays(data, patch=64 if suffix == "png" else None)
    near = 0.02 if suffix == "png" else 1e-4                                          # a picture has 256 greys
    torch.testing.assert_close(problem.draw(3, seed=0)(places(9, same.d)), same.draw(3, seed=0)(places(9, same.d)),
                               atol=near, rtol=0)
    assert path.name in problem.card.source


def test_weights_know_their_data_again(tmp_path):
    data = noise(8, 16).numpy()
    trained = type("Trained", (), {"about": {"approach": "a", "problem": "arrays", "knobs": knobs(Arrays(data))}})()
    np.save(tmp_path / "same.npy", data)
    require_same_problem(trained, Arrays(data.copy()).held_out())
    with pytest.raises(ValueError, match="came: weights of arrays"):
        require_same_problem(trained, Arrays(data + 1))
    (tmp_path / "same.npy").rename(tmp_path / "another name.npy")
    require_same_problem(trained, Arrays(tmp_path / "another name.npy"))


def test_weights_keep_the_units_of_their_data(tmp_path):
    data = 300 + 20 * noise(8, 16).numpy()
    model = nfdlab.train("sparse_conditional", Arrays(data), budget="smoke", device="cpu")
    kept = nfdlab.load(nfdlab.save(model, tmp_path / "mine.safetensors"), device="cpu")
    assert Scaling.of(kept) == Scaling.of(model) == Arrays(data).scaling
    seen = observations([[2.5, 310.0], [9.5, 290.0]], noise_std=1.0, scaling=Scaling.of(kept))
    values = seen.scaling.restore(kept.draw(seen, 8, seed=0)(seen.coords))
    assert 200 < float(values.min()) < float(values.max()) < 400
    with pytest.raises(ValueError, match="own data") as error:
        Scaling.of(nfdlab.load("score_field", "gp1d", device="cpu"))
    assert "\n  do:   " in str(error.value)


def test_your_data_are_scored_against_kriging():
    rng = np.random.default_rng(0)
    curves = np.sin(np.linspace(0, 6, 64) + rng.uniform(0, 6, (40, 1)))
    table = nfdlab.score(baselines.get("nearest"), Arrays(curves), counts=(8,), tasks=6, draws=16)
    assert table.reference == "kriging" and table.ratio("crps").loc["mean", "low"] > 1
    assert nfdlab.observe(Arrays(curves).draw(1, seed=0), patterns.Random(count=4), seed=0).m == 4


@pytest.mark.parametrize(("data", "knobs", "error", "says"), [
    (np.full((4, 8), np.nan), {}, ValueError, "data: finite"),
    (np.array([["a", "b"]]), {}, TypeError, "data: real"),
    (np.ones(8), {}, ValueError, r"data: \(n, s_1"),
    (np.ones((2, 2, 2, 2, 2)), {}, ValueError, "with d of 1 to 3"),
    (np.ones((1, 8)), {}, ValueError, "at least two functions"),
    (np.ones((8, 8)), {"patch": 7}, ValueError, "patch: at most"),
    (np.ones((8, 8)), {"patch": (2, 2, 2)}, ValueError, "patch: one number, or 2"),
    (np.ones((8, 8)), {"side": "tset"}, KeyError, "Did you mean 'test'"),
    (np.ones((8, 8)), {"test_share": 0.0}, ValueError, "test_share"),
    ("nothing.npy", {}, ValueError, "path: a file that exists"),
    ("data.xlsx", {}, ValueError, "path: a file ending in"),
])
def test_data_that_make_no_functions_are_refused(data, knobs, error, says):
    with pytest.raises(error, match=says) as refused:
        Arrays(data, **knobs)
    assert all(part in str(refused.value) for part in ("came:", "why:", "do:"))


def test_torn_and_foreign_files_are_refused(tmp_path):
    np.savez(tmp_path / "two.npz", a=np.ones((3, 4)), b=np.ones((3, 4)))
    with pytest.raises(ValueError, match="holds a, b"):
        Arrays(tmp_path / "two.npz")
    with pytest.raises(KeyError, match="array in two.npz"):
        Arrays(tmp_path / "two.npz", key="c")
    assert Arrays(tmp_path / "two.npz", key="b").d == 1
    np.save(tmp_path / "object.npy", np.array([{}, None], dtype=object), allow_pickle=True)
    for name in ("torn.npy", "torn.npz", "torn.png"):
        (tmp_path / name).write_bytes(b"not what the suffix says")
    for name in ("object.npy", "torn.npy", "torn.npz", "torn.png"):
        with pytest.raises(ValueError, match="path: a readable") as refused:
            Arrays(tmp_path / name)
        assert all(part in str(refused.value) for part in ("came:", "why:", "do:"))


# -- tables of points -------------------------------------------------------------------------------------------------

TABLE = "east; north; depth\n0; 10; 5\n100; 10; 7\n\n50; 30; 9\n"


def test_a_table_of_points_is_observed_and_comes_back_in_its_units(tmp_path):
    (tmp_path / "wells.csv").write_text(TABLE)
    seen = observations(tmp_path / "wells.csv", noise_std=0.5)
    assert seen.coords.tolist() == [[-1, -1], [1, -1], [0, 1]] and seen.scaling.axes == ("east", "north")
    torch.testing.assert_close(seen.values[:, 0], torch.tensor([-1.0, 0.0, 1.0]) * 1.5**0.5)
    assert seen.noise_std == pytest.approx(0.5 / np.std([5, 7, 9])) and seen.scaling.channels == ("depth",)
    np.testing.assert_allclose(seen.scaling.from_box(seen.coords), [[0, 10], [100, 10], [50, 30]])
    draws = baselines.get("kriging").draw(seen, 4, seed=0)(seen.coords)
    assert seen.scaling.restore(draws).shape == (4, 3, 1)
    torch.testing.assert_close(seen.scaling.restore(seen.values).flatten().float(), torch.tensor([5.0, 7, 9]))


def test_points_may_bring_their_box_or_anothers_scaling():
    table = np.array([[0.0, 1.0], [1.0, 3.0]])
    assert observations(table, box=((-1, 3),)).coords.flatten().tolist() == [-0.5, 0.0]
    first = observations(table)
    again = observations(np.array([[0.5, 5.0]]), scaling=first.scaling)
    assert again.coords.item() == 0 and again.values.item() == pytest.approx(3.0)
    both = observations(np.array([[0.0, 1.0, 10.0], [1.0, 3.0, 30.0]]), d=1, noise_std=0.1)
    assert both.values.shape == (2, 2) and both.noise_std == pytest.approx(0.1)


@pytest.mark.parametrize("text", [
    "x,v\n0,1.5\n1,2.5\n", "x v\n0 1.5\n1\t2.5\n", "# by hand\nx;v\n0;1,5\n\n1;2,5\n", "x\tv\n0\t1,5\n1\t2,5\n",
    ",x,v\n0,0,1.5\n1,1,2.5\n", ",0,1\n0,0,1.5\n1,1,2.5\n", "0,1\n0,1.5\n1,2.5\n", "% x\n0 1.5\n1 2.5"],
    ids=["commas", "blanks", "decimal commas", "tabs", "pandas", "pandas, numbered", "numbered", "no header"])
@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_tables_as_people_write_them_are_read_alike(tmp_path, text, coding):
    (tmp_path / "a.csv").write_bytes(text.replace("by hand", "zu Fuß").encode(coding))
    seen = observations(tmp_path / "a.csv")
    assert seen.coords.flatten().tolist() == [-1, 1] and seen.scaling.mean == (2.0,)


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
@pytest.mark.parametrize("most", [200, 3000])
def test_a_raster_keeps_its_units(tmp_path, kind, most):
    """Heights of 100 to `most` metres stay metres, whatever the largest of them; a picture of 8 bits is in [0, 1]."""
    heights = np.linspace(100, most, 40 * 80).reshape(40, 80).astype(kind)
    Image.fromarray(heights).save(tmp_path / "a.tif")
    np.testing.assert_allclose(read(tmp_path / "a.tif")[1], heights)
    Image.fromarray(heights).save(tmp_path / "b.tif", tiffinfo={42113: str(heights[3, 4])})
    with pytest.raises(ValueError, match="finite numbers"):
        Arrays(tmp_path / "b.tif", patch=8)
    Image.fromarray(np.full((4, 4), 51, np.uint8)).save(tmp_path / "c.png")
    np.testing.assert_allclose(read(tmp_path / "c.png")[1], 0.2)


def test_columns_are_picked_by_name_or_number(tmp_path):
    frame = pd.DataFrame({"depth": [5.0, 7, 9], "well": ["a", "b", "c"], "east": [0.0, 50, 100]})
    frame.to_csv(tmp_path / "a.csv")
    one = observations(frame, columns=("east", "depth"))
    assert one.scaling.axes == ("east",) and one.scaling.channels == ("depth",) and one.scaling.mean == (7.0,)
    assert observations(frame.to_numpy(), columns=(2, 0)).coords.tolist() == one.coords.tolist()
    with pytest.raises(KeyError, match="Did you mean 'depth'"):
        observations(frame, columns=("east", "depht"))
    frame.drop(columns="well").to_csv(tmp_path / "a.csv")
    assert observations(tmp_path / "a.csv", columns=("east", "depth")).coords.tolist() == one.coords.tolist()


def test_a_date_is_refused_with_the_line_that_mends_it(tmp_path):
    (tmp_path / "a.csv").write_text("when,v\n2020-01-01 12:00,1\n2020-01-02 12:00,2\n")
    with pytest.raises(ValueError, match="to_datetime"):
        observations(tmp_path / "a.csv")


@pytest.mark.parametrize(("text", "says"), [
    ("x,y,v\n1,2,3\n4,5\n", "line 3 with 2"),
    ("x,y,v\n1,2,3,4\n", "line 2 with 4"),
    ("1,2,3\n4,,6\n", "line 2, column 2: ''"),
    ("x,y,v\n1,2,nan\n", "line 2, column v: 'nan'"),
    ("x,y,v\n1,2,three\n", "column v: 'three'"),
    ("x,y,v\n", "at least one row"),
    ("", "at least one row"),
    ("1\n2\n", "source: a table of numbers"),
])
def test_a_bad_table_is_refused_with_its_line(tmp_path, text, says):
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(ValueError, match=says) as refused:
        observations(tmp_path / "bad.csv")
    assert all(part in str(refused.value) for part in ("came:", "why:", "do:"))


@pytest.mark.parametrize(("table", "knobs", "says"), [
    (np.array([[0.0, np.nan], [1, 2]]), {}, "the first is row 1"),
    (np.ones(4), {}, "source: a table"),
    (np.array([[0.0, 1], [1, 2]]), {"d": 2}, "d: fewer"),
    (np.array([[0.0, 1], [0, 2]]), {}, "box: .low, high"),
    (np.array([[0.0, 1], [1, 2]]), {"box": ((0.2, 1),)}, "1 outside, the first in row 1"),
    (np.array([[0.0, 1], [1, 2]]), {"noise_std": -1.0}, "noise_std"),
])
def test_points_that_do_not_fit_are_refused(table, knobs, says):
    with pytest.raises(ValueError, match=says):
        observations(table, **knobs)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "binary.csv").write_bytes(b"\x89\x00\x81\xff")
    with pytest.raises(ValueError, match="path: a readable .csv"):
        observations(tmp_path / "binary.csv")


@pytest.mark.parametrize("problem", [Arrays(np.arange(40.0)[:, None] * np.ones((1, 8))),
                                     Arrays(np.arange(100.0)[:, None] * np.ones((1, 80)), patch=16),
                                     problems.get("digits2d"), problems.get("terrain2d")], ids=lambda p: p.card.name)
def test_parts_of_the_training_data_are_apart_and_inside_them(problem):
    """Numbered rows lie on two sides of a cut, and pictures make up the whole; all of it is drawn as ever."""
    q = torch.zeros(1, problem.d)
    low, high = (problem.training_part(*part, augmented=False) for part in ((0.0, 0.7), (0.7, 1.0)))
    whole = problem.training_part(0.0, 1.0, augmented=True).draw(300, seed=0)(q)
    torch.testing.assert_close(whole, problem.draw(300, seed=0)(q))
    first, second = (part.draw(300, seed=0)(q) for part in (low, high))
    if problem.card.name == "arrays":
        assert first.max() < second.min() and second.max() <= whole.max() + 0.2
    else:
        both, whole = (data.flatten(1).sum(1).sort().values for data in
                       (torch.cat([low._data, high._data]), problem._data))
        torch.testing.assert_close(both, whole)           # digits, stored class by class, are mixed before the cut


def test_patches_without_augmentation_lie_as_they_are_in_the_picture():
    hills = problems.get("terrain2d", cells=16)
    q = nfdlab.cell_centres((20, 20))
    assert (hills.training_part(0.0, 1.0, augmented=True).draw(8, seed=0)(q) == hills.draw(8, seed=0)(q)).all()
    plain = hills.training_part(0.0, 1.0, augmented=False)
    other = problems.held_out(hills)
    other.__dict__["_data"] = hills._data                 # the same rows, drawn as the held-out side draws its own
    torch.testing.assert_close(plain.draw(8, seed=0)(q), other.draw(8, seed=0)(q))


def test_a_part_of_the_digits_has_all_classes():
    """Of 4,500 stored class by class the last third would lack most: its mean picture is that of all."""
    digits = problems.get("digits2d")
    part = digits.training_part(0.7, 1.0, augmented=False)._data
    off, spread = part.mean(0) - digits._data.mean(0), digits._data.std(0)
    assert (off.abs() <= 5 * spread / len(part) ** 0.5 + 1e-9).all()
