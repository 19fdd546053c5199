"""The field of a model in training as it forms: at any moment a few draws for the same observations, as plates."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from ..core import single
from ..core.checks import require
from ..core.rng import child
from ..core.types import Fields, Fitted, Observations, Problem, ProblemCard
from ..observation.observing import observe
from ..problems import held_out
from . import style
from .matplotlib_figure import grid
from .page import BOX, Page, shown, slice_of, window_points
from .plate import Plate, first_names, map_limits, map_plate, sheet
from .state import State
from .style import Picture

SIDE, DRAWS = {1: 201, 2: 48}, {1: 8, 2: 4}          # points across and draws, by the axes of the picture
_WIDE, _HIGH = 620.0, {1: 190.0, 2: 262.0}


@dataclass(frozen=True, eq=False)
class FormingField:
    """What was seen of one function, and the function if it is known: what draws of a model in training are beside.

    In 1D its picture is a plate with all curves; else maps: observations, the function, four draws. Of more than two
    coordinates it shows the middle, without observations.
    """

    card: ProblemCard
    seen: Observations
    truth: Fields | None = None

    @classmethod
    def of(cls, problem: Problem, seen: Observations | None = None, truth: Fields | None = None) -> Self:
        """What was seen; by default of a function that training never sees, as a panel would show it."""
        require(isinstance(problem, Problem), kind=TypeError, must="problem: a Problem.", came=problem,
                why="Its card names the axes, and it has held-out functions.", do='nfdlab.problems.get("gp1d").')
        if seen is None:
            truth = held_out(problem).draw(1, seed=child(0, "forming", "truth")) if truth is None else truth
            seen = observe(truth, State().sized_pattern(truth.d), noise_std=0.05, seed=child(0, "forming", "seen"))
        return cls(problem.card, seen, truth)

    @property
    def d(self) -> int:
        """Number of coordinates."""
        return self.seen.coords.shape[1]

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the picture's axes."""
        return self.card.axes[shown(self.d)]

    @property
    def points(self) -> Tensor:
        """Where the picture asks: (p, d)."""
        axes = len(self.axes)
        return slice_of(window_points(BOX[:axes], SIDE[axes], self.axes), self.d, 0.0)

    @torch.no_grad()
    def draws(self, model: Fitted) -> Tensor:
        """Values (n, p) of the first channel of a few draws of a model, always those of one seed."""
        draws = model.draw(self.seen, DRAWS[len(self.axes)], seed=child(0, "forming", "draws"))
        return draws(self.points)[..., 0].cpu()

    def plates(self, draws: Tensor | None, title: str) -> list[Plate]:
        """The picture, with draws (n, p) or none yet, which have the title."""
        truth, seen = None if self.truth is None else self.truth(self.points)[0, :, 0].cpu(), self.seen
        known = torch.cat([seen.values[:, 0].cpu(), *([] if truth is None else [truth]), single.zeros(1)])
        if len(self.axes) == 1:
            low, high = float(known.min()), float(known.max())
            air = 0.3 * (high - low) + 1e-3
            plate = Plate(-1, 1, low - air, high + air, title, self.axes[0], "value", ink=style.MODEL)
            for values, colour, width, alpha in ((draws, style.MODEL, style.THIN, style.DRAW_ALPHA),
                                                 (truth, style.TRUTH, 1.4, 1.0)):
                if values is not None:
                    plate.curve(self.points, values, colour, width, alpha)
            return [plate.observed(seen)]
        page, side = Page.of(BOX, self.axes), SIDE[2]
        colours = (style.FIELD_MAP, *map_limits(known if truth is None else truth))

        def plate(title: str, ink: str = style.INK) -> Plate:
            return map_plate(page, self.axes, colours, title=title, ink=ink, units=self.card.units)

        maps = [plate(f"{seen.m} seen").observed(seen, page, 2.6, filled=True)] if self.d == 2 else []
        maps += [] if truth is None else [plate("truth" if self.d == 2 else "truth, the middle").field(truth, side)]
        maps.append(plate(title, style.MODEL) if draws is None else plate(title, style.MODEL).field(draws, side))
        return first_names(maps, len(maps))

    def svg(self, draws: Tensor | None, title: str) -> str:
        """The picture as one `<svg>`."""
        plates, high = self.plates(draws, title), _HIGH[len(self.axes)]
        if len(self.axes) == 1:
            parts = [plates[0].svg(58, 28, _WIDE - 74, high - 66)]
        else:
            room = (_WIDE - 46) / 3
            parts = [plate.svg(58 + i * room, 28, room - 30, room - 30) for i, plate in enumerate(plates)]
        return sheet(_WIDE, high, parts, title)

    def figure(self, draws: Tensor | None, title: str) -> Picture:
        """The picture as a matplotlib figure."""
        plates = self.plates(draws, title)
        return grid(plates, len(plates), (7.2, 2.6) if len(self.axes) == 1 else (2.4 * len(plates), 3.1), bins=3)
