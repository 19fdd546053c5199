"""One cell of the bench: contestant, problem, pattern, size and seed -> scores of its tasks, in a file.

Task i has streams of its own, derived from (seed, problem, pattern, size, i); draws depend on the contestant's name
too. So tasks are the same for all contestants and scores are paired. A cell's file is named by a hash of its
definition, ends with a checksum and appears whole or not at all.
"""

import csv
import io
import json
import traceback
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

import torch

from .. import __version__, baselines, problems, store
from ..core.files import write_text
from ..core.grid import cell_centres
from ..core.rng import child
from ..observation import patterns
from ..observation.observing import observe
from .table import GRIDS, REFERENCE, TWIN, measured

FORMAT = 1
TOGETHER = 25                    # tasks scored at once
KEYS = ("problem", "pattern", "size", "contestant", "seed", "task", "m")        # columns before the scores


@dataclass(frozen=True)
class Cell:
    """`size`: a number of observations (int) or the share of a base grid's cells (float). `scores`: columns of
    `table.measured`. `knobs`: the problem's, as text. `weights`: the file of a trained contestant, "" of others; its
    name may change, its `digest` may not.
    """

    problem: str
    pattern: str
    size: int | float
    contestant: str
    seed: int
    tasks: int
    draws: int
    noise_std: float
    scores: tuple[str, ...]
    knobs: str = ""
    digest: str = ""
    weights: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        return f"{self.contestant} on {self.problem}, {self.pattern} {self.size}, seed {self.seed}"

    @property
    def definition(self) -> str:
        """All that its scores depend on, as JSON."""
        settings = {k: v for k, v in asdict(self).items() if k != "weights"}
        return json.dumps({"format": FORMAT, "nfdlab": __version__, **settings}, sort_keys=True)

    def path(self, folder: Path) -> Path:
        """Its file."""
        return folder / f"{fingerprint(self.definition.encode())}.csv"


def run(cell: Cell, folder: Path) -> tuple[str, str]:
    """Compute a cell and write its file; the cell's name, and what went wrong, or "". Raises nothing."""
    try:
        write(cell, folder, compute(cell))
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        said = str(error).partition("\n  why:")[0].replace("\n ", ";")
        return cell.name, f"{type(error).__name__}: {said} ({Path(last.filename).name}:{last.lineno})"
    return cell.name, ""


def compute(cell: Cell) -> list[list]:
    """A row for each task: KEYS, then the scores."""
    problem = _problem(cell.problem)
    fitted = contestant(cell.contestant, cell.problem, cell.weights, cell.digest)
    source, points, pattern = problems.held_out(problem), cell_centres(GRIDS[problem.d]), sized(cell.pattern, cell.size)
    answers, truths, counts = [], [], []
    for i in range(cell.tasks):
        own = child(cell.seed, "task", cell.problem, cell.pattern, cell.size, i)
        truth = source.draw(1, seed=child(own, "truth"))
        seen = observe(truth, pattern, noise_std=cell.noise_std, seed=child(own, "seen"))
        found = fitted.draw(seen if seen.m else None, cell.draws, seed=child(own, "draws", cell.contestant))(points)
        answers.append(found.cpu()), truths.append(truth(points)[0].cpu()), counts.append(seen.m)
    parts = [measured(torch.stack(answers[i:i + TOGETHER]), torch.stack(truths[i:i + TOGETHER]), problem.d, cell.scores)
             for i in range(0, cell.tasks, TOGETHER)]
    scores = [torch.cat([part[name] for part in parts]).tolist() for name in cell.scores]
    same = cell.problem, cell.pattern, cell.size, cell.contestant, cell.seed
    return [[*same, i, m, *numbers] for i, (m, *numbers) in enumerate(zip(counts, *scores, strict=True))]


_problem = lru_cache(maxsize=4)(problems.get)


@lru_cache(maxsize=8)
def contestant(name: str, problem: str, weights: str = "", digest: str = ""):
    """The exact posterior (None where there is none), a baseline, or the approach of a weights file."""
    if weights:
        return store.load(weights, device="cpu")
    place = _problem(problem)
    return place.oracle() if name in (REFERENCE, TWIN) else baselines.get(name, place)


def sized(pattern: str, size: int | float):
    """A pattern by name, with `size` points (int) or a share of cells (float)."""
    return patterns.ALL[pattern](**{"count" if isinstance(size, int) else "share": size})


def write(cell: Cell, folder: Path, rows: list[list]) -> Path:
    """Write the cell's file: definition, head, rows, checksum."""
    out = io.StringIO()
    out.write(f"# {cell.definition}\n")
    csv.writer(out, lineterminator="\n").writerows([[*KEYS, *cell.scores], *rows])
    text = out.getvalue()
    return write_text(cell.path(folder), f"{text}# {fingerprint(text.encode())}\n")


def read(cell: Cell, folder: Path) -> list[str] | None:
    """The rows of a cell as lines of csv; None where there is no file, or an incomplete one."""
    try:
        text, _, end = cell.path(folder).read_text(encoding="utf-8").rstrip("\n").rpartition("\n")
    except (OSError, UnicodeDecodeError):
        return None
    text += "\n"
    whole = end == f"# {fingerprint(text.encode())}" and text.startswith(f"# {cell.definition}\n")
    return text.splitlines(keepends=True)[2:] if whole else None


def fingerprint(data: bytes) -> str:
    """Hash of a cell's definition or rows, or of a weights file."""
    return blake2b(data, digest_size=10).hexdigest()
