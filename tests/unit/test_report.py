"""Reports: what a reader with neither network nor kernel sees, and what a failed run leaves behind."""

import base64
import json
import re
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from lesson_text import write

from nfdlab import report
from nfdlab.jupyter.mathml import mathml
from nfdlab.jupyter.page import PLOTLY, SWEEP, WIDGET, html, markdown

FRAMES = [base64.b64encode(f"<svg xmlns='http://www.w3.org/2000/svg'><text>{k}</text></svg>".encode()).decode()
          for k in range(4)]
SLIDER = {"label": "kept share", "values": ["1 %", "2 %", "5 %", "10 %"], "fmt": "svg", "start": 2, "frames": FRAMES}
PIXEL = base64.b64encode(b"\x89PNG-not-really").decode()


def page(*cells, folder=Path(".")) -> BeautifulSoup:
    """The page of these cells: text is prose, a dictionary is what one code cell displayed."""
    nb = nbformat.v4.new_notebook()
    for cell in cells:
        if isinstance(cell, str):
            nb.cells.append(nbformat.v4.new_markdown_cell(cell))
        else:
            shown = [nbformat.v4.new_output("display_data", data=cell)]
            nb.cells.append(nbformat.v4.new_code_cell("show()", outputs=shown))
    return BeautifulSoup(html(nb, folder), "html.parser")


def remote(soup: BeautifulSoup) -> list:
    """What the page would fetch from elsewhere."""
    found = [t for t in soup.find_all(["script", "link", "img", "iframe"])
             if re.match(r"\s*(https?:)?//", t.get("src") or t.get("href") or "")]
    return found + re.findall(r"@import|url\(\s*['\"]?https?:", "".join(s.text for s in soup.find_all("style")))


def test_sweeps_become_sliders_that_start_where_the_panel_stood():
    soup = page({SWEEP: SLIDER, WIDGET: {"model_id": "x"}, "image/png": PIXEL}, {SWEEP: {**SLIDER, "label": "scale"}})
    assert [f["id"] for f in soup.find_all("figure", class_="sweep")] == ["sweep-1", "sweep-2"]
    first = soup.find("figure", id="sweep-1")
    dial = first.find("input", type="range")
    assert (dial["min"], dial["max"], dial["value"], dial["aria-valuetext"]) == ("0", "3", "2", "5 %")
    assert first.find("label", attrs={"for": dial["id"]}).text == "kept share" and first.find("output").text == "5 %"
    assert first.img["src"] == f"data:image/svg+xml;base64,{FRAMES[2]}"
    assert json.loads(first.script.text)["frames"] == FRAMES


def test_plotly_is_written_in_once_and_only_where_there_is_a_figure():
    figure = {PLOTLY: {"data": [{"y": [1, 2], "name": "</script><b>"}], "layout": {}, "config": {}}}
    soup = page(figure, figure)
    sizes = [len(s.text) for s in soup.find_all("script")]
    assert sum(size > 1_000_000 for size in sizes) == 1 and len(soup.find_all("figure", class_="plotly")) == 2
    assert json.loads(soup.find("figure", class_="plotly").script.text)["data"][0]["name"] == "</script><b>"
    assert not remote(soup)
    assert max(len(s.text) for s in page("# No figure").find_all("script")) < 2000


def test_mathematics_is_mathml():
    block = r"$$\begin{aligned} a &= b \\ &= \tfrac12 \end{aligned}$$"
    soup = page("# Title\nLet $p(f \\mid y)$ and\n\n" + block, {"text/latex": r"$\frac{a}{b}$"})
    kinds = [m.get("display") for m in soup.find_all("math")]
    assert kinds == ["inline", "block", "block"] and soup.mtable is not None and len(soup.find_all("mfrac")) == 2
    assert "$" not in soup.main.text and "mathjax" not in str(soup).lower()


def test_what_browsers_space_badly_is_mended():
    assert "&#x0223C;" in mathml(r"x \sim p") and 'mathvariant="normal">&#x00064;' in mathml(r"\mathrm{d}x")
    assert mathml(r"\lvert x \rvert").count('lspace="0"') == 2 and 'rspace="0.167em">log' in mathml(r"\log p")
    assert 'lspace="0"' not in mathml(r"p(x \mid y)")


def test_a_formula_that_is_not_understood_shows_its_source():
    with pytest.raises(ValueError, match="not LaTeX"):
        mathml(r"\nonsense{x}")
    with pytest.raises(ValueError, match="not LaTeX"):
        mathml(r"\frac{1}{")
    assert page(r"See $\nonsense{x} < 1$.").main.code.text == r"\nonsense{x} < 1"


def test_nothing_is_fetched_from_elsewhere():
    soup = page("![badge](https://example.org/b.svg) and [a link](https://example.org)",
                {"text/html": '<script src="https://example.org/a.js"></script><link rel="stylesheet" '
                              'href="//example.org/a.css"><style>@import url(https://example.org/b.css); p {}</style>'
                              '<img src="https://example.org/c.png" alt="c"><p>kept</p>'})
    assert not remote(soup)
    assert [a["href"] for a in soup.main.find_all("a")] == [
        "https://example.org/b.svg", "https://example.org", "https://example.org/c.png"]
    assert "kept" in soup.main.text
    policy = soup.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
    assert policy.startswith("default-src 'none'") and "http" not in policy


