"""Ablation: an approach scored with a part of it taken away, on the same tasks -> who does the work.

The arms:
- "full": the approach as it is.
- "network silenced": the Gaussian prior's own answer, F = 0, read by a linear field. With a white prior, whose own
  answer knows nothing of the observations, that of the measured Gaussian that its networks are shown, if there is one.
- "field silenced": the linear reading alone, where a learned field adds to one.
- "Gaussian draws": a Gaussian of the draws' own mean and covariance in place of the draws; and the same of the exact
  posterior, "exact, Gaussian draws", which says what that costs where nothing else is wrong.
- "other prior": the same approach with the other prior, where it is given.
- "not reweighted": the denoiser's draws as they are, where they are weighted by the likelihood.

Tables of shipped weights are kept as files in the package, each under a key: a hash of the weights, the problem and the
setting. `nfdlab ablate APPROACH PROBLEM` makes one.
"""

import io
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from .. import approaches, store
from ..baselines import get as baseline
from ..core import single
from ..core.capabilities import Silenceable
from ..core.checks import require, require_count, require_name, require_seed
from ..core.config import from_mapping
from ..core.fields import EvaluatedFields
from ..core.files import write_text
from ..core.grid import interpolate
from ..core.rng import child, normals, stream
from ..core.types import Fields, Fitted, ObservationBatch, Observations, Problem
from ..diffusion.denoiser import NOTHING, Conditioning
from ..gaussian.karhunen_loeve import LEAST_NOISE, GaussianExpansion
from ..inference.posterior import DecoderError, LatentNetwork, LatentPosterior, TrainedModel
from .cells import fingerprint
from .results import Table
from .stamp import RULERS, cases_of
from .table import compare

FULL, NETWORK, FIELD, GAUSSIAN, OTHER = "full", "network silenced", "field silenced", "Gaussian draws", "other prior"
EXACT_GAUSSIAN, PLAIN = "exact, Gaussian draws", "not reweighted"
ARMS = NETWORK, FIELD, GAUSSIAN, OTHER, PLAIN, EXACT_GAUSSIAN
BASE = 128                           # draws whose mean and covariance a Gaussian takes
TASKS, DRAWS = 30, 32                # of a table that is kept
COLUMNS = ["contestant", "m", "task", "crps", "energy"]
READ_FROM = 2048                     # functions that a linear reading is measured on
RIDGE = 1e-3                         # of that regression, in units of a latent's variance


class DrawnOnce:
    """A Fitted that draws once for each observations it is handed, whatever the seed, and gives the first n of BASE
    draws: two arms that are made of the same draws cost one, and are compared in pairs."""

    def __init__(self, fitted: Fitted):
        self.fitted, self._last = fitted, (None, None)

    def draw(self, seen: Observations | None, n: int, *, seed: int, steps: int | None = None) -> Fields:
        """The first n, up to BASE, of the draws given `seen`."""
        if seen is None or self._last[0] is not seen:
            self._last = seen, self.fitted.draw(seen, BASE, seed=seed, steps=steps)
        return self._last[1][:n]


@dataclass(frozen=True, eq=False)
class GaussianDraws:
    """A Gaussian with the mean and covariance of BASE draws of `fitted`, as a Fitted: what is left without the shape of
    their distribution."""

    fitted: Fitted

    def draw(self, seen: Observations | None, n: int, *, seed: int, steps: int | None = None) -> EvaluatedFields:
        """n draws: mean + Σ_j z_j (f_j − mean)/√(BASE − 1) over the draws f_j of `fitted`, z normal."""
        base = self.fitted.draw(seen, BASE, seed=require_seed(seed), steps=steps)
        z = normals(seed, require_count(n), (BASE,), "gaussian draws") / (BASE - 1) ** 0.5

        def rule(coords: Tensor, part: slice | Tensor) -> Tensor:
            require(coords.ndim == 2, must="coords: (p, d), the same for all draws.", came=coords,
                    why="Each draw is a sum of all draws at the same places.", do="Ask for all places of all draws.")
            values = base(coords)
            mean = values.mean(0)
            return mean + torch.einsum("nk,kpc->npc", z[part].to(values), values - mean)

        return EvaluatedFields(rule, n, base.d, base.c, width=BASE)


