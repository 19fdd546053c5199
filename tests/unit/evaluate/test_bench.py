"""The bench: the same table however it was interrupted, contestants paired on their tasks, a ranking that is right."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from nfdlab import cli, problems
from nfdlab.evaluate import cells, ranking, table
from nfdlab.evaluate.bench import bench, grid
from nfdlab.evaluate.cells import Cell, compute, read, run, write
from nfdlab.evaluate.ranking import Benchmark
from nfdlab.panels.plots import benchmark

GRID = dict(contestants=["nearest", "kriging"], problems=["gp1d"], counts=(4, 8), seeds=3)
SMALL = dict(tasks=3, draws=8)
SCORES = ("crps", "mse")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nobody disturbed, in one process: its table and its folder."""
    out = tmp_path_factory.mktemp("whole")
    return bench(**GRID, **SMALL, jobs=1, out=out), out


def test_a_run_killed_in_the_middle_goes_on_to_the_same_bytes(whole, tmp_path):
    code = f"from nfdlab.evaluate.bench import bench; bench(**{GRID}, **{SMALL}, jobs=1, out={str(tmp_path)!r})"
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    finished, folder, began = [], tmp_path / "cells", time.monotonic()
    while len(finished) < 4 and process.poll() is None and time.monotonic() < began + 120:
        finished = list(folder.glob("*.csv"))
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)                    # with its workers: what they were writing is torn
    assert process.wait() == -signal.SIGKILL and not (tmp_path / "bench.csv").exists()
    finished = sorted(folder.glob("*.csv"))
    assert 4 <= len(finished) < 18
    torn, *kept = finished
    torn.write_bytes(torn.read_bytes()[:-40])
    (folder / "half.1.part").write_text("never renamed")
    before, calls = [path.stat().st_mtime_ns for path in kept], []
    bench(**GRID, **SMALL, jobs=1, out=tmp_path, progress=lambda done, total: calls.append((done, total)))
    assert [path.stat().st_mtime_ns for path in kept] == before             # kept, not computed again
    assert calls == [(i, 18) for i in range(len(kept) + 1, 19)]
    assert not list(folder.glob("*.part"))
    for name in ("bench.csv", "ranking.csv"):
        assert (tmp_path / name).read_bytes() == (whole[1] / name).read_bytes()


def test_a_finished_run_computes_nothing_and_force_everything_to_the_same_bytes_in_two_processes(whole):
    _, out = whole
    before = [(out / name).read_bytes() for name in ("bench.csv", "ranking.csv")]
    stamps = [{p: p.stat().st_mtime_ns for p in (out / "cells").iterdir()}]
    for force in (False, True):
        bench(**GRID, **SMALL, jobs=2, out=out, force=force)
        stamps.append({p: p.stat().st_mtime_ns for p in (out / "cells").iterdir()})
    assert stamps[0] == stamps[1] and all(stamps[2][p] > stamps[0][p] for p in stamps[0])
    assert [(out / name).read_bytes() for name in ("bench.csv", "ranking.csv")] == before


def test_the_exact_posterior_beside_itself_is_one(whole):
    found = whole[0].ranking().set_index("contestant").loc["exact"]
    assert list(found[["crps", "low", "high", "worst", "energy", "variogram", "rmse", "spread"]]) == [1.0] * 8
    assert found["to"] == "exact" and found["cases"] == 2 and found["tasks"] == 9


def test_the_ranking_is_that_of_the_table_and_best_first(whole):
    found, rows = whole[0].ranking(), whole[0].rows
    assert list(found["rank"]) == [1, 2, 3] and found["crps"].is_monotonic_increasing
    assert set(found["contestant"]) == {"nearest", "kriging", "exact"}
    means = rows.groupby(["contestant", "size"])["crps"].mean().unstack()
    ratios = means.loc["nearest"] / means.loc["exact"]
    nearest = found.set_index("contestant").loc["nearest"]
    assert nearest["crps"] == pytest.approx(ratios.mean()) and nearest["worst"] == pytest.approx(ratios.max())
    assert nearest["where"] == f"random {ratios.idxmax()}" and nearest["low"] < nearest["crps"] < nearest["high"]
    text = pd.read_csv(whole[1] / "ranking.csv")
    np.testing.assert_allclose(text["crps"], found["crps"], atol=5e-5)


