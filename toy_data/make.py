"""Rebuild the cards and the frozen test tasks: `python toy_data/make.py [NAME ...]`, or `--check` to compare only.

Everything is computed in float64 and rounded, so that another machine's last digits do not show: places, values and
truths come out bit for bit. Scores are rounded to four digits; those of enumerated posteriors and of kriging's search
may differ in the last of them on another processor.
"""

import argparse
import io
from dataclasses import fields as dataclass_fields
from pathlib import Path

import numpy as np
import torch

from nfdlab import baselines, cell_centres, observe, patterns, problems, recipes
from nfdlab.core.rng import child, normals
from nfdlab.core.types import Observations
from nfdlab.evaluate import scores
from nfdlab.evaluate.ranking import kept_rivals
from nfdlab.problems.pictures import elevation

HERE, KEPT = Path(__file__).parent, kept_rivals()
SEED, DRAWS, NOISE, EACH = 2026, 64, 0.05, 4            # EACH tasks at each number of observations
COUNTS = {"gp1d": (1, 3, 5, 10, 20), "gp2d": (5, 20, 60), "sawtooth1d": (2, 4, 8, 16), "families1d": (2, 4, 8),
          "step1d": (1, 3, 8), "bump2d": (4, 16), "powerlaw2d": (16, 64), "drift1dt": (16, 64),
          "two_speed1dt": (8, 32), "styles2d": (10, 40), "discs2d": (5, 20), "moving_disc2dt": (10, 60),
          "ball3dt": (20, 100),
          "stars2d": (24,), "terrain2d": (20, 205), "photo2d": (205,), "digits2d": (16, 64), "head2d": (16, 64),
          "film2dt": (20, 80), "shapes3d": (20, 80), "arrays": (2, 8)}
SHAPES = {"terrain2d": (64, 64), "head2d": (32, 32), "photo2d": (64, 64), "digits2d": (28, 28), "arrays": (64,)}
USUAL = {1: (128,), 2: (24, 24), 3: (8, 12, 12), 4: (4, 6, 6, 6)}
SCORED = {"crps": scores.crps, "energy": scores.energy, "rmse": scores.rmse}


def curves() -> str:
    """The sample file of `arrays`: 24 damped waves on 32 cells, one a row."""
    u = normals(SEED, 24, (3,), "curves", dtype=torch.float64)
    x = cell_centres((32,), dtype=torch.float64)[:, 0]
    rows = torch.exp(-0.3 * u[:, :1].abs() * (x + 1)) * torch.sin((4 + u[:, 1:2]) * x + 3 * u[:, 2:])
    return "".join(",".join(f"{v:.4f}" for v in row) + "\n" for row in rows.tolist())


def points() -> str:
    """The sample table of points: 30 measured heights of one patch of terrain, in kilometres and metres."""
    truth = problems.held_out(problems.get("terrain2d")).draw(1, seed=child(SEED, "points"))
    seen = observe(truth, patterns.Random(count=30), noise_std=0.0, seed=child(SEED, "points"))
    west = elevation()["west"].double()
    z = truth(seen.coords.double())[0, :, 0] * west.std() + west.mean()
    rows = [f"{2.5 * (y + 1):.3f},{2.5 * (x + 1):.3f},{height:.1f}\n" for (y, x), height
            in zip(seen.coords.tolist(), z.tolist(), strict=True)]
    return "south_km,east_km,height_m\n" + "".join(rows)


def problem_of(name: str):
    """The problem as its frozen tasks use it."""
    return problems.get(name, **({"data": HERE / "arrays" / "curves.csv"} if name == "arrays" else {}))


def shape_of(name: str) -> tuple[int, ...]:
    """The grid that truths are kept on."""
    return SHAPES.get(name) or USUAL[problem_of(name).d]


