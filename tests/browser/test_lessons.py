"""Each lesson's panel in a real JupyterLab: its cell is run, its sliders are moved by keyboard, its picture changes."""

import os
from pathlib import Path

import nbformat
import pytest
from browser_tools import chromium, jupyterlab, panel_cells, run_all, turn

from nfdlab.jupyter.lessons import lessons

pytestmark = pytest.mark.browser

CELLS = {path.stem: panel_cells(path) for path in lessons(Path(__file__).resolve().parents[2] / "notebooks")}
PANELS = [stem for stem, cells in CELLS.items() if cells]
SLIDERS = {"07_adaptive_sampling": ("looks", "scale")}           # how sparse, and how close; where not "kept"
PICTURE = ".nfdlab-panel svg.nfdlab-sheet, .nfdlab-looking svg.nfdlab-sheet"
SHOWN = "e => e.getAttribute('aria-label')"                      # what is on a picture, in words


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab on a notebook for each lesson: its panel cell, and the cells that make what that one uses."""
    home, scratch = tmp_path_factory.mktemp("lab"), tmp_path_factory.mktemp("scratch")
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    (home / "notebooks").mkdir()
    for stem in PANELS:
        cells = [nbformat.v4.new_code_cell(source.strip()) for source in CELLS[stem]]
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), home / "notebooks" / f"{stem}.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("NFDLAB_HEADLESS", raising=False)
        patch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
        with jupyterlab(home, scratch) as found:
            yield found


def test_lessons_have_panels():
    assert {"00_start_here", "00a_problems_and_rulers", "01_latent_field", "02_weight_diffusion",
            "03_score_field", "04_coarse_to_fine", "05_sparse_conditional", "06_temporal_field",
            "07_adaptive_sampling", "08_stochastic_field", "09_modulated_field", "10_sparse_features"} <= set(PANELS)


@pytest.mark.parametrize("stem", PANELS)
def test_a_lessons_sliders_move_its_picture(lab, stem):
    address, token = lab
    with chromium(viewport={"width": 1280, "height": 1400}) as page:
        page.set_default_timeout(180_000)                         # a busy machine is slow, not wrong
        page.goto(f"{address}/doc/tree/notebooks/{stem}.ipynb?token={token}", wait_until="domcontentloaded")
        page.wait_for_selector(".jp-CodeCell")
        page.wait_for_selector("text=Kernel status: Idle", state="attached")
        run_all(page)
        picture = page.locator(PICTURE)
        picture.wait_for()
        for label in SLIDERS.get(stem, ("kept", "scale")):
            before = picture.evaluate(SHOWN)
            turn(page, label)                                     # it is grey until its first new frame
            page.wait_for_function(f"([e, before]) => ({SHOWN})(e) !== before || !e.isConnected",
                                   arg=[picture.element_handle(), before])
            assert picture.evaluate(SHOWN) != before
        assert not page.locator(".nfdlab-error").count()
