"""A report on a telephone: no page is wider than the screen; what is too wide scrolls in its own place."""

import nbformat
import pytest
from browser_tools import chromium

from nfdlab.jupyter.page import html

pytestmark = pytest.mark.browser

FORMULA = "$D + \\sigma^2 (\\partial D/\\partial z)^\\top J^\\top (r^2 J J^\\top + s^2)^{-1} (y - f_D(x)) + h_{l+1}$"
TABLE = "| data or need | take | because |\n|---|---|---|\n| " + " | ".join(["unbreakable_" * 4] * 3) + " |"


def test_nothing_is_wider_than_the_screen(tmp_path):
    """A long formula in a sentence and in a list, a table as prose and as a result, a long line of code."""
    shown = nbformat.v4.new_output("display_data", {"text/markdown": TABLE, "text/plain": "a table"})
    cells = [nbformat.v4.new_markdown_cell(f"# Wide\n\nEach becomes {FORMULA}.\n\n- and {FORMULA}\n\n{TABLE}"),
             nbformat.v4.new_code_cell("x = " + " + ".join(["1"] * 80), outputs=[shown], execution_count=1)]
    path = tmp_path / "wide.html"
    path.write_text(html(nbformat.v4.new_notebook(cells=cells), tmp_path), encoding="utf-8")
    for width in (360, 820, 1400):
        with chromium(viewport={"width": width, "height": 800}) as page:
            page.goto(path.as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") == width
            assert page.locator("math").first.is_visible() and page.locator("table").count() == 2
