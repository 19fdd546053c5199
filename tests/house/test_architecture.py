"""Imports point one way: from the top of this list to the bottom, never up, never to a sibling on the same line."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "nfdlab"
RANKS = ["core weights", "exact nn", "problems observation fields encoders diffusion training", "gaussian", "latents", "inference",
         "approaches baselines", "store recipes", "evaluate", "panels", "jupyter", "pairs", "report doctor terminal",
         "cli"]
RANK = {unit: i for i, line in enumerate(RANKS) for unit in line.split()}
TRUTH = {"problems", "sparsity", "evaluate", "baselines"}
KEPT_FROM = {"approaches": TRUTH, "latents": TRUTH,                # may not reach these by any road
             "jupyter": set(RANK) - {"core", "jupyter"}}         # pairs and pages need neither problems nor models
DRAWING = {"matplotlib", "plotly", "ipywidgets", "seaborn", "bokeh"}
BUT = {("problems/terrain.py", "matplotlib.cbook"), ("problems/pictures.py", "matplotlib.cbook"),    # data files,
       ("jupyter/page.py", "plotly.offline")}                                                        # a script


def imported(path: Path, package: Path) -> set[str]:
    """Dotted names that a module imports, observations resolved; `from a import b` is a.b; strings for import_module count."""
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
            elif unit == "approaches" and path.stem != "__init__":
                found.append(f"{name}: an approach may not import another, nor their list")
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
    ("core/grid.py", "from ..exact import normal"), ("fields/siren.py", "from ..diffusion import nets"),
    ("diffusion/nets.py", "import nfdlab.fields.siren"), ("problems/extra.py", "from nfdlab.observation import views"),
    ("approaches/other.py", "from ..evaluate.scores import crps"), ("approaches/other.py", "from .. import problems"),
    ("approaches/other.py", "from .sparse_conditional import Network"), ("approaches/other.py", "from . import names"),
    ("codes/normalise.py", "from ..problems import get"), ("evaluate/scores.py", "import matplotlib.pyplot as plt"),
    ("recipes.py", "def f():\n    from .store import load"), ("training.py", "import_module('nfdlab.store')"),
    ("baselines/kriging.py", "import nfdlab"), ("novel/idea.py", "import torch"), ("novel.py", "import torch"),
    ("jupyter/page.py", "import plotly.graph_objects"), ("problems/terrain.py", "from matplotlib import pyplot")])
def test_a_wrong_import_is_seen(tmp_path, where, line):
    """Each way of pointing upwards or sideways, planted alone into an empty package."""
    path = tmp_path / where
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{line}\n")
    assert any(where in found or "reaches" in found for found in violations(tmp_path))
