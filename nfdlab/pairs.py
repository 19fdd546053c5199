"""A lesson is one file, `NN_name.py`; its pair `NN_name.ipynb` is generated from it, byte for byte.

The text is what people edit, review and merge. The notebook beside it, without outputs and with fixed cell ids, is
what a double click in JupyterLab, a browser on the web and Colab open. Equal input gives equal bytes, so "is the pair
fresh?" is a comparison, and saving an unchanged lesson in JupyterLab changes nothing.
"""

import os
from pathlib import Path

import jupytext
import nbformat

from .jupyter.lessons import lesson_parameters, lessons, read, refuse, validate

__all__ = ["check", "lesson_parameters", "render", "sync", "validate", "write_atomic"]


def render(py: Path) -> str:
    """The text of the notebook that belongs to `py`, from nbformat's writer, as JupyterLab would save it."""
    return nbformat.writes(read(py), version=4).rstrip("\n") + "\n"


def check(folder: Path) -> list[str]:
    """One line for every pair that is not fresh, naming the file; an empty list means all are."""
    stale = []
    for py in lessons(folder):
        ipynb = py.with_suffix(".ipynb")
        if not ipynb.exists():
            stale.append(f"{ipynb.name}: missing")
        elif ipynb.read_bytes() != render(py).encode():
            same = _inputs(ipynb) == _inputs(py)
            stale.append(f"{ipynb.name}: " + (f"outputs or metadata {py.name} does not hold" if same
                                             else f"cells differ from {py.name}"))
    orphans = (p for p in sorted(Path(folder).glob("[0-9]*.ipynb")) if not p.with_suffix(".py").exists())
    return stale + [f"{p.name}: has no {p.stem}.py" for p in orphans]


def sync(folder: Path, direction: str = "py") -> list[Path]:
    """Make every pair fresh and return the files that changed.

    "py" rewrites notebooks from their .py, and refuses where that would lose later edits of a notebook; "ipynb" takes
    the cells of edited notebooks into the .py first (after working in an editor that knows nothing of pairs).
    """
    if direction not in ("py", "ipynb"):
        refuse("value", 'direction: "py" or "ipynb".', repr(direction), "It names the side that is right.",
               'Pass direction="ipynb" only after editing notebooks without their .py.')
    changed = []
    if direction == "ipynb":
        for ipynb in sorted(Path(folder).glob("[0-9]*.ipynb")):
            py = ipynb.with_suffix(".py")
            if not py.exists() or _inputs(py) != _inputs(ipynb):
                write_atomic(py, jupytext.writes(read(ipynb), fmt="py:percent"))
                changed.append(py)
    texts = {}
    for py in lessons(folder):                     # look at all before writing any: a refusal leaves all as they were
        ipynb, text = py.with_suffix(".ipynb"), render(py)
        if not ipynb.exists() or ipynb.read_bytes() != text.encode():
            texts[ipynb] = text
            _keep_later_edits(py, ipynb)
    for ipynb, text in texts.items():
        write_atomic(ipynb, text)
    return changed + list(texts)


def write_atomic(path: Path, text: str) -> None:
    """Write all of a file or nothing of it."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _inputs(path: Path) -> list[tuple]:
    return [(c.cell_type, c.source, tuple(c.metadata.get("tags", ()))) for c in read(path).cells]


def _keep_later_edits(py: Path, ipynb: Path) -> None:
    if ipynb.exists() and ipynb.stat().st_mtime > py.stat().st_mtime and _inputs(ipynb) != _inputs(py):
        refuse("value", f"{py.name} at least as new as its pair, where their cells differ.",
               f"{ipynb.name} was saved later, with other cells", "Rewriting it from the .py would lose those edits.",
               f"`nfdlab sync --from ipynb` keeps them; to drop them, delete {ipynb.name} and sync again.")