@dataclass(frozen=True, eq=False)
class ChannelDraws:
    """The posterior of the measured Gaussian that an encoder is shown, `channels`, as a Fitted: the closed form without
    the networks."""

    channels: GaussianExpansion

    def draw(self, seen: Observations | None, n: int, *, seed: int, steps: int | None = None) -> EvaluatedFields:
        """n draws of the weights' posterior; what the directions leave is white noise on the measured grid."""
        found, like = self.channels, next(self.channels.buffers())
        posterior = found.prior() if seen is None or seen.m == 0 else found.condition(
            ObservationBatch.of([seen.sorted()]).to(like.device))
        weights = posterior.mean + posterior.draw(require_count(n), seed=require_seed(seed))
        white = normals(seed, n, (found.c, *found.measured), "residual")

        def rule(coords: Tensor, part: slice | Tensor) -> Tensor:
            where = coords.to(like)
            known = found.mean(where) + (weights[part] @ found.rows(where).T).unflatten(-1, (-1, found.c))
            left = (found.residual_variance(where) - LEAST_NOISE**2).clamp_min(0).sqrt()
            noise = interpolate(white[part].to(like), where) / _averaged(found.measured, where)
            return (known + left * noise).to(coords)

        return EvaluatedFields(rule, n, found.d, found.c)


def _averaged(shape: tuple[int, ...], coords: Tensor) -> Tensor:
    """Standard deviation of white noise of unit variance on a grid, interpolated at coords (p, d): (p, 1)."""
    sides = torch.tensor(shape).to(coords)
    share = ((coords + 1) / 2 * sides - 0.5).clamp(min=coords.new_zeros(len(shape)), max=sides - 1) % 1
    return (share.square() + (1 - share).square()).prod(-1, keepdim=True).sqrt()


class LinearReading(LatentNetwork):
    """A latent network whose field is replaced by the best linear reading of the latent: regression on functions.

    f(x) = f̄(x) + (z − z̄)ᵀ (ZᵀZ + λ)⁻¹ Zᵀ (F(x) − f̄(x)), over latents Z (k, entries) of functions F whose values are
    known anywhere.
    """

    def __init__(self, net: LatentNetwork, latents: Tensor, functions: Fields):
        super().__init__()
        self.shape, self.denoiser, self.gaussian, self.functions = net.shape, net.denoiser, net.gaussian, functions
        flat = latents.flatten(1).double()
        self.register_buffer("middle", flat.mean(0))
        away = flat - self.middle
        inner = away.T @ away + RIDGE * len(flat) * single.eye(flat.shape[1]).to(away)
        self.register_buffer("smoother", torch.linalg.solve(inner, away.T))                   # (entries, k)
        self.condition, self.amortised = net.condition, net.amortised

    def prepare(self, latent: Tensor, conditioning: Conditioning = NOTHING) -> tuple[Tensor, ...]:
        return ((latent.flatten(1).double() - self.middle) @ self.smoother,)

    def evaluate(self, coords: Tensor, prepared: tuple[Tensor, ...]) -> Tensor:
        (weights,), c = prepared, self.functions.c
        places = coords.detach().reshape(-1, coords.shape[-1]).cpu()
        known = self.functions(places).to(weights)                                            # (k, p or n p, c)
        mean = known.mean(0)
        if coords.ndim == 2:
            return (mean + torch.einsum("nk,kpc->npc", weights, known - mean)).to(coords)
        away, shape = (known - mean).reshape(len(known), *coords.shape[:2], c), (*coords.shape[:2], c)
        return (mean.reshape(shape) + torch.einsum("nk,knpc->npc", weights, away)).to(coords)


def silenced(fitted: TrainedModel, part: str, source: Problem, *, seed: int = 0) -> Fitted | None:
    """A copy of a trained approach with its "network" or its "field" silenced; None where that has no meaning.

    Without its network, the field too is linear: its addition is silenced, or else it is replaced by the best linear
    reading of the latent, regressed on draws of `source`.
    """
    require_name(part, ("network", "field"), "part")
    kind, channels = approaches.get(fitted.about["approach"]), getattr(fitted.net, "gaussian_channels", None)
    model = store.restored(kind, fitted.about, fitted.tensors(), str(fitted.device))
    silent = {p: [m.silence(p) for m in list(model.net.modules()) if isinstance(m, Silenceable)]
              for p in (("field",) if part == "field" else ("network", "field"))}
    if part == "field":
        return model if any(silent["field"]) else None
    if from_mapping(kind, fitted.about["config"]).prior == "white":
        return None if channels is None else ChannelDraws(channels)
    if any(silent["field"]) or not isinstance(model, LatentPosterior):
        return model
    functions = source.draw(READ_FROM, seed=child(seed, "linear reading"))
    latents = model.encode(functions)
    net = LinearReading(model.net, latents, functions).eval()
    some = source.draw(64, seed=child(seed, "linear reading", "errors"))
    places = 2 * single.rand(256, some.d, generator=stream(seed, "places")) - 1
    errors = net.values(places, model.encode(some)).cpu() - some(places)
    return LatentPosterior(net, {**model.about, **DecoderError.record(errors)}, model.steps)


