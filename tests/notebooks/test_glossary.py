"""The glossary: every letter of a formula is in it once, every defined word, with the lesson that explains it first."""

import re
from pathlib import Path

import pytest

from nfdlab.jupyter.lessons import cells, lessons
from nfdlab.tables import WAY

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
TEXT = (FOLDER / "GLOSSARY.md").read_text(encoding="utf-8")
LESSONS = {path.stem: path for path in lessons(FOLDER)}
LETTER = re.compile(r"\\[A-Za-z]+|[A-Za-z]")
GREEK = ("alpha beta gamma delta varepsilon epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon "
         "phi varphi chi psi omega ell Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega").split()
USUAL = {"d"}                                        # of coordinates; of differentials it is upright


def prose(path: Path) -> str:
    """A lesson's Markdown without code, pictures and reading list."""
    text = "\n".join(source for kind, source, _ in cells(path) if kind == "markdown").partition("## Further reading")[0]
    return re.sub(r"```.*?```|<details>.*?</details>|!\[.*?\]\(.*?\)", "", text, flags=re.S)


def letters(formula: str) -> set[str]:
    """Letters of a formula that stand for something: no words, no upright or blackboard letters."""
    plain = re.sub(r"\\(text|mathrm|operatorname|mathbb|mathcal)\*?\{[^}]*\}", " ", formula)
    return {found.lstrip("\\") for found in LETTER.findall(plain) if found[0] != "\\" or found[1:] in GREEK}


def rows(heading: str) -> list[list[str]]:
    """The table below a heading."""
    part = TEXT.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return [[cell.strip() for cell in line.strip("|\n").split(" | ")] for line in part.splitlines()
            if line.startswith("|")][2:]


def words() -> dict[str, str]:
    """Each word and the lesson that explains it."""
    return {word.strip(): row[2].strip("`") for row in rows("Words") for word in row[0].split(",")}


def uses(text: str, word: str) -> bool:
    """Whether a text uses a word, in any number and with any case."""
    stem = re.escape(word.removesuffix("s").removesuffix("y")).replace(r"\ ", r"\s+")
    return re.search(rf"(?<![\w`/-]){stem}(s|es|y|ies)?(?![\w`-])", text, re.I) is not None


def test_every_letter_has_one_meaning():
    """One row for each: letters with a mark or an index of their own count as themselves."""
    entries = [entry for row in rows("Letters") for entry in re.findall(r"\$([^$]+)\$", row[0])]
    assert len(entries) == len(set(entries)) > 40
    bare = [e for e in entries if LETTER.fullmatch(e)]
    meant = {e.lstrip("\\") for e in bare} | USUAL
    for stem, path in LESSONS.items():
        for display, inline in re.findall(r"\$\$(.+?)\$\$|\$([^$]+?)\$", prose(path), re.S):
            assert letters(display or inline) <= meant, (stem, display or inline, letters(display or inline) - meant)


def test_no_letter_is_kept_that_no_lesson_uses():
    used = {letter for path in LESSONS.values() for pair in re.findall(r"\$\$(.+?)\$\$|\$([^$]+?)\$", prose(path), re.S)
            for letter in letters(pair[0] or pair[1])}
    kept = {entry.lstrip("\\") for row in rows("Letters") for entry in re.findall(r"\$([^$]+)\$", row[0])
            if LETTER.fullmatch(entry)}
    assert kept <= used, kept - used


@pytest.mark.parametrize("stem", LESSONS)
def test_every_word_that_a_lesson_defines_is_there(stem):
    """Words are defined in bold and begin with a small letter; longer ones in bold are sentences."""
    for found in re.findall(r"\*\*([a-z][^*.:?]+)\*\*", prose(LESSONS[stem])):
        word = " ".join(found.split())
        if len(word.split()) <= 3:
            assert word in words(), f"{stem}: {word}"


@pytest.mark.parametrize("word,stem", words().items())
def test_a_word_is_explained_where_it_is_used_first(word, stem):
    """On the way through the lessons, none before uses it."""
    assert uses(prose(LESSONS[stem]), word), f"{stem} does not mention it"
    before = [name for name in WAY[:WAY.index(stem)] if name != "00_start_here" and name in LESSONS
              and uses(prose(LESSONS[name]), word)]
    assert not before, f"{word} is used before {stem}: {', '.join(before)}"
