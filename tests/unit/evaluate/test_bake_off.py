"""The bake-off: resumed after a stop, the same scores as the bench, pictures of the tasks that are scored."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nfdlab import problems, store
from nfdlab.core.grid import cell_centres
from nfdlab.core.rng import child
from nfdlab.evaluate import bake_off
from nfdlab.evaluate.bench import grid
from nfdlab.evaluate.cells import compute
from nfdlab.evaluate.cost import peak_memory
from nfdlab.evaluate.table import measured


@pytest.fixture
def small(monkeypatch):
    """One draw of one thing: no weights that ship, few numbers."""
    monkeypatch.setattr(store, "shipped", lambda prior=None: {})
    return dict(seconds=1.0, only=("step1d",), names=("score_field",), tasks=1, jobs=1)


def test_a_run_is_resumed_and_a_longer_training_is_made_anew(small, tmp_path):
    said = []
    first = bake_off.run(tmp_path, **small, progress=lambda words, done, total: said.append(words))
    assert said[0] == "training" and set(first.bench.table("step1d").contestants) >= {"score_field", "kriging", "exact"}
    weights = tmp_path / "trained" / "step1d" / "score_field.safetensors"
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file() and p.parent != tmp_path}
    again = bake_off.run(tmp_path, **small)
    kept = {p for p, t in before.items() if p.stat().st_mtime_ns == t}
    assert kept >= {p for p in before if p.parent.name in ("cells", "trained") or p.suffix in (".json", ".npz")}
    assert again.bench.rows.equals(first.bench.rows) and weights in kept
    assert store.about(weights)["budget"]["seconds"] == 1.0
    row = first.costs.set_index("contestant").loc["score_field"]
    assert row["steps"] >= 1 and row["ms_draw"] > 0 and row["mb_peak"] > 0 and row["mb_weights"] > 0
    longer = bake_off.run(tmp_path, **{**small, "seconds": 1.5})
    assert store.about(weights)["budget"]["seconds"] == 1.5
    assert longer.costs.set_index("contestant").loc["score_field", "seconds"] == 1.5


def test_a_picture_is_of_the_first_task_that_is_scored():
    truth, seen = bake_off.task("step1d", "random", 4)
    points = cell_centres((128,))
    cell = next(c for c in grid(["exact"], ["step1d"], counts=(4,))[0])
    row = compute(replace(cell, tasks=1, draws=32, noise_std=0.05, scores=("crps",)))[0]
    own = child(0, "task", "step1d", "random", 4, 0)
    draws = problems.get("step1d").oracle().draw(seen, 32, seed=child(own, "draws", "exact"))(points)
    assert row[-1] == pytest.approx(float(measured(draws[None], truth(points), 1, ("crps",))["crps"]), rel=1e-5)


@pytest.mark.parametrize("problem,name,size", [("step1d", "kriging", 12), ("sawtooth1d", "optimal_interpolation", 4)])
def test_kept_scores_are_what_they_are(problem, name, size):
    rows = bake_off.kept().bench.rows
    rows = rows[(rows["problem"] == problem) & (rows["contestant"] == name) & (rows["size"] == str(size))
                & (rows["pattern"] == "clusters")]
    cell = next(c for c in grid([name], [problem], patterns=("clusters",), counts=(size,))[0] if c.contestant == name)
    now = compute(replace(cell, tasks=2, draws=bake_off.DRAWS, noise_std=0.05, scores=("crps",)))
    assert np.allclose(rows.sort_values("task")["crps"][:2], [row[-1] for row in now], rtol=1e-3)


def test_peak_memory_counts_what_is_held_at_one_time():
    held = torch.zeros(5_000_000)

    def work():
        a, b = torch.zeros(1_000_000), torch.zeros(2_000_000)
        del a
        return b, torch.zeros(500_000)

    assert peak_memory(work) == 12_000_000 and len(held)
