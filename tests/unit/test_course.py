"""All lessons at once: a report each, a page that leads to them, and going on after a stop."""

import base64
import io

import pytest
from bs4 import BeautifulSoup
from lesson_text import write
from PIL import Image

from nfdlab import course
from nfdlab.jupyter.page import REMOTE


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two lessons run side by side, the third of them fails: (folder of lessons, of reports, what was said)."""
    folder = tmp_path_factory.mktemp("course")
    for name, cell in (("01_one", "print('one', seed)"), ("02_two", "print('two', seed)"), ("03_bad", "1 / 0")):
        write(folder, name, cell)
    with pytest.raises(ValueError) as refused:
        course.run_all({"seed": "3"}, folder / "out", folder=folder, jobs=2)
    return folder, folder / "out", str(refused.value)


def test_a_lesson_that_fails_costs_no_other_its_report(made):
    folder, out, said = made
    assert "03_bad" in said and "ZeroDivisionError" in said and "01_one" not in said and "\n  do:   " in said
    assert sorted(p.name for p in out.iterdir()) == ["01_one.html", "01_one.ipynb", "02_two.html", "02_two.ipynb",
                                                     "03_bad.failed.ipynb", "index.html"]
    assert "two 3" in (out / "02_two.html").read_text(encoding="utf-8")


def test_the_page_leads_to_the_reports_that_are_there(made):
    soup = BeautifulSoup((made[1] / "index.html").read_text(encoding="utf-8"), "html.parser")
    assert [a["href"] for a in soup.main.find_all("a", class_="card")] == ["01_one.html", "02_two.html"]
    assert "03_bad" in soup.main.text and "failed" in soup.main.text and "seed = '3'" in soup.footer.text


def test_the_page_shows_each_lessons_picture_small(tmp_path):
    """Inside the page itself, which asks for nothing from elsewhere."""
    (tmp_path / "pictures").mkdir()
    write(tmp_path, "01_one", "print('one', seed)")
    Image.new("RGB", (2000, 1000), "red").save(tmp_path / "pictures" / "01_one.png")
    page = course.run_all({}, tmp_path / "out", folder=tmp_path, jobs=1).read_text(encoding="utf-8")
    card = BeautifulSoup(page, "html.parser").main.find("a", class_="card")
    with Image.open(io.BytesIO(base64.b64decode(card.img["src"].partition("base64,")[2]))) as image:
        assert image.size == (640, 320)
    assert not REMOTE.search(page)


def test_what_is_there_is_kept_and_what_changed_is_made_anew(made):
    folder, out, _ = made
    before = {p: p.stat().st_mtime_ns for p in out.glob("*.html")}
    write(folder, "03_bad", "print('mended')")
    seen = []
    assert course.run_all({"seed": "3"}, out, folder=folder, progress=lambda *at: seen.append(at)) == out / "index.html"
    assert seen == [(2, 3), (3, 3)] and "mended" in (out / "03_bad.html").read_text(encoding="utf-8")
    assert all(p.stat().st_mtime_ns == t for p, t in before.items() if p.name != "index.html")
    (out / "02_two.ipynb").write_text("torn", encoding="utf-8")
    course.run_all({"seed": "3"}, out, folder=folder)
    assert (out / "02_two.html").stat().st_mtime_ns > before[out / "02_two.html"]


def test_a_parameter_that_no_lesson_has_is_refused_before_anything_runs(made):
    with pytest.raises(KeyError, match="sead"):
        course.run_all({"sead": 3}, made[0] / "other", folder=made[0])
    with pytest.raises(TypeError, match="seed"):
        course.run_all({"seed": "x"}, made[0] / "other", folder=made[0])
    assert not (made[0] / "other").exists()