def test_contestants_answer_the_same_questions_with_noise_of_their_own(monkeypatch):
    asked, exact = [], problems.get("gp1d").oracle()

    class Recorder:
        def draw(self, seen, n, *, seed, steps=None):
            asked.append((seen, seed))
            return exact.draw(seen, n, seed=seed)

    monkeypatch.setattr(cells, "contestant", lambda *names: Recorder())
    cell = Cell("gp1d", "random", 6, "one", 0, 3, 4, 0.05, SCORES)
    compute(cell), compute(replace(cell, contestant="other", tasks=4)), compute(replace(cell, seed=1))
    (one, first), (other, second), (third, _) = asked[1], asked[4], asked[8]
    assert torch.equal(one.coords, other.coords) and torch.equal(one.values, other.values) and first != second
    assert not torch.equal(one.values, third.values)
    assert len({float(seen.values[0, 0]) for seen, _ in asked}) == 3 + 1 + 3     # every task and seed is another


def test_a_cells_file_is_whole_or_not_there(tmp_path):
    cell = Cell("gp1d", "grid", 0.1, "nearest", 0, 2, 4, 0.05, SCORES)
    rows = [["gp1d", "grid", 0.1, "nearest", 0, i, 6, 1 / 3, 0.1] for i in range(2)]
    path = write(cell, tmp_path, rows)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert read(cell, tmp_path)[1] == f"gp1d,grid,0.1,nearest,0,1,6,{1 / 3!r},0.1\n"
    text = path.read_text()
    for torn in (text[:-30], text[:60], "", text.replace("grid,0.1", "grid,0.2")):
        path.write_text(torn)
        assert read(cell, tmp_path) is None
    for other in (replace(cell, draws=5), replace(cell, knobs="{'lengthscale': 0.3}"), replace(cell, digest="ab"),
                  replace(cell, scores=("crps",)), replace(cell, noise_std=0.1), replace(cell, tasks=3)):
        assert other.path(tmp_path) != path
    assert replace(cell, weights="elsewhere.safetensors").path(tmp_path) == path


def test_who_cannot_take_part_is_said_in_a_line(tmp_path):
    wrong = tmp_path / "wrong.safetensors"
    header(wrong, {"approach": "sparse_conditional", "problem": "gp1d", "knobs": {"lengthscale": 0.7}})
    names = ["exact", "sparse_conditional", str(wrong), str(tmp_path / "lost.safetensors")]
    found, lines = grid(names, ["gp1d", "digits2d"], patterns=["block"], shares=[0.1, 0.9])
    assert {f"{c.contestant} on {c.problem}" for c in found} == {
        "exact on gp1d", "sparse_conditional on gp1d", "kriging on digits2d", "sparse_conditional on digits2d"}
    assert {c.size for c in found} == {0.1} and all(bool(c.digest) == bool(c.weights) for c in found)
    said = "\n".join(lines)
    assert "exact not on digits2d: no exact posterior" in said and "lost.safetensors not on gp1d, digits2d" in said
    assert "block 0.9 not on gp1d, digits2d: share: at most what the block leaves" in said
    assert "wrong.safetensors not on gp1d: A model trained on gp1d with lengthscale=0.2" in said
    everyone, _ = grid()
    assert {"kriging", "exact", "sparse_conditional"} <= {c.contestant for c in everyone}
    assert "arrays" not in {c.problem for c in everyone}


def header(path, about):
    """A weights file with a readable header and none of the tensors that its approach needs."""
    save_file({"nothing": torch.zeros(1)}, path, {"format": "nfdlab 2", "about": json.dumps(about)})


