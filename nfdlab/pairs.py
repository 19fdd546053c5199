"""A lesson is one file, `NN_name.py`; its pair `NN_name.ipynb` is generated from it, byte for byte.

The text is what people edit, review and merge. The notebook beside it, without outputs and with fixed cell ids, is
what a double click in JupyterLab, a browser on the web and Colab open. Equal input gives equal bytes, so "is the pair
fresh?" is a comparison, and saving an unchanged lesson in JupyterLab changes nothing.
"""

from pathlib import Path

from .core.checks import require
from .core.files import write_text
from .jupyter.lessons import cells, lessons, read


def render(path: Path) -> str:
    """The bytes of the notebook that belongs to a lesson, from nbformat's writer, as JupyterLab would save it."""
    import nbformat

    return nbformat.writes(read(path), version=4).rstrip("\n") + "\n"


def text(path: Path) -> str:
    """The text of the .py that belongs to a lesson or a notebook, as JupyterLab would save it.

    It differs from a hand-written one in blank lines between cells at most. Where it does, a pair whose notebook is the
    younger cannot be opened: jupytext takes the blank line for an edit it would lose.
    """
    import jupytext

    return jupytext.writes(read(path), fmt="py:percent")


def differing(folder: Path) -> list[str]:
    """The lessons whose notebook is missing or has other cells. It takes a tenth of a second; `check` is byte for byte.
    """
    return [py.name for py in lessons(folder) if not py.with_suffix(".ipynb").exists()
            or cells(py) != cells(py.with_suffix(".ipynb"))]


def check(folder: Path) -> list[str]:
    """One line for every pair that is not fresh, naming the file; an empty list means all are."""
    stale = []
    for py in lessons(folder):
        ipynb = py.with_suffix(".ipynb")
        if py.read_bytes() != text(py).encode():
            stale.append(f"{py.name}: not as JupyterLab would save it (blank lines between cells, header)")
        if not ipynb.exists():
            stale.append(f"{ipynb.name}: missing")
        elif ipynb.read_bytes() != render(py).encode():
            same = cells(ipynb) == cells(py)
            stale.append(f"{ipynb.name}: " + (f"outputs or metadata {py.name} does not hold" if same
                                             else f"cells differ from {py.name}"))
    orphans = (p for p in sorted(Path(folder).glob("[0-9]*.ipynb")) if not p.with_suffix(".py").exists())
    return stale + [f"{p.name}: has no {p.stem}.py" for p in orphans]


def sync(folder: Path, direction: str = "py") -> list[Path]:
    """Make every pair fresh and return the files that changed.

    "py" rewrites notebooks from their .py (and the .py where its blank lines are not canonical), and refuses where that
    would lose later edits of a notebook; "ipynb" takes the cells of edited notebooks into the .py first (after working
    in an editor that knows nothing of pairs).
    """
    require(direction in ("py", "ipynb"), must='direction: "py" or "ipynb".', came=repr(direction),
            why="It names the side that is right.",
            do='Pass direction="ipynb" only after editing notebooks without their .py.')
    new = {}
    if direction == "ipynb":
        for ipynb in sorted(Path(folder).glob("[0-9]*.ipynb")):
            py = ipynb.with_suffix(".py")
            require(bool(cells(ipynb)), must=f"{ipynb.name}: a notebook with cells.", came="none that can be read",
                    why="The lesson is to be made of them.", do=f"Delete {ipynb.name}; nfdlab sync keeps its .py.")
            if not py.exists() or cells(py) != cells(ipynb):
                new |= {py: text(ipynb), ipynb: render(ipynb)}
    for py in lessons(folder):
        ipynb = py.with_suffix(".ipynb")
        if py not in new:
            new |= {py: text(py), ipynb: render(py)}
            _keep_later_edits(py, ipynb)           # before anything is written: a refusal leaves all as it was
    changed = [path for path, content in new.items() if not path.exists() or path.read_bytes() != content.encode()]
    for path in changed:
        write_text(path, new[path])
    return changed


def _keep_later_edits(py: Path, ipynb: Path) -> None:
    lost = ipynb.exists() and ipynb.stat().st_mtime > py.stat().st_mtime and cells(ipynb) != cells(py)
    require(not lost, must=f"{py.name} at least as new as its pair, where their cells differ.",
            came=f"{ipynb.name} was saved later, with other cells", why="Rewriting it from the .py would lose them.",
            do=f"`nfdlab sync --from ipynb` keeps them; to drop them, delete {ipynb.name} and sync again.")
