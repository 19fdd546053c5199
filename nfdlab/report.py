"""A lesson run from top to bottom, and one HTML file of what it showed, to send to somebody with nothing installed.

Papermill runs the `.py` itself, in the Python that called; `jupyter/page.py` writes the page. What is written, is
written whole: a run that fails leaves no report, keeps an older one, and what it reached in `<name>.failed.ipynb`.
"""

import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError

from . import __version__
from .jupyter.kernel import NAME, headless
from .jupyter.lessons import find, home, lesson_parameters, read, refuse, validate
from .jupyter.page import html
from .pairs import write_atomic


@dataclass(frozen=True)
class Report:
    """Where a run's results are, and how long it took."""

    html: Path
    notebook: Path
    seconds: float


def ignore(done: int, total: int) -> None:
    """A watcher that watches nothing."""


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
    if out.exists() and not out.is_dir():
        refuse("value", "out_dir: a folder, which is made if it is not there.", str(out),
               "There is a file of that name.", "Choose another folder with -o.")
    out.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="nfd") as scratch:
        done = _execute(path, given, Path(scratch), out, progress, timeout)
    seconds = time.perf_counter() - began
    page, executed = out / f"{path.stem}.html", out / f"{path.stem}.ipynb"
    write_atomic(page, _page(done, path, given, seconds))
    write_atomic(executed, nbformat.writes(done, version=4) + "\n")
    _failed(path, out).unlink(missing_ok=True)
    return Report(page, executed, seconds)


def _failed(path: Path, out: Path) -> Path:
    return out / f"{path.stem}.failed.ipynb"


def _execute(path: Path, given: dict, scratch: Path, out: Path, progress: Callable, timeout: int):
    notebook, partial, at = read(path), scratch / "partial.ipynb", [0]
    total = len(notebook.cells) + bool(given)      # papermill adds a cell for what was given

    def started(cell, cell_index):
        at[0] = cell_index
        progress(cell_index, total)

    try:
        done = papermill.execute_notebook(
            notebook, partial, parameters=given, kernel_name=NAME, progress_bar=False, store_widget_state=False,
            execution_timeout=timeout, kernel_manager_class=headless(scratch), on_cell_start=started,
            resources={"metadata": {"path": str(path.parent)}})
    except papermill.PapermillExecutionError as error:
        _refuse(path, out, partial, at[0], given, f"{error.ename}: {error.evalue}")
    except CellTimeoutError:
        _refuse(path, out, partial, at[0], given, f"it ran for more than {timeout} seconds")
    except DeadKernelError:
        _refuse(path, out, partial, at[0], given, "the Python that ran it died, most often for want of memory")
    progress(total, total)
    return done


def _refuse(path: Path, out: Path, partial: Path, index: int, given: dict, what: str):
    """The four-part error for cell `index` of the run, counted from 1 as the lesson has them."""
    cells = read(path).cells
    tagged = [i for i, c in enumerate(cells) if "parameters" in c.metadata.get("tags", ())]
    if given and tagged and index == tagged[0] + 1:
        source, where = "the cell that papermill adds for what you passed", "The parameters cell"
    else:
        index -= bool(given and tagged and index > tagged[0])
        source, where = cells[index].source.strip().splitlines()[0], f"Cell {index + 1} of {len(cells)}"
    kept = _failed(path, out)
    shutil.copyfile(partial, kept.with_suffix(".part"))
    kept.with_suffix(".part").replace(kept)
    refuse("value", f"{path.name}: every cell runs to its end.", what,
           f"{where} failed, the one that begins `{source}`.",
           f"Open {kept} to see how far it came; no report was written.")


def _page(done, path: Path, given: dict, seconds: float) -> str:
    chosen = ", ".join(f"{k} = {v!r}" for k, v in given.items()) or "its own parameters"
    return html(done, path.parent, f"{path.name} run with {chosen} in {seconds:.0f} s by nfdlab {__version__}, "
                                   f"Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}.")