def test_a_cell_that_fails_is_named_and_the_others_are_kept(tmp_path):
    hollow = tmp_path / "hollow.safetensors"
    header(hollow, {"approach": "sparse_conditional", "problem": "gp1d", "knobs": {"lengthscale": 0.2}, "config": {}})
    words = ["bench", "--contestants", f"nearest,{hollow}", "--problems", "gp1d", "--counts", "3", "--tasks", "2",
             "--draws", "4", "--scores", "crps,coverage90", "-o", str(tmp_path / "out"), "--jobs", "2"]
    result = CliRunner().invoke(cli.app, words, env={"COLUMNS": "200", "TERM": "dumb"})
    assert result.exit_code == 1 and "hollow on gp1d, random 3, seed 0: ValueError" in result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["gp1d:", "ratio", "to", "exact,"] in [words[:4] for words in lines]
    assert ["1", "exact"] in [w[:2] for w in lines] and ["2", "nearest"] in [w[:2] for w in lines]
    rows = pd.read_csv(tmp_path / "out" / "bench.csv")
    assert list(rows) == [*cells.KEYS, "crps", "coverage90"] and len(rows) == 4
    assert (tmp_path / "out" / "bench.png").read_bytes().startswith(b"\x89PNG")
    words[2] = "nearest"
    assert CliRunner().invoke(cli.app, words, env={"TERM": "dumb"}).exit_code == 0


def test_a_cell_never_raises(tmp_path):
    name, said = run(Cell("gp1d", "random", 3, "nobody", 0, 1, 4, 0.05, SCORES), tmp_path)
    assert name == "nobody on gp1d, random 3, seed 0" and said.startswith("UnknownName: The name of a known baseline")
    assert not list(tmp_path.iterdir())


def by_hand(scores, problem="gp1d"):
    """Rows with one case and {contestant: CRPS task by task}."""
    return pd.DataFrame([{"problem": problem, "pattern": "grid", "size": "4", "contestant": name, "seed": i // 2,
                          "task": i % 2, "m": 4, "crps": value} for name, found in scores.items()
                         for i, value in enumerate(found)])


def test_only_the_same_tasks_are_compared():
    """One who has not answered all that the reference has is left out; answers beyond the reference's do not count."""
    found = Benchmark(by_hand({"late": [1, 1], "also": [2, 4, 3, 9], "exact": [1, 2, 3]}))
    ranked = found.ranking()
    assert list(ranked["contestant"]) == ["exact", "also"] and ranked["crps"][1] == pytest.approx(9 / 6)
    assert ranked["tasks"].tolist() == [3, 3]
    two = Benchmark(pd.concat([by_hand({"kriging": [2, 2], "nearest": [3, 5]}, "terrain2d"),
                               by_hand({"nearest": [1, 1]}, "gp2d")]))
    assert two.problems == ["terrain2d"] and two.ranking()["to"].tolist() == ["kriging"] * 2
    with pytest.raises(KeyError, match="problem of this bench"):
        two.table("gp2d")


def test_equal_draws_have_the_scores_of_one():
    rng = torch.Generator().manual_seed(0)
    one, truth = torch.randn(1, 12, 1, generator=rng), torch.randn(12, 1, generator=rng)
    found = table.measure(one.expand(16, -1, -1), truth, 1)
    for name, score in table.SCORES.items():
        assert found[name] == pytest.approx(float(score(one.expand(16, -1, -1), truth, 1)), abs=1e-6), name
    draws, truths = torch.randn(3, 16, 12, 1, generator=rng), torch.randn(3, 12, 1, generator=rng)
    together = table.measured(draws, truths, 1, ("variogram", "crps"))
    assert list(together) == ["variogram", "crps"]
    for i in range(3):
        unconditional_share = table.measure(draws[i], truths[i], 1)
        assert all(float(together[name][i]) == pytest.approx(unconditional_share[name], rel=1e-5) for name in together)


