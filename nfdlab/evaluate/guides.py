"""Ways to guide a diffusion by observations, compared on the same held-out functions."""

import time
from pathlib import Path

import pandas as pd
import torch

from .. import problems, store
from ..core.checks import require_count, require_seed
from ..core.grid import cell_centres
from ..core.rng import child
from ..core.types import Problem, Trained
from ..observation import patterns
from ..observation.observing import observe
from ..problems import held_out
from .kept import keep
from .scores import crps

GUIDES = ("linearised_pigdm", "linearised", "pigdm", "dps")
STEPS, SIDE = (8, 12), 28                # sampling steps of the kept table; points a side at which draws are scored


@torch.no_grad()
def compare_guides(fitted: Trained, problem: Problem, *, count: int, tasks: int, steps: int, draws: int = 3,
                   seed: int = 0) -> pd.DataFrame:
    """CRPS of `draws` draws by each of GUIDES given `count` random places of held-out functions of the plane, and the
    seconds they took: a row for each guide and task."""
    require_count(tasks, "tasks"), require_seed(seed)
    at, rows = cell_centres((SIDE, SIDE)), []
    for task in range(tasks):
        truth = held_out(problem).draw(1, seed=child(seed, "guides", task))
        seen = observe(truth, patterns.Random(count=count), noise_std=0.05, seed=task)
        for guide in GUIDES:
            began = time.perf_counter()
            values = fitted.draw(seen, draws, seed=task, guide=guide, steps=steps)(at).cpu()
            rows.append({"guide": guide, "steps": steps, "task": task, "crps": float(crps(values, truth(at)[0])),
                         "seconds": time.perf_counter() - began})
    return pd.DataFrame(rows)


def keep_guides(approach: str = "latent_field", name: str = "digits2d", *, count: int = 64, tasks: int = 40,
                draws: int = 3, seed: int = 0) -> Path:
    """Compare GUIDES with each number of STEPS on shipped weights, and keep the table in the package (`evaluate.kept`,
    "guides")."""
    fitted, problem = store.load(store.find(approach, name), device="cpu"), problems.get(name)
    rows = pd.concat([compare_guides(fitted, problem, count=count, tasks=tasks, steps=steps, draws=draws, seed=seed)
                      for steps in STEPS])
    return keep(rows.drop(columns="seconds").round(5).assign(count=count), "guides", approach, name, tasks=tasks,
                draws=draws, seed=seed, command=f'nfdlab.evaluate.guides.keep_guides("{approach}", "{name}")')
