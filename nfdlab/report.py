"""Run a lesson from top to bottom and write what it showed as one HTML file that needs nothing installed.

Papermill runs the `.py` itself, in the Python that called; `jupyter/page.py` writes the page. Files are written whole:
a run that fails leaves no report, keeps an older one, and saves its outputs so far in `<name>.failed.ipynb`.
"""

import logging
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError

from . import __version__
from .core.checks import four_parts, require
from .core.files import write_text
from .core.processes import temporary_folder
from .jupyter.kernel import NAME, headless
from .jupyter.lessons import find, home, lesson_parameters, read, validate
from .jupyter.page import html

logging.getLogger("papermill").addHandler(logging.NullHandler())      # our errors contain what it would print


@dataclass(frozen=True)
class Report:
    """Where a run's results are, and how long it took."""

    html: Path
    notebook: Path
    seconds: float


def ignore(done: int, total: int) -> None:
    """A progress callback that does nothing."""


def run(notebook: str | Path, parameters: dict[str, Any] | None = None, out_dir: str | Path = "reports", *,
        progress: Callable[[int, int], Any] = ignore, timeout: int = 1800) -> Report:
    """Execute a lesson and write `<name>.html` and the executed `<name>.ipynb` into `out_dir`.

    notebook: a lesson's stem, a beginning of it, or a path. parameters: values for its `parameters` cell, refused
    before the run if unknown or of the wrong type. progress(done, total) is called as cells finish. timeout: seconds
    that one cell may take. Raises ValueError in four parts when a cell fails, naming the cell and its error.
    """
    path = Path(notebook)
    path = path if path.is_file() and path.suffix == ".py" else find(str(notebook), home() / "notebooks")
    path, given = path.resolve(), validate(lesson_parameters(path), parameters or {})
    out = Path(out_dir)
    require(out.is_dir() or not out.exists(), must="out_dir: a folder, which is made if it is not there.",
            came=str(out), why="There is a file of that name.", do="Choose another folder with -o.")
    out.mkdir(parents=True, exist_ok=True)
    began, lesson = time.perf_counter(), read(path)
    with temporary_folder() as scratch:
        partial = scratch / "partial.ipynb"
        try:
            done = execute(lesson, path.parent, given, partial, progress=progress, timeout=timeout)
        except CellFailed as failure:
            kept = _failed(path, out)
            write_text(kept, partial.read_text(encoding="utf-8"))
            where = [i for i, c in enumerate(lesson.cells) if c.id == failure.cell.id]
            name = f"Cell {where[0] + 1} of {len(lesson.cells)}" if where else "The cell that sets what you passed"
            raise ValueError(four_parts(
                f"{path.name}: every cell runs to its end.", failure.what,
                f"{name} failed, the one that begins `{failure.cell.source.strip().splitlines()[0]}`.",
                f"Open {kept} to see the outputs so far; no report was written.")) from None
    seconds = time.perf_counter() - began
    page, executed = out / f"{path.stem}.html", out / f"{path.stem}.ipynb"
    write_text(page, _page(done, path, given, seconds))
    write_text(executed, nbformat.writes(done, version=4) + "\n")
    _failed(path, out).unlink(missing_ok=True)
    return Report(page, executed, seconds)


class CellFailed(Exception):
    """A cell failed: `what` happened in `cell`."""

    def __init__(self, cell: nbformat.NotebookNode, what: str):
        super().__init__(cell, what)
        self.cell, self.what = cell, what


def execute(notebook: nbformat.NotebookNode, folder: Path, given: dict[str, Any], partial: Path | None = None, *,
            progress: Callable[[int, int], Any] = ignore, timeout: int = 1800) -> nbformat.NotebookNode:
    """Run all cells in `folder` and return the notebook with its outputs; `partial`, if any, is saved along the way.

    Raises CellFailed. Papermill adds a cell for what was given, after the one tagged `parameters`.
    """
    at, total = [], len(notebook.cells) + bool(given)

    def started(cell, cell_index):
        at.append(cell)
        progress(cell_index, total)

    try:
        with temporary_folder() as sockets:
            done = papermill.execute_notebook(
                notebook, partial, parameters=given, kernel_name=NAME, progress_bar=False, store_widget_state=False,
                execution_timeout=timeout, kernel_manager_class=headless(sockets), on_cell_start=started,
                resources={"metadata": {"path": str(folder)}})
    except papermill.PapermillExecutionError as error:
        raise CellFailed(at[-1], f"{error.ename}: {error.evalue}") from error
    except CellTimeoutError as error:
        raise CellFailed(at[-1], f"it ran for more than {timeout} seconds") from error
    except DeadKernelError as error:
        raise CellFailed(at[-1], "the Python that ran it ended, most often because memory ran out") from error
    progress(total, total)
    return done


def _failed(path: Path, out: Path) -> Path:
    return out / f"{path.stem}.failed.ipynb"


def _page(done, path: Path, given: dict, seconds: float) -> str:
    chosen = ", ".join(f"{k} = {v!r}" for k, v in given.items()) or "its own parameters"
    return html(done, path.parent, f"{path.name} run with {chosen} in {seconds:.0f} s by nfdlab {__version__}, "
                                   f"Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}.")
