"""What a newcomer sees: JupyterLab on the lessons with its token on, a .py that opens as a notebook, an offline report.

Run with `pytest -m browser`; needs Chromium and playwright, and fails, never skips, without them.
"""

import shutil
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from browser_tools import chromium, jupyterlab, run_all, turn
from lesson_text import write

from nfdlab import pairs, report

pytestmark = pytest.mark.browser

PANEL = 'import nfdlab as nfd\n\nproblem = nfd.problems.get("gp1d")\nnfd.explore(problem.oracle(), problem)'
CHART = 'import plotly.graph_objects as go\n\ngo.Figure(go.Bar(y=[1, 3, 2]), layout={"height": 300})'


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A repository with two small lessons, the second with a panel and a chart."""
    root = tmp_path_factory.mktemp("root")
    (root / "notebooks").mkdir()
    shutil.copy(Path(__file__).resolve().parents[2] / "notebooks" / "jupytext.toml", root / "notebooks")
    write(root / "notebooks", "00_start_here", "1")
    write(root / "notebooks", "01_two", "# %% [markdown]\n# With $x^2$.\n", "print(6 * 7)", PANEL, CHART)
    pairs.sync(root / "notebooks")
    return root


@pytest.fixture(scope="module")
def lab(root, tmp_path_factory):
    with jupyterlab(root, tmp_path_factory.mktemp("scratch")) as found:
        yield found


def test_without_the_token_nothing_is_given(lab):
    address, token = lab
    for wrong in ("", "?token=guess"):
        with pytest.raises(urllib.error.HTTPError, match="403") as refused:
            urllib.request.urlopen(f"{address}/api/contents{wrong}")
        refused.value.close()
    with urllib.request.urlopen(f"{address}/lab") as answer:
        assert "/login" in answer.url
    with urllib.request.urlopen(f"{address}/api/contents?token={token}") as answer:
        assert b"notebooks" in answer.read()


def test_a_double_click_on_a_py_opens_a_notebook_whose_sliders_move_the_picture(lab, root):
    address, token = lab
    before = {p.name: p.read_bytes() for p in (root / "notebooks").glob("*.py")}
    with chromium() as page:
        elsewhere = []
        ours = (address, "data:", "blob:", "ws:")
        page.on("request", lambda r: None if r.url.startswith(ours) else elsewhere.append(r.url))
        page.goto(f"{address}/lab/tree/notebooks/00_start_here.ipynb?token={token}")
        page.locator(".jp-Notebook:visible").wait_for()
        page.locator(".jp-DirListing-item", has_text="01_two.py").dblclick()
        page.locator(".jp-Notebook:visible", has_text="A small lesson").wait_for()
        assert "01_two.py" in page.url
        run_all(page)
        page.locator(".jp-OutputArea-output:visible", has_text="42").wait_for()
        assert page.locator(".jp-Notebook:visible mjx-container").count() == 1
        for label in ("kept", "scale"):
            turn(page, label)
        assert not elsewhere
    assert {p.name: p.read_bytes() for p in (root / "notebooks").glob("*.py")} == before


def test_a_report_opens_with_the_network_off_and_its_slider_turns_by_keyboard(root, tmp_path):
    made = report.run(root / "notebooks" / "01_two.py", {}, tmp_path)
    with chromium(offline=True) as page:
        asked, broken = [], []
        page.on("request", lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else asked.append(r.url))
        page.on("pageerror", lambda e: broken.append(str(e)))
        page.goto(made.html.as_uri())
        dial, picture = page.locator("figure.sweep input").first, page.locator("figure.sweep img").first
        label = page.locator("figure.sweep output").first
        before = picture.get_attribute("src"), label.inner_text()
        dial.focus()
        page.keyboard.press("ArrowLeft")
        assert picture.get_attribute("src") != before[0] and label.inner_text() != before[1]
        assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 200
        page.locator("figure.plotly .main-svg").first.wait_for()
        box = page.locator("math").first.bounding_box()
        assert box["width"] > 10 and not asked and not broken
        page.set_viewport_size({"width": 390, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "wider than a phone"
