"""The contestants for a problem and a device: the model given, or its sibling from the shipped weights; the reference;
and a second contestant, by name."""

import threading
from dataclasses import replace

import torch

from .. import approaches, baselines, problems
from ..core.checks import require, require_name
from ..core.config import PRIORS
from ..core.types import Fitted, Problem, Trained
from ..evaluate.provenance import require_same_problem
from ..exact.posterior import Exact
from ..store import about, find, load, shipped
from .view import LEVELS, Comparison


def devices() -> list[str]:
    """The devices of this machine."""
    found = ["cuda"] if torch.cuda.is_available() else []
    return ["auto", "cpu", *found, *(["mps"] if torch.backends.mps.is_available() else [])]


def require_model(model) -> None:
    """Refuse what is not a `Fitted`."""
    require(isinstance(model, Fitted), kind=TypeError, must="model: a Fitted, something with draw(seen, n, seed=).",
            came=model, why="The panel needs its draws.",
            do='nfdlab.load("sparse_conditional", "gp1d"), or problem.oracle().')


class Lineup:
    """Comparisons by the name of a problem and a device. The pair given first keeps its own problem and knobs."""

    def __init__(self, model: Fitted, problem: Problem):
        require(isinstance(problem, Problem), kind=TypeError, must="problem: a Problem.", came=problem,
                why="The panel draws its truths and its exact posterior.", do='nfdlab.problems.get("gp1d").')
        require_model(model)
        require_same_problem(model, problem)
        self.model, self.problem = model, problem
        self._known: dict[tuple[str, str, str], Comparison] = {}
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Names of the problems offered: its own, and those of one to three coordinates that need no user's data and
        for which there is a sibling of the model."""
        own = self.problem.card.name
        offered = [name for name in problems.names() if name != "arrays" and self._has(name)]
        return offered if own in offered else [own, *offered]

    def _has(self, name: str) -> bool:
        """Whether a problem has one to three coordinates, what it needs is installed, and there is such a model."""
        if isinstance(self.model, Trained) and (self.model.about["approach"], name) not in shipped():
            return False
        try:
            problem = problems.get(name)
        except ImportError:
            return False
        return problem.d in LEVELS and not (isinstance(self.model, Exact) and problem.card.exact.startswith("none"))

    def find(self, name: str) -> Problem:
        """The problem of that name."""
        own = self.problem.card.name
        return self.problem if name == own else problems.get(require_name(name, self.names(), "problem of the panel"))

    def steps(self, name: str) -> int | None:
        """Sampling steps that the model for a problem takes by default; None where it takes none."""
        if not isinstance(self.model, Trained):
            return None
        if name == self.problem.card.name:
            return getattr(self.model, "steps", None)
        return about(find(self.model.about["approach"], name))["config"].get("steps")

    def rivals(self, name: str) -> list[str]:
        """Names of second contestants on a problem: "" for none, approaches that ship for it, the model itself among
        them, for another sampler; approaches by their other prior; baselines."""
        pairs = [approach for approach, problem in shipped() if problem == name]
        pairs += [f"{approach}--{prior}" for prior in PRIORS for approach, problem in shipped(prior) if problem == name]
        card, own = self.find(name).card, [self._label()] * isinstance(self.model, Trained)
        # kriging is the reference itself where no posterior is known
        idle = {"kriging": card.exact.startswith("none"), "linear_in_time": "t" not in card.axes}
        return ["", *dict.fromkeys([*own, *pairs, *(b for b in baselines.names() if not idle.get(b))])]

    def comparison(self, name: str, device: str = "auto", rival: str = "") -> Comparison:
        """Model, reference and rival for a problem; refused where no weights are shipped."""
        with self._lock:
            if (name, device, "") not in self._known:
                problem = self.find(name)
                oracle = problem.oracle()
                self._known[name, device, ""] = Comparison(
                    problem, self._model(problem, device), self._label(), oracle or baselines.get("kriging"),
                    "exact posterior" if oracle else "kriging")
            found = self._known[name, device, ""]
            if rival and (name, device, rival) not in self._known:
                self._known[name, device, rival] = replace(found, rival=self._rival(rival, found, device),
                                                           rival_name=rival)
            return self._known[name, device, rival]

    def _rival(self, rival: str, found: Comparison, device: str) -> Fitted:
        require_name(rival, self.rivals(found.problem.card.name), "second contestant")
        if rival == self._label():
            return found.model
        if rival in baselines.names():
            return baselines.get(rival, found.problem)
        approach, _, prior = rival.partition("--")
        return load(approach, found.problem.card.name, prior=prior or None, device=device)

    def _label(self) -> str:
        if isinstance(self.model, Trained):
            return self.model.about.get("approach", "model")
        return "exact, other draws" if isinstance(self.model, Exact) else type(self.model).__name__.lower()

    def _model(self, problem: Problem, device: str) -> Fitted:
        model, own = self.model, problem is self.problem
        if isinstance(model, Trained):
            approach = model.about["approach"]
            if not own:
                return load(approach, problem.card.name, device=device)       # shipped weights of the same approach
            if device not in ("auto", model.device.type):
                return approaches.get(approach).restore(model.about, model.tensors(), device)
            return model
        return problem.oracle() if isinstance(model, Exact) and not own else model
