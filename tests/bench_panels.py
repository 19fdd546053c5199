"""How long panels take from a key press to the painted picture, in Chromium on a real Jupyter kernel.

Run from the repository's root, on a quiet machine:
    python tests/bench_panels.py [PART OF A NAME ...] [--presses 8] [--shots FOLDER]

Times are seconds, "median / 95 %". First: until a new picture is painted. Final: until the last one of that press is.
CPU, a press: of the kernel + of server and browser. Decode: the query scale moves, the same draws are evaluated anew.
Draw: another task is drawn and solved. Click: a point is added by hand.
Drag: new pictures a second while the handle of the query scale is dragged.
Opening: first and final picture, from running the cell that loads the weights and opens the panel, nfdlab being
imported. The bare slider changes one word: what kernel, server and browser need by themselves. Lesson 00 is run as a
learner does, by Run All.
"""

import argparse
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import nbformat
import numpy as np
from browser_tools import chromium, jupyterlab, run_all
from playwright.sync_api import TimeoutError as Late

ROOT = Path(__file__).resolve().parents[1]
EXPLORE = 'nfd.explore(nfd.load("{0}", "{1}"), nfd.problems.get("{1}"){2})'
PANELS = {
    "bare slider": "bare()",
    "00a exact gp1d": 'nfd.explore(nfd.problems.get("gp1d").oracle(), nfd.problems.get("gp1d"))',
    "01 latent_field digits2d": EXPLORE.format("latent_field", "digits2d", ", count=64, draws=8"),
    "02 weight_diffusion families1d": 'nfd.explore(nfd.load("weight_diffusion", "families1d").using(num_particles=64, '
                                      'rounds=12), nfd.problems.get("families1d"), count=4, steps=8)',
    "03 score_field gp1d": EXPLORE.format("score_field", "gp1d", ""),
    "03 score_field digits2d": EXPLORE.format("score_field", "digits2d", ", count=64, draws=8"),
    "04 coarse_to_fine powerlaw2d": EXPLORE.format("coarse_to_fine", "powerlaw2d",
                                                   ', count=64, pattern="grid", draws=8, view="draws"'),
    "04 coarse_to_fine terrain2d": EXPLORE.format("coarse_to_fine", "terrain2d", ""),
    "05 sparse_conditional gp1d": EXPLORE.format("sparse_conditional", "gp1d", ""),
    "05 sparse_conditional sawtooth1d": EXPLORE.format("sparse_conditional", "sawtooth1d", ", count=5"),
    "05 sparse_conditional digits2d": EXPLORE.format("sparse_conditional", "digits2d", ""),
    "05 sparse_conditional head2d": EXPLORE.format("sparse_conditional", "head2d", ""),
    "06 temporal_field two_speed1dt": EXPLORE.format("temporal_field", "two_speed1dt",
                                                     ', pattern="frames", every=5, seed=3, draws=8, view="draws"'),
    "06 temporal_field moving_disc2dt": EXPLORE.format("temporal_field", "moving_disc2dt", ', pattern="frames"'),
    "06 temporal_field film2dt": EXPLORE.format("temporal_field", "film2dt", ', pattern="frames", every=4, draws=4'),
    "07 looking bump2d": 'looking(nfd.load("adaptive_sampling", "bump2d"), nfd.problems.get("bump2d"), looks=6)',
    "08 stochastic_field gp1d": EXPLORE.format("stochastic_field", "gp1d", ", count=4"),
    "09 modulated_field sawtooth1d": EXPLORE.format("modulated_field", "sawtooth1d", ", count=6"),
    "10 sparse_features stars2d": EXPLORE.format("sparse_features", "stars2d", ", count=24, draws=8"),
    "10 sparse_features shapes3d": EXPLORE.format("sparse_features", "shapes3d", ', pattern="outline", count=64, '
                                                  'draws=4, view="surface"')}
