"""The figures of the lessons: plain functions from data to a figure. Titles are handed in, computed from numbers."""

from .benchmark import benchmark
from .charts import bands, ratios, stages, worth
from .maps import ladder, row, solid, surface
from .multiples import fans, gallery, meet, pages
from .solids import solids, turning

__all__ = ["bands", "benchmark", "fans", "gallery", "ladder", "meet", "pages", "ratios", "row", "solid",
           "solids", "stages", "surface", "turning", "worth"]
