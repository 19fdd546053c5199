"""The state of a panel's controls: one frozen `State`, validated once, that determines the whole picture."""

from dataclasses import dataclass, fields, replace

from ..core.capabilities import FollowsField
from ..core.checks import require, require_count, require_name, require_number, require_seed
from ..observation import patterns
from .page import Window, window_around

SAMPLERS = ("dpmpp", "heun", "euler", "ancestral")
VIEWS = ("mean ± band", "draws", "surface")
DRAWN = {1: 65, 2: 24}           # points an axis of a truth drawn by hand, by dimension
DEVICES = ("auto", "cpu", "cuda", "mps")
MAX_SCALE = 32.0                 # the largest query scale: a window of 1/32 of each side
DEFAULT_COUNT = {1: 8, 2: 80, 3: 400, 4: 200}      # observed points, by the number of coordinates
DEFAULT_EVERY = 5                # of the pattern "frames": one frame in so many is observed
SIZES = ("count", "share", "every")


@dataclass(frozen=True)
class State:
    """Every control of a panel. `count` points are observed, or a `share` of the pattern's base grid, or, of frames,
    one in `every`; by default 8 points in 1D, 80 in 2D, 400 in 3D, 200 in 4D, one frame in five. The window is
    1/`scale` of the box around `centre` (the middle if empty). With more than two coordinates the first is held at
    `time`; a surface is turned by `turn` degrees.

    By hand: `own` observations in place of the pattern's, each its coordinates and then its values; a `truth`, the
    values at DRAWN points an axis, in place of one of the problem's. `rival`: a second contestant, with a sampler and
    a number of steps of its own ("" and 0: those of the first, its usual number). `step`: the draws as they are after
    so many steps of the sampler, None at the end. `pick`: the number of one draw that is shown in place of all.
    """

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
    own: tuple[tuple[float, ...], ...] | None = None
    truth: tuple[float, ...] | None = None
    rival: str = ""
    rival_sampler: str = ""
    rival_steps: int = 0
    step: int | None = None
    turn: float = 30.0
    pick: int | None = None

    def __post_init__(self):
        for name, known in (("pattern", patterns.ALL), ("sampler", SAMPLERS), ("view", VIEWS), ("device", DEVICES)):
            require_name(getattr(self, name), known, name)
        sizes = {name: getattr(self, name) for name in SIZES if getattr(self, name) is not None}
        require(len(sizes) <= 1, must="count=, share= or every=: one of them.",
                came=", ".join(f"{name}={size}" for name, size in sizes.items()), why="How much is seen is one number.",
                do="Keep one of them: count=8, or share=0.05.")
        require(self.every is None or self.pattern == "frames", must='every= with pattern="frames".',
                came=f'every={self.every}, pattern="{self.pattern}"', why="Only frames are seen every so often.",
                do="count=8, or share=0.05.")
        for name, least in (("count", 0), ("every", 1), ("draws", 1), ("steps", 2), ("rival_steps", 0), ("step", 0),
                            ("pick", 0)):
            if getattr(self, name) is not None:
                require_count(getattr(self, name), name, least)
        if self.share is not None:
            require_number(self.share, "share", 0.0, 1.0, open_low=True)
        require_number(self.noise, "noise", 0.0)
        require_number(self.time, "time", -1.0, 1.0)
        require_number(self.scale, "scale", 1.0, MAX_SCALE)
        require_number(self.turn, "turn", 0.0, 360.0)
        require_name(self.rival_sampler or SAMPLERS[0], SAMPLERS, "rival_sampler")
        for name, rows in (("own", self.own), ("truth", None if self.truth is None else (self.truth,))):
            if rows is not None:
                object.__setattr__(self, name, _numbers(name, rows) if name == "own" else _numbers(name, rows)[0])
        require(isinstance(self.centre, (tuple, list)), kind=TypeError, must="centre: a tuple of d numbers.",
                came=self.centre, why="The window has a middle on each axis.", do="centre=(0.0, 0.0) in 2D.")
        object.__setattr__(self, "centre", tuple(require_number(x, "centre", -1.0, 1.0) for x in self.centre))
        require_seed(self.seed)

    def window(self, d: int) -> Window:
        """The window on the axes of the picture (`page.shown`)."""
        k = min(d, 2)
        require(len(self.centre) in (0, k), must=f"centre: {k} numbers, one for each axis.", came=self.centre,
                why=f"A picture of {self.problem} has {k} axes.", do=f"centre={(0.0,) * k}.")
        return window_around(self.centre or (0.0,) * k, self.scale)

    def sized_pattern(self, d: int):
        """The observation pattern in its size, for d coordinates."""
        name, size = self.size(d)
        return patterns.ALL[self.pattern](**{name: size})

    def size(self, d: int) -> tuple[str, float]:
        """How much is observed, as name and number: ("count", 80)."""
        for name in SIZES:
            if getattr(self, name) is not None:
                return name, getattr(self, name)
        return ("every", DEFAULT_EVERY) if self.pattern == "frames" else ("count", DEFAULT_COUNT[d])

    def task_key(self) -> "State":
        """This state with everything that truth, observations and reference do not depend on set to defaults."""
        return replace(self.draws_key(), sampler=SAMPLERS[0], steps=2, device="auto")

    def draws_key(self) -> "State":
        """This state with everything that no draw of the model depends on set to defaults: a closer look draws nothing
        anew, and neither does a rival."""
        return replace(self.rival_key(), rival="", rival_sampler="", rival_steps=0)

    def rival_key(self) -> "State":
        """This state with everything that no draw of model or rival depends on set to defaults."""
        return replace(self, scale=1.0, centre=(), time=0.0, view=VIEWS[0], step=None, turn=30.0, pick=None)

    def keywords(self, start: "State") -> str:
        """The fields in which it differs from another state, as keywords of a call: 'count=5, scale=4.0'."""
        names = [f.name for f in fields(self) if getattr(self, f.name) != getattr(start, f.name)]
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in names)


