"""Papers: each one that a card or a reading list names is in papers.bib, once, and reading lists link to it."""

import re
from pathlib import Path

import pytest

from nfdlab import approaches
from nfdlab.jupyter.lessons import cells, lessons

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
CITED = re.compile(r"((?:Del )?[A-Z][\w-]+)(?:, [A-Z][\w-]+)*(?: & [A-Z][\w-]+| et al\.)? ((?:19|20)\d\d)\b")
ENTRY = re.compile(r"@misc\{(\w+),\n  author = \{(.+)\},\n  title = \{(.+)\},\n  year = \{(\d{4})\},\n"
                   r"  howpublished = \{(.+)\},\n  url = \{(http\S+)\}\n\}")
TEXT = (FOLDER / "papers.bib").read_text(encoding="utf-8")
PAPERS = ENTRY.findall(TEXT)
WITHOUT = {"Williams 2007"}                                          # a talk that is on no server of papers


def cited(text: str) -> list[str]:
    """First authors and years, in order."""
    return [f"{who} {year}" for who, year in CITED.findall(" ".join(text.split()))]


def items(path: Path) -> list[str]:
    """The items of a lesson's reading list."""
    prose = "\n".join(source for kind, source, _ in cells(path) if kind == "markdown")
    reading = prose.partition("## Further reading\n")[2].partition("\n\n**")[0]
    return [" ".join(item.split()) for item in re.split(r"^- ", reading, flags=re.M)[1:]]


def known() -> dict[str, set[str]]:
    """The links of what an author published in a year."""
    found: dict[str, set[str]] = {}
    for _, author, _, year, _, url in PAPERS:
        found.setdefault(cited(f"{author} {year}".replace("\\", ""))[0], set()).add(url)
    return found


def test_every_paper_is_there_once_with_title_year_venue_and_link():
    assert len(PAPERS) == TEXT.count("@misc{") > 50
    for column in (0, 2, 5):
        names = [paper[column].lower() for paper in PAPERS if "gaussianprocess.org" not in paper[column]]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("path", [p for p in lessons(FOLDER) if p.stem != "00_start_here"], ids=lambda p: p.stem)
def test_each_item_of_a_reading_list_has_the_links_of_its_papers(path):
    """Three to seven of them, each with what the lesson took from it."""
    found = items(path)
    assert 3 <= len(found) <= 7
    for item in found:
        names, urls = cited(item), re.findall(r"\]\((http\S+?)\)", item)
        assert names and len(urls) == len([name for name in names if name not in WITHOUT]), item
        assert all(url in known()[name] for name, url in zip(names, urls, strict=False)), item
        assert re.search(r"\)\)?: \w|\*: \w", item), f"no word on what it gave: {item}"


def test_cards_name_papers_that_are_known_and_none_is_known_for_nothing():
    named = {name for key in approaches.names() for name in cited(approaches.card(key).papers)}
    read = {name for path in lessons(FOLDER) for item in items(path) for name in cited(item)}
    assert named <= set(known()) and set(known()) <= named | read
