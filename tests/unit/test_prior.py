"""Weights of either prior: which file is which, and who is refused."""

import shutil

import pytest
from typer.testing import CliRunner

import nfdlab as nfd
from nfdlab import store
from nfdlab.evaluate import bench


@pytest.fixture
def two(tmp_path, monkeypatch):
    """A folder of weights where one pair ships with both priors."""
    from nfdlab.approaches import get

    own = store.shipped()["score_field", "gp1d"]
    shutil.copy(own, tmp_path / own.name)
    white = nfd.train(get("score_field")(prior="white", widths=(16,), depth=1, cells=16), "gp1d",
                      budget=nfd.Budget(steps=2, name="smoke"), device="cpu")
    nfd.save(white, tmp_path / "score_field--gp1d--white.safetensors")
    monkeypatch.setattr(store, "files", lambda package: tmp_path)


def test_none_is_the_pairs_own_file_and_a_name_is_the_one_with_that_prior(two):
    found = {prior: nfd.load("score_field", "gp1d", prior, device="cpu") for prior in (None, "gaussian", "white")}
    priors = {prior: model.about["config"].get("prior") for prior, model in found.items()}
    assert priors == {None: "gaussian", "gaussian": "gaussian", "white": "white"}
    assert list(store.shipped()) == list(store.shipped("white")) == [("score_field", "gp1d")]
    assert store.shipped("gaussian") == {}


def test_the_bench_says_which_prior(two):
    cells, _ = bench.grid(["score_field", "score_field--white"], ["gp1d"], counts=(3,))
    assert [cell.contestant for cell in cells] == ["score_field", "score_field--white", "exact"]
    assert len({cell.digest for cell in cells}) == 3
    assert store.variants() == ["score_field--white"] and "score_field--white" in bench._contestants(None)


def test_the_bench_of_the_command_line_knows_both_priors(two, tmp_path, monkeypatch):
    from nfdlab import cli

    monkeypatch.setenv("COLUMNS", "160")
    asked = CliRunner().invoke(cli.app, ["bench", "--contestants", "score_field--white,nearest", "--problems", "gp1d",
                                         "--counts", "3", "--tasks", "1", "--draws", "4", "--scores", "crps", "--jobs",
                                         "1", "-o", str(tmp_path / "b")])
    assert asked.exit_code == 0, asked.output
    assert "score_field--white" in (tmp_path / "b" / "ranking.csv").read_text(encoding="utf-8")


def test_a_prior_that_does_not_ship_is_refused():
    for name, prior in (("score_field", "white"), ("sparse_conditional", "gaussian")):
        with pytest.raises(ValueError, match="prior") as error:
            nfd.load(name, "gp1d", prior=prior)
        assert "came: " in str(error.value)
    with pytest.raises(KeyError, match="white"):
        nfd.load("score_field", "gp1d", prior="wite")
