"""Every lesson: its pair is fresh, and it has the shape that all share."""

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest
from lesson_text import solutions

from nfdlab import pairs
from nfdlab.jupyter.lessons import HEAD, KINDS, lesson_parameters, lessons, read
from nfdlab.jupyter.mathml import mathml
from nfdlab.jupyter.page import html

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
LESSONS = lessons(FOLDER)
TOURS = {"00_start_here", "11_bake_off"}                       # a tour and a comparison have headings of their own
PRIMERS = {"00b_neural_field_primer", "00c_diffusion_primer"}  # they build what the lessons take from the library
FULL = [p for p in LESSONS if p.stem not in TOURS]
HEADINGS = ["Question", "Picture", "Idea in symbols", "Smallest version", "The library's version", "Turn the knobs",
            "Against the others", "Who does the work?", "Where it breaks", "Exercises", "Further reading"]
BANNED = {"sys.path": r"\bsys\.path\b", "filtered warnings": r"filterwarnings|simplefilter|catch_warnings",
          "chdir": r"\bchdir\b", "shell": r"^\s*[!%]", "an absolute path": r"""["'](/[a-z]+/|[A-Z]:\\|~/)""",
          "MPLBACKEND": r"MPLBACKEND|matplotlib\.use\("}

lesson = cache(read)                                           # none of these tests writes to it
each_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
each_full_lesson = pytest.mark.parametrize("path", FULL, ids=lambda p: p.stem)


def code(path: Path) -> list[str]:
    return [c.source for c in lesson(path).cells if c.cell_type == "code"]


def prose(path: Path) -> str:
    return "\n\n".join(c.source for c in lesson(path).cells if c.cell_type == "markdown")


def test_there_are_lessons():
    assert LESSONS and LESSONS[0].stem == "00_start_here"


def test_jupyterlab_and_the_kit_filter_alike():
    told = tomllib.loads((FOLDER / "jupytext.toml").read_text(encoding="utf-8"))
    assert told == {"formats": "ipynb,py:percent", **HEAD["jupytext"]}


def test_pairs_are_fresh():
    assert pairs.check(FOLDER) == [], "run `nfdlab sync`"


@each_lesson
def test_one_typed_parameters_cell(path):
    tagged = [c for c in lesson(path).cells if "parameters" in c.metadata.get("tags", ())]
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
    wanted = [h for h in HEADINGS if h != "Who does the work?" or not path.stem.startswith("00")]     # of an approach
    if path.stem in PRIMERS:
        wanted.insert(1, wanted.pop(wanted.index("Smallest version")))                                # build, then look
    assert [next((h for h in HEADINGS if f.startswith(h)), f) for f in found] == wanted


@each_lesson
def test_it_stays_readable(path):
    cells, sources = lesson(path).cells, code(path)
    assert len(cells) <= (25 if path.stem in PRIMERS else 34), f"{len(cells)} cells"
    long = [s.splitlines()[0] for s in sources if len(s.splitlines()) > 30]
    assert not long, f"cells over 30 lines: {long}"
    kinds = (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)
    definitions = [n.name for s in sources for n in ast.parse(s).body if isinstance(n, kinds)]
    assert len(definitions) <= (6 if path.stem in PRIMERS else 2), f"definitions: {definitions}"
    assert cells[0].cell_type == "markdown" and cells[0].source.startswith("# "), "the title comes first"


@each_lesson
def test_it_does_nothing_behind_the_readers_back(path):
    for what, pattern in BANNED.items():
        sources = [*code(path), *solutions(lesson(path).cells)]
        found = [s.splitlines()[0] for s in sources if re.search(pattern, s, re.M)]
        assert not found, f"{what} in {found}"


@each_lesson
def test_its_mathematics_can_be_shown_without_a_network(path, monkeypatch):
    seen = []
    monkeypatch.setattr("nfdlab.jupyter.page.formula", lambda latex, block=False: seen.append((latex, block)) or "")
    html(lesson(path), FOLDER)
    assert all(mathml(*formula) for formula in seen)


@each_lesson
def test_its_pair_is_small_and_its_pictures_are_there(path):
    assert path.with_suffix(".ipynb").stat().st_size < 200_000
    for name in re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)|<img[^>]+src=[\"']([^\"']+)", prose(path)):
        name = "".join(name)
        assert name.startswith("http") or (FOLDER / name).is_file(), f"no picture {name}"


@each_full_lesson
def test_it_has_three_exercises_with_folded_solutions(path):
    assert len(solutions(lesson(path).cells)) >= 3


@each_full_lesson
def test_every_exercise_is_checked_and_the_text_says_so(path):
    """Each solution hands its answer to `check`."""
    found = "\n".join(solutions(lesson(path).cells))
    asked = re.sub(r"<details>.*?</details>", "", prose(path), flags=re.S)
    assert all(f"check({number}, " in found for number in (1, 2, 3)) and "`check(" in asked


@pytest.mark.parametrize("path", [p for p in LESSONS if re.match(r"\d\d_", p.stem) and p.stem != "00_start_here"],
                         ids=lambda p: p.stem)
def test_it_says_how_it_differs_from_the_papers(path):
    assert re.search(r"^> \*\*How this differs from (the papers|published comparisons)\.\*\* ", prose(path), re.M)


@each_full_lesson
def test_five_questions_come_before_the_reading_list(path):
    asked = prose(path).partition("**Five questions.**")[2].partition("## Further reading")[0]
    assert asked.count("?") == 5 and asked.strip().endswith("?")