def test_the_picture_has_a_panel_a_problem_and_the_line_at_one():
    rows = pd.concat([by_hand({"exact": [1, 2, 3], "sparse_conditional": [0.9, 1.8, 2.7], "rbf": [20, 40, 60]}, name)
                      for name in ("gp1d", "gp2d", "sawtooth1d", "bump2d")])
    found = benchmark(Benchmark(rows).ranking(), title="Tasks by hand")
    seen = [ax for ax in found.axes if ax.get_visible()]
    assert [ax.get_title(loc="left") for ax in seen] == ["gp1d", "gp2d", "sawtooth1d", "bump2d"]
    assert [t.get_text() for t in seen[0].get_yticklabels()] == ["sparse_conditional", "exact", "rbf"]
    dots = [float(line.get_xdata()[0]) for line in seen[0].lines if line.get_marker() == "o"]
    assert dots == pytest.approx([0.9, 1.0, 20.0]) and seen[0].get_xscale() == "log"
    assert list(seen[0].lines[0].get_xdata()) == [1.0, 1.0]
    with pytest.raises(ValueError, match="ranking: at least one row"):
        benchmark(pd.DataFrame())


@pytest.mark.parametrize("told,said", [
    ({"problems": ["gp9d"]}, "Did you mean"), ({"contestants": ["krigin"]}, "Did you mean 'kriging'"),
    ({"patterns": ["randon"]}, "Did you mean 'random'"), ({"patterns": "grid"}, "a list of at least one name"),
    ({"counts": (3,), "shares": (0.1,)}, "counts or shares"), ({"shares": (1.5,)}, "share: a finite number"),
    ({"counts": (-1,)}, "count: at least 0"), ({"scores": ("energy",)}, "crps among them"), ({"seeds": 0}, "seeds"),
    ({"contestants": ["a/w.safetensors", "b/w.safetensors"]}, "different names"), ({"jobs": 0}, "jobs: at least 1"),
    ({"contestants": ["exact"], "problems": ["gp1d"], "patterns": ["block"], "shares": (0.9,)}, "At least one")])
def test_bad_input_is_refused_before_anything_is_written(tmp_path, told, said):
    with pytest.raises((ValueError, KeyError)) as refused:
        bench(**told, out=tmp_path / "out")
    assert said in str(refused.value) and "\n  why:" in str(refused.value) and not (tmp_path / "out").exists()


def test_a_table_is_read_only_where_there_is_one(tmp_path):
    with pytest.raises(ValueError, match="path: a bench.csv"):
        Benchmark.read(tmp_path / "bench.csv")
    assert ranking.RIVAL in ("kriging",)


def test_baselines_are_made_for_their_problem():
    assert cells.contestant("optimal_interpolation", "gp1d").problem == problems.get("gp1d")


@pytest.mark.parametrize("name,size,contestant,within", [
    ("digits2d", 16, "kriging", 0.01), ("head2d", 64, "linear", 0.01), ("film2dt", 16, "nearest", 0.01),
    ("film2dt", 0.25, "linear_in_time", 0.01), ("digits2d", 64, "climatology", 0.01), ("shapes3d", 60, "rbf", 0.01),
    ("ball3dt", 16, "exact", 0.25)])
def test_kept_scores_of_rivals_are_what_they_are(name, size, contestant, within):
    """Two tasks of a cell computed again, to 1 %: real data and enumeration round differently elsewhere. The ball's
    exact draws are moved by chains, which rounding sends elsewhere: 32 other draws score up to a tenth differently."""
    pattern = "frames" if isinstance(size, float) else "random"
    rows = ranking.kept_rivals(pattern).rows
    kept = rows[(rows["problem"] == name) & (rows["size"] == str(size)) & (rows["contestant"] == contestant)]
    again = compute(Cell(name, pattern, size, contestant, 0, 2, 32, 0.05, ("crps",)))
    assert len(kept) == 24 and [row[-1] for row in again] == pytest.approx(kept["crps"].tolist()[:2], rel=within)
