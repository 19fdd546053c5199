"""Commands that are killed at a random moment leave nothing torn, and go on to the same end.

    pytest -m kills -n 0 -s                 forty kills: of a training, a bench, a report, a sync; some twenty minutes

Each command runs once undisturbed. Then it is killed at a random moment of that time, what it left is looked at, and
the same command is run again: what it makes must equal what the undisturbed one made.
"""

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from safetensors import safe_open
from safetensors.torch import load_file

import nfdlab

KILLS = 10                           # of each command
ROOT = Path(nfdlab.__file__).parents[1]
COMMAND = [sys.executable, "-c", "from nfdlab.cli import main; main()"]
TRAINING = """
import sys, nfdlab
from nfdlab import store, training
training.SAVE_EVERY = 0.3
budget = nfdlab.Budget(steps=200, name="smoke", checkpoint=sys.argv[1] + ".checkpoint")
store.save(nfdlab.train("score_field", "gp1d", budget=budget, device="cpu"), sys.argv[1])
"""
LESSON = """# %% [markdown]
# # A lesson
# %%
import nfdlab as nfd
print(nfd.problems.get("gp1d").draw(2, seed=0).n)
"""


def training(folder: Path) -> list[str]:
    return [sys.executable, "-c", TRAINING, str(folder / "weights.safetensors")]


def trained(folder: Path, whole: bool):
    path = folder / "weights.safetensors"
    if not path.exists():
        assert not whole
        return None
    with safe_open(path, "pt") as file:
        assert file.metadata()
    return {name: value.tolist() for name, value in load_file(path).items()}


def benching(folder: Path) -> list[str]:
    return [*COMMAND, "bench", "--contestants", "kriging,nearest", "--problems", "gp1d,step1d", "--counts", "1,3,5",
            "--tasks", "4", "--draws", "16", "--jobs", "1", "-o", str(folder)]


def benched(folder: Path, whole: bool):
    tables = sorted(folder.rglob("*.csv"))
    assert tables or not whole
    found = {}
    for path in tables:
        table = pd.read_csv(path)                                  # a torn one has lines of too few columns
        found[path.name] = table[[name for name in table if "second" not in name and "time" not in name]].to_csv()
    return found if whole else None


def reporting(folder: Path) -> list[str]:
    (folder / "lesson.py").write_text(LESSON)
    return [*COMMAND, "run", str(folder / "lesson.py"), "-o", str(folder / "reports")]


def reported(folder: Path, whole: bool):
    pages = list((folder / "reports").glob("*.html"))
    assert pages or not whole
    assert all(page.read_text().rstrip().endswith("</html>") for page in pages)
    return len(pages) if whole else None


def syncing(folder: Path) -> list[str]:
    """In a copy of the repository of which two lessons, newer than their notebooks, and a table were changed."""
    copy = folder / "copy"
    if not copy.exists():
        subprocess.run(["git", "clone", "-q", "--shared", str(ROOT), str(copy)], check=True)
    for name in ("02_weight_diffusion", "05_sparse_conditional"):
        lesson = copy / f"notebooks/{name}.py"
        text = lesson.read_text(encoding="utf-8")
        lesson.write_text(text.replace("# ## Picture\n#\n", "# ## Picture\n#\n# Look.\n#\n"))
    readme = copy / "README.md"
    readme.write_text(readme.read_text().replace("| ---", "| ----", 1))
    return ["env", f"PYTHONPATH={copy}", *COMMAND, "sync"]


def synced(folder: Path, whole: bool):
    copy = folder / "copy"
    status = subprocess.run(["git", "diff", "--stat"], cwd=copy, capture_output=True, text=True, check=True).stdout
    return status if whole else None


COMMANDS = {"train": (training, trained), "bench": (benching, benched), "run": (reporting, reported),
            "sync": (syncing, synced)}


def left_over(folder: Path) -> list[str]:
    """Files that are no longer of use to anyone, but for those of a writer that was killed just now."""
    return [path.name for path in folder.rglob("*.tmp")]


@pytest.mark.kills
@pytest.mark.parametrize("name", COMMANDS)
def test_a_killed_command_leaves_nothing_torn_and_goes_on(name, tmp_path):
    command, look = COMMANDS[name]
    home = tmp_path / "whole"
    home.mkdir()
    line, began = command(home), time.monotonic()
    where = home / "copy" if name == "sync" else home
    subprocess.run(line, check=True, cwd=where, capture_output=True)
    took, expected, rng, killed = time.monotonic() - began, look(home, True), random.Random(name), 0
    while killed < KILLS:
        folder = tmp_path / "killed"
        folder.mkdir(exist_ok=True)
        line = command(folder)
        where = folder / "copy" if name == "sync" else folder
        process = subprocess.Popen(line, cwd=where, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(took * rng.uniform(0.3, 1.0))
            ended = True                                           # before its time: not counted
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            ended = process.wait() != -signal.SIGKILL
        look(folder, False)
        subprocess.run(line, check=True, cwd=where, capture_output=True)
        assert look(folder, True) == expected and left_over(folder) == []
        killed += not ended
        shutil.rmtree(folder)
    print(f"\n{name}: {killed} kills, 0 torn, all went on to the same end")
