"""The eleventh approach is one file and one notebook: everything else finds it by itself."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from nfdlab import pairs, problems, tables

ROOT = Path(__file__).resolve().parents[2]
APPROACH = '''"""Approach 11: a Gaussian measured on draws, conditioned in closed form."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from ..core.rng import child, normals, seeded
from ..core.types import Card
from ..diffusion.denoiser import Denoiser
from ..diffusion.samplers import SamplerStep
from ..gaussian.karhunen_loeve import KarhunenLoeve, WeightPosterior
from ..inference.posterior import TrainedModel
from ..training import Run


class MeasuredGaussian(nn.Module):
    """A Karhunen-Loeve expansion."""

    def __init__(self, config, d, c):
        super().__init__()
        self.expansion = KarhunenLoeve(d, c, {1: 64, 2: 16, 3: 8}[d], config.rank)


class ExpansionPosterior(TrainedModel):
    """Draws of the expansion's weights given observations."""

    def path(self, seen, n, *, seed, steps=None, sampler="dpmpp"):
        """One step: the draw itself."""
        self.request(n, seed=seed, steps=steps, sampler=sampler)
        posterior = self.net.expansion.condition(self.observations(seen))
        weights = posterior.mean + posterior.draw(n, seed=child(seed, sampler))
        return iter([SamplerStep(0, 1, torch.zeros(()), weights, weights)])

    def fields(self, seen, x):
        """The functions of weights x (n, rank)."""
        e = self.net.expansion

        def rule(coords, part):
            rows, own = e.rows(coords), x[part]
            found = own @ rows.T if coords.ndim == 2 else (rows @ own[..., None])[..., 0]
            return e.mean(coords) + found.unflatten(-1, (-1, e.c))

        return self.evaluated(rule, len(x))

    def draw(self, seen, n, *, seed, steps=None, sampler="dpmpp"):
        """n functions given what was seen, as Fields."""
        return self.fields(seen, next(self.path(seen, n, seed=seed, steps=steps, sampler=sampler)).x)


@dataclass(frozen=True)
class MeasuredGaussianField:
    """Config."""

    card: ClassVar[Card] = Card(11, "Measured Gaussian", "measure a Gaussian, condition it", "Karhunen 1947 (modes)",
                                "Gaussian fields", "anything else")
    trained: ClassVar[type] = ExpansionPosterior
    rank: int = 12
    steps: int = 2

    def build(self, d, c, *, seed=0):
        with seeded(seed):
            return MeasuredGaussian(self, d, c)

    def fit(self, source, *, views, budget, seed, device="auto", watch=lambda step: None):
        """Measure."""
        run = Run(source, views, budget, seed, device, watch)
        net = run.build(self)
        net.expansion.calibrate(run.functions(256, "measure")(net.expansion.places), seed=child(seed, "directions"))
        return ExpansionPosterior(net, run.record("measured_gaussian", self), self.steps)


APPROACH = MeasuredGaussianField
'''
LESSON = '''# %% [markdown]
# # 11 · A Gaussian measured on draws: how far does a covariance go?

# %% tags=["parameters"]
budget: str = "reference"  # one of: smoke, lesson, reference
seed: int = 0  # same seed, same numbers
device: str = "auto"  # where to compute

# %%
import nfdlab as nfd
'''


def run(root: Path, *command: str) -> str:
    """What a command prints in a copy of the repository."""
    ours = {**os.environ, "PYTHONPATH": str(root), "COLUMNS": "400", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *command], cwd=root, env=ours, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def test_one_file_and_one_notebook_are_an_approach(tmp_path):
    """In a copy: written, `nfdlab sync`, and it is in the list, the tables, the lessons and the contract's cases: in
    every one where the fifth approach is, less what is asked of shipped weights."""
    for name in ("nfdlab", "notebooks", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "APPROACHES.md", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    pairs.sync(tmp_path / "notebooks"), tables.sync(tmp_path)              # what is stale has tests of its own
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    (tmp_path / "nfdlab/approaches/measured_gaussian.py").write_text(APPROACH, encoding="utf-8")
    (tmp_path / "notebooks/11_measured_gaussian.py").write_text(LESSON, encoding="utf-8")
    command = "import sys; from nfdlab.cli import main; sys.argv = ['nfdlab', {!r}]; main()"
    run(tmp_path, "-c", command.format("sync"))
    touched = {p.relative_to(tmp_path).as_posix() for p, content in before.items() if p.read_bytes() != content}
    assert touched == {"README.md", "APPROACHES.md"}
    assert (tmp_path / "notebooks/11_measured_gaussian.ipynb").exists()
    shown = run(tmp_path, "-c", command.format("list"))
    assert "measured_gaussian" in shown and "11_measured_gaussian" in shown
    readme, approaches = ((tmp_path / name).read_text(encoding="utf-8") for name in ("README.md", "APPROACHES.md"))
    assert "| 11 | `measured_gaussian` | measure a Gaussian, condition it |" in approaches
    assert "| 11 | `measured_gaussian` |" in readme and "11_measured_gaussian.ipynb" in readme
    # it keeps what it promises; all cases are printed as they are collected, before some are chosen
    (tmp_path / "tell.py").write_text("def pytest_itemcollected(item):\n    print(item.nodeid)\n", encoding="utf-8")
    cases = run(tmp_path, "-m", "pytest", "-q", "-s", "-o", "addopts=", "-p", "tell", "-p", "no:cacheprovider",
                "tests/contract/test_contract.py", "tests/notebooks", "-k",
                "measured_gaussian and (card or point or path or saved)").splitlines()
    contract = [case for case in cases if case.startswith("tests/contract/test_contract.py::")]
    ours, fifth = ({case for case in contract if name in case} for name in ("measured_gaussian", "sparse_conditional"))
    smoke = {case for case in fifth if not any(f"sparse_conditional-{p}" in case for p in problems.names())}
    assert {case.replace("measured_gaussian", "sparse_conditional") for case in ours} == smoke and len(ours) > 30
    assert any("[11_measured_gaussian]" in case for case in cases)
