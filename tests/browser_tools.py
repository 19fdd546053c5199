"""A real Chromium, and a JupyterLab for it to open, as `nfdlab lab` starts it. For tests marked `browser`."""

import ast
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from nfdlab.jupyter import lab
from nfdlab.jupyter.lessons import read

# Nothing here may call home, and nothing needs a screen.
SWITCHES = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
            "--disable-component-update", "--no-first-run", "--disable-quic"]


def executable() -> str:
    """Where Chromium is: $CHROMIUM, or on the path. Asked for and not there is a failure, not a pass."""
    names = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, (shutil.which(name) for name in names if name)), None)
    if found is None:
        pytest.fail("Browser tests need Chromium: install it (apt-get install chromium) or set CHROMIUM to its path.")
    return found


@contextmanager
def chromium(**context):
    """A page of a fresh browser; context settings as playwright's new_context has them (offline=True, …)."""
    path = executable()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        pytest.fail('Browser tests need playwright: pip install -e ".[test,browser]" -c constraints.txt')
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=SWITCHES)
        try:
            page = browser.new_context(**{"viewport": {"width": 1300, "height": 900}, **context}).new_page()
            page.set_default_timeout(90_000)
            yield page
        finally:
            browser.close()


@contextmanager
def jupyterlab(root: Path, scratch: Path, edit: bool = True):
    """JupyterLab on a folder that holds `notebooks`, as `nfdlab lab --edit` starts it, or as `nfdlab lab` does; yields
    (address, token)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = "0123456789abcdef0123456789abcdef"
    words, environment = lab.command(root, edit=edit, browser=False, port=port)
    private = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime",
               "JUPYTERLAB_WORKSPACES_DIR": "workspaces", "JUPYTERLAB_SETTINGS_DIR": "settings"}
    environment |= {key: str(scratch / name) for key, name in private.items()} | {"JUPYTER_TOKEN": token}
    address = f"http://127.0.0.1:{port}"
    with open(scratch / "lab.log", "wb") as log:
        server = subprocess.Popen(words, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait(f"{address}/api?token={token}", server, scratch / "lab.log")
            yield address, token
        finally:
            server.terminate()
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:        # it waits for a kernel that was just being started
                server.kill()
                server.wait(30)


def _wait(address: str, server: subprocess.Popen, log: Path) -> None:
    for _ in range(720):
        if server.poll() is not None:
            pytest.fail(f"JupyterLab ended: {log.read_text(errors='replace')[-2000:]}")
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.25)
    pytest.fail(f"JupyterLab did not answer: {log.read_text(errors='replace')[-2000:]}")


def turn(page, label: str, key: str = "ArrowRight", times: int = 4) -> None:
    """Move the visible slider of that label from the keyboard, and wait until some picture of its panel has changed."""
    row = page.locator(".widget-hslider:visible", has=page.locator("label", has_text=label)).first
    handle = row.locator(".noUi-handle")
    handle.scroll_into_view_if_needed()
    pictures = """() => [...document.querySelectorAll(".widget-html, .widget-image, .nfdlab-touch")]
                  .filter(e => e.offsetParent).map(e => e.src || e.innerHTML).join("")"""
    before, now = None, page.evaluate(pictures)
    while now != before:                             # let what is still being refined come to rest first
        page.wait_for_timeout(700)
        before, now = now, page.evaluate(pictures)
    handle.focus()
    for _ in range(times):
        page.keyboard.press(key)
    page.wait_for_function(f"before => ({pictures})() !== before", arg=before)


def run_all(page, patience: float = 90.0) -> None:
    """Run ▸ Run All Cells of the notebook in front, until its kernel is at work on them.

    JupyterLab says "Idle" a moment before the notebook has its session. A run asked for in that moment is forgotten,
    or begun and left, or answered by a dialog that wants a kernel chosen: so choose it, and ask again.
    """
    prompts = """() => [...document.querySelectorAll(".jp-Notebook .jp-InputPrompt")]
                 .filter(e => e.offsetParent && e.innerText.trim()).map(e => e.innerText)"""
    choose, asked, end = page.locator(".jp-Dialog .jp-mod-accept"), 0.0, time.monotonic() + patience
    while time.monotonic() < end:
        marks = page.evaluate(prompts)
        if choose.count():
            choose.first.click()
        elif any("[ ]" in mark for mark in marks) and time.monotonic() > asked + 5:
            page.locator(".lm-MenuBar-item", has_text="Run").first.click()
            page.get_by_text("Run All Cells", exact=True).click()
            asked = time.monotonic()
        elif marks and not any("[ ]" in mark for mark in marks) and any(c.isdigit() for c in "".join(marks)):
            return
        page.wait_for_timeout(250)
    pytest.fail(f"JupyterLab did not run the notebook's cells: {marks}")


MAKERS = "nfd.explore(", "= looking("             # what makes a panel


def panel_cells(path: Path) -> list[str]:
    """The sources of a lesson's panel cell and of the cells that make what it uses, in order; none without a panel."""
    sources = [cell.source for cell in read(path).cells if cell.cell_type == "code"]
    last = next((i for i, source in enumerate(sources) if any(make in source for make in MAKERS)), None)
    if last is None:
        return []
    kept, wanted = [sources[last]], _names(sources[last])[0]
    for source in reversed(sources[:last]):
        used, made = _names(source)
        if made & wanted:
            kept, wanted = [source, *kept], wanted | used
    return kept


def _names(source: str) -> tuple[set[str], set[str]]:
    """The names that a cell uses, and those it makes."""
    nodes = list(ast.walk(ast.parse(source)))
    plain = [n for n in nodes if isinstance(n, ast.Name)]
    imports = [a for n in nodes if isinstance(n, (ast.Import, ast.ImportFrom)) for a in n.names]
    made = {(a.asname or a.name).split(".")[0] for a in imports}
    return ({n.id for n in plain if isinstance(n.ctx, ast.Load)},
            made | {n.id for n in plain if isinstance(n.ctx, ast.Store)})
