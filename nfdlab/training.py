"""One training loop, a generator of `Step`: you watch it, it does not call you.

A budget is wall time, steps, or both; the learning rate follows whatever share of it is used up, so a run of two
minutes and one of thirty have the same shape. Batches are derived from the seed and the step's number, so a run that
is killed and resumed sees the data it would have seen.
"""

import math
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .core import single
from .core.checks import four_parts, require, require_seed
from .core.device import resolve_device
from .core.files import replacing
from .core.rng import child, stream
from .core.types import Budget, Fields, Fitted, ObservationBatch, PointSource, Source, Step, Views, Watch, quiet

SAVE_EVERY = 60.0        # seconds between checkpoints
WARM_UP = 40             # steps
LEAST_STEPS = 200        # below it a training is said to be too short
PACE = 5                 # steps after which it is said how many there will be


class Undertrained(UserWarning):
    """A training of fewer than LEAST_STEPS steps: what it made draws badly and does not know it."""


def undertrained(made: int | None, expected: int) -> str:
    """The sentence about a training of `expected` steps, or of `made` ones."""
    what = f"This training will make about {expected} steps" if made is None else f"Trained for {made} steps"
    return (f"{what}; below {LEAST_STEPS} draws are not to be trusted, nor their uncertainty. Train longer (seconds=, "
            "steps=), on a GPU, or with a smaller width or batch.")


@dataclass
class Stage:
    """One part of a training: a loss of the step's number, what it trains, and its share of the budget.

    `after` is called once, with averaged weights in place, when the stage ends: by itself, or because the training was
    cancelled. `ended` says that it was. `model`, of a stage that leaves something to draw from, is what `fit` would
    return.
    """

    name: str
    loss: Callable[[int], Tensor]
    parameters: Iterable[nn.Parameter]
    share: float = 1.0
    lr: float = 1.5e-3
    after: Callable[[], None] = field(default=lambda: None)
    model: Callable[[], Fitted] | None = None
    ended: bool = False

    def end(self) -> None:
        """Call `after`, unless it was called before."""
        if not self.ended:
            self.ended = True
            self.after()


def steps(module: nn.Module, stages: list[Stage], budget: Budget, owner: dict | None = None) -> Iterator[Step]:
    """Train `module` through `stages` within `budget`, yielding after every step; closing the generator cancels.

    Adam with decoupled weight decay, gradients clipped to norm 1, cosine rate after a short warm-up, and an average of
    the weights whose memory grows with the run (Karras et al. 2024, eq. 2, gamma = 16), which replaces the weights at
    the end of each stage and on cancelling. A checkpoint of another `owner` is refused.
    """
    start = _Saved.read(budget.checkpoint, module, owner or {})
    shares = [s.share / sum(t.share for t in stages) for s in stages]
    spent, done_share, counts = start.seconds, sum(shares[:start.stage]), _step_counts(shares, budget.steps or 0)
    for stage in stages[:start.stage]:                                     # what they measured is in the checkpoint
        stage.ended = True
    for number, stage in enumerate(stages[start.stage:], start.stage):
        share = shares[number]
        stage_from = start.stage_from if number == start.stage else spent
        run = _StageRun(module, stage, start if number == start.stage else _Saved(), owner or {})

        def used(spent: float, share=share, since=stage_from, run=run, count=counts[number]) -> float:
            """The part of this stage's share of the budget that is gone after `spent` seconds in all."""
            time_part = (spent - since) / (share * budget.seconds) if budget.seconds else 0.0
            return max(time_part, run.index / count if budget.steps else 0.0)

        try:
            clock, saved_at, progress = time.perf_counter() - spent, spent, used(spent)
            while progress < 1:
                loss = run.step(progress)
                spent = time.perf_counter() - clock
                progress = used(spent)
                if budget.checkpoint and spent - saved_at > SAVE_EVERY:
                    saved_at = spent
                    run.save(budget.checkpoint, number, spent, stage_from)
                yield Step(run.index, stage.name, loss, spent, min(1.0, done_share + share * min(1.0, progress)),
                           run.so_far if stage.model else None)
                clock = max(clock, time.perf_counter() - spent - 1.0)      # a pause of the watcher is not training time
        finally:
            # at the end too: whatever is done with the result may fail, and need not cost the training
            if budget.checkpoint and progress > 0:
                run.save(budget.checkpoint, number, spent, stage_from)
            run.use_average()
        stage.end()
        done_share += share


def _step_counts(shares: list[float], steps: int) -> list[int]:
    """The steps of each stage, at least one, and `steps` in all if there are as many as stages."""
    ends = [max(k + 1, round(sum(shares[:k + 1]) * steps)) for k in range(len(shares))]
    return [max(1, b - a) for a, b in zip([0, *ends], ends, strict=False)]


def train(module: nn.Module, stages: list[Stage], budget: Budget, watch: Watch,
          owner: dict | None = None) -> Step | None:
    """Run `steps` to the end, or until `watch(step)` says something true. Returns the last step."""
    last = None
    with closing(steps(module, stages, budget, owner)) as run:
        for last in run:
            if watch(last):
                break
    module.eval()
    for stage in stages:
        stage.end()
    return last


