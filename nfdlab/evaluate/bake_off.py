"""The bake-off: all approaches after an equal training, on the same observations -> scores, costs and draws.

Trained models, cells of the bench, costs and draws are files of one folder, so the same command goes on after a stop.
What was measured once is kept with the package; the first line of its files says by which command.
"""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from joblib import cpu_count

from .. import __version__, approaches, baselines, problems, recipes, store
from ..core.checks import require_count, require_number
from ..core.files import replacing, write_text
from ..core.grid import cell_centres
from ..core.processes import side_by_side
from ..core.rng import child
from ..core.types import Budget, Observations
from ..observation.observing import observe
from .bench import bench
from .cells import fingerprint, sized
from .cost import cost, peak_memory
from .ranking import Benchmark
from .table import REFERENCE

PROBLEMS = {"curves that jump": "sawtooth1d", "one jump": "step1d", "pictures": "digits2d", "surfaces": "terrain2d",
            "space and time": "two_speed1dt", "shapes": "stars2d"}
FEW, MANY = {1: 4, 2: 16}, {1: 12, 2: 64}        # observations, by the number of coordinates
PATTERNS = ("random", "clusters")
RIVALS = ("kriging", "optimal_interpolation")
SECONDS, TASKS, DRAWS = 60.0, 12, 32             # of training; for each problem, pattern and number
SCORES = ("crps", "energy", "variogram", "coverage90")
SIDES = {1: 128, 2: 32}                          # points an axis of the draws that are kept
SHOWN = 3                                        # of these draws, beside their mean

Progress = Callable[[str, int, int], object]


@dataclass(frozen=True, eq=False)
class BakeOff:
    """`bench`: scores of every task. `costs`: a row for each problem and contestant: steps and seconds of training,
    milliseconds a draw, microseconds a query point of a draw, MB at the peak of drawing, MB of weights. `pictures`:
    arrays by "problem/what": coords and values seen, the truth, and of each contestant the mean and some draws.
    `said`: how it was measured. Contestants are approaches after an equal training, classical rivals, and, by the names
    of their files, weights that ship.
    """

    bench: Benchmark
    costs: pd.DataFrame
    pictures: dict[str, np.ndarray]
    said: str


def kept() -> BakeOff:
    """The bake-off as measured once and kept with the package."""
    return read(Path(str(files("nfdlab.weights"))) / "bake_off")


def read(folder: Path) -> BakeOff:
    """The bake-off of a folder that `run` wrote."""
    with np.load(folder / "pictures.npz") as held:
        pictures = {name: held[name].astype(np.float32) for name in held.files}
    with open(folder / "scores.csv", encoding="utf-8") as lines:
        said = lines.readline().removeprefix("# ").strip()
    return BakeOff(Benchmark.read(folder / "scores.csv", draws=DRAWS), pd.read_csv(folder / "costs.csv", comment="#"),
                   pictures, said)


def run(out: str | Path = "bake_off", *, seconds: float = SECONDS, only: tuple[str, ...] = tuple(PROBLEMS.values()),
        names: tuple[str, ...] | None = None, tasks: int = TASKS, jobs: int | None = None,
        progress: Progress = lambda words, done, total: None) -> BakeOff:
    """Train the approaches `names` (all) for `seconds` of one core each on every problem, score them beside rivals and
    what ships, measure costs one after the other, and write `out`/scores.csv, costs.csv and pictures.npz.

    `jobs` processes, one a core by default. `progress(words, done, total)`.
    """
    require_number(seconds, "seconds", 0.0, open_low=True), require_count(tasks, "tasks")
    out, jobs = Path(out), require_count(cpu_count() if jobs is None else jobs, "jobs")
    names = tuple(approaches.names()) if names is None else names
    _train_all(out, names, only, seconds, jobs, progress)
    tables, costs, pictures = [], [], {}
    for problem in only:
        who = contestants(out, problem, names)
        d = problems.get(problem).d
        table = bench([*who, *RIVALS, *([REFERENCE] if problems.get(problem).oracle() else [])], [problem],
                      patterns=PATTERNS, counts=(FEW[d], MANY[d]), tasks=tasks, draws=DRAWS, scores=SCORES, jobs=jobs,
                      out=out / "bench" / problem, progress=lambda done, total, p=problem: progress(p, done, total))
        if table.failed:
            raise RuntimeError(f"bake-off on {problem}: {'; '.join(table.failed)}")
        tables.append(table.rows)
        for i, name in enumerate([*who, *RIVALS], 1):
            row, arrays = _costs_and_draws(name, problem, out)
            costs.append(row)
            pictures |= arrays
            progress(f"{problem}: costs", i, len(who) + len(RIVALS))
    said = (f"nfdlab {__version__}{_commit()}; nfdlab bake-off --seconds {seconds:g} --tasks {tasks}; "
            f"{DRAWS} draws, one core each")
    rows, kept_costs = pd.concat(tables), pd.DataFrame(costs)
    write_text(out / "scores.csv", f"# {said}\n" + rows.to_csv(index=False, float_format="%.5g", lineterminator="\n"))
    write_text(out / "costs.csv", f"# {said}\n" + kept_costs.to_csv(index=False, float_format="%.3g",
                                                                    lineterminator="\n"))
    with replacing(out / "pictures.npz") as part, part.open("wb") as file:
        np.savez_compressed(file, **pictures)
    return read(out)


