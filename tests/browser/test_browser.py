"""A real browser on a real JupyterLab: the panel's cell is run, its sliders are moved by keyboard, the pictures change.

`pytest -m browser -rP` prints the times from key press to painted frame.
"""

import json
import os
import statistics
import time
from pathlib import Path

import nbformat
import pytest
from browser_tools import chromium, jupyterlab, panel_cells, run_all

from nfdlab.store import shipped

pytestmark = pytest.mark.browser

PATIENCE = 180_000              # milliseconds: a busy machine is slow, not wrong
LIVE, SLOWLY = ".nfdlab-panel:not(.slow)", ".nfdlab-panel.slow"
LESSON = Path(__file__).resolve().parents[2] / "notebooks" / "05_sparse_conditional.py"
PANEL = """
import nfdlab as nfd
problem = nfd.problems.get("gp1d")
panel = nfd.explore(problem.oracle(), problem)
panel
"""
# A model that takes 0.05 s a step, to be stopped half-way, and has no prior.
SLOW = """
import time, types
import torch
import nfdlab as nfd
problem = nfd.problems.get("gp1d")
class Slow:
    about = {"approach": "sparse_conditional", "problem": "gp1d", "knobs": {"lengthscale": 0.2}}
    device, tensors = torch.device("cpu"), dict
    def path(self, seen, n, *, seed, steps, sampler):
        if seen.m == 0:
            raise ValueError("nothing was seen; do: look")
        for _ in range(steps):
            time.sleep(0.05)
            yield types.SimpleNamespace(x=(seed, n), sigma=0.0, denoised=(seed, n))
    def fields(self, seen, x):
        return problem.oracle().draw(seen, x[1], seed=x[0])
    def draw(self, seen, n, *, seed, steps=None):
        return problem.oracle().draw(seen, n, seed=seed)
slow = nfd.explore(Slow(), problem, steps=60)
slow.add_class("slow")
slow
"""
# A cell that stays busy for a minute unless somebody presses Cancel.
TRAINING = """
import time
from nfdlab.core.types import Step
from nfdlab.panels import LossWatch
watch, began = LossWatch("a long training"), time.time()
for i in range(2400):
    time.sleep(0.025)
    if watch(Step(i, "fit", 1.0 / (i + 1), time.time() - began, i / 2400)):
        break
print(f"stopped after {i} steps")
"""
# The moment of the last key press, and the moments at which a changed picture had been painted (two frames later).
STOPWATCH = """panel => {
  window.pressed = 0; window.painted = [];
  document.addEventListener('keydown', () => { window.pressed = performance.now(); }, true);
  let last = '';
  new MutationObserver(() => {
    const svg = document.querySelector(panel + ' svg.nfdlab-sheet');
    if (!svg || svg.outerHTML === last) return;
    last = svg.outerHTML;
    requestAnimationFrame(() => requestAnimationFrame(() => window.painted.push(performance.now())));
  }).observe(document.querySelector(panel), {subtree: true, childList: true});
}"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A Lab page on a temporary notebook with the lesson's panel, the slow one and a training, all cells run."""
    home, scratch = tmp_path_factory.mktemp("lab"), tmp_path_factory.mktemp("scratch")
    lesson = panel_cells(LESSON) if ("sparse_conditional", "gp1d") in shipped() else [PANEL]
    cells = [nbformat.v4.new_code_cell(source.strip()) for source in [*lesson, SLOW, TRAINING]]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    (home / "notebooks").mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), home / "notebooks" / "panel.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("NFDLAB_HEADLESS", raising=False)
        patch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
        with (jupyterlab(home, scratch) as (address, token),
              chromium(viewport={"width": 1280, "height": 1400}) as tab):
            tab.set_default_timeout(PATIENCE)
            tab.goto(f"{address}/doc/tree/notebooks/panel.ipynb?token={token}", wait_until="domcontentloaded")
            tab.wait_for_selector(".jp-CodeCell")
            tab.wait_for_selector("text=Kernel status: Idle", state="attached")
            run_all(tab)
            tab.wait_for_selector(f"{LIVE} svg.nfdlab-sheet")
            tab.wait_for_selector(f"{SLOWLY} svg.nfdlab-sheet")
            yield tab


def handle(page, panel: str, label: str):
    """The handle of the slider with that label, in view and focused."""
    slider = page.locator(f"{panel} .widget-inline-hbox").filter(has_text=label)
    knob = slider.locator(".noUi-handle").first
    knob.scroll_into_view_if_needed()
    knob.focus()
    return knob


def says(page, panel: str) -> str:
    """What the picture says of itself."""
    return page.locator(f"{panel} svg.nfdlab-sheet").get_attribute("aria-label")


def until_it_says(page, panel: str, words: str) -> None:
    page.wait_for_function("([panel, words]) => document.querySelector(panel + ' svg.nfdlab-sheet')"
                           ".getAttribute('aria-label').includes(words)", arg=[panel, words])


