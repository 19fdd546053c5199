"""Where we get to look. A pattern is a frozen dataclass, sized by `count=` or by `share=`.

`count` points lie anywhere in the box. `share` keeps that share of the cells of a base grid, `of` cells a side, and the
points are those cells' centres. Every pattern gives exactly as many points as it says, all distinct, inside the box.

In space-time, where the first coordinate is time, the base grid of `Frames` and `Sensors` is `frames` by `cells` a side
in space, and `Frames` may also be sized by `every=`. Only `Outline` looks at the field itself.
"""

from .outline import Outline
from .scattered import Block, Border, Clusters, Grid, Lines, Random
from .spacetime import Frames, Sensors, Tracks

__all__ = ["ALL", "Block", "Border", "Clusters", "Frames", "Grid", "Lines", "Outline", "Random", "Sensors", "Tracks"]

ALL = {"random": Random, "grid": Grid, "block": Block, "lines": Lines, "clusters": Clusters, "border": Border,
       "frames": Frames, "sensors": Sensors, "tracks": Tracks, "outline": Outline}
