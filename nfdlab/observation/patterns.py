"""Patterns: where a function is observed. Frozen dataclasses, sized by `count=` or by `share=`.

`count` points lie anywhere in the box; `share` keeps that share of the cells of a base grid, `of` a side, as cell
centres. Every pattern gives exactly that many points, all distinct, inside the box. The base grid of `Frames`
and `Sensors` is `frames` by `cells` a side; `Frames` may be sized by `every=`. Only `Outline` depends on the field.
"""

from .outline import Outline
from .scattered import Block, Border, Clusters, Grid, Lines, Random
from .spacetime import Frames, Sensors, Tracks

__all__ = ["ALL", "Block", "Border", "Clusters", "Frames", "Grid", "Lines", "Outline", "Random", "Sensors", "Tracks"]

ALL = {"random": Random, "grid": Grid, "block": Block, "lines": Lines, "clusters": Clusters, "border": Border,
       "frames": Frames, "sensors": Sensors, "tracks": Tracks, "outline": Outline}
