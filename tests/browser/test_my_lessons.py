"""What a learner saves is safe: the repository stays clean, and the work is there after a restart and a `git pull`."""

import re
import subprocess
from pathlib import Path

import pytest
from browser_tools import chromium, jupyterlab, run_all
from lesson_text import lesson, write

from nfdlab import pairs
from nfdlab.jupyter import lab

pytestmark = pytest.mark.browser

TOP = Path(__file__).resolve().parents[2]


def git(root: Path, *words: str) -> str:
    """What git prints, in a repository of its own."""
    mine = ("-c", "user.name=Learner", "-c", "user.email=learner@example.org")
    return subprocess.run(["git", "-C", root, *mine, *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def root(tmp_path):
    """A committed repository with one lesson and its picture."""
    root = tmp_path / "repository"
    (root / "notebooks" / "pictures").mkdir(parents=True)
    (root / ".gitignore").write_text((TOP / ".gitignore").read_text(encoding="utf-8"), encoding="utf-8")
    for name in ("jupytext.toml", "pictures/00_start_here.png"):
        (root / "notebooks" / name).write_bytes((TOP / "notebooks" / name).read_bytes())
    still = "# %% [markdown]\n# ![still](pictures/00_start_here.png)\n"
    write(root / "notebooks", "00_start_here", still, "print(6 * 7)")
    pairs.sync(root / "notebooks")
    git(root, "init", "-q"), git(root, "add", "."), git(root, "commit", "-qm", "Lessons")
    return root


def first_screen(page, address: str, token: str) -> None:
    """What `nfdlab lab` opens first."""
    page.goto(f"{address}/lab?token={token}")
    page.goto(f"{address}/lab/tree/{lab.MINE}/00_start_here.ipynb")
    page.locator(".jp-Notebook:visible").wait_for()


def test_a_lesson_that_was_run_changed_and_saved_leaves_the_repository_clean(root, tmp_path):
    lab.copy_lessons(root)
    copy = root / lab.MINE / "00_start_here.ipynb"
    with jupyterlab(root, tmp_path, edit=False) as (address, token), chromium() as page:
        first_screen(page, address, token)
        run_all(page)
        page.locator(".jp-OutputArea-output:visible", has_text="42").wait_for()
        still = page.locator(".jp-RenderedMarkdown img").first
        assert still.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
        page.locator(".jp-Notebook:visible .jp-CodeCell").last.locator(".cm-content").click()
        page.keyboard.press("Control+End")
        page.keyboard.type("  # my own words")
        page.keyboard.press("Control+s")
        saved = ""
        for _ in range(240):
            saved = copy.read_text(encoding="utf-8")
            if "my own words" in saved:
                break
            page.wait_for_timeout(500)
        page.wait_for_timeout(4000)                                  # the time in which a news prompt would come
        assert page.locator(".Toastify__toast").count() == 0
        files = page.locator(".jp-DirListing-item:visible").all_inner_texts()
        assert any("00_start_here.ipynb" in name for name in files)
    assert "my own words" in saved and re.search(r"42", saved)
    assert git(root, "status", "--porcelain") == "" and pairs.check(root / "notebooks") == []

    (root / "notebooks" / "00_start_here.py").write_text(lesson("print('newer')"), encoding="utf-8")     # git pull
    pairs.sync(root / "notebooks")
    git(root, "commit", "-qam", "Newer lesson")
    assert "00_start_here.new.ipynb" in lab.copy_lessons(root)[1]
    with jupyterlab(root, tmp_path, edit=False) as (address, token), chromium() as page:
        first_screen(page, address, token)
        page.locator(".jp-Notebook:visible", has_text="my own words").wait_for()
        page.locator(".jp-OutputArea-output:visible", has_text="42").wait_for()
        page.wait_for_selector("text=Kernel status: Idle", state="attached")
    assert copy.read_text(encoding="utf-8") == saved
    assert git(root, "status", "--porcelain") == "" and pairs.check(root / "notebooks") == []
