"""Lessons: finding, reading and parametrising the notebooks."""

import ast
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

import jupytext
import nbformat

HEAD = {
    "jupytext": {"cell_metadata_filter": "tags,-all", "notebook_metadata_filter": "kernelspec,-all"},
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
KINDS = {"str": str, "int": int, "float": float, "bool": bool}


def refuse(kind: str, *parts: str) -> NoReturn:
    """Raise one of the kit's errors; `kind` is a name, and core is only imported here, since pairs need no torch."""
    from ..core import checks

    kinds = {"value": ValueError, "type": TypeError, "name": checks.UnknownName}
    raise kinds[kind](checks.four_parts(*parts))


def home() -> Path:
    """The repository: the folder that holds `notebooks`, beside this package, else here or in a folder above."""
    here = Path.cwd()
    for folder in (Path(__file__).resolve().parents[2], here, *here.parents):
        if (folder / "notebooks" / "jupytext.toml").is_file():
            return folder
    refuse("value", "A folder `notebooks` with the lessons, beside the installed package or above where you are.",
           f"none from {here} upwards", "The lessons live in the repository, not in the installed package.",
           "cd into your clone of the repository and try again.")


def lessons(folder: Path) -> list[Path]:
    """The lessons of a folder, in reading order."""
    return sorted(Path(folder).glob("[0-9]*.py"))


def find(name: str, folder: Path) -> Path:
    """A lesson's .py by its path, or by any beginning of its name, with or without the number, that fits only one."""
    path = Path(name)
    if path.suffix in (".py", ".ipynb"):
        for candidate in (path.with_suffix(".py"), path):
            if candidate.is_file():
                return candidate.resolve()
        refuse("value", "A notebook that exists.", f"path {name}", "There is no such file.",
               f"`nfdlab list` names the lessons; they are in {folder}.")
    stems = [p.stem for p in lessons(folder)]
    fits = [s for s in stems if name in (s, s[3:])]
    fits = fits or [s for s in stems if name and (s.startswith(name) or s[3:].startswith(name))]
    if len(fits) == 1:
        return Path(folder, fits[0] + ".py").resolve()
    near = get_close_matches(name, stems + [s[3:] for s in stems], n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    refuse("name", "The name of one lesson, or its beginning.", repr(name),
           f"It fits {', '.join(fits)}." if fits else "No lesson's name begins so.",
           hint + f"Choose one of: {', '.join(stems)}.")


def read(path: Path) -> nbformat.NotebookNode:
    """The lesson as a notebook in canonical form: no outputs, only tags, cell ids by position."""
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
    """The parameters of a lesson by name, from its cell tagged `parameters`, as papermill reads it."""
    import papermill

    found = papermill.inspect_notebook(read(path))
    return {name: Parameter(name, p["inferred_type_name"], ast.literal_eval(p["default"]), p["help"])
            for name, p in found.items()}


def validate(parameters: dict[str, Parameter], given: dict[str, Any]) -> dict[str, Any]:
    """The given values, each in its declared type; text is parsed as a command line gives it ("3", "true").

    Unknown names (KeyError, with the nearest one), wrong types (TypeError) and words not among the choices (ValueError)
    are refused here, before anything runs; papermill would only warn, or inject the text as it is.
    """
    return {name: _typed(_known(parameters, name), value) for name, value in given.items()}


def _known(parameters: dict[str, Parameter], name: str) -> Parameter:
    if name not in parameters:
        near = get_close_matches(name, parameters, n=1)
        refuse("name", "The name of a parameter of this lesson.", repr(name), "Its `parameters` cell has no such name.",
               (f"Did you mean {near[0]!r}? " if near else "") + f"Choose one of: {', '.join(parameters) or 'none'}.")
    return parameters[name]


def _typed(p: Parameter, value: Any) -> Any:
    kind, came = KINDS.get(p.type, type(p.default)), repr(value)
    if isinstance(value, str) and kind is not str:
        try:
            value = ast.literal_eval({"true": "True", "false": "False"}.get(value, value))
        except (ValueError, SyntaxError):
            pass                                   # stays text, and is refused below as what it is
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        refuse("type", f"{p.name}: {kind.__name__}" + (f" ({p.help})." if p.help else "."), came,
               f"The lesson declares `{p.name}: {p.type} = {p.default!r}`.", f"Pass {p.name} {p.default}, for example.")
    if p.choices and value not in p.choices:
        near = get_close_matches(value, p.choices, n=1)
        refuse("value", f"{p.name}: one of {', '.join(p.choices)}.", came, "The lesson lists no other.",
               f"Did you mean {near[0]!r}?" if near else f"Pass {p.name} {p.default}.")
    return value