def test_a_link_to_a_lesson_leads_to_its_report():
    page = str(markdown("[next](01_latent_field.ipynb), [web](https://a.org/x.ipynb), [file](data.csv)", Path(".")))
    assert 'href="01_latent_field.html"' in page and "https://a.org/x.ipynb" in page and "data.csv" in page


def test_pictures_of_the_folder_are_inside_and_solutions_stay_folded(tmp_path):
    (tmp_path / "stills").mkdir()
    (tmp_path / "stills" / "a.png").write_bytes(b"PNG")
    soup = page("![still](stills/a.png)\n\n<details><summary>Solution</summary>\n\n```python\nx = 1\n```\n\n"
                '<img src="stills/a.png">\n\n</details>\n\nAfter.', folder=tmp_path)
    assert [i["src"] for i in soup.main.find_all("img")] == ["data:image/png;base64,UE5H"] * 2
    assert "x = 1" in soup.details.text and "After" not in soup.details.text and not soup.details.has_attr("open")


def test_a_lone_widget_says_that_it_lives_in_the_notebook():
    text = page({WIDGET: {"model_id": "x"}, "text/plain": "IntSlider(value=0)"}).main.text
    assert "open the notebook" in text and "IntSlider" in text
    assert page({WIDGET: {"model_id": "x"}, "image/png": PIXEL}).main.img["src"].endswith(PIXEL)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A lesson without panels, run once: -> (report, folder, progress)."""
    folder, seen = tmp_path_factory.mktemp("small"), []
    py = write(folder, "01_small", "import os, sys\nprint(os.environ['NFDLAB_HEADLESS'], sys.executable, os.getcwd())",
               "import matplotlib.pyplot as plt\nplt.plot([1, seed])\nplt.show()", "print(seed, budget)")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLBACKEND", "agg")
        made = report.run(py, {"seed": "7"}, folder / "out", progress=lambda *at: seen.append(at))
    return made, folder, seen


def test_a_report_shows_figures_and_what_was_set_even_where_mplbackend_is_agg(small):
    soup = BeautifulSoup(small[0].html.read_text(encoding="utf-8"), "html.parser")
    assert [i["src"][:22] for i in soup.main.find_all("img")] == ["data:image/png;base64,"]
    assert "7 reference" in soup.main.text and "seed = 7" in soup.footer.text and "Set for this run" in soup.main.text
    assert not remote(soup) and soup.title.text == "A small lesson"


def test_a_lesson_runs_in_this_python_in_its_own_folder(small):
    import sys

    cells = nbformat.read(small[0].notebook, as_version=4).cells
    assert cells[3].outputs[0].text.split() == ["1", sys.executable, str(small[1])]


def test_progress_goes_to_the_end_and_nothing_else_is_left(small):
    assert small[2][0] == (0, 6) and small[2][-1] == (6, 6) and small[2] == sorted(small[2])
    assert sorted(p.name for p in (small[1] / "out").iterdir()) == ["01_small.html", "01_small.ipynb"]


def test_a_failing_cell_leaves_no_report_and_keeps_what_was_reached(small, tmp_path):
    py = write(tmp_path, "02_bad", "print('reached')", "1 / 0", "print('never')")
    out = tmp_path / "out"
    out.mkdir()
    (out / "02_bad.html").write_text("an older report", encoding="utf-8")
    with pytest.raises(ValueError) as refused:
        report.run(py, {"seed": 1}, out)
    text = str(refused.value)
    assert "ZeroDivisionError: division by zero" in text and "Cell 4 of 5 failed" in text and "`1 / 0`" in text
    assert all(part in text for part in ("\n  came: ", "\n  why:  ", "\n  do:   "))
    assert sorted(p.name for p in out.iterdir()) == ["02_bad.failed.ipynb", "02_bad.html"]
    assert (out / "02_bad.html").read_text(encoding="utf-8") == "an older report"
    kept = (out / "02_bad.failed.ipynb").read_text(encoding="utf-8")
    assert "reached" in kept and "ZeroDivisionError" in kept


def test_a_cell_that_takes_too_long_is_named(tmp_path):
    py = write(tmp_path, "03_slow", "import time\ntime.sleep(60)")
    with pytest.raises(ValueError, match="Cell 3 of 3 failed"):
        report.run(py, {}, tmp_path / "out", timeout=1)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["03_slow.failed.ipynb"]


def test_bad_parameters_are_refused_before_anything_runs(tmp_path, monkeypatch):
    py = write(tmp_path, "01_one", "open('ran', 'w')")
    monkeypatch.setattr(report, "execute", lambda *a, **k: pytest.fail("it ran"))
    with pytest.raises(KeyError, match="Did you mean 'seed'"):
        report.run(py, {"sede": 1}, tmp_path / "out")
    with pytest.raises(TypeError, match="seed: int"):
        report.run(py, {"seed": "many"}, tmp_path / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="out_dir"):
        report.run(py, {}, tmp_path / "file")
    assert not (tmp_path / "out").exists()