def card(name: str) -> str:
    """The problem's card as a page."""
    problem, c = problem_of(name), problem_of(name).card
    knobs = ", ".join(f"`{f.name}` = {getattr(problem, f.name)!r}" for f in dataclass_fields(problem)) or "none"
    counts, shape = ", ".join(map(str, COUNTS[name])), " x ".join(map(str, shape_of(name)))
    lines = {"Equation": c.equation, "Domain": c.domain, "Axes": ", ".join(c.axes), "Units": c.units, "Knobs": knobs,
             "Exact posterior": c.exact, "What makes it hard": c.hard,
             "Home to": ", ".join(f"`{key}`" for key in recipes.homes(name)) or "none yet", "Source": c.source,
             "Frozen tasks": f"`tasks.npz`: {EACH} at each of {counts} random observations, noise {NOISE}; truth on "
             f"{shape} cell centres; scores of {DRAWS} draws of the exact posterior, of kriging where none is known"}
    if name in KEPT.problems:
        lines["Room to gain"] = room(name)
    return f"# {name}: {c.title}\n\n" + "\n\n".join(f"**{key}.** {value}" for key, value in lines.items()) + "\n"


def room(name: str) -> str:
    """What the best classical rival leaves of the error, at random observations, from the rivals that are kept."""
    found = KEPT.table(name)
    mean = {rival: float(np.mean([*found.values("crps", rival).values()])) for rival in found.contestants}
    best = min(mean.keys() - {"exact"}, key=mean.get)
    exact = f"; the exact posterior's is {mean['exact']:.2g}" if "exact" in mean else ""
    return (f"The best of the classical rivals, `{best}`, has a mean CRPS of {mean[best]:.2g}{exact}; that of draws "
            f"that see nothing is {mean['climatology']:.2g} ({', '.join(found.counts)} observations)")


def task(problem, name: str, m: int, i: int) -> dict[str, np.ndarray]:
    """One task: what is seen, the truth, and the scores of the reference's draws (exact, else kriging)."""
    own = child(SEED, "frozen", name, m, i)
    truth = problems.held_out(problem).draw(1, seed=child(own, "truth"))
    coords = patterns.Random(count=m).coords(problem.d, seed=child(own, "places"))
    noise = NOISE * normals(child(own, "noise"), 1, (m, problem.c), dtype=torch.float64)[0]
    values = (truth(coords.double())[0] + noise).round(decimals=5).float()
    centres = cell_centres(shape_of(name), dtype=torch.float64)
    target = truth(centres)[0].round(decimals=5).float()
    reference = problem.oracle() or baselines.get("kriging")
    draws = reference.draw(Observations(coords, values, NOISE), DRAWS, seed=child(own, "draws"))(centres)
    found = torch.stack([score(draws, target.double()) for score in SCORED.values()]).round(decimals=4).float()
    return {"coords": coords.numpy(), "values": values.numpy(), "truth": target.numpy(), "scores": found.numpy()}


def tasks(name: str, counts=None, each: int = EACH) -> dict[str, np.ndarray]:
    """All tasks of a problem, padded with zeros to the longest: what `tasks.npz` holds."""
    problem, counts = problem_of(name), COUNTS[name] if counts is None else counts
    m = np.repeat(np.array(counts), each)
    found = [task(problem, name, count, i) for count in counts for i in range(each)]
    padded = {key: np.stack([np.pad(t[key], ((0, max(counts) - len(t[key])), (0, 0))) for t in found])
              for key in ("coords", "values")}
    return {"m": m, **padded, "truth": np.stack([t["truth"] for t in found]), "noise_std": np.float32(NOISE),
            "scores": np.stack([t["scores"] for t in found]), "score_names": np.array(list(SCORED)),
            "reference": np.array("exact" if problem.oracle() else "kriging")}


def files(name: str):
    """What the folder of a problem holds, one after the other: tasks of `arrays` are made of the sample files."""
    if name == "arrays":
        yield HERE / name / "curves.csv", curves().encode()
        yield HERE / name / "points.csv", points().encode()
    yield HERE / name / "card.md", card(name).encode()
    packed = io.BytesIO()
    np.savez(packed, **tasks(name))
    yield HERE / name / "tasks.npz", packed.getvalue()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="problems (default: all)")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    args, differ = parser.parse_args(), 0
    for name in args.names or problems.names():
        for path, content in files(name):
            same = path.exists() and path.read_bytes() == content
            differ += not same
            print(f"{path.relative_to(HERE)}: {'same' if same else 'differs' if args.check else 'written'}")
            if not args.check and not same:
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(content)
    return int(args.check and differ > 0)


if __name__ == "__main__":
    raise SystemExit(main())