IMPORTS = """import os
import ipywidgets as W
import nfdlab as nfd
from nfdlab.panels.active_panel import looking
def bare():
    sliders, picture = [W.IntSlider(description=name) for name in ("scale", "task")], W.HTML()
    def show(change):
        picture.value = (f'<svg class="nfdlab-sheet"><text>{change and change["new"]}</text></svg>'
                         '<span class="nfdlab-note">done</span>')
    for slider in sliders:
        slider.observe(show, "value")
    show(None)
    return W.VBox([*sliders, picture]).add_class("nfdlab-panel")
"""
LESSON = "00_start_here"
LAYOUT = "{:33}{:>11}" + "{:>15}{:>14}{:>13}" * 2 + "{:>14}{:>14}{:>6}{:>6}"
# The moments of the last key press (or start), and of every new picture, painted: two frames after it came.
STOPWATCH = """() => {
  const picture = () => document.querySelector(
    '.nfdlab-panel svg.nfdlab-sheet, .nfdlab-looking svg.nfdlab-sheet');
  Object.assign(window, {pressed: performance.now(), painted: [], waiting: 0, last: picture(), shown: ''});
  for (const kind of ['keydown', 'pointerdown'])
    document.addEventListener(kind, () => { window.pressed = performance.now(); }, true);
  new MutationObserver(() => {
    const now = picture();
    if (!now || now === window.last) return;
    window.last = now;
    if (now.outerHTML === window.shown) return;                   // the same picture, rendered again
    window.shown = now.outerHTML;
    window.waiting += 1;
    requestAnimationFrame(() => requestAnimationFrame(() => {
      window.painted.push(performance.now());
      window.waiting -= 1;
    }));
  }).observe(document.body, {subtree: true, childList: true});
}"""
DONE = """() => window.painted.length && !window.waiting
  && [...document.querySelectorAll('.nfdlab-note')].some(e => e.innerText.startsWith('done'))"""


def finished(page, patience: float = 240.0) -> tuple[float, float]:
    """Seconds from the last key press to the first and to the last picture, once the panel says that it is done."""
    page.wait_for_function(DONE, polling=100, timeout=1000 * patience)
    return tuple(t / 1000 for t in page.evaluate(
        "[window.painted[0] - window.pressed, window.painted.at(-1) - window.pressed]"))


def handle(page, label: str):
    """The handle of the slider with that label, in view."""
    row = page.locator(".widget-hslider:visible", has=page.locator("label", has_text=label)).first
    knob = row.locator(".noUi-handle")
    knob.scroll_into_view_if_needed()
    return knob


