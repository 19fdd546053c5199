"""Load what ships, or train it live: the choice that every lesson begins with."""

from . import problems, recipes, store
from .core.types import Budget, Watch, quiet
from .inference.posterior import TrainedModel


def load_or_train(approach: str, problem, *, budget: str | Budget = "reference", seed: int = 0, device: str = "auto",
                  watch: Watch = quiet) -> TrainedModel:
    """The shipped weights of an approach and a problem, by name or instance, at the budget "reference"; else trained.

    A problem whose knobs are not those of the shipped weights is trained, at the lesson's budget.
    """
    problem = problems.get(problem) if isinstance(problem, str) else problem
    if budget == "reference":
        path = store.shipped().get((approach, problem.card.name))
        if path is not None and store.about(path)["knobs"] == recipes.knobs(problem):
            return store.load(approach, problem.card.name, device=device)
        budget = "lesson"
    return recipes.train(approach, problem, budget=budget, seed=seed, device=device, watch=watch)
