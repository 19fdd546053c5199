"""Golden draws: what the shipped weights drew when they were made, they draw still, to 1e-4 of the scale.

`golden.npz` was recorded before weights files had format 2: of each file prior draws and, where no resampling decides,
conditional ones, at four sampling steps and three seeds; of guided ones the first call of the denoiser. 1e-4 leaves
room for another processor's rounding where it is not amplified. Linearised guidance amplifies it where a decoder has
edges: weights changed by 1e-6 move the first guided call on `step1d` by 0.08 of its scale. So what is further off than
1e-4 must be explained by such a change of the weights.
"""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from nfdlab import problems, store
from nfdlab.core.types import Observations

GOLDEN = Path(__file__).with_name("golden.npz")
TOLERANCE = 1e-4
ROUNDING = 1e-6                  # relative change of weights: some float32 roundings one after another


@cache
def recorded() -> dict[str, np.ndarray]:
    with np.load(GOLDEN) as file:
        return dict(file)


def queries(d: int) -> torch.Tensor:
    return (2 * torch.rand(24, d, generator=torch.Generator().manual_seed(5)) - 1)


def observed(problem: str) -> Observations:
    return Observations(*(torch.from_numpy(recorded()[f"observed/{problem}_{axis}"]) for axis in "xy"), 0.05)


def drawn(fitted, problem: str, what: str, seed: int) -> torch.Tensor:
    """The same numbers as in the record: draws (3, 8, c), or what the denoiser answers in its first call (2, 64)."""
    if what == "guided":
        path = fitted.path(observed(problem), 2, seed=seed, steps=4, guide="linearised")
        return next(path).denoised.flatten(1)[:, :64]
    seen = None if what == "prior" else observed(problem)
    return fitted.draw(seen, 3, seed=seed, steps=4)(queries(fitted.about["d"]))[:, ::3]


@torch.no_grad()
def moved(fitted, problem: str, what: str, seed: int) -> list[torch.Tensor]:
    """What weights would draw that are changed by ROUNDING, four times."""
    weights, found = {key: value.clone() for key, value in fitted.net.state_dict().items()}, []
    for change in range(4):
        rng = torch.Generator().manual_seed(change)
        for value in fitted.net.state_dict().values():
            if value.dtype == torch.float32:
                value.mul_(1 + ROUNDING * torch.randn(value.shape, generator=rng))
        found.append(drawn(fitted, problem, what, seed))
        fitted.net.load_state_dict(weights)
    return found


@pytest.mark.parametrize("approach,problem", sorted(store.shipped()))
def test_shipped_weights_draw_what_they_drew(approach, problem):
    fitted, name = store.load(store.shipped()[approach, problem], device="cpu"), f"{approach}--{problem}"
    keys = [key for key in recorded() if key.startswith(name + "/")]
    if not keys:
        pytest.skip("trained after the record was made")
    assert len(keys) in (6, 9)
    for key in keys:
        _, what, seed = key.split("/")
        before, now = torch.from_numpy(recorded()[key]), drawn(fitted, problem, what, int(seed))
        before = before[0] if what == "guided" else before
        scale = before.abs().max()
        apart = float((now - before).abs().max() / scale)
        if apart >= TOLERANCE:
            allowed = 4 * max(float((m - now).abs().max() / scale) for m in moved(fitted, problem, what, int(seed)))
            assert apart < allowed, f"{key}: {apart:.1e} of the scale, where rounding explains {allowed:.1e}"


def record(names: list[str]) -> None:
    """Record anew what files NAME = approach--problem draw, after they were retrained:
    python -c "import sys; sys.path.insert(0, 'tests/contract'); import test_golden; test_golden.record(['NAME'])"
    """
    kept = recorded()
    for name in names:
        approach, problem = name.split("--")
        fitted = store.load(store.shipped()[approach, problem], device="cpu")
        if f"observed/{problem}_x" not in kept:
            places = queries(fitted.about["d"])[:12]
            values = problems.held_out(problems.get(problem)).draw(1, seed=0)(places)[0]
            kept |= {f"observed/{problem}_x": places.numpy(), f"observed/{problem}_y": values.numpy()}
            recorded.cache_clear(), np.savez_compressed(GOLDEN, **kept)
        kept = {key: value for key, value in kept.items() if not key.startswith(f"{name}/")}
        resampled = fitted.about["config"].get("guide") in ("particles", "reweighted")
        for what in ("prior", "guided" if resampled else "conditional"):
            for seed in range(3):
                found = drawn(fitted, problem, what, seed).numpy()
                kept[f"{name}/{what}/{seed}"] = found[None] if what == "guided" else found
    np.savez_compressed(GOLDEN, **kept)
