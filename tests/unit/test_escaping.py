"""What a user or a file can name is text on a page, never markup."""

import json

import pandas as pd
from bs4 import BeautifulSoup

from nfdlab.evaluate.results import Table
from nfdlab.jupyter.page import script_json

EVIL = "</script><!--<script>alert(1)</script><b>&\u2028"


def test_data_in_a_script_element_cannot_leave_it():
    page = f"<html><body>{script_json({'label': EVIL})}<p>after</p></body></html>"
    found = BeautifulSoup(page, "html.parser")
    scripts = found.find_all("script")
    assert len(scripts) == 1 and json.loads(scripts[0].string) == {"label": EVIL}
    assert found.p.string == "after" and "<!--" not in page and page.count("</script") == 1


def test_names_in_a_table_are_text():
    rows = pd.DataFrame([{"contestant": name, "m": m, "task": i, **dict.fromkeys(
        ("crps", "energy", "variogram", "mse", "variance", "psnr", "coverage90", "maximum90", "integral90"), 1.0)}
        for name in (EVIL, "exact") for m in (1, 2) for i in range(3)])
    html = Table(rows, EVIL, "exact", 8, 0)._repr_html_()
    assert "<script>" not in html and "alert(1)" in html and "<b>" not in html