def _numbers(name: str, rows) -> tuple[tuple[float, ...], ...]:
    """Rows of finite numbers as tuples of floats, rounded to what a hand can place."""
    require(all(isinstance(row, (tuple, list)) for row in rows), kind=TypeError, must=f"{name}: tuples of numbers.",
            came=rows, why="They were placed by hand.", do="own=((0.5, 1.2),): at 0.5 the value 1.2; () sees nothing.")
    return tuple(tuple(round(require_number(x, name), 4) for x in row) for row in rows)


def changed(state, **changes):
    """A state with some fields replaced; an unknown name is refused, with the nearest known one."""
    for knob in changes:
        require_name(knob, [f.name for f in fields(state)], "knob of the panel")
    return replace(state, **changes)


def with_changes(state: State, **changes) -> State:
    """`changed` for a `State`: one size replaces the others, and so does a change to or from frames. Another truth has
    other observations, and another pattern takes the place of those made by hand."""
    given = set(changes)
    if given & {"problem", "seed"}:
        changes = {"truth": None} | changes
    if given & {"problem", "seed", "pattern", *SIZES}:
        changes = {"own": None} | changes
    if given & {"problem", "steps", "draws"}:
        changes = {"step": None, "pick": None} | changes
    frames = [pattern == "frames" for pattern in (state.pattern, changes.get("pattern", state.pattern))]
    if frames[0] != frames[1] or any(changes.get(size) is not None for size in SIZES):
        changes = dict.fromkeys(SIZES) | changes
    return changed(state, **changes)


def offered(problem) -> list[str]:
    """Names of the patterns that fit a problem. Some need time. One that follows the field is left out where there is
    an exact posterior, which takes the places of observations as given."""
    unknown = problem.card.exact.startswith("none")
    return [name for name, kind in patterns.ALL.items()
            if (timed(problem) or not kind.in_time) and (unknown or not issubclass(kind, FollowsField))]


def timed(problem) -> bool:
    """Whether a problem is one of space and time, time first."""
    return problem.card.axes[0] == "t" and problem.d > 1
