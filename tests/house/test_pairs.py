"""Pairs: the notebook is a function of the text; nothing that anyone wrote is lost; parameters are checked first."""

import ast
import json
import os
from pathlib import Path

import nbformat
import papermill
import pytest
from lesson_text import lesson, write

from nfdlab import pairs
from nfdlab.core.files import write_text
from nfdlab.jupyter import lessons
from nfdlab.jupyter.lessons import lesson_parameters, validate

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


@pytest.fixture
def folder(tmp_path):
    """Two lessons, paired."""
    write(tmp_path, "01_one", "x = 1\nx")
    write(tmp_path, "02_two", '# %% tags=["hide-input"]\ny = 2\n')
    pairs.sync(tmp_path)
    return tmp_path


def test_rendering_twice_gives_the_same_bytes_and_fixed_ids(folder):
    first = pairs.render(folder / "01_one.py")
    assert first == pairs.render(folder / "01_one.py") == (folder / "01_one.ipynb").read_text(encoding="utf-8")
    assert [c["id"] for c in json.loads(first)["cells"]] == ["01-000", "01-001", "01-002"]


@pytest.mark.parametrize("path", lessons.lessons(NOTEBOOKS), ids=lambda p: p.stem)
def test_cells_are_those_that_jupytext_reads(path):
    """Of the text and of its notebook; and the parameters are those that papermill finds."""
    theirs = [(c.cell_type, c.source, tuple(c.metadata.get("tags", ()))) for c in lessons.read(path).cells]
    assert lessons.cells(path) == lessons.cells(path.with_suffix(".ipynb")) == theirs
    found = {p["name"]: (p["inferred_type_name"], ast.literal_eval(p["default"]), p["help"])
             for p in papermill.inspect_notebook(str(path.with_suffix(".ipynb"))).values()}
    assert found == {p.name: (p.type, p.default, p.help) for p in lesson_parameters(path).values()}


def test_tags_survive_the_pair(folder):
    cells = nbformat.read(folder / "02_two.ipynb", as_version=4).cells
    assert [c.metadata.get("tags") for c in cells] == [None, ["parameters"], ["hide-input"]]


def test_a_second_sync_changes_nothing(folder):
    assert pairs.sync(folder) == [] and pairs.check(folder) == []


def test_the_text_of_a_lesson_is_what_jupyterlab_would_save(tmp_path):
    py = write(tmp_path, "03_three", "x = 1\n\n", "# %% [markdown]\n# Prose.\n", "def f():\n    return x\n")
    assert any("as JupyterLab would save it" in line for line in pairs.check(tmp_path))
    pairs.sync(tmp_path)
    assert py.read_text(encoding="utf-8") == pairs.text(py) == pairs.text(py.with_suffix(".ipynb"))
    assert pairs.check(tmp_path) == []


def test_check_names_every_stale_pair_and_why(folder):
    (folder / "01_one.py").write_text(lesson("x = 3\nx"), encoding="utf-8")
    nb = nbformat.read(folder / "02_two.ipynb", as_version=4)
    nb.cells[-1].outputs = [nbformat.v4.new_output("stream", text="2")]
    nbformat.write(nb, folder / "02_two.ipynb")
    (folder / "09_lost.ipynb").write_text("{}", encoding="utf-8")
    write(folder, "04_four", "1")
    found = "\n".join(pairs.check(folder))
    assert "01_one.ipynb: cells differ from 01_one.py" in found and "02_two.ipynb: outputs or metadata" in found
    assert "09_lost.ipynb: has no 09_lost.py" in found and "04_four.ipynb: missing" in found


def _edit(ipynb, source, seconds):
    """Change a notebook's last cell alone, `seconds` after its .py was saved."""
    nb = nbformat.read(ipynb, as_version=4)
    nb.cells[-1].source = source
    nbformat.write(nb, ipynb)
    when = ipynb.with_suffix(".py").stat().st_mtime + seconds
    os.utime(ipynb, (when, when))


def test_later_edits_of_a_notebook_are_not_overwritten(folder):
    _edit(folder / "01_one.ipynb", "x = 99", 60)
    before = (folder / "01_one.ipynb").read_bytes()
    (folder / "02_two.py").write_text(lesson("y = 5"), encoding="utf-8")
    two = (folder / "02_two.ipynb").read_bytes()
    with pytest.raises(ValueError, match="--from ipynb"):
        pairs.sync(folder)
    assert (folder / "01_one.ipynb").read_bytes() == before and (folder / "02_two.ipynb").read_bytes() == two


def test_earlier_edits_of_a_notebook_give_way_to_the_text(folder):
    _edit(folder / "01_one.ipynb", "x = 99", -60)
    assert pairs.sync(folder) == [folder / "01_one.ipynb"]
    assert "99" not in (folder / "01_one.ipynb").read_text(encoding="utf-8")


