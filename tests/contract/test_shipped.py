"""Shipped weights are put to use, all of them: what was seen matters, and so does what the diffusion says.

A decoder may ignore its latent, and an encoder its data; then draws look fine and mean nothing. Here one part is
spoiled at a time, and the fair CRPS on the same tasks must rise by a stated number of standard errors of the paired
difference. Few sampling steps and few particles make worse draws, but ones that are conditioned alike.
"""

from functools import cache

import pytest
import torch

import nfdlab as nfd
from nfdlab import problems, store
from nfdlab.core.rng import child
from nfdlab.core.types import Observations
from nfdlab.diffusion.noise import white
from nfdlab.evaluate.scores import crps, variogram

SHIPPED = sorted(store.shipped())
DRAWS, TASKS, STEPS = 16, 30, 4
EARLY = {6: 10, 9: 7, 15: 5}         # standard errors that end it after so many tasks: as rare as 4 in 30 (Student)
COUNTS = {1: (3, 6, 12), 2: (10, 30, 60), 3: (10, 30, 60)}
POINTS = {1: (64,), 2: (12, 12), 3: (6, 6, 6)}


@cache
def asked(approach, name):
    """The fitted object, the points asked, and TASKS fresh tasks of the side never trained on: (truth, seen, seed)."""
    problem = problems.get(name)
    d, tasks = problem.d, []
    coords = nfd.cell_centres(POINTS[d])
    for i in range(TASKS):
        own = child(17, "leak", name, i)
        truth = problems.held_out(problem).draw(1, seed=own)
        seen = nfd.observe(truth, nfd.patterns.Random(count=COUNTS[d][i % 3]), seed=own)
        tasks.append((truth(coords)[0], seen, own))
    fitted = nfd.load(approach, name, device="cpu")
    if "num_particles" in fitted.about["config"]:
        fitted.about["config"].update(num_particles=32, rounds=4)
    if fitted.about["config"].get("guide") == "reweighted":                   # its hundreds of draws a task, not needed
        fitted.about["config"]["guide"] = "encoder"
    return fitted, coords, tasks


def rise(spoiled, right, own_scale: bool = False) -> float:
    """How much worse, in standard errors of the mean paired difference; each number of observations on its scale, or
    each task on its own: a patch of a picture may be sky or petals, and a few would else be all the variance."""
    if own_scale:
        worse = torch.tensor(spoiled, dtype=torch.float64).log() - torch.tensor(right, dtype=torch.float64).log()
        return float(worse.mean() / (worse.std() / len(worse) ** 0.5))
    spoiled, right = (torch.tensor(x, dtype=torch.float64).reshape(-1, 3) for x in (spoiled, right))
    worse = ((spoiled - right) / right.mean(0)).flatten()
    return float(worse.mean() / (worse.std() / len(worse) ** 0.5))


@pytest.mark.parametrize("approach,name", SHIPPED)
def test_what_was_seen_matters(approach, name):
    """Values handed to one another's places: at least 4 standard errors worse, or more on the first tasks alone."""
    fitted, coords, tasks = asked(approach, name)
    right, spoiled, unlike = [], [], problems.get(name).oracle() is None
    for truth, seen, seed in tasks:
        turned = Observations(seen.coords, seen.values.roll(1, 0), seen.noise_std)
        for found, given in ((right, seen), (spoiled, turned)):
            found.append(float(crps(fitted.draw(given, 4, seed=seed, steps=STEPS)(coords), truth)))
        if len(right) in EARLY and rise(spoiled, right, own_scale=unlike) > EARLY[len(right)]:
            return
    assert rise(spoiled, right, own_scale=unlike) > 4


@pytest.mark.parametrize("name", ["gp1d", "sawtooth1d"])
def test_the_diffusion_of_sparse_conditional_is_no_decoration(name):
    """Latents of nought, and latents handed to the next task: at least 4 standard errors worse each.

    White noise in place of latents has the right scale but no diffusion made it: it says how much is left open, not
    which values go together. The variogram score, which sees that, must rise by 3.
    """
    fitted, coords, tasks = asked("sparse_conditional", name)
    given = [fitted.conditioning(seen) for _, seen, _ in tasks]
    latents = [list(fitted.path(seen, DRAWS, seed=seed, steps=STEPS))[-1].x for _, seen, seed in tasks]

    def scores(latents, score=crps):
        return [float(score(fitted.decode(latent, own)(coords), truth))
                for latent, own, (truth, _, _) in zip(latents, given, tasks, strict=True)]

    nought = [torch.zeros_like(latents[0])] * len(latents)
    noise = [white(DRAWS, fitted.net.shape, seed=seed) for _, _, seed in tasks]
    assert rise(scores(nought), scores(latents)) > 4
    assert rise(scores(latents[1:] + latents[:1]), scores(latents)) > 4
    assert rise(scores(noise, variogram), scores(latents, variogram)) > 3
