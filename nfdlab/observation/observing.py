"""Observe one function through a pattern, with noise: Fields and a pattern -> Observations or LinearObservations."""


from ..core import single
from ..core.capabilities import FollowsField, MeasuresLinearly, Pattern
from ..core.checks import require, require_number, require_seed
from ..core.rng import child, stream
from ..core.types import Fields, LinearObservations, Observations, Seen


def observe(fields: Fields, pattern, *, noise_std: float = 0.05, seed: int) -> Seen:
    """Observations of one function: its values at the pattern's places plus noise_std·ε. BlockAverage, Blur and
    Projections make LinearObservations: averages or integrals, with the same noise.

    `fields` must hold one function (n = 1). Places and noise have streams of their own, so the same seed keeps the
    places when only the noise changes.
    """
    require(isinstance(fields, Fields), kind=TypeError, must="fields: Fields of one function.",
            came=fields, why="Observations are made of a function.", do="problem.draw(1, seed=0).")
    require(fields.n == 1, must="fields: one function (n = 1).", came=f"Fields with n = {fields.n}",
            why="Observations belong to one function.", do="Take one of them: fields[3].")
    require(isinstance(pattern, Pattern | MeasuresLinearly), kind=TypeError, came=pattern,
            must="pattern: one of nfdlab.patterns.", why="A pattern gives the places of the observations.",
            do="nfdlab.patterns.Random(count=8).")
    require_number(noise_std, "noise_std", 0.0)
    own = child(require_seed(seed), "places")
    weights = None
    if isinstance(pattern, MeasuresLinearly):
        places, weights = pattern.rows(fields.d, seed=own)
    elif isinstance(pattern, FollowsField):
        places = pattern.places(fields, seed=own)
    else:
        places = pattern.coords(fields.d, seed=own)
    clean = fields(places)[0] if len(places) else single.zeros(0, fields.c)
    clean = clean if weights is None else weights @ clean
    values = clean + noise_std * single.randn(clean.shape, generator=stream(seed, "noise"))
    return Observations(places, values, noise_std) if weights is None else \
        LinearObservations(places, weights, values, noise_std)
