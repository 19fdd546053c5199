"""Adaptive sampling without a prior, by the package `adaptive`: a policy for `observation.active.Search`.

Learner1D halves the interval that is longest in the plane of place and value, Learner2D the triangle. Neither expects
anything between two measurements that agree.
"""

import torch
from torch import Tensor

from ..core.checks import require
from ..observation.active import Search


def adaptive_grid(search: Search, k: int = 1) -> Tensor:
    """The next k places (k, d) by `adaptive`'s learner, given the observations of the search (first channel).

    The learner is rebuilt from the observations each time, so a search stays a value.
    """
    from adaptive import Learner1D, Learner2D

    require(search.d in (1, 2), must="a search over one or two coordinates.", came=f"d = {search.d}",
            why="There is a learner of lines and one of triangles.", do='policy="grid" in more dimensions.')
    learner = Learner1D(None, (-1.0, 1.0)) if search.d == 1 else Learner2D(None, [(-1.0, 1.0)] * 2)
    for place, value in zip(search.seen.coords.double().tolist(), search.seen.values[:, 0].tolist(),
                            strict=True) if search.m else ():
        learner.tell(place[0] if search.d == 1 else tuple(place), value)
    places = learner.ask(k)[0]
    return torch.tensor(places, dtype=torch.float64).reshape(k, search.d).clamp(-1, 1).float()
