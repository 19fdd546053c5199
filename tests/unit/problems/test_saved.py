"""Draws as files: what was saved is what is loaded, in units and in the box; other files are refused."""

import numpy as np
import pytest
import torch

import nfdlab as nfd
from nfdlab.problems.points import Scaling
from nfdlab.problems.saved import load_values, save_values

UNITS = Scaling((0.0, 100.0), (2000.0, 400.0), (15.0,), (4.0,), ("east, m", "north, m"), ("temperature, °C",))


@pytest.fixture(scope="module")
def draws():
    return nfd.problems.get("gp2d").draw(3, seed=0)


@pytest.mark.parametrize("scaling", [None, UNITS])
def test_what_was_saved_is_what_is_loaded(draws, tmp_path, scaling):
    """At the saved places to rounding; between them to what cubic interpolation leaves at 24 cells an axis."""
    coords = nfd.cell_centres((24, 24))
    path = save_values(tmp_path / "draws.npz", draws, coords, scaling)
    again, units = load_values(path)
    assert (again.n, again.d, again.c) == (3, 2, 1) and units == scaling
    assert (again(coords) - draws(coords)).abs().max() < 1e-5
    between = 1.9 * torch.rand(50, 2, generator=torch.Generator().manual_seed(0)) - 0.95
    assert (again(between) - draws(between)).abs().max() < 0.03
    with np.load(path, allow_pickle=False) as held:
        values = held["values"] if scaling is None else (held["values"] - 15) / 4
        assert np.abs(values - draws(coords).numpy()).max() < 1e-5
        if scaling is not None:
            assert (held["coords"].min(0) >= [0, 100]).all() and (held["coords"].max(0) <= [2000, 400]).all()
            assert held["channels"].tolist() == ["temperature, °C"]


def test_the_order_of_places_means_nothing(draws, tmp_path):
    coords = nfd.cell_centres((8, 6))
    mixed = coords[torch.randperm(len(coords), generator=torch.Generator().manual_seed(0))]
    again, _ = load_values(save_values(tmp_path / "draws.npz", draws, mixed))
    assert (again(coords) - draws(coords)).abs().max() < 1e-5


def test_scattered_places_are_saved_but_make_no_functions(draws, tmp_path):
    path = save_values(tmp_path / "draws.npz", draws, nfd.cell_centres((8, 8))[:-1])
    with np.load(path) as held:
        assert held["values"].shape == (3, 63, 1)
    with pytest.raises(ValueError, match="grid of cells") as error:
        load_values(path)
    assert "\n  do:   " in str(error.value)


@pytest.mark.parametrize("arrays", [{"a": 1}, {"coords": np.zeros((4, 1)), "values": np.zeros((1, 3, 1))},
                                    {"coords": np.zeros((1, 1)), "values": np.full((1, 1, 1), np.nan)},
                                    {"coords": np.zeros((1, 1)), "values": np.array([[["a"]]], dtype=object)},
                                    {"coords": np.zeros((1, 1)), "values": np.zeros((1, 1, 1)), "std": np.ones(2)}])
def test_files_of_another_kind_are_refused(arrays, tmp_path):
    np.savez(tmp_path / "a.npz", **arrays)
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "torn.npz").write_bytes(whole[:len(whole) // 2])
    for name in ("a.npz", "torn.npz", "lost.npz"):
        with pytest.raises(ValueError, match="save_values") as error:
            load_values(tmp_path / name)
        assert all(part in str(error.value) for part in ("\n  came: ", "\n  why:  ", "\n  do:   "))


def test_a_disk_that_refuses_leaves_what_was_there(draws, tmp_path, monkeypatch):
    path = save_values(tmp_path / "draws.npz", draws, nfd.cell_centres((4, 4)))
    before = path.read_bytes()

    def full(file, **arrays):
        file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="no space"):
        save_values(path, draws, nfd.cell_centres((8, 8)))
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("given", [("draws.npy", None, None, None), (None, 5, None, None), (None, None, 5, None),
                                   (None, None, None, 5), (None, None, nfd.cell_centres((4,)), None)])
def test_odd_arguments_are_refused(draws, tmp_path, given):
    usual = ("draws.npz", draws, nfd.cell_centres((4, 4)), None)
    name, *rest = [mine if mine is not None else other for mine, other in zip(given, usual, strict=True)]
    with pytest.raises((ValueError, TypeError), match="came: "):
        save_values(tmp_path / name, *rest)
