"""Read numbers from npy, npz, csv and picture files. Errors name the line; no code of a file is executed."""

import csv
import re
from pathlib import Path

import numpy as np

from ..core.checks import four_parts, require, require_name

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
TABLES = (".csv", ".tsv", ".txt")
NODATA = 42113           # the tag by which a GeoTIFF says which number stands for no data
KNOWN = (".npy", ".npz", *TABLES, *PICTURES)


def read(path: str | Path, *, key: str | None = None) -> tuple[list[str], np.ndarray]:
    """Names of a table's columns, else [], and the numbers in a file.

    `key`: one array of an npz file. Pictures: (rows, columns) or (rows, columns, 3), of 8 bits a channel in [0, 1],
    without transparency; deeper ones, a raster of heights say, in their own units, and NaN where they say "no data".
    """
    path = Path(path)
    kind = path.suffix.lower()
    require(kind in KNOWN, must=f"path: a file ending in {', '.join(KNOWN)}.", came=str(path),
            why="The suffix tells how to read it.", do="Save it with numpy.save, or pass the numbers as an array.")
    require(path.is_file(), must="path: a file that exists.", came=str(path), why="Nothing is there.",
            do=f"Check the name; relative names start at {Path.cwd()}.")
    try:
        if kind in TABLES:
            return _table(path)
        return [], _picture(path) if kind in PICTURES else _numpy(path, key)
    except (OSError, EOFError, SyntaxError, ValueError) as error:
        if "\n  do:" in str(error):                  # our own errors pass, those of the libraries are explained
            raise
        raise ValueError(four_parts(
            f"path: a readable {path.suffix} file.", str(path),
            f"{type(error).__name__}: {str(error)[:160]}. It is incomplete, or of another kind.",
            "Write the file again; numpy.save and numpy.savez make files that are read here.")) from error


def _numpy(path: Path, key: str | None) -> np.ndarray:
    found = np.load(path, allow_pickle=False)        # pickles can execute code
    if path.suffix.lower() == ".npy":
        return found
    with found:
        if key is None:
            require(len(found.files) == 1, must="key: the name of one array of the file.",
                    came=f"none, and {path.name} holds {', '.join(found.files) or 'nothing'}",
                    why="Only a file of one array leaves no choice.",
                    do=f"key={found.files[0]!r}." if found.files else "Save an array with numpy.savez.")
            key = found.files[0]
        return found[require_name(key, found.files, f"array in {path.name}")]


def _picture(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as image:
        grey = image.mode in ("1", "L", "LA", "I", "F") or image.mode.startswith("I;16")
        deep = image.mode.startswith("I") or image.mode == "F"
        stored = np.asarray(image if deep else image.convert("L" if grey else "RGB"))
        nodata = str(getattr(image, "tag_v2", {}).get(NODATA, "")).strip("\0 ")
    pixels = stored.astype(np.float64)
    if nodata and deep:
        pixels[stored == stored.dtype.type(float(nodata))] = np.nan
    return pixels if deep else pixels / 255


def _table(path: Path) -> tuple[list[str], np.ndarray]:
    """Column names and numbers (rows, columns) of a text file. The first line is a header if it holds no numbers.

    Separated by comma, semicolon, tab or blanks; decimals have a point, or a comma where that separates nothing. Empty
    lines and those that start with # or % are skipped, and a first column without a name that counts the rows, as
    pandas writes it. A missing value, a word or a row of another length is refused with its line.
    """
    separator, rows = _rows(path)
    header = bool(rows) and (not any(_is_number(cell) for cell in rows[0][1]) or _counted(rows))
    names, rows = (rows[0][1], rows[1:]) if header else ([], rows)
    require(len(rows) > 0, must="path: a table with at least one row of numbers.", came=f"{path.name} with none",
            why="Each row is one point, or one function.", do="Write columns of numbers separated by commas.")
    wide = len(names) or len(rows[0][1])
    for number, row in rows:
        require(len(row) == wide, must=f"Each row of {path.name}: {wide} numbers.",
                came=f"line {number} with {len(row)}: {(separator or ' ').join(row)[:60]}",
                why="A ragged table leaves open which number belongs to which column.", do=f"Correct line {number}.")
        for cell, column in zip(row, names or range(1, wide + 1), strict=True):
            date = re.fullmatch(r"\d+[-/.:]\d+[-/.:T ].*", cell) is not None
            require(_is_number(cell), must=f"Each cell of {path.name}: a finite number.",
                    came=f"line {number}, column {column}: {cell!r}", why="Only numbers can be interpolated.",
                    do="Turn dates into numbers, with pandas: (pandas.to_datetime(column) - start).dt.total_seconds()."
                    if date else "Leave out rows without a value; write decimals with a point.")
    table = np.array([[float(cell) for cell in row] for _, row in rows])
    if names and names[0] == "" and wide > 1 and (table[:, 0] == np.arange(len(table))).all():
        names, table = names[1:], table[:, 1:]
    return names or [f"column {i}" for i in range(1, wide + 1)], table


def _rows(path: Path) -> tuple[str | None, list[tuple[int, list[str]]]]:
    """The separator of a text file, None for blanks, and its lines that are not empty: (number, cells)."""
    data = path.read_bytes()
    coding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(coding)
    except UnicodeDecodeError:
        require(coding == "utf-8-sig" and b"\0" not in data, must=f"path: a readable {path.suffix} file.",
                came=str(path), why="It is no text in a coding that is known here.", do="Save it as text in UTF-8.")
        text = data.decode("latin-1")
    lines = [(i, line) for i, line in enumerate(text.splitlines(), 1) if line.strip() and line.lstrip()[0] not in "#%"]
    first = lines[0][1] if lines else ","
    separator = max(",;\t", key=first.count)
    separator = separator if separator in first else "," if len(first.split()) < 2 else None
    rows = [(i, line.split() if separator is None else next(csv.reader([line], delimiter=separator)))
            for i, line in lines]
    rows = [(i, [cell.strip() for cell in row]) for i, row in rows if any(cell.strip() for cell in row)]
    if separator != ",":
        rows = [(i, [re.sub(r"^([+-]?\d*),(\d+)$", r"\1.\2", cell) for cell in row]) for i, row in rows]
    return separator, rows


def _counted(rows: list[tuple[int, list[str]]]) -> bool:
    """Whether the first row numbers the columns, 0, 1, 2, …, as pandas writes it, above numbers of another kind."""
    first, rest = rows[0][1], rows[1:]
    start = int(first[:1] == [""])
    return bool(rest) and first[start:] == [str(i) for i in range(len(first) - start)] and (
        start == 1 or any(not cell.isdigit() for _, row in rest for cell in row))


def _is_number(cell: str) -> bool:
    try:
        return bool(np.isfinite(float(cell)))
    except ValueError:
        return False
