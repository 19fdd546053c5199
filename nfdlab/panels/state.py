"""Where the sliders stand: one frozen `State`, checked once, that says everything a picture depends on."""

from dataclasses import dataclass, fields, replace

from ..core.checks import require, require_count, require_name, require_number, require_seed
from ..sparsity import patterns

SAMPLERS = ("dpmpp", "heun", "euler", "ancestral")
VIEWS = ("mean ± band", "draws")
DEVICES = ("auto", "cpu", "cuda", "mps")
CLOSEST = 32.0                   # the largest query scale: a window of 1/32 of each side


@dataclass(frozen=True)
class State:
    """Every knob of a panel. `count` points are seen anywhere, or a `share` of the cells of a 64-a-side grid; neither
    means 8 points in 1D and 80 in 2D. The window is 1/`scale` of the box around `centre` (the middle if empty)."""

    problem: str = "gp1d"
    pattern: str = "random"
    count: int | None = None
    share: float | None = None
    noise: float = 0.05
    draws: int = 32
    sampler: str = "dpmpp"
    steps: int = 20
    scale: float = 1.0
    centre: tuple[float, ...] = ()
    view: str = VIEWS[0]
    seed: int = 0
    device: str = "auto"

    def __post_init__(self):
        require_name(self.pattern, patterns.ALL, "pattern")
        require(self.count is None or self.share is None, must="count= or share=, not both.",
                came=f"count={self.count}, share={self.share}", why="How much is seen is one number.",
                do="Drop one of them: count=8, or share=0.05.")
        if self.count is not None:
            require_count(self.count, "count", at_least=0)
        if self.share is not None:
            require_number(self.share, "share", 0.0, 1.0, open_low=True)
        require_number(self.noise, "noise", 0.0)
        require_count(self.draws, "draws")
        require_name(self.sampler, SAMPLERS, "sampler")
        require_count(self.steps, "steps", at_least=2)
        require_number(self.scale, "scale", 1.0, CLOSEST)
        require(isinstance(self.centre, (tuple, list)), kind=TypeError, must="centre: a tuple of d numbers.",
                came=self.centre, why="The window has a middle on each axis.", do="centre=(0.0, 0.0) in 2D.")
        object.__setattr__(self, "centre", tuple(require_number(x, "centre", -1.0, 1.0) for x in self.centre))
        require_name(self.view, VIEWS, "view")
        require_seed(self.seed)
        require_name(self.device, DEVICES, "device")

    def look_at(self, d: int) -> tuple[tuple[float, float], ...]:
        """The window: (low, high) on each of d axes, moved inwards where it would leave the box."""
        require(len(self.centre) in (0, d), must=f"centre: {d} numbers, one for each axis.", came=self.centre,
                why=f"The problem {self.problem} has {d} coordinates.", do=f"centre={(0.0,) * d}.")
        half = 1.0 / self.scale
        middles = (min(max(x, half - 1.0), 1.0 - half) for x in (self.centre or (0.0,) * d))
        return tuple((x - half, x + half) for x in middles)

    def hide(self, d: int):
        """The pattern, sized."""
        kind = patterns.ALL[self.pattern]
        if self.share is not None:
            return kind(share=self.share)
        return kind(count=self.count if self.count is not None else 8 if d == 1 else 80)

    def seen_by(self) -> "State":
        """This state with everything levelled that the truth, the observations and the ruler do not depend on."""
        return replace(self.drawn_by(), sampler=SAMPLERS[0], steps=2, device="auto")

    def drawn_by(self) -> "State":
        """This state with everything levelled that no draw depends on: looking closer never draws anew."""
        return replace(self, scale=1.0, centre=(), view=VIEWS[0])


def with_changes(state: State, **changes) -> State:
    """A state with some knobs moved; an unknown knob is named, with the nearest one. Setting count drops share."""
    known = [f.name for f in fields(State)]
    for knob in changes:
        require_name(knob, known, "knob of the panel")
    for one, other in (("count", "share"), ("share", "count")):
        if changes.get(one) is not None and other not in changes:
            changes[other] = None
    return replace(state, **changes)
