"""Observe one function through a pattern, with noise: Fields and a pattern -> Observations."""

import torch

from ..core.capabilities import FollowsField, Pattern
from ..core.checks import require, require_number, require_seed
from ..core.rng import child, stream
from ..core.types import Fields, Observations


def observe(fields: Fields, pattern, *, noise_std: float = 0.05, seed: int) -> Observations:
    """Observations of one function: its values at the pattern's places plus noise_std·ε.

    `fields` must hold one function (n = 1). Places and noise have streams of their own, so the same seed keeps the
    places when only the noise changes.
    """
    require(isinstance(fields, Fields), kind=TypeError, must="fields: Fields of one function.",
            came=fields, why="Observations are made of a function.", do="problem.draw(1, seed=0).")
    require(fields.n == 1, must="fields: one function (n = 1).", came=f"Fields with n = {fields.n}",
            why="Observations belong to one function.", do="Take one of them: fields[3].")
    require(isinstance(pattern, Pattern), kind=TypeError, must="pattern: one of nfdlab.patterns.", came=pattern,
            why="A pattern gives the places of the observations.", do="nfdlab.patterns.Random(count=8).")
    require_number(noise_std, "noise_std", 0.0)
    own = child(require_seed(seed), "places")
    follows = isinstance(pattern, FollowsField)
    coords = pattern.places(fields, seed=own) if follows else pattern.coords(fields.d, seed=own)
    clean = fields(coords)[0] if len(coords) else torch.zeros(0, fields.c)
    noise = torch.randn(clean.shape, generator=stream(seed, "noise"))
    return Observations(coords, clean + noise_std * noise, noise_std)
