"""Imports point one way: from the top of this list to the bottom, never up, never to a sibling on the same line, and
never in a circle between the modules of one folder."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "nfdlab"
RANKS = ["core weights", "exact nn", "problems observation fields encoders diffusion training", "gaussian", "latents",
         "inference", "approaches baselines", "store recipes", "loading", "evaluate", "panels", "jupyter",
         "pairs", "tables", "report doctor terminal", "course", "cli"]
RANK = {unit: i for i, line in enumerate(RANKS) for unit in line.split()}
TRUTH = {"problems", "observation", "evaluate", "baselines"}
LEARNERS = ("gaussian", "latents", "inference", "approaches")
KEPT_FROM = {**dict.fromkeys(LEARNERS, TRUTH),                    # may not reach these by any road
             "jupyter": set(RANK) - {"core", "jupyter"}}         # pairs and pages need neither problems nor models
DRAWING = {"matplotlib", "plotly", "ipywidgets", "seaborn", "bokeh"}
BUT = {("problems/terrain.py", "matplotlib.cbook"), ("problems/pictures.py", "matplotlib.cbook"),    # data files,
       ("jupyter/page.py", "plotly.offline")}                                                        # a script


def imported(path: Path, package: Path) -> set[str]:
    """Dotted names that a module imports, dots resolved; `from a import b` is a.b; strings for import_module count."""
    here, found = ("nfdlab", *path.relative_to(package).with_suffix("").parts), set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = [*here[:len(here) - node.level], node.module or ""] if node.level else [node.module]
            found |= {".".join(filter(None, [*base, alias.name])) for alias in node.names}
        elif isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in (
                "import_module", "__import__"):
            found |= {str(arg.value) for arg in node.args[:1] if isinstance(arg, ast.Constant)}
    return found


def own_part(path: Path, package: Path, target: str) -> bool:
    """Whether a module of approaches/ imports a part of its own approach: of the folder that it lies in."""
    folder = path.relative_to(package).parts[1].removesuffix(".py")
    return target.split(".")[1:2] == [folder] and (package / "approaches" / folder).is_dir()


def circles(package: Path) -> list[list[str]]:
    """Modules that import one another, in any number of steps: each circle once, as the way round it."""
    names = {".".join(("nfdlab", *p.relative_to(package).with_suffix("").parts)).removesuffix(".__init__"): p
             for p in package.rglob("*.py")}
    uses = {}
    for name, path in names.items():
        targets = imported(path, package)
        known = {t if t in names else t.rpartition(".")[0] for t in targets}
        uses[name] = sorted(t for t in known if t in names and t not in (name, "nfdlab"))
    found, done = [], set()

    def walk(name: str, way: list[str]) -> None:
        if name in way:
            found.append([*way[way.index(name):], name])
        elif name not in done:
            for target in uses[name]:
                walk(target, [*way, name])
            done.add(name)

    for name in uses:
        walk(name, [])
    return found


def violations(package: Path) -> list[str]:
    """One line for every import that points the wrong way, and for every module that has no rank."""
    found, uses = [], {unit: set() for unit in RANK}
    for path in sorted(package.rglob("*.py")):
        name, unit = path.relative_to(package).as_posix(), path.relative_to(package).with_suffix("").parts[0]
        if name == "__init__.py":                          # the facade names homes, and imports them when asked
            continue
        if unit not in RANK:
            found.append(f"{name}: {unit} has no rank")
            continue
        for target in sorted(imported(path, package)):
            root, _, rest = target.partition(".")
            if root in DRAWING and unit != "panels" and not any(name == a and target.startswith(b) for a, b in BUT):
                found.append(f"{name}: {target} draws, and only panels draw")
            if root != "nfdlab" or rest.startswith("__"):
                continue
            other = rest.partition(".")[0]
            if not rest or other not in RANK:
                if unit != "cli":                          # the facade reaches everything
                    found.append(f"{name}: {target} is the package's front, or has no rank")
            elif other != unit:
                uses[unit].add(other)
                if RANK[other] >= RANK[unit]:
                    found.append(f"{name}: {unit} may not import {other}")
            elif unit == "approaches" and name != "approaches/__init__.py" and not own_part(path, package, rest):
                found.append(f"{name}: an approach may not import another, nor their list")
    found += [f"{' -> '.join(circle)}: a circle" for circle in circles(package)]
    for unit, kept_from in KEPT_FROM.items():
        reached, fresh = {unit}, {unit}
        while fresh:
            fresh = set().union(*(uses[u] for u in fresh)) - reached
            reached |= fresh
        found += [f"{unit} reaches {other}" for other in sorted(reached & kept_from)]
    return found


def test_imports_point_one_way():
    assert violations(PACKAGE) == []
    there = {p.stem for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()} - {"__init__"}
    assert there == set(RANK)


@pytest.mark.parametrize("where,line", [
    ("core/grid.py", "from ..exact import normal"), ("fields/siren.py", "from ..diffusion import schedule"),
    ("nn/networks.py", "import nfdlab.fields.siren"), ("exact/finite.py", "from ..nn import networks"),
    ("problems/extra.py", "from nfdlab.observation import patterns"),
    ("diffusion/noise.py", "from ..fields import siren"), ("gaussian/other.py", "from ..latents import autoencoder"),
    ("latents/other.py", "from ..inference import posterior"),
    ("inference/other.py", "from ..approaches import names"), ("latents/other.py", "from ..problems import get"),
    ("approaches/other.py", "from ..evaluate.scores import crps"), ("approaches/other.py", "from .. import problems"),
    ("approaches/other.py", "from .sparse_conditional import Losses"), ("approaches/other.py", "from . import names"),
    ("approaches/other/__init__.py", "from ..score_field import ScoreField"),
    ("approaches/other/parts.py", "from ...observation import patterns"),
    ("approaches/other/parts.py", "from .. import get"), ("evaluate/scores.py", "import matplotlib.pyplot as plt"),
    ("recipes.py", "def f():\n    from .store import load"), ("training.py", "import_module('nfdlab.store')"),
    ("baselines/kriging.py", "import nfdlab"), ("novel/idea.py", "import torch"), ("novel.py", "import torch"),
    ("jupyter/page.py", "import plotly.graph_objects"), ("problems/terrain.py", "from matplotlib import pyplot")])
def test_a_wrong_import_is_seen(tmp_path, where, line):
    """Each way of pointing upwards or sideways, planted alone into an empty package."""
    path = tmp_path / where
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{line}\n")
    assert any(where in found or "reaches" in found for found in violations(tmp_path))


def test_a_part_of_an_approachs_own_is_allowed(tmp_path):
    (tmp_path / "approaches/other").mkdir(parents=True)
    (tmp_path / "approaches/other/__init__.py").write_text("from ...core import grid\nfrom .parts import a\n")
    (tmp_path / "approaches/other/parts.py").write_text("a = 1\n")
    assert violations(tmp_path) == []


def test_a_part_that_imports_its_approach_is_a_circle(tmp_path):
    (tmp_path / "approaches/other").mkdir(parents=True)
    (tmp_path / "approaches/other/__init__.py").write_text("from .parts import a\nclass Other: ...\n")
    (tmp_path / "approaches/other/parts.py").write_text("from . import Other\na = 1\n")
    assert [f for f in violations(tmp_path) if f.endswith("a circle")]


@pytest.mark.parametrize("guard", ["", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    "])
def test_a_circle_inside_a_folder_is_seen(tmp_path, guard):
    """Two steps and three; hidden from the interpreter, too."""
    (tmp_path / "panels").mkdir()
    (tmp_path / "panels/a.py").write_text("from .b import y\n")
    (tmp_path / "panels/b.py").write_text(f"{guard}from . import c\n")
    (tmp_path / "panels/c.py").write_text("y = 1\n")
    assert violations(tmp_path) == []
    (tmp_path / "panels/c.py").write_text("from .a import x\n")
    assert [f for f in violations(tmp_path) if f.endswith("a circle")]
