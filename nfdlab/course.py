"""All lessons as reports in one folder, in processes side by side, with a page that leads to them.

A report that was made of the same lesson with the same parameters is kept, so the same command goes on after a stop.
"""

import base64
import hashlib
import io
import re
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import nbformat
from joblib import cpu_count
from PIL import Image

from . import __version__, report
from .core.checks import require, require_count
from .core.files import write_text
from .core.processes import side_by_side
from .jupyter.lessons import home, lesson_parameters, title, validate
from .jupyter.page import html, picture
from .tables import in_order

KEY = "nfdlab_report"                # of a notebook's metadata: what its report was made of


def run_all(parameters: dict[str, Any] | None = None, out_dir: str | Path = "reports", *, folder: Path | None = None,
            jobs: int | None = None, timeout: int = 1800, progress: Callable[[int, int], Any] = report.ignore) -> Path:
    """Execute all lessons and write their reports and `index.html` into `out_dir`; returns the latter.

    parameters: values for each lesson that has a parameter of that name; one that none has is refused. jobs: lessons
    at once, one a core by default. folder: the lessons, by default the repository's. progress(done, total). A lesson
    that fails costs no other its report; then ValueError in four parts names it.
    """
    folder = home() / "notebooks" if folder is None else Path(folder)
    paths, given, out = in_order(folder), parameters or {}, Path(out_dir)
    jobs, known = require_count(cpu_count() if jobs is None else jobs, "jobs"), {}
    for path in paths:
        known |= (own := lesson_parameters(path))
        validate(own, {name: value for name, value in given.items() if name in own})
    validate(known, given)
    require(bool(paths), must="A folder with lessons.", came=str(folder), why="Reports are made of lessons.",
            do="The folder `notebooks` of the repository.")
    todo = {path: {k: v for k, v in given.items() if k in lesson_parameters(path)} for path in paths}
    todo = {path: own for path, own in todo.items() if not _made(path, own, out)}
    progress(len(paths) - len(todo), len(paths))
    failed = _executed(todo, out, min(jobs, len(todo)), timeout, lambda done: progress(
        len(paths) - len(todo) + done, len(paths)))
    write_text(out / "index.html", _index(paths, out, given))
    require(not failed, must="Every lesson runs to its end.", came=", ".join(path.stem for path in failed),
            why="\n".join(failed.values()), do="Mend it and repeat the command: reports that are there are kept.")
    return out / "index.html"


def _executed(todo: dict[Path, dict], out: Path, jobs: int, timeout: int, progress) -> dict[Path, str]:
    """Run lessons in processes; what was said of those that failed."""
    failed: dict[Path, str] = {}
    each = ((path, given, out, timeout) for path, given in todo.items())
    for done, ((path, *_), _, error) in enumerate(side_by_side(
            _run, each, max(1, jobs), threads=max(1, cpu_count() // max(1, jobs))), 1):
        if error is not None:
            failed[path] = f"{path.stem}: {error}"
        progress(done)
    return failed


def _run(path: Path, given: dict, out: Path, timeout: int) -> None:
    """One lesson: its report, and in the notebook beside it of what it was made."""
    made = report.run(path, given, out, timeout=timeout)
    notebook = nbformat.read(made.notebook, as_version=4)
    notebook.metadata[KEY] = {"of": _digest(path, given), "seconds": round(made.seconds, 1)}
    write_text(made.notebook, nbformat.writes(notebook, version=4) + "\n")


def _digest(path: Path, given: dict) -> str:
    """What a report is made of, in short: the lesson, the parameters and the version."""
    of = path.read_bytes() + repr((sorted(given.items()), __version__)).encode()
    return hashlib.sha256(of).hexdigest()[:16]


def _made(path: Path, given: dict, out: Path) -> dict:
    """What is kept of a report that is there, made of this lesson with these parameters; else nothing."""
    page, notebook = out / f"{path.stem}.html", out / f"{path.stem}.ipynb"
    if not (page.is_file() and notebook.is_file()):
        return {}
    try:
        kept = dict(nbformat.read(notebook, as_version=4).metadata.get(KEY, {}))
    except (ValueError, OSError):                                  # no notebook: made anew
        return {}
    return kept if kept.get("of") == _digest(path, given) else {}


def _index(paths: list[Path], out: Path, given: dict) -> str:
    """The page that leads to the reports, in the order of the way: a picture and a question each."""
    says = ("Sparse observations become a distribution over continuous functions: ten ways to marry a neural field "
            "and a diffusion model, with the exact answer next to every picture.")
    rows = ["# nfdlab: the lessons", "", says, "", '<div class="cards">']
    for path in paths:
        heading, own = title(path), {k: v for k, v in given.items() if k in lesson_parameters(path)}
        made = _made(path, own, out)
        asks = escape(re.sub(r"[*_`$]", "", heading.partition("·")[2].strip() or heading))
        took = f"{made['seconds']} s" if made else "failed"
        inside = f"{_thumbnail(path)}<b>{path.stem}</b><span>{asks}</span><small>{took}</small>"
        rows.append(f'<a class="card" href="{path.stem}.html">{inside}</a>' if made else
                    f'<div class="card">{inside}</div>')
    chosen = ", ".join(f"{k} = {v!r}" for k, v in given.items()) or "their own parameters"
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("\n".join([*rows, "</div>"]))])
    return html(page, out, f"Lessons run with {chosen} by nfdlab {__version__}.")


def _thumbnail(path: Path) -> str:
    """A lesson's picture, made small, inside an `<img>`; nothing where there is none."""
    source = path.parent / "pictures" / f"{path.stem}.png"
    if not source.exists():
        return ""
    held = io.BytesIO()
    with Image.open(source) as image:
        image.thumbnail((640, 480))
        image.convert("RGB").save(held, "webp", quality=80)
    return picture("image/webp", base64.b64encode(held.getvalue()).decode(), "")