class Run:
    """What every `fit` needs: the device, the data's dimensions, and batches that follow from seed and step alone.

    A PointSource, whose functions are known by scattered points alone, will do where they need not be known `whole`.
    """

    def __init__(self, source: Source | PointSource, views: Views, budget: Budget, seed: int, device: str = "auto",
                 watch: Watch = quiet, whole: bool = True):
        require_seed(seed)
        self.scattered = not isinstance(source, Source)
        require(not self.scattered or isinstance(source, PointSource) and not whole, kind=TypeError,
                must="source: an object with draw(n, seed=) -> Fields" + ("." if whole else
                     ", or with points(n, seed=) -> ObservationBatch."), came=source,
                why="This training asks functions anywhere." if whole else "Training needs functions to learn from.",
                do='nfdlab.problems.get("gp1d"); or modulated_field with prior="white", which learns from points.')
        self.source, self.views, self.budget, self.seed, self.watch = source, views, budget, seed, watch
        self.made, self.under_way = {"steps": 0, "seconds": 0.0}, False
        self.device = resolve_device(device)
        probe = (source.points if self.scattered else source.draw)(1, seed=child(seed, "probe"))
        self.d, self.c = (probe.coords.shape[2], probe.values.shape[2]) if self.scattered else (probe.d, probe.c)
        # what a checkpoint belongs to: a function of the source stands for the problem and its knobs
        values = probe.values[0, :8] if self.scattered else probe(self.queries(1, 8, self.rng("probe"))[0])
        self.owner = {"seed": seed, "values": values.flatten().tolist()}

    def build(self, config) -> nn.Module:
        """The network of a config, `config.build(d, c, seed=)`, on the device."""
        self.owner["config"] = repr(config)
        return config.build(self.d, self.c, seed=self.seed).to(self.device)

    def few(self, batches: int) -> int:
        """How many batches to measure: at most 2 in a smoke test."""
        return min(batches, 2) if self.budget.name == "smoke" else batches

    def functions(self, n: int, *use) -> Fields | ObservationBatch:
        """n fresh functions of the source for one use, a name and numbers; all that is known of them where they are
        known by scattered points alone."""
        return (self.source.points if self.scattered else self.source.draw)(n, seed=child(self.seed, "data", *use))

    def points(self, functions: Fields | ObservationBatch, count: int, *use) -> ObservationBatch:
        """Up to `count` scattered points of each function, in random order."""
        rng = self.rng("points", *use)
        if not self.scattered:
            coords = self.queries(functions.n, count, rng)
            return ObservationBatch.exact(coords, functions(coords))
        order = single.rand(functions.mask.shape, generator=rng) + ~functions.mask          # those that are there first
        chosen = functions.take(order.argsort(1)[:, :count])
        return chosen.take(single.rand(chosen.mask.shape, generator=rng).argsort(1))

    def rng(self, *use) -> torch.Generator:
        """The CPU generator of one use."""
        return stream(self.seed, "noise", *use)

    def queries(self, b: int, p: int, rng: torch.Generator) -> Tensor:
        """Query points (b, p, d), uniform in the box, on the CPU: sources are asked there."""
        return 2 * single.rand(b, p, self.d, generator=rng) - 1

    def observe(self, fields: Fields | ObservationBatch, *use) -> ObservationBatch:
        """The functions' observations, hidden as `views` hides them, on the CPU; of functions known by scattered points
        any number of those."""
        if not self.scattered:
            return self.views(fields, seed=child(self.seed, "views", *use))
        rng, mask = self.rng("views", *use), fields.mask
        kept = single.rand(mask.shape, generator=rng) < single.rand(len(mask), 1, generator=rng)
        return replace(fields, mask=mask & kept)

    def train(self, net: nn.Module, *stages: Stage) -> None:
        """Train `net` through the stages within the budget; whatever happens, each stage's `after` is called. That
        there will be too few steps is said after the first ones."""
        steps, smoke = {}, self.budget.name == "smoke"

        def watch(step: Step):
            steps[step.stage] = step.index
            self.made.update(steps=sum(steps.values()), seconds=round(step.seconds, 1))
            if self.made["steps"] == PACE and not smoke:
                expected = round(PACE / step.progress)
                if expected < LEAST_STEPS:
                    warnings.warn(undertrained(None, expected), Undertrained, stacklevel=6)
            return self.watch(step)

        self.under_way = True
        train(net, list(stages), self.budget, watch, self.owner)
        self.under_way = False

    def record(self, name: str, config, **measured) -> dict:
        """What a trained approach says of itself: `about` with its name, config, the data's dimensions, the steps and
        seconds that were made, and more. Too few steps have a sentence of their own, "undertrained", once training
        ended."""
        steps = self.made["steps"]
        short = {} if steps >= LEAST_STEPS or self.budget.name == "smoke" or self.under_way else {
            "undertrained": undertrained(steps, steps)}
        return {"approach": name, "config": asdict(config), "d": self.d, "c": self.c, "made": self.made, **short,
                **measured}


