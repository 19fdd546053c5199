"""Every lesson: its pair is fresh, it has the shape that all share, it runs from top to bottom, its solutions too."""

import ast
import re
import tomllib
from pathlib import Path

import nbformat
import pytest

from nfdlab import pairs, report
from nfdlab.jupyter.lessons import HEAD, KINDS, lesson_parameters, lessons, read
from nfdlab.jupyter.mathml import mathml
from nfdlab.jupyter.page import PLOTLY, SWEEP, WIDGET, html

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
LESSONS = lessons(FOLDER)
TOURS = {"00_start_here", "11_bake_off"}                       # a tour and a comparison have headings of their own
FULL = [p for p in LESSONS if p.stem not in TOURS]
HEADINGS = ["Question", "Picture", "Idea in symbols", "Smallest version", "The library's version", "Turn the knobs",
            "Against the others", "Where it breaks", "Exercises", "Further reading"]
BANNED = {"sys.path": r"\bsys\.path\b", "filtered warnings": r"filterwarnings|simplefilter|catch_warnings",
          "chdir": r"\bchdir\b", "shell": r"^\s*[!%]", "an absolute path": r"""["'](/[a-z]+/|[A-Z]:\\|~/)""",
          "MPLBACKEND": r"MPLBACKEND|matplotlib\.use\("}
DETAILS = re.compile(r"<details>(.*?)</details>", re.S | re.I)
FENCE = re.compile(r"^```python\n(.*?)^```", re.S | re.M)

# what a smoke test needs: sweeps of few small pictures, shipped weights that take few steps, scores of few draws
SMALL = """def small():
    from dataclasses import replace
    from nfdlab import recipes, store
    from nfdlab.evaluate import error_breakdown, table
    from nfdlab.panels import sweeps
    load = store.load
    store.load = lambda *a, **k: replace(load(*a, **k), steps=recipes.SMOKE["steps"])
    sweeps._SIDE.update({1: 41, 2: 16, 3: 8}), sweeps._COUNTS.update({1: (1, 8), 2: (5, 20), 3: (20, 80)})
    sweeps._SCALES = 1.0, 4.0
    table.GRIDS.update({1: (32,), 2: (8, 8), 3: (4, 4, 4)})
    for scored in (table.compare, table.score, error_breakdown.error_breakdown):
        scored.__kwdefaults__.update({"draws": 8, "functions": 32})
small()
del small"""

each_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
each_full_lesson = pytest.mark.parametrize("path", FULL, ids=lambda p: p.stem)


def code(path: Path) -> list[str]:
    return [c.source for c in read(path).cells if c.cell_type == "code"]


def prose(path: Path) -> str:
    return "\n\n".join(c.source for c in read(path).cells if c.cell_type == "markdown")


def solutions(path: Path) -> list[str]:
    """The code of the folded solutions, in order."""
    return [block for fold in DETAILS.findall(prose(path)) for block in FENCE.findall(fold)]


def test_there_are_lessons():
    assert LESSONS and LESSONS[0].stem == "00_start_here"


def test_jupyterlab_and_the_kit_filter_alike():
    told = tomllib.loads((FOLDER / "jupytext.toml").read_text(encoding="utf-8"))
    assert told == {"formats": "ipynb,py:percent", **HEAD["jupytext"]}


def test_pairs_are_fresh():
    assert pairs.check(FOLDER) == [], "run `nfdlab sync`"


@each_lesson
def test_one_typed_parameters_cell(path):
    tagged = [c for c in read(path).cells if "parameters" in c.metadata.get("tags", ())]
    assert len(tagged) == 1, "one cell tagged `parameters`"
    found = lesson_parameters(path)
    assigned = [n.target.id for n in ast.parse(tagged[0].source).body if isinstance(n, ast.AnnAssign)]
    assert list(found) == assigned and len(assigned) == len(ast.parse(tagged[0].source).body), "name: type = value only"
    assert {"budget", "seed", "device"} <= set(found)
    assert found["budget"].choices == ("smoke", "lesson", "reference") and found["budget"].default == "reference"
    for p in found.values():
        assert type(p.default) is KINDS[p.type] and p.help, f"{p.name}: a type, a value of it and a comment"


@each_full_lesson
def test_headings_are_those_of_every_lesson(path):
    found = re.findall(r"^## (.+)$", prose(path), re.M)
    assert [next((h for h in HEADINGS if f.startswith(h)), f) for f in found] == HEADINGS


@each_lesson
def test_it_stays_readable(path):
    cells, sources = read(path).cells, code(path)
    assert len(cells) <= 32, f"{len(cells)} cells"
    long = [s.splitlines()[0] for s in sources if len(s.splitlines()) > 30]
    assert not long, f"cells over 30 lines: {long}"
    kinds = (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)
    definitions = [n.name for s in sources for n in ast.parse(s).body if isinstance(n, kinds)]
    assert len(definitions) <= 2, f"definitions: {definitions}"
    assert cells[0].cell_type == "markdown" and cells[0].source.startswith("# "), "the title comes first"


@each_lesson
def test_it_does_nothing_behind_the_readers_back(path):
    for what, pattern in BANNED.items():
        found = [s.splitlines()[0] for s in [*code(path), *solutions(path)] if re.search(pattern, s, re.M)]
        assert not found, f"{what} in {found}"


@each_lesson
def test_its_mathematics_can_be_shown_without_a_network(path, monkeypatch):
    seen = []
    monkeypatch.setattr("nfdlab.jupyter.page.formula", lambda latex, block=False: seen.append((latex, block)) or "")
    html(read(path), FOLDER)
    assert all(mathml(*formula) for formula in seen)


@each_lesson
def test_its_pair_is_small_and_its_pictures_are_there(path):
    assert path.with_suffix(".ipynb").stat().st_size < 200_000
    for name in re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)|<img[^>]+src=[\"']([^\"']+)", prose(path)):
        name = "".join(name)
        assert name.startswith("http") or (FOLDER / name).is_file(), f"no picture {name}"


@each_full_lesson
def test_it_has_three_exercises_with_folded_solutions(path):
    assert len(solutions(path)) >= 3


@pytest.mark.notebooks
@each_lesson
def test_it_runs_and_so_do_its_solutions(path):
    lesson, given = read(path), {"budget": "smoke", "device": "cpu"}
    own = len(lesson.cells) + 2                      # papermill adds the cell that sets what is given
    lesson.cells = [nbformat.v4.new_code_cell(SMALL), *lesson.cells,
                    *(nbformat.v4.new_code_cell(s) for s in solutions(path))]
    try:
        done = report.execute(lesson, FOLDER, given, timeout=300)
    except report.CellFailed as failure:
        pytest.fail(f"{failure.what}\nin the cell\n{failure.cell.source}")
    outputs = [o for c in done.cells if c.cell_type == "code" for o in c.outputs]
    assert not [o for o in outputs if o.output_type == "error"]
    noise = "".join(o.text for o in outputs if o.output_type == "stream" and o.name == "stderr")
    assert "Warning" not in noise, noise
    shown = [o.data for o in outputs if "data" in o]
    panels = [data for data in shown if SWEEP in data or WIDGET in data]
    assert all("image/png" in data for data in panels), "a panel without a picture for readers without a kernel"
    assert any("image/png" in data or "image/svg+xml" in data or PLOTLY in data for data in shown), "no picture at all"
    if path in FULL:
        assert any(SWEEP in data for data in panels), "no panel to turn in the report"
    page = html(nbformat.from_dict({**done, "cells": done.cells[1:own]}), FOLDER)
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=[\"'](https?:)?//", page)
    assert "<pre class=\"error\">" not in page
