"""Start JupyterLab on a learner's copies of the lessons, from the Python that called: then kernel, widgets and package
fit together."""

import json
import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from ..core.checks import require

MINE, RECORD = "my_lessons", ".copied.json"
# Jupyter's short names of the options that we set
TOKENS, HERE = ("--ServerApp.token", "--IdentityProvider.token"), ("localhost", "127.0.0.1", "::1")
ALIASES = {"--ip": "--ServerApp.ip", "--port": "--ServerApp.port", "--notebook-dir": "--ServerApp.root_dir"}


def copy_lessons(root: Path) -> list[str]:
    """Copy the lessons and their pictures to my_lessons, which git ignores; returns lines that say what was done.

    What a learner saved is never written over. A lesson that has changed since it was copied (after `git pull`)
    replaces an untouched copy, and is put beside one that was saved as NAME.new.ipynb. The record holds the hash of
    each lesson as it was copied. A copy that was deleted is made anew.
    """
    source, mine = root / "notebooks", root / MINE
    mine.mkdir(exist_ok=True)
    if (source / "pictures").is_dir():
        shutil.copytree(source / "pictures", mine / "pictures", dirs_exist_ok=True,
                        ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    record = mine / RECORD
    copied = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    lines = [f"Your copies of the lessons are in {mine}; what you save there is yours."]
    for lesson in sorted(source.glob("[0-9]*.ipynb")):
        copy, shipped = mine / lesson.name, _digest(lesson)
        known, now = copied.get(lesson.name), _digest(copy) if copy.exists() else None
        if now not in (None, known, shipped) and known != shipped:           # both have changed
            names = (mine / f"{lesson.stem}.new{i or ''}.ipynb" for i in range(1000))
            copy = next(path for path in names if not path.exists())
            lines.append(f"{lesson.name} has changed: yours is kept, the new one is beside it, {copy.name}.")
        if now in (None, known) or not copy.exists():
            shutil.copyfile(lesson, copy)
        copied[lesson.name] = shipped
    record.write_text(json.dumps(copied, indent=1), encoding="utf-8")
    return lines


def _digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def command(root: Path, *, edit: bool = False, browser: bool = True, port: int | None = None,
            extra: list[str] = ()) -> tuple[list, dict]:
    """Arguments and environment for JupyterLab; an option in `extra` takes the place of ours.

    The token stays on and the server listens on this machine only. Two settings come with the package: a double click
    on a .py opens it as a notebook, and no news pop-up. The file browser shows my_lessons and not the lessons
    themselves, or with `edit` those.
    """
    folder = "notebooks" if edit else MINE
    first = f"{folder}/00_start_here.ipynb"
    arguments = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={root}", "--ServerApp.ip=localhost",
                 f"--LabApp.default_url=/lab/tree/{first if (root / first).exists() else folder}",
                 "--ServerApp.kernel_spec_manager_class=nfdlab.jupyter.kernel.ThisEnvironment"]
    if not edit:
        arguments += [f"--ContentsManager.hide_globs={name}" for name in ("notebooks", "__pycache__")]
    if not browser:
        arguments.append("--no-browser")
    if port is not None:
        arguments.append(f"--ServerApp.port={port}")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--allow-root")           # containers; JupyterLab refuses to start there otherwise
    settings = [str(Path(__file__).parent), *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])]
    given = options(extra)
    bare = any(given.get(name, "-").strip("'\"") == "" for name in TOKENS)
    require(not bare or given.get("--ServerApp.ip", "localhost") in HERE, must="A token, where others can reach the "
            "server.", came=" ".join(extra), why="Anybody who finds the address could run any code as you.",
            do="Leave the token as it is, or the address: nfdlab lab --no-browser prints both.")
    arguments = [word for word in arguments if word.split("=")[0] not in given]
    return [*arguments, *extra], {**os.environ, "JUPYTER_CONFIG_PATH": os.pathsep.join(settings)}


def options(words: list[str]) -> dict[str, str]:
    """Options of a command line, --name=value or --name value, by their long names; "-" where no value follows."""
    found = {}
    for word, after in zip(words, [*words[1:], "-"], strict=False):
        if word.startswith("-"):
            name, equals, value = word.partition("=")
            found[ALIASES.get(name, name)] = value if equals else "-" if after.startswith("-") else after
    return found


def start(arguments: list[str], environment: dict[str, str]) -> int:
    """Replace this process by JupyterLab, so that signals reach it alone; on Windows, run it and wait."""
    if os.name == "posix":
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(arguments[0], arguments, environment)
    return subprocess.call(arguments, env=environment)