def arms(fitted: TrainedModel, problem: Problem, other: TrainedModel | None = None) -> dict[str, Fitted]:
    """The arms of an approach's ablation on a problem, by name, with the exact posterior's and the best linear answer's
    beside them."""
    oracle, full = problem.oracle(), DrawnOnce(fitted)
    reweighted = isinstance(fitted, LatentPosterior) and fitted.guide() == "reweighted"
    found = {FULL: full, NETWORK: silenced(fitted, "network", problem), FIELD: silenced(fitted, "field", problem),
             GAUSSIAN: GaussianDraws(full), EXACT_GAUSSIAN: None if oracle is None else GaussianDraws(oracle),
             OTHER: other, PLAIN: fitted.using(guide="encoder") if reweighted else None}
    return {name: arm for name, arm in found.items() if arm is not None}


def ablate(fitted: TrainedModel, problem: Problem, *, tasks: int = 30, draws: int = 32, seed: int = 0,
           other: TrainedModel | None = None, progress: Callable[[int, int], object] | None = None) -> Table:
    """All arms on the same tasks, at the observations that the problem is judged at, less the prior -> Table.

    Its reference is the exact posterior; where there is none, what scores on this problem are compared with (`stamp`).
    `optimal_interpolation` is among the contestants.
    """
    require(draws <= BASE, must=f"draws: at most {BASE}.", came=draws, why="Gaussians are made of so many.",
            do=f"draws={BASE}, or fewer.")
    pattern = {m: case for m, case in cases_of(problem, fitted.about["approach"]) if case is not None}
    ruler = None if problem.oracle() is not None else RULERS.get(problem.card.name, "kriging")
    rivals = {name: baseline(name, problem) for name in ("optimal_interpolation", *([ruler] if ruler else ["kriging"]))}
    return compare({**arms(fitted, problem, other), **rivals}, problem, pattern=pattern, tasks=tasks, draws=draws,
                   seed=seed, against=None if ruler is None else rivals[ruler], progress=progress)


def folder() -> Path:
    """Where tables are kept."""
    return Path(str(files("nfdlab.weights"))) / "ablation"


def key(approach: str, problem: str, tasks: int, draws: int, *, seed: int) -> str:
    """What a kept table depends on: the weights and what their file says of them, the problem's knobs, the setting."""
    path = store.find(approach, problem)
    setting = {"weights": store.digest(path), "problem": [problem, store.about(path)["knobs"]],
               "tasks": tasks, "draws": draws, "seed": seed}
    return fingerprint(json.dumps(setting, sort_keys=True).encode())


def keep(table: Table, approach: str, command: str) -> Path:
    """Write a table of shipped weights where `kept` finds it; its head says the commit and the command."""
    tasks = int(table.rows["task"].max()) + 1
    git = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=Path(__file__).parent, capture_output=True,
                         text=True)
    head = {"key": key(approach, table.problem, tasks, table.draws, seed=table.seed), "reference": table.reference,
            "tasks": tasks, "draws": table.draws, "seed": table.seed, "commit": git.stdout.strip() or "unknown",
            "command": command}
    folder().mkdir(exist_ok=True)
    text = table.rows[COLUMNS].to_csv(index=False, float_format="%.5g", lineterminator="\n")
    return write_text(folder() / f"{approach}--{table.problem}.csv", f"# {json.dumps(head)}\n{text}")


def kept(approach: str, problem: str) -> Table:
    """The kept table of shipped weights; refused where there is none, or where it belongs to other weights."""
    path = folder() / f"{approach}--{problem}.csv"
    make = f"nfdlab ablate {approach} {problem}"
    require(path.is_file(), must="A pair whose ablation was measured.", came=f"{approach} on {problem}",
            why="It takes minutes, so it is measured once.", do=make)
    text = path.read_text(encoding="utf-8")
    head = json.loads(text.partition("\n")[0][2:])
    own = key(approach, problem, head["tasks"], head["draws"], seed=head["seed"])
    require(head["key"] == own, must="A table measured on the weights that ship.",
            came=str(path), why="Weights, problem or setting have changed since.", do=make)
    rows = pd.read_csv(io.StringIO(text), comment="#", dtype={"m": str})
    return Table(rows, problem, head["reference"], head["draws"], head["seed"])


def worth(table: Table) -> pd.DataFrame:
    """An ablation as a table: a row for each contestant, its CRPS as a ratio to the reference and to the full approach,
    averaged over m, each with its 95 % interval by a paired bootstrap over tasks."""
    rows, of_full = [], replace(table, reference=FULL)
    for name in table.contestants:
        found = [t.ratio("crps", name).loc["mean"] for t in (table, of_full)]
        rows.append({"contestant": name, **{f"{column}{end}": float(ratio[value]) for column, ratio in
                                            zip((f"to {table.reference}", "to full"), found, strict=True)
                                            for end, value in (("", "crps"), (" low", "low"), (" high", "high"))}})
    return pd.DataFrame(rows).set_index("contestant")
