"""Lessons in tests: small ones written as percent text with the header that lessons have, and the solutions of any."""

import re

DETAILS = re.compile(r"<details>(.*?)</details>", re.S | re.I)
FENCE = re.compile(r"^```python\n(.*?)^```", re.S | re.M)

HEADER = """\
# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

"""
PARAMETERS = '''# %% tags=["parameters"]
budget: str = "reference"  # smoke | lesson | reference
seed: int = 0  # which world
keep: float = 0.05  # share of cells that are seen
quick: bool = False  # fewer draws
'''


def lesson(*cells: str) -> str:
    """A lesson: a title, the parameters cell, then these cells (those that start with # %% as they are)."""
    parts = ["# %% [markdown]\n# # A small lesson\n", PARAMETERS]
    parts += [c if c.startswith("# %%") else f"# %%\n{c}\n" for c in cells]
    return HEADER + "\n".join(parts)


def write(folder, name: str, *cells: str):
    """The lesson as a file in `folder`."""
    path = folder / f"{name}.py"
    path.write_text(lesson(*cells), encoding="utf-8")
    return path


def solutions(cells) -> list[str]:
    """The code of the folded solutions in a lesson's cells, in order."""
    prose = "\n\n".join(c.source for c in cells if c.cell_type == "markdown")
    return [block for fold in DETAILS.findall(prose) for block in FENCE.findall(fold)]