def curves(page, panel: str) -> list[str]:
    lines = page.locator(f"{panel} svg.nfdlab-sheet polyline")
    return lines.evaluate_all("all => all.map(line => line.getAttribute('points'))")


def test_cancel_reaches_a_training_while_its_cell_runs(page):
    picture = page.locator(".nfdlab-watch svg.nfdlab-sheet")
    picture.wait_for()
    before = picture.get_attribute("aria-label")
    page.wait_for_function("was => document.querySelector('.nfdlab-watch svg.nfdlab-sheet')"
                           ".getAttribute('aria-label') !== was", arg=before)
    page.locator(".nfdlab-watch").get_by_role("button", name="Cancel").click()
    page.wait_for_selector("text=/stopped after \\d+ steps/", timeout=30_000)      # the loop itself takes a minute
    assert "cancelled" in picture.get_attribute("aria-label")


def test_moving_the_sparsity_slider_changes_what_is_seen(page):
    before, circles = curves(page, LIVE), page.locator(f"{LIVE} svg.nfdlab-sheet circle").count()
    handle(page, LIVE, "kept").press("ArrowLeft")
    page.wait_for_function("([panel, n]) => document.querySelectorAll(panel + ' svg.nfdlab-sheet circle').length < n",
                           arg=[LIVE, circles])
    assert curves(page, LIVE) != before


def test_moving_the_scale_slider_zooms_and_shows_the_same_points_seen(page):
    seen = says(page, LIVE).split(" points seen")[0]
    before = curves(page, LIVE)
    knob = handle(page, LIVE, "scale")
    for _ in range(8):
        knob.press("ArrowRight")
    until_it_says(page, LIVE, "window ×4")
    assert says(page, LIVE).startswith(seen) and curves(page, LIVE) != before
    knob.press("Home")
    until_it_says(page, LIVE, "window ×1")


def test_a_picture_is_as_wide_as_the_page_allows(page):
    assert page.locator(f"{LIVE} svg.nfdlab-sheet").bounding_box()["width"] > 800


def test_a_drag_shows_frames_all_along(page, record_property):
    page.evaluate(STOPWATCH, LIVE)
    knob, times = handle(page, LIVE, "scale"), []
    for key in ("ArrowRight",) * 6 + ("ArrowLeft",) * 6:
        page.evaluate("window.painted.length = 0")
        knob.press(key)
        page.wait_for_function("window.painted.length > 0")
        times.append(page.evaluate("window.painted[0] - window.pressed"))
    page.evaluate("window.painted.length = 0")
    began = time.monotonic()
    for i in range(40):
        knob.press("ArrowRight" if i < 20 else "ArrowLeft")
        time.sleep(max(0.0, began + (i + 1) / 40 - time.monotonic()))
    during = page.evaluate("window.painted.filter(t => t <= window.pressed).length")
    until_it_says(page, LIVE, "window ×1:")
    median, worst = statistics.median(times), max(times)
    record_property("key_to_frame_ms", round(median))
    print(f"key press to painted frame: median {median:.0f} ms, worst {worst:.0f} ms; "
          f"{during} frames during a drag of {time.monotonic() - began:.1f} s")
    assert during >= 2


def test_stop_ends_a_run_and_keeps_its_preview(page):
    page.wait_for_function("panel => document.querySelector(panel + ' .nfdlab-note').innerText.includes('done')",
                           arg=SLOWLY)
    before = says(page, SLOWLY)
    handle(page, SLOWLY, "kept").press("ArrowRight")
    page.wait_for_function("([panel, was]) => document.querySelector(panel + ' svg.nfdlab-sheet')"
                           ".getAttribute('aria-label') !== was", arg=[SLOWLY, before])
    page.locator(SLOWLY).get_by_role("button", name="Stop").click()
    page.wait_for_function("panel => document.querySelector(panel + ' .nfdlab-note').innerText === 'stopped'",
                           arg=SLOWLY)
    preview = curves(page, SLOWLY)
    page.wait_for_timeout(4000)                                 # longer than the 60 steps would have taken
    assert curves(page, SLOWLY) == preview
    assert page.locator(f"{SLOWLY} .nfdlab-note").inner_text() == "stopped"


def test_an_error_is_shown_in_the_panel_and_the_panel_lives_on(page):
    handle(page, SLOWLY, "kept").press("Home")
    box = page.locator(f"{SLOWLY} .nfdlab-error")
    box.wait_for()
    assert "nothing was seen" in box.inner_text() and "do:" in box.inner_text()
    assert json.loads(box.evaluate("e => JSON.stringify(getComputedStyle(e).color)")) == "rgb(179, 38, 30)"
    assert page.locator(f"{SLOWLY} .nfdlab-stale svg.nfdlab-sheet").count() == 1          # of what was seen before
    handle(page, SLOWLY, "kept").press("End")
    box.wait_for(state="detached")
    page.locator(f"{SLOWLY} .nfdlab-stale svg.nfdlab-sheet").wait_for(state="detached")
