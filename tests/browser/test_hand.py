"""A panel touched in a real browser on a real JupyterLab: points added, moved and removed, the diffusion scrubbed, a
second contestant, a film played, a solid turned; each changes the numbers and the picture."""

import os

import nbformat
import pytest
from browser_tools import chromium, jupyterlab, run_all

pytestmark = pytest.mark.browser

PATIENCE = 120_000               # milliseconds: a busy machine is slow, not wrong
OPEN = 'import nfdlab as nfd\npanel = nfd.explore({}, nfd.problems.get("{}"), {})\npanel.add_class("{}")\npanel'
CELLS = {
    "curve": OPEN.format('nfd.load("sparse_conditional", "gp1d")', "gp1d", "count=3, draws=8, steps=6", "curve"),
    "film": OPEN.format('nfd.load("temporal_field", "moving_disc2dt")', "moving_disc2dt",
                        'pattern="frames", every=4, draws=2, steps=3', "film"),
    "solid": OPEN.format('nfd.baselines.get("rbf")', "shapes3d", 'pattern="outline", count=40, draws=1, view="surface"',
                         "solid")}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A Lab page on a notebook with the three panels, all cells run."""
    home, scratch = tmp_path_factory.mktemp("lab"), tmp_path_factory.mktemp("scratch")
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    (home / "notebooks").mkdir()
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS.values()]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), home / "notebooks" / "touch.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("NFDLAB_HEADLESS", raising=False)
        patch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
        with (jupyterlab(home, scratch) as (address, token),
              chromium(viewport={"width": 1280, "height": 3600}) as tab):
            tab.set_default_timeout(PATIENCE)
            tab.goto(f"{address}/doc/tree/notebooks/touch.ipynb?token={token}", wait_until="domcontentloaded")
            tab.wait_for_selector("text=Kernel status: Idle", state="attached")
            run_all(tab)
            for name in CELLS:
                tab.wait_for_selector(f".{name} svg.nfdlab-sheet")
                done(tab, name)
            yield tab


def done(page, panel: str) -> None:
    page.wait_for_function("panel => document.querySelector('.' + panel + ' .nfdlab-note')?.innerText.includes('done')",
                           arg=panel)


def says(page, panel: str) -> str:
    return page.locator(f".{panel} svg.nfdlab-sheet").get_attribute("aria-label")


def until(page, panel: str, words: str) -> None:
    """Until the picture says these words of itself, and is finished."""
    page.wait_for_function("([panel, words]) => document.querySelector('.' + panel + ' svg.nfdlab-sheet')"
                           ".getAttribute('aria-label').includes(words)", arg=[panel, words])
    done(page, panel)


def spot(page, panel: str, area: str, across: float, down: float) -> tuple[float, float]:
    """The place on the screen at shares of a plate's width and height; pictures come and go meanwhile."""
    x, y, wide, high = page.evaluate("""([panel, area]) => {
        const r = document.querySelector(`.${panel} .nfdlab-area[data-area="${area}"]`).getBoundingClientRect();
        return [r.x, r.y, r.width, r.height]; }""", [panel, area])
    return x + across * wide, y + down * high


def circles(page, panel: str) -> list[tuple[float, float]]:
    """Middles of the observations in the model's plot, in shares of its width and height."""
    found = page.evaluate("""panel => {
        const area = document.querySelector(`.${panel} .nfdlab-area[data-area="sparse_conditional"]`);
        const r = area.getBoundingClientRect();
        return [...document.querySelectorAll(`.${panel} svg.nfdlab-sheet circle`)].map(c => c.getBoundingClientRect())
            .map(c => [(c.x + c.width / 2 - r.x) / r.width, (c.y + c.height / 2 - r.y) / r.height]); }""", panel)
    return sorted((round(x, 3), round(y, 3)) for x, y in found if 0 <= x <= 1 and -0.05 <= y <= 1.05)


def slide(page, panel: str, label: str, key: str, times: int = 1) -> None:
    knob = page.locator(f".{panel} .widget-inline-hbox").filter(has_text=label).locator(".noUi-handle").first
    knob.scroll_into_view_if_needed()
    knob.focus()
    for _ in range(times):
        knob.press(key)


def choose(page, panel: str, label: str, option: str) -> None:
    page.locator(f".{panel} .widget-dropdown").filter(has_text=label).locator("select").select_option(label=option)


def test_a_click_adds_a_point_a_drag_moves_it_and_a_double_click_removes_it(page):
    assert len(circles(page, "curve")) == 3
    page.mouse.click(*spot(page, "curve", "sparse_conditional", 0.93, 0.5))
    until(page, "curve", "4 points seen")
    added = circles(page, "curve")[-1]
    assert added[0] == pytest.approx(0.93, abs=0.01)
    page.mouse.move(*spot(page, "curve", "sparse_conditional", *added))
    page.mouse.down()
    for share in (0.3, 0.7, 1.0):
        page.mouse.move(*spot(page, "curve", "sparse_conditional", 0.93 - 0.13 * share, added[1] + 0.1 * share))
        page.wait_for_timeout(150)
    page.mouse.up()
    page.wait_for_function("document.querySelector('.curve .nfdlab-code').innerText.includes(', (0.6')")
    done(page, "curve")
    page.wait_for_timeout(500)
    moved = circles(page, "curve")[-1]
    assert moved[0] == pytest.approx(0.8, abs=0.01)
    page.mouse.dblclick(*spot(page, "curve", "sparse_conditional", *moved))
    until(page, "curve", "3 points seen")
    page.wait_for_timeout(800)                                   # else the next change joins this one
    page.locator(".curve").get_by_role("button", name="undo").click()
    until(page, "curve", "4 points seen")
    page.locator(".curve").get_by_role("button", name="reset").click()
    until(page, "curve", "3 points seen")
    assert "own=" not in page.locator(".curve .nfdlab-code").inner_text()