def contestants(out: Path, problem: str, names) -> list[str]:
    """Weights files that take part on a problem: those trained here, then those that ship."""
    trained = [str(out / "trained" / problem / f"{name}.safetensors") for name in names]
    return trained + [str(path) for (name, where), path in store.shipped().items() if where == problem]


def task(problem: str, pattern: str, size: int, i: int = 0):
    """Truth and observations of a task of the bench, so that pictures show what the scores are of."""
    own = child(0, "task", problem, pattern, size, i)
    truth = problems.held_out(problems.get(problem)).draw(1, seed=child(own, "truth"))
    return truth, observe(truth, sized(pattern, size), noise_std=0.05, seed=child(own, "seen"))


def _train_all(out: Path, names, only, seconds: float, jobs: int, progress: Progress) -> None:
    """Train what is not there yet, in processes."""
    todo = [(name, problem, seconds, trained) for problem in only for name in names
            if not _as_asked(trained := out / "trained" / problem / f"{name}.safetensors", seconds)]
    for done, (each, _, error) in enumerate(side_by_side(_train, todo, jobs), 1):
        if error is not None:
            raise RuntimeError(f"{each[0]} on {each[1]}: training failed") from error
        progress("training", done, len(todo))


def _train(name: str, problem: str, seconds: float, path: Path) -> None:
    """One training, on one thread; its weights appear whole or not at all."""
    torch.set_num_threads(1)
    path.parent.mkdir(parents=True, exist_ok=True)
    checkpoint = path.with_suffix(".checkpoint")
    budget = Budget(seconds=seconds, checkpoint=checkpoint)
    store.save(recipes.train(name, problem, budget=budget, device="cpu"), path)
    checkpoint.unlink(missing_ok=True)


def _as_asked(path: Path, seconds: float) -> bool:
    """Whether weights are there that were trained so long."""
    try:
        return store.about(path)["budget"]["seconds"] == seconds
    except (OSError, ValueError):
        return False


def _costs_and_draws(name: str, problem: str, out: Path) -> tuple[dict, dict[str, np.ndarray]]:
    """Costs of a contestant, and what it draws of the first task with few random observations; both kept as files."""
    place, stem = problems.get(problem), Path(name).stem
    folder = out / "costs" / problem
    folder.mkdir(parents=True, exist_ok=True)
    trained = name.endswith(".safetensors")
    key = f"{stem}.{fingerprint(Path(name).read_bytes())}" if trained else stem      # other weights, other costs
    line, held = folder / f"{key}.json", folder / f"{key}.npz"
    if not (line.exists() and held.exists()):
        fitted = store.load(name, device="cpu") if trained else baselines.get(name, place)
        about = fitted.about if trained else {}
        truth, seen = task(problem, PATTERNS[0], FEW[place.d])
        grid = cell_centres((SIDES[place.d],) * place.d)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            found = cost(fitted, seen, grid, draws=DRAWS, seed=0)
            peak = peak_memory(lambda: fitted.draw(seen, DRAWS, seed=0)(grid))
        finally:
            torch.set_num_threads(threads)
        values = fitted.draw(seen, DRAWS, seed=0)(grid)[..., 0].cpu()
        with replacing(held) as part, part.open("wb") as file:
            np.savez_compressed(file, **_pictures(problem, stem, values, truth(grid), seen))
        write_text(line, json.dumps({
            "problem": problem, "contestant": stem, "steps": about.get("made", {}).get("steps"),
            "seconds": about.get("budget", {}).get("seconds"), "ms_draw": found.ms_per_draw,
            "us_point": 1e6 / found.points_per_second, "mb_peak": peak / 1e6,
            "mb_weights": Path(name).stat().st_size / 1e6 if trained else None}))
    with np.load(held) as arrays:
        return json.loads(line.read_text(encoding="utf-8")), {key: arrays[key] for key in arrays.files}


def _pictures(problem: str, name: str, values, truth, seen: Observations) -> dict[str, np.ndarray]:
    """Arrays of a picture, in half precision."""
    held = {"coords": seen.coords, "values": seen.values, "truth": truth[0, :, 0],
            name: torch.cat([values.mean(0, keepdim=True), values[:SHOWN]])}
    return {f"{problem}/{key}": value.cpu().numpy().astype(np.float16) for key, value in held.items()}


def _commit() -> str:
    """The commit of a checkout, for the record; nothing elsewhere."""
    try:
        found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=Path(__file__).parent, capture_output=True,
                               text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return f", commit {found.stdout.strip()}" if found.returncode == 0 else ""