def cpu(kernel: int) -> np.ndarray:
    """Seconds of CPU that the kernel has used, and that the server and the browser have."""
    used, parents = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):                                     # it has just ended
            fields = stat.read_text().rpartition(")")[2].split()
            process = int(stat.parent.name)
            parents[process] = int(fields[1])
            used[process] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    ours = {os.getpid()}
    while more := {child for child, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return np.array([used[kernel], sum(used[p] for p in ours - {kernel, os.getpid()})])


def presses(page, kernel: int, label: str, keys: list[str], patience: float = 60.0) -> list[str]:
    """First and final times of a slider moved from the keyboard, each press after the last is done; and the kernel's
    CPU time, and that of server and browser, which other work on the machine changes least."""
    knob, found, start, used = handle(page, label), [], time.monotonic(), cpu(kernel)
    knob.focus()
    for key in keys:
        page.evaluate("window.painted.length = 0")
        page.keyboard.press(key)
        found.append(finished(page))
        page.wait_for_timeout(150)
        if time.monotonic() - start > patience:
            break
    first, final = np.array(found).T
    return [spread(first), spread(final), " + ".join(f"{seconds:.2f}" for seconds in (cpu(kernel) - used) / len(found))]


def clicks(page, count: int) -> list[str]:
    """First and final times of clicks on the picture, each of which adds a point; "–" where nothing can be touched."""
    if not page.locator(".nfdlab-area").count():
        return ["–", "–"]
    found = []
    for i in range(count):
        box = page.locator(".nfdlab-area").last.bounding_box()
        page.evaluate("window.painted.length = 0")
        page.mouse.click(box["x"] + (0.1 + 0.8 * i / count) * box["width"], box["y"] + 0.37 * box["height"])
        with suppress(Late):                                # it took hold of a point that was there
            found.append(finished(page, 8.0))
        page.wait_for_timeout(150)
    return [spread(part) for part in np.array(found).T] if found else ["> 8", "> 8"]


def drag(page, label: str, seconds: float = 2.0) -> float:
    """New pictures a second while the handle is dragged to the right."""
    box = handle(page, label).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.evaluate("window.painted.length = 0")
    start = time.monotonic()
    while (gone := time.monotonic() - start) < seconds:
        page.mouse.move(x + 130 * gone / seconds, y)
        page.wait_for_timeout(15)
    shown = page.evaluate("window.painted.length")
    page.mouse.up()
    finished(page)
    return shown / gone


def open_notebook(page, address: str, token: str, path: str) -> None:
    page.goto(f"{address}/doc/tree/{path}?token={token}", wait_until="domcontentloaded")
    page.wait_for_selector(".jp-CodeCell")
    page.wait_for_selector("text=Kernel status: Idle", state="attached")


def panel_row(page, name: str, count: int, shots: Path | None) -> list[str]:
    """Open one panel, turn its sliders, and say what it took."""
    run_all(page)                                                   # the imports; the panel's cell is not yet there
    kernel = int(page.locator(".jp-OutputArea >> text=/ready \\d+/").first.inner_text().split()[-1])
    page.locator(".jp-Notebook .jp-Cell-inputArea .cm-content").last.click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(f"panel = {PANELS[name]}\npanel")
    page.evaluate(STOPWATCH)
    page.keyboard.press("Control+Enter")
    opened = finished(page)
    page.wait_for_timeout(500)
    looks = "looking" in PANELS[name]
    if shots:
        page.locator(".nfdlab-looking, .nfdlab-panel").first.screenshot(path=shots / f"{name.replace(' ', '_')}.png")
    decode = presses(page, kernel, "scale", (["ArrowRight"] * 4 + ["ArrowLeft"] * 4) * (count // 8))
    draw = presses(page, kernel, "looks" if looks else "task", ["ArrowRight"] * count)
    touched = clicks(page, count)
    page.locator(".noUi-handle").first.scroll_into_view_if_needed()
    return [name, f"{opened[0]:.2f} {opened[1]:.2f}", *decode, *draw, *touched, f"{drag(page, 'scale'):.1f}"]


def spread(times: np.ndarray) -> str:
    return f"{np.median(times):.2f} / {np.quantile(times, 0.95):.2f}"


def lesson_row(page, patience: float = 600.0) -> str:
    """Run All of lesson 00: until the first picture, and until its last cell has run."""
    page.evaluate("""() => { window.first = 0; new MutationObserver(() => {
      if (!window.first && document.querySelector('.jp-OutputArea img, .jp-OutputArea svg.nfdlab-sheet'))
        window.first = performance.now();
    }).observe(document.body, {subtree: true, childList: true}); }""")
    began = page.evaluate("performance.now()")
    run_all(page)
    page.wait_for_function("""() => { const all = [...document.querySelectorAll('.jp-Notebook .jp-InputPrompt')]
      .map(e => e.innerText).filter(t => t.trim()); return all.length && all.every(t => /\\d/.test(t)); }""",
                           timeout=1000 * patience)
    first, last = page.evaluate(f"[window.first - {began}, performance.now() - {began}]")
    return f"{LESSON}: first picture {first / 1000:.1f} s, Run All {last / 1000:.1f} s"


def main() -> None:
    parse = argparse.ArgumentParser()
    parse.add_argument("names", nargs="*")
    parse.add_argument("--presses", type=int, default=8)
    parse.add_argument("--shots", type=Path)
    asked = parse.parse_args()
    wanted = [name for name in (*PANELS, LESSON) if not asked.names or any(part in name for part in asked.names)]
    if asked.shots:
        asked.shots.mkdir(parents=True, exist_ok=True)
    os.environ.pop("NFDLAB_HEADLESS", None)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    print(LAYOUT.format("panel", "opening", "decode: first", "final", "CPU", "draw: first", "final", "CPU",
                        "click: first", "final", "drag", "load"), flush=True)
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as scratch:
        folder = Path(home) / "notebooks"
        folder.mkdir()
        for name in wanted:
            book = nbformat.read(ROOT / "notebooks" / f"{LESSON}.ipynb", 4) if name == LESSON else (
                nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in
                                                (IMPORTS + "\nprint('rea' + 'dy', os.getpid())", "0")],
                                         metadata=kernel))
            nbformat.write(book, folder / f"{name.replace(' ', '_')}.ipynb")
        with jupyterlab(Path(home), Path(scratch)) as (address, token):
            for name in wanted:
                with chromium(viewport={"width": 1280, "height": 1400}) as page:
                    page.set_default_timeout(240_000)
                    try:
                        open_notebook(page, address, token, f"notebooks/{name.replace(' ', '_')}.ipynb")
                        if name == LESSON:
                            print(lesson_row(page), flush=True)
                            continue
                        row = panel_row(page, name, asked.presses, asked.shots)
                        print(LAYOUT.format(*row, f"{os.getloadavg()[0]:.1f}"), flush=True)
                    except Exception as error:                      # noqa: BLE001 - one row must not cost the others
                        print(f"{name:34}{type(error).__name__}: {str(error)[:200]}", flush=True)
                    finally:
                        end_kernels(page, address, token)


def end_kernels(page, address: str, token: str) -> None:
    """End the kernels of this JupyterLab, so that the next row has the machine for itself."""
    for found in page.request.get(f"{address}/api/kernels?token={token}").json():
        page.request.delete(f"{address}/api/kernels/{found['id']}?token={token}")


if __name__ == "__main__":
    main()
