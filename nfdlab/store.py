"""Trained approaches as files: tensors in safetensors, everything else as JSON in its header.

Loading executes no code. Torch is imported where tensors are, so that names and headers are read without it.
"""

from __future__ import annotations

import json
import os
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from . import approaches, problems
from .core.checks import UnknownName, four_parts, require, require_name

if TYPE_CHECKING:
    import torch

    from .inference.posterior import TrainedModel

FORMAT = "nfdlab 2"


def shipped(prior: str | None = None) -> dict[tuple[str, str], Path]:
    """The weights that came with the package: (approach, problem) -> file, NAME--PROBLEM.safetensors; or those beside
    them of another `prior`, NAME--PROBLEM--white.safetensors."""
    found = sorted(Path(str(files("nfdlab.weights"))).glob("*.safetensors"))
    parts = [(tuple(f.stem.split("--")), f) for f in found]
    return {p[:2]: f for p, f in parts if p[2:] == (() if prior is None else (prior,))}


def variants() -> list[str]:
    """Approaches some of whose weights ship with a second prior, as the bench calls them: "score_field--white"."""
    return sorted({f"{approach}--{prior}" for prior in ("gaussian", "white") for approach, _ in shipped(prior)})


def prior_of(path: str | Path) -> str:
    """The prior of a weights file: "white" or "gaussian"."""
    from .core.config import from_mapping

    found = about(path)
    return from_mapping(approaches.get(found["approach"]), found["config"]).prior


def save(fitted, path: str | Path, *, dtype: torch.dtype | None = None) -> Path:
    """Write a trained approach to `path` (a .safetensors file), whole or not at all: in float32 by default. float16
    halves the file."""
    import torch
    from safetensors.torch import save_file

    from .inference.posterior import TrainedModel

    require(isinstance(fitted, TrainedModel), kind=TypeError, must="fitted: a trained approach.", came=fitted,
            why="Exact posteriors and baselines have no weights to save.",
            do="Save what nfdlab.train returned.")
    path = Path(path)
    require(path.suffix == ".safetensors", must="path: a file name ending in .safetensors.", came=str(path),
            why="The suffix tells what can read it.", do=f"save(fitted, {str(path.with_suffix('.safetensors'))!r}).")
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.detach().to("cpu", (dtype or v.dtype) if v.dtype == torch.float32 else v.dtype).contiguous()
               for k, v in fitted.tensors().items()}
    temporary = path.with_name(path.name + ".part")
    try:
        save_file(tensors, temporary, {"format": FORMAT, "about": json.dumps(fitted.about)})
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def about(path: str | Path) -> dict:
    """What a weights file says of itself: approach, config, problem, knobs, budget, scores."""
    try:
        with safe_open(path, "np") as f:
            header = f.metadata() or {}
        form = header.get("format")
        require(form == FORMAT, must=f"A weights file of format {FORMAT!r}.", came=str(form),
                why="Files of another format, such as 'nfdlab 1', hold networks under other names.",
                do="Train again: nfdlab train APPROACH PROBLEM. Or use the release that wrote the file.")
        found = json.loads(header["about"])
        return {"approach": found["approach"], **found}          # a header without an approach is not ours
    except (SafetensorError, OSError, json.JSONDecodeError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(four_parts("path: a readable nfdlab weights file.", str(path),
                                    f"{type(error).__name__}: {str(error)[:120]}. It may be torn or of another kind.",
                                    "Restore the file, or train again: nfdlab train APPROACH PROBLEM.")) from error


def load(approach: str, problem: str | Path | None = None, prior: str | None = None, *, device: str = "auto"):
    """A trained approach: `load("sparse_conditional", "gp1d")` from the shipped weights, or `load(path)`, or
    `load("sparse_conditional", path)`. `prior`: "white" or "gaussian"; None is that of the pair's first file."""
    path = find(approach, problem, prior)
    found = about(path)
    kind = approaches.get(found["approach"])
    with safe_open(path, "pt") as f:
        tensors = {key: f.get_tensor(key) for key in f.keys()}          # noqa: SIM118 (safe_open is no mapping)
    try:
        return restored(kind, found, tensors, device)
    except (RuntimeError, TypeError, KeyError) as error:
        raise ValueError(four_parts("A weights file that fits its own config.", str(path), str(error)[:200],
                                    "The file is from another version: train again.")) from error


def find(approach: str, problem: str | Path | None = None, prior: str | None = None) -> Path:
    """The weights file that `load` reads for the same arguments; unknown names and lost files are refused."""
    if prior is not None:
        from .core.config import PRIORS

        require_name(prior, PRIORS, "prior")
    named = isinstance(problem, str) and not problem.endswith(".safetensors")
    if named:
        require_name(approach, approaches.names(), "approach"), require_name(problem, problems.names(), "problem")
        have = shipped()
        require((approach, problem) in have, kind=UnknownName, must="An approach and a problem whose weights ship.",
                came=f"{approach!r}, {problem!r}", why="Those weights are not in the package. It has: "
                + (", ".join(f"{p} ({a})" for a, p in have) or "none") + ".",
                do=f"nfdlab.train({approach!r}, {problem!r}), or nfdlab train {approach} {problem} in a shell.")
        path = shipped(prior).get((approach, problem), have[approach, problem])
    else:
        path = Path(approach if problem is None else problem)
        require(path.exists(), must="path: a weights file that exists.", came=str(path), why="Nothing is there.",
                do='nfdlab.load("sparse_conditional", "gp1d") loads the shipped weights.')
    own = prior if prior is None else prior_of(path)
    require(own == prior, must=f"Weights with the {prior} prior.", came=f"{path.name}, with the {own} prior",
            why="None with the other one ship.", do="Leave prior out, or train: "
            f"nfdlab.train(nfdlab.approaches.get({approach!r})(prior={prior!r}), {str(problem)!r}).")
    return path


def restored(kind: type, found: dict, tensors: dict[str, torch.Tensor], device: str = "auto") -> TrainedModel:
    """A trained approach of class `kind` from its header and its tensors: same draws, no code executed.

    Half precision becomes single. A KeyError, TypeError or RuntimeError says that header and tensors do not fit.
    """
    from .core.config import from_mapping
    from .training import resolve_device

    config = from_mapping(kind, found["config"])
    net = config.build(found["d"], found["c"])
    net.load_state_dict(tensors)
    return kind.trained(net.to(resolve_device(device)).eval(), found, config.steps)
