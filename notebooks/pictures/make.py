"""The stills at the head of each lesson: the first picture that running it makes; and `patterns`, every pattern there is.

Usage: python make.py [LESSON ...] [patterns]
"""

import base64
import sys
from pathlib import Path

from nfdlab import problems, report
from nfdlab.jupyter.lessons import find, lessons, read
from nfdlab.panels import plots
from nfdlab.panels.matplotlib_figure import stack

HERE = Path(__file__).resolve().parent

for name in sys.argv[1:] or [*(p.stem for p in lessons(HERE.parent)), "patterns"]:
    if name == "patterns":
        kinds = [problems.get(kind) for kind in ("gp1d", "discs2d", "drift1dt")]
        (HERE / "patterns.png").write_bytes(stack([plots.gallery(kinds, seed=2)], dpi=130))
        continue
    lesson = find(name, HERE.parent)
    done = report.execute(read(lesson), HERE.parent, {}, timeout=600)
    pictures = [o.data["image/png"] for c in done.cells if c.cell_type == "code" for o in c.outputs
                if "data" in o and "image/png" in o.data]
    (HERE / f"{lesson.stem}.png").write_bytes(base64.b64decode(pictures[0]))
