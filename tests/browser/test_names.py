"""Names that are markup, in a real browser: they are shown as they are, and nothing of them runs."""

import pandas as pd
import plotly.graph_objects as go
import pytest
from browser_tools import chromium
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from nfdlab.evaluate.results import Table
from nfdlab.jupyter.page import PLOTLY, SWEEP, html

pytestmark = pytest.mark.browser

EVIL = """<!--<script> </script><script>ran = 1</script> "'><img src="x" onerror="ran = 1"> <b>&amp;</b>"""
PIXEL = "R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
SCORES = ("crps", "energy", "variogram", "mse", "variance", "psnr", "coverage90", "maximum90", "integral90")


def table() -> str:
    rows = pd.DataFrame([{"contestant": name, "m": m, "task": i, **dict.fromkeys(SCORES, 1.0)}
                         for name in (EVIL, "exact") for m in (1, 2) for i in range(3)])
    return Table(rows, EVIL, "exact", 8, 0)._repr_html_()


def report(folder) -> str:
    """A report whose every name is markup: heading's text, slider, figure, table, what was printed, the foot."""
    figure = go.Figure(go.Scatter(x=[0, 1], y=[0, 1], name=EVIL, showlegend=True), {"title": {"text": EVIL}})
    sweep = {"label": EVIL, "values": [EVIL, EVIL], "fmt": "png", "start": 0, "frames": [PIXEL, PIXEL]}
    shown = [{SWEEP: sweep, "text/plain": ""}, {PLOTLY: figure.to_plotly_json(), "text/plain": ""},
             {"text/html": table(), "text/plain": ""}, {"text/plain": EVIL}]
    cell = new_code_cell("1 + 1", outputs=[*(new_output("display_data", data) for data in shown),
                                           new_output("stream", name="stdout", text=EVIL)])
    return html(new_notebook(cells=[new_markdown_cell("# A report"), cell, new_markdown_cell("after")]), folder, EVIL)


def squeezed(text: str) -> str:
    return " ".join(text.split())


def test_nothing_of_a_name_runs_and_all_of_it_is_shown(tmp_path):
    (tmp_path / "report.html").write_text(report(tmp_path), encoding="utf-8")
    (tmp_path / "table.html").write_text(f"<!doctype html><meta charset=utf-8>{table()}<p>after", encoding="utf-8")
    with chromium(offline=True) as page:
        for name in ("report", "table"):
            page.goto((tmp_path / f"{name}.html").as_uri())
            page.get_by_text("after", exact=True).wait_for()
            assert squeezed(EVIL) in squeezed(" ".join(page.locator("th").all_inner_texts())), "a table's rows"
            if name == "report":
                page.locator("figure.plotly .main-svg").first.wait_for()
                dial = page.locator("figure.sweep input")
                dial.focus()
                page.keyboard.press("ArrowRight")
                for place in ("figure.sweep label", "figure.sweep output", "pre.stdout"):
                    assert squeezed(page.locator(place).first.inner_text()) == squeezed(EVIL), place
                assert squeezed(EVIL) in squeezed(page.locator("body").inner_text().partition("after")[2]), "the foot"
            page.wait_for_timeout(300)                           # an image that cannot be loaded says so a little later
            assert page.evaluate("window.ran") is None and page.locator("img[src=x]").count() == 0