@dataclass(frozen=True)
class Losses:
    """Base of an approach's losses of a training step i, and of what it measures before, between and after stages."""

    config: Any
    run: Run
    net: nn.Module


def reused(make: Callable[[int], Any], times: int) -> Callable[[int], Any]:
    """The batch of training step i, make(i // times): each batch serves `times` steps in turn, and one is kept."""
    kept = lru_cache(1)(make)
    return lambda i: kept(i // times)


class _StageRun:
    """The moving parts of one stage: optimiser, averaged weights, step counter."""

    def __init__(self, module: nn.Module, stage: Stage, saved: "_Saved", owner: dict):
        self.module, self.stage, self.owner, self.index = module, stage, owner, 0
        self.parameters = [p for p in stage.parameters if p.requires_grad]
        self.adam = torch.optim.AdamW(self.parameters, lr=stage.lr, weight_decay=1e-4, betas=(0.9, 0.99))
        self.average = [p.detach().clone() for p in self.parameters]
        if saved.adam is not None:
            self.adam.load_state_dict(saved.adam)
            self.average = [a.to(p) for a, p in zip(saved.average, self.parameters, strict=True)]
            self.index = saved.index

    def step(self, progress: float) -> float:
        warm = min(1.0, (self.index + 1) / WARM_UP)
        for group in self.adam.param_groups:
            group["lr"] = self.stage.lr * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))
        self.module.train()
        loss = self.stage.loss(self.index)
        require(bool(torch.isfinite(loss)), kind=FloatingPointError, must="A finite loss.", came=float(loss.detach()),
                why=f"Training diverged at step {self.index} of stage {self.stage.name!r}.",
                do="Lower the learning rate, or look for extreme values in the source.")
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.adam.step()
        keep = (1 - 1 / (self.index + 1)) ** 17
        torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], 1 - keep)
        self.index += 1
        return float(loss.detach())

    @contextmanager
    def so_far(self) -> Iterator[Fitted]:
        """The stage's model, its weights averaged as they will be at the end; after the block training has its own."""
        own = [p.data for p in self.parameters]
        try:
            for p, average in zip(self.parameters, self.average, strict=True):
                p.data = average
            self.module.eval()
            yield self.stage.model()
        finally:
            for p, weights in zip(self.parameters, own, strict=True):
                p.data = weights

    def use_average(self) -> None:
        with torch.no_grad():
            for p, a in zip(self.parameters, self.average, strict=True):
                p.copy_(a)

    def save(self, path, stage: int, seconds: float, stage_from: float) -> None:
        """Write the checkpoint; a disk that refuses costs the checkpoint, not the training."""
        state = {"module": self.module.state_dict(), "adam": self.adam.state_dict(), "average": self.average,
                 "index": self.index, "stage": stage, "seconds": seconds, "stage_from": stage_from, "owner": self.owner}
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as part:
                torch.save(state, part)
        except (OSError, RuntimeError) as error:                 # torch's writer raises RuntimeError on a full disk
            warnings.warn(f"The checkpoint {path} could not be written ({str(error).splitlines()[0][:120]}); training "
                          "goes on without.", stacklevel=2)


# what differs when a checkpoint is another training's
WORDS = {"seed": "the seeds", "values": "the problems or their knobs", "config": "the approaches or their configs"}


def same_owner(one: dict, other: dict) -> bool:
    """Whether two checkpoints belong to one training: equal entries, values to what another machine may round."""
    (ours, one), (theirs, other) = ((d.get("values") or [], {k: v for k, v in d.items() if k != "values"})
                                    for d in (one, other))
    return one == other and len(ours) == len(theirs) and all(
        abs(a - b) < 1e-3 for a, b in zip(ours, theirs, strict=True))


@dataclass
class _Saved:
    """What a checkpoint holds: enough to go on as if nothing had happened."""

    adam: dict | None = None
    average: list[Tensor] | None = None
    index: int = 0
    stage: int = 0
    seconds: float = 0.0
    stage_from: float = 0.0
    owner: dict = field(default_factory=dict)

    @classmethod
    def read(cls, path, module: nn.Module, owner: dict) -> "_Saved":
        """Load the checkpoint into the module if there is one; a torn or foreign file is refused and kept."""
        if path is None or not Path(path).exists():
            return cls()
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            tensors, saved = state.pop("module"), cls(**state)
            if same_owner(saved.owner, owner):
                there = module.state_dict()
                module.load_state_dict({key: value.to(there[key].device) if key in there else value
                                        for key, value in tensors.items()})
        except Exception as error:
            raise ValueError(four_parts(
                "checkpoint: a file that this training wrote.", str(path),
                f"{type(error).__name__}: {str(error).splitlines()[0][:120]}",
                "Move it away to start afresh, or resume with the same configuration.")) from error
        other = [key for key in owner if not same_owner({key: saved.owner.get(key)}, {key: owner[key]})]
        require(not other, must="checkpoint: a file that this training wrote.", came=str(path),
                why="It belongs to another training: " + ", ".join(WORDS.get(key, key) for key in other) + " differ.",
                do="Move it away to start afresh, or give this training a checkpoint of its own.")
        return saved
