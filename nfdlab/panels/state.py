"""Where the sliders stand: one frozen `State`, checked once, that says everything a picture depends on."""

from dataclasses import dataclass, fields, replace

from ..core.checks import require, require_count, require_name, require_number, require_seed
from ..observation import patterns

SAMPLERS = ("dpmpp", "heun", "euler", "ancestral")
VIEWS = ("mean ± band", "draws")
DEVICES = ("auto", "cpu", "cuda", "mps")
CLOSEST = 32.0                   # the largest query scale: a window of 1/32 of each side
USUAL, GAP = {1: 8, 2: 80, 3: 400}, 5      # seen unless told: points, by how many coordinates; every so many frames
SIZES = ("count", "share", "every")


@dataclass(frozen=True)
class State:
    """Every knob of a panel. `count` points are seen, or a `share` of the pattern's base grid, or, of frames, one in
    `every`; nothing said means 8 points in 1D, 80 in 2D, 400 in 3D, one frame in five. The window is 1/`scale` of the
    box around `centre` (the middle if empty). Of three coordinates the first is held at `time`."""

    problem: str = "gp1d"
    pattern: str = "random"
    count: int | None = None
    share: float | None = None
    every: int | None = None
    noise: float = 0.05
    draws: int = 32
    sampler: str = "dpmpp"
    steps: int = 20
    scale: float = 1.0
    centre: tuple[float, ...] = ()
    time: float = 0.0
    view: str = VIEWS[0]
    seed: int = 0
    device: str = "auto"

    def __post_init__(self):
        require_name(self.pattern, patterns.ALL, "pattern")
        sizes = {name: getattr(self, name) for name in SIZES if getattr(self, name) is not None}
        require(len(sizes) <= 1, must="count=, share= or every=: one of them.",
                came=", ".join(f"{name}={size}" for name, size in sizes.items()), why="How much is seen is one number.",
                do="Keep one of them: count=8, or share=0.05.")
        require(self.every is None or self.pattern == "frames", must='every= with pattern="frames".',
                came=f'every={self.every}, pattern="{self.pattern}"', why="Only frames are seen every so often.",
                do="count=8, or share=0.05.")
        if self.count is not None:
            require_count(self.count, "count", at_least=0)
        if self.share is not None:
            require_number(self.share, "share", 0.0, 1.0, open_low=True)
        if self.every is not None:
            require_count(self.every, "every")
        require_number(self.noise, "noise", 0.0)
        require_number(self.time, "time", -1.0, 1.0)
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
        """The window: (low, high) on each axis of the picture, moved inwards where it would leave the box. A picture of
        d = 3 has the last two."""
        k = min(d, 2)
        require(len(self.centre) in (0, k), must=f"centre: {k} numbers, one for each axis.", came=self.centre,
                why=f"A picture of {self.problem} has {k} axes.", do=f"centre={(0.0,) * k}.")
        half = 1.0 / self.scale
        middles = (min(max(x, half - 1.0), 1.0 - half) for x in (self.centre or (0.0,) * k))
        return tuple((x - half, x + half) for x in middles)

    def hide(self, d: int):
        """The pattern, sized."""
        name, size = self.sized(d)
        return patterns.ALL[self.pattern](**{name: size})

    def sized(self, d: int) -> tuple[str, float]:
        """How much is seen, as the size's name and number: ("count", 80)."""
        for name in SIZES:
            if getattr(self, name) is not None:
                return name, getattr(self, name)
        return ("every", GAP) if self.pattern == "frames" else ("count", USUAL[d])

    def seen_by(self) -> "State":
        """This state with everything levelled that the truth, the observations and the ruler do not depend on."""
        return replace(self.drawn_by(), sampler=SAMPLERS[0], steps=2, device="auto")

    def drawn_by(self) -> "State":
        """This state with everything levelled that no draw depends on: looking closer never draws anew."""
        return replace(self, scale=1.0, centre=(), time=0.0, view=VIEWS[0])


def with_changes(state: State, **changes) -> State:
    """A state with some knobs moved; an unknown knob is named, with the nearest one. Setting one size drops the others,
    and so does leaving or taking up frames."""
    known = [f.name for f in fields(State)]
    for knob in changes:
        require_name(knob, known, "knob of the panel")
    frames = [pattern == "frames" for pattern in (state.pattern, changes.get("pattern", state.pattern))]
    if frames[0] != frames[1] or any(changes.get(size) is not None for size in SIZES):
        changes = dict.fromkeys(SIZES) | changes
    return replace(state, **changes)


def offered(problem) -> list[str]:
    """Names of the patterns that make sense for a problem: some need time, and beside one that follows the field no
    answer that takes its places as given is exact."""
    unknown = problem.card.exact.startswith("none")
    return [name for name, kind in patterns.ALL.items()
            if (timed(problem) or not kind.in_time) and (unknown or not hasattr(kind, "places"))]


def timed(problem) -> bool:
    """Whether a problem is one of space and time, time first."""
    return problem.card.axes[0] == "t" and problem.d > 1
