"""Lessons: finding, reading and parametrising the notebooks. Jupyter's packages are imported in `read` alone."""

import ast
import json
import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ..core.checks import UnknownName, require, require_name

HEAD = {
    "jupytext": {"cell_metadata_filter": "tags,-all", "notebook_metadata_filter": "kernelspec,-all"},
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
KINDS = {"str": str, "int": int, "float": float, "bool": bool}
MARK = re.compile(r'^# %%(?: \[(\w+)\])?(?: tags=(\[.*\]))?\n', re.M)


def home() -> Path:
    """The repository: the folder that holds `notebooks`, beside this package, else here or in a folder above."""
    here = Path.cwd()
    folders = (Path(__file__).resolve().parents[2], here, *here.parents)
    found = next((folder for folder in folders if (folder / "notebooks" / "jupytext.toml").is_file()), None)
    require(found is not None, must="A folder `notebooks` with the lessons, beside the installed package or above "
            "where you are.", came=f"none from {here} upwards", why="The lessons live in the repository, not in the "
            "installed package.", do="cd into your clone of the repository and try again.")
    return found


def lessons(folder: Path) -> list[Path]:
    """The lessons of a folder, in reading order."""
    return sorted(Path(folder).glob("[0-9]*.py"))


def find(name: str, folder: Path) -> Path:
    """A lesson's .py by its path, its name, its number, or a beginning of these that fits only one lesson."""
    path = Path(name)
    if path.suffix in (".py", ".ipynb"):
        found = next((p for p in (path.with_suffix(".py"), path) if p.is_file()), None)
        require(found is not None, must="A notebook that exists.", came=f"path {name}", why="There is no such file.",
                do=f"`nfdlab list` names the lessons; they are in {folder}.")
        return found.resolve()
    stems = {stem: stem.partition("_")[::2] for stem in (p.stem for p in lessons(folder))}     # number and name
    fits = [s for s, parts in stems.items() if name in (s, *parts)]
    fits = fits or [s for s, parts in stems.items() if name and (s.startswith(name) or parts[1].startswith(name))]
    near = get_close_matches(name, [*stems, *(title for _, title in stems.values())], n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    require(len(fits) == 1, kind=UnknownName, must="The name of one lesson, or its beginning.", came=repr(name),
            why=f"It fits {', '.join(fits)}." if fits else "No lesson's name begins so.",
            do=hint + f"Choose one of: {', '.join(stems)}.")
    return Path(folder, fits[0] + ".py").resolve()


def read(path: Path):
    """The lesson as a notebook in canonical form: no outputs, only tags, cell ids by position."""
    import jupytext
    import nbformat

    path = Path(path)
    nb = jupytext.read(path) if path.suffix == ".ipynb" else jupytext.read(path, fmt="py:percent")
    nb.nbformat, nb.nbformat_minor, nb.metadata = 4, 5, nbformat.from_dict(HEAD)
    for i, cell in enumerate(nb.cells):
        cell.id = f"{path.stem[:2]}-{i:03d}"
        cell.metadata = nbformat.from_dict({k: v for k, v in cell.metadata.items() if k == "tags"})
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.validate(nb)
    return nb


def cells(path: Path) -> list[tuple[str, str, tuple[str, ...]]]:
    """Kind, source and tags of each cell of a lesson or a notebook, as `read` has them, in a hundredth of its time. A
    notebook that is damaged has none."""
    if Path(path).suffix == ".ipynb":
        try:
            return [(c["cell_type"], "".join(c["source"]), tuple(c["metadata"].get("tags", ())))
                    for c in json.loads(Path(path).read_text(encoding="utf-8"))["cells"]]
        except (ValueError, KeyError, TypeError, AttributeError):
            return []
    text = Path(path).read_text(encoding="utf-8")
    found = []
    for kind, tags, source in zip(*[iter(MARK.split(text)[1:])] * 3, strict=True):
        if kind:
            source = re.sub(r"^# ?", "", source, flags=re.M)
        found.append((kind or "code", source.strip("\n"), tuple(json.loads(tags or "[]"))))
    return found


def title(path: Path) -> str:
    """The first heading of a lesson."""
    prose = "\n".join(source for kind, source, _ in cells(path) if kind == "markdown")
    return next(iter(re.findall(r"^# (.+)", prose, re.M)), path.stem)


@dataclass(frozen=True)
class Parameter:
    """One line of a lesson's `parameters` cell: `seed: int = 0  # what it means`."""

    name: str
    type: str
    default: Any
    help: str

    @property
    def choices(self) -> tuple[str, ...]:
        """The words a text parameter may be, where its comment lists them as `one | two | three`."""
        words = tuple(w.strip() for w in self.help.split("|"))
        listed = self.type == "str" and len(words) > 1 and all(w and " " not in w for w in words)
        return words if listed else ()


def lesson_parameters(path: Path) -> dict[str, Parameter]:
    """The parameters of a lesson by name: the assignments of its cell tagged `parameters`."""
    source = next((source for _, source, tags in cells(path) if "parameters" in tags), "")
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            name = ast.unparse(node.target if isinstance(node, ast.AnnAssign) else node.targets[0])
            default = ast.literal_eval(node.value)
            kind = ast.unparse(node.annotation) if isinstance(node, ast.AnnAssign) else type(default).__name__
            said = source.splitlines()[node.end_lineno - 1].encode()[node.end_col_offset:].decode().strip(" #")
            found[name] = Parameter(name, kind, default, said)
    return found


def validate(parameters: dict[str, Parameter], given: dict[str, Any]) -> dict[str, Any]:
    """The given values, each in its declared type; text is parsed as a command line gives it ("3", "true").

    Unknown names (KeyError, with the nearest one), wrong types (TypeError) and words not among the choices (ValueError)
    are refused here, before anything runs; papermill would only warn, or inject the text as it is.
    """
    return {name: _typed(parameters[require_name(name, parameters, "parameter of this lesson")], value)
            for name, value in given.items()}


def _typed(p: Parameter, value: Any) -> Any:
    kind, came = KINDS.get(p.type, type(p.default)), repr(value)
    if isinstance(value, str) and kind is not str:
        try:
            value = ast.literal_eval({"true": "True", "false": "False"}.get(value, value))
        except (ValueError, SyntaxError):
            pass                                   # stays text, and is refused below as what it is
    if kind is float and type(value) is int:
        value = float(value)
    meaning = f" ({p.help})" if p.help else ""
    require(type(value) is kind, kind=TypeError, must=f"{p.name}: {kind.__name__}{meaning}.", came=came,
            why=f"The lesson declares `{p.name}: {p.type} = {p.default!r}`.",
            do=f"Pass {p.name} {p.default}, for example.")
    near = get_close_matches(str(value), p.choices, n=1)
    require(not p.choices or value in p.choices, must=f"{p.name}: one of {', '.join(p.choices)}.", came=came,
            why="The lesson lists no other.",
            do=f"Did you mean {near[0]!r}?" if near else f"Pass {p.name} {p.default}.")
    return value
