"""The stills at the head of each lesson: the first picture that running it makes. Usage: python make.py [LESSON ...]"""

import base64
import sys
from pathlib import Path

from nfdlab import report
from nfdlab.jupyter.lessons import find, lessons, read

HERE = Path(__file__).resolve().parent

for name in sys.argv[1:] or [p.stem for p in lessons(HERE.parent)]:
    lesson = find(name, HERE.parent)
    done = report.execute(read(lesson), HERE.parent, {}, timeout=600)
    pictures = [o.data["image/png"] for c in done.cells if c.cell_type == "code" for o in c.outputs
                if "data" in o and "image/png" in o.data]
    (HERE / f"{lesson.stem}.png").write_bytes(base64.b64decode(pictures[0]))