def test_from_ipynb_takes_the_cells_and_leaves_the_rest(folder):
    _edit(folder / "01_one.ipynb", "x = 99", 60)
    two = (folder / "02_two.py").read_bytes()
    pairs.sync(folder, "ipynb")
    assert "x = 99" in (folder / "01_one.py").read_text(encoding="utf-8")
    assert (folder / "02_two.py").read_bytes() == two and pairs.check(folder) == []
    with pytest.raises(ValueError, match="came: 'both'"):
        pairs.sync(folder, "both")


def test_a_failed_write_leaves_the_old_file(folder, monkeypatch):
    path = folder / "01_one.ipynb"
    before = path.read_bytes()
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "half \ud800")
    assert path.read_bytes() == before and not list(folder.glob(".*.part"))


@pytest.mark.parametrize("damaged", ["{}", '{"cells": [{"cell_type": "code"', "", "[]", '{"cells": [3]}'])
def test_a_damaged_notebook_is_never_taken_for_the_lesson(folder, damaged):
    """Stale, not overwritten as long as it is the younger, refused as the source, and made anew once it is gone."""
    ipynb = folder / "01_one.ipynb"
    py = ipynb.with_suffix(".py").read_bytes()
    pairs.sync(folder)
    ipynb.write_text(damaged, encoding="utf-8")
    os.utime(ipynb, (2e9, 2e9))
    assert any("01_one" in line for line in pairs.check(folder)) and pairs.differing(folder) == ["01_one.py"]
    for direction, said in (("py", "delete 01_one.ipynb"), ("ipynb", "none that can be read")):
        with pytest.raises(ValueError, match=said):
            pairs.sync(folder, direction)
    assert ipynb.read_text(encoding="utf-8") == damaged and ipynb.with_suffix(".py").read_bytes() == py
    ipynb.unlink()
    assert pairs.sync(folder) == [ipynb] and pairs.check(folder) == []


def test_parameters_are_read_with_type_default_and_meaning(tmp_path):
    found = lesson_parameters(write(tmp_path, "01_one"))
    assert {n: (p.type, p.default) for n, p in found.items()} == {
        "budget": ("str", "reference"), "seed": ("int", 0), "keep": ("float", 0.05), "quick": ("bool", False)}
    assert found["seed"].help == "which world" and found["budget"].choices == ("smoke", "lesson", "reference")


def test_text_from_a_command_line_becomes_the_declared_type(tmp_path):
    known = lesson_parameters(write(tmp_path, "01_one"))
    given = validate(known, {"seed": "3", "keep": "1", "quick": "true", "budget": "smoke"})
    assert given == {"seed": 3, "keep": 1.0, "quick": True, "budget": "smoke"}
    assert [type(v) for v in given.values()] == [int, float, bool, str]


@pytest.mark.parametrize(("given", "kind", "said"), [
    ({"sead": 1}, KeyError, "Did you mean 'seed'"), ({"seed": "abc"}, TypeError, "seed: int"),
    ({"seed": 1.5}, TypeError, "seed: int"), ({"seed": True}, TypeError, "came: True"),
    ({"keep": "nan"}, TypeError, "keep: float"), ({"quick": 1}, TypeError, "quick: bool"),
    ({"budget": "smoek"}, ValueError, "Did you mean 'smoke'"), ({"budget": 3}, TypeError, "budget: str")])
def test_wrong_parameters_are_refused_in_four_parts(tmp_path, given, kind, said):
    known = lesson_parameters(write(tmp_path, "01_one"))
    with pytest.raises(kind) as refused:
        validate(known, given)
    text = str(refused.value)
    assert said in text and all(part in text for part in ("\n  came: ", "\n  why:  ", "\n  do:   "))


def test_a_lesson_is_found_by_stem_beginning_or_path(folder):
    one = folder / "01_one.py"
    for name in ("01_one", "01", "one", "on", str(one), str(one.with_suffix(".ipynb"))):
        assert lessons.find(name, folder) == one.resolve()
    write(folder, "01a_one_more", "1")
    for name in ("01", "one", "01_"):                                    # a whole number or name is no beginning
        assert lessons.find(name, folder) == one.resolve()
    for name, said in (("0", "01_one, 01a_one_more, 02_two"),
                       ("oen", "Did you mean 'one'"), ("77", "Choose one of"), ("", "Choose")):
        with pytest.raises(KeyError, match=said):
            lessons.find(name, folder)
    with pytest.raises(ValueError, match="no such file"):
        lessons.find(str(folder / "nowhere.py"), folder)
