"""Trained approaches as files: tensors in safetensors, everything else as JSON in its header.

Loading executes no code. Torch is imported where tensors are, so that names and headers are read without it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from . import approaches, problems
from .core.checks import UnknownName, four_parts, require, require_name
from .core.files import replacing

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
    halves the file. A disk that refuses is an OSError, and what was there is kept."""
    import torch
    from safetensors.torch import save_file

    from .inference.posterior import TrainedModel

    require(isinstance(fitted, TrainedModel), kind=TypeError, must="fitted: a trained approach.", came=fitted,
            why="Exact posteriors and baselines have no weights to save.",
            do="Save what nfdlab.train returned.")
    require(isinstance(path, str | Path), kind=TypeError, must="path: a file name.", came=path,
            why="The weights are written there.", do='save(fitted, "mine.safetensors").')
    path = Path(path)
    require(path.suffix == ".safetensors", must="path: a file name ending in .safetensors.", came=str(path),
            why="The suffix tells what can read it.", do=f"save(fitted, {str(path.with_suffix('.safetensors'))!r}).")
    require(dtype in (None, torch.float16, torch.bfloat16, torch.float32, torch.float64), came=dtype,
            must="dtype: a floating point type of 16 bits or more.", why="Weights are not whole numbers, nor coarse.",
            do="dtype=torch.float16 halves the file.")
    tensors = {k: v.detach().to("cpu", (dtype or v.dtype) if v.dtype == torch.float32 else v.dtype).contiguous()
               for k, v in fitted.tensors().items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            save_file(tensors, part, header(fitted.about, tensors))
    except (OSError, SafetensorError, ValueError) as error:      # a name with a null byte is a ValueError
        raise OSError(four_parts("path: a place that can be written to.", str(path), str(error)[:200],
                                 "Make room, or save elsewhere; the trained approach is still in memory.")) from error
    return path


def header(about: dict, tensors: dict[str, torch.Tensor]) -> dict[str, str]:
    """The entries of a weights file's header: format, what it says of itself, a checksum of that and the tensors."""
    text = json.dumps(about)
    return {"format": FORMAT, "about": text, "digest": checksum(text, tensors)}


def checksum(about: str, tensors: dict[str, torch.Tensor]) -> str:
    """A digest of what a file says of itself, and of names, types, shapes and every bit of the values."""
    import torch

    found = hashlib.blake2b(about.encode(), digest_size=16)
    for name, value in sorted(tensors.items()):
        found.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        found.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def digest(path: str | Path) -> str:
    """The checksum of a weights file: the same for the same model, in whatever order its file is written."""
    about, tensors = _opened(path, tensors=True)
    return checksum(json.dumps(about, sort_keys=True), tensors)


def about(path: str | Path) -> dict:
    """What a weights file says of itself: approach, config, problem, knobs, budget, scores."""
    return _opened(path)[0]


def _header(path: str | Path) -> dict[str, str]:
    """The entries of a safetensors file's header, without its tensors."""
    with safe_open(path, "np") as f:
        return f.metadata() or {}


def _read(path: str | Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """The entries of a safetensors file's header, and its tensors; `safe_open` would open it twice."""
    from safetensors.torch import load

    data = Path(path).read_bytes()
    tensors = load(data)                             # refuses what is torn, before the header is trusted
    return json.loads(data[8:8 + int.from_bytes(data[:8], "little")]).get("__metadata__", {}), tensors


def _opened(path: str | Path, tensors: bool = False) -> tuple[dict, dict[str, torch.Tensor]]:
    """What a file says of itself and, if asked for, its tensors, read in one opening: another process may replace the
    file at any time."""
    try:
        head, held = _read(path) if tensors else (_header(path), {})
        form = head.get("format")
        require(form == FORMAT, must=f"A weights file of format {FORMAT!r}.", came=str(form),
                why="Files of another format, such as 'nfdlab 1', hold networks under other names.",
                do="Train again: nfdlab train APPROACH PROBLEM. Or use the release that wrote the file.")
        found = json.loads(head["about"])
        found = {"approach": found["approach"], **found}         # a header without an approach is not ours
    except (SafetensorError, OSError, json.JSONDecodeError, RecursionError, KeyError, TypeError,
            UnicodeDecodeError) as error:
        raise ValueError(four_parts("path: a readable nfdlab weights file.", str(path),
                                    f"{type(error).__name__}: {str(error)[:120]}. It may be torn or of another kind.",
                                    "Restore the file, or train again: nfdlab train APPROACH PROBLEM.")) from error
    if tensors and "digest" in head:
        require(checksum(head["about"], held) == head["digest"], must="Weights as they were saved.", came=str(path),
                why="Their checksum is another one: some bits have changed.",
                do="Restore the file, or train again: nfdlab train APPROACH PROBLEM.")
    return found, held


def load(approach: str, problem: str | Path | None = None, prior: str | None = None, *, device: str = "auto"):
    """A trained approach: `load("sparse_conditional", "gp1d")` from the shipped weights, or `load(path)`, or
    `load("sparse_conditional", path)`. `prior`: "white" or "gaussian"; None is that of the pair's first file."""
    path = find(approach, problem, prior)
    found, tensors = _opened(path, tensors=True)
    kind = approaches.get(found["approach"])
    require(problem is None or found["approach"] == approach, must=f"Weights of {approach}.",
            came=f"{path.name}, weights of {found['approach']}", why="The file was made by another approach.",
            do=f"nfdlab.load({str(path)!r}), or the file of {approach}.")
    broken = [name for name, value in tensors.items() if not bool(value.isfinite().all())]
    require(not broken, must="Finite weights.", came=f"{path.name}: {', '.join(broken[:3])}",
            why="Not a number, or infinite: every draw would be.", do="Restore the file, or train again.")
    try:
        return restored(kind, found, tensors, device)
    except (RuntimeError, TypeError, KeyError, AttributeError) as error:
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
        path = approach if problem is None else problem
        require(isinstance(path, str | Path), kind=TypeError, must="The names of an approach and a problem, or a path.",
                came=path, why="Weights are found by name, or where a file is.",
                do='nfdlab.load("sparse_conditional", "gp1d").')
        path = Path(path)
        require(path.is_file(), must="path: a weights file that exists.", came=str(path), why="No file is there.",
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
    import torch

    from .core.config import from_mapping
    from .core.device import resolve_device
    from .inference.posterior import KNOBS

    own = {f.name for f in fields(kind)}             # knobs of `using` need not be the approach's own
    config = from_mapping(kind, {k: v for k, v in found["config"].items() if k in own or k not in KNOBS})
    with torch.inference_mode(False):                # a tensor born under inference_mode can never be part of a graph
        net = config.build(found["d"], found["c"])
        net.load_state_dict(tensors)
        return kind.trained(net.to(resolve_device(device)).eval(), found, config.steps)