def test_the_keyboard_adds_and_removes_a_point_too(page):
    picture = page.locator(".curve .nfdlab-touch")
    picture.focus()
    for key in ("2", *["ArrowRight"] * 5, "Enter"):
        picture.press(key)
    until(page, "curve", "4 points seen")
    picture.press("Delete")
    page.locator(".curve").get_by_role("button", name="reset").click()
    until(page, "curve", "3 points seen")


def test_the_pointer_reads_numbers_and_the_wheel_looks_closer(page):
    page.mouse.move(*spot(page, "curve", "sparse_conditional", 0.5, 0.5))
    page.mouse.move(*spot(page, "curve", "sparse_conditional", 0.6, 0.5))
    page.wait_for_function("document.querySelector('.curve .nfdlab-tip').innerText.includes('x = 0.2')")
    said = page.locator(".curve .nfdlab-tip").inner_text()
    assert all(word in said for word in ("truth", "exact posterior", "sparse_conditional", " to "))
    page.locator(".curve .nfdlab-touch").focus()
    for _ in range(4):
        page.mouse.wheel(0, -100)
        page.wait_for_timeout(150)
    until(page, "curve", "window ×4")
    window = page.locator('.curve .nfdlab-area[data-area="sparse_conditional"]').get_attribute("data-window").split()
    assert float(window[0]) < 0.2 < float(window[1]) and float(window[1]) - float(window[0]) == pytest.approx(0.5)
    page.locator(".curve").get_by_role("button", name="reset").click()
    until(page, "curve", "window ×1")


def test_the_diffusion_is_scrubbed_and_played(page):
    slide(page, "curve", "at step", "Home")
    until(page, "curve", "step 0, noise")
    first = page.locator(".curve svg.nfdlab-sheet").inner_html()
    slide(page, "curve", "at step", "ArrowRight", 3)
    until(page, "curve", "step 3, noise")
    assert page.locator(".curve svg.nfdlab-sheet").inner_html() != first
    slide(page, "curve", "at step", "Home")
    until(page, "curve", "step 0, noise")
    page.locator(".curve .jupyter-widgets .fa-play:visible, .curve .fa-play:visible").first.click()
    page.wait_for_function("!document.querySelector('.curve svg.nfdlab-sheet').getAttribute('aria-label')"
                           ".includes('noise')")                 # it has played to its end
    done(page, "curve")


def test_a_second_contestant_is_drawn_in_its_own_colour_with_its_score(page):
    choose(page, "curve", "against", "score_field")
    until(page, "curve", "of score_field")
    assert page.locator(".curve .nfdlab-area").count() == 3
    assert "#aa4499" in page.locator(".curve svg.nfdlab-sheet").inner_html()
    assert "score_field" in page.locator(".curve .nfdlab-scores").inner_text()
    choose(page, "curve", "against", "nobody")
    page.wait_for_function("document.querySelectorAll('.curve .nfdlab-area').length === 2")


def test_a_truth_is_drawn_by_hand(page):
    page.locator(".curve").get_by_role("button", name="draw", exact=True).click()
    page.mouse.move(*spot(page, "curve", "sparse_conditional", 0.02, 0.9))
    page.mouse.down()
    for share in (0.3, 0.6, 0.98):
        page.mouse.move(*spot(page, "curve", "sparse_conditional", share, 0.9 - 0.5 * share))
        page.wait_for_timeout(200)
    page.mouse.up()
    page.wait_for_function("document.querySelector('.curve .nfdlab-code').innerText.includes('truth=')")
    page.locator(".curve").get_by_role("button", name="observe", exact=True).click()
    page.locator(".curve").get_by_role("button", name="reset").click()
    done(page, "curve")


def test_the_picture_is_saved(page):
    with page.expect_download() as got:
        page.locator(".curve .nfdlab-save").click()
    assert got.value.suggested_filename == "nfdlab-gp1d.svg"


def test_a_film_plays_and_a_solid_turns(page):
    before = says(page, "film")
    page.locator(".film .fa-play:visible").last.click()
    page.wait_for_function("was => document.querySelector('.film svg.nfdlab-sheet').getAttribute('aria-label') !== was",
                           arg=before)
    assert page.locator(".film .nfdlab-moments circle").count() == 4
    before = page.locator(".solid svg.nfdlab-sheet").inner_html()
    slide(page, "solid", "turn", "ArrowRight", 2)
    page.wait_for_function("was => document.querySelector('.solid svg.nfdlab-sheet').innerHTML !== was", arg=before)
    done(page, "solid")
