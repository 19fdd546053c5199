"""The texts are true: the tables of README and APPROACHES are what cards, lessons and weights say."""

import re
import shutil
from pathlib import Path

import nfdlab as nfd
from nfdlab import tables
from nfdlab.jupyter.lessons import lessons

ROOT = Path(__file__).resolve().parents[2]


def test_every_generated_table_is_fresh():
    """Approaches and lessons of the README; cards, scores and problems of APPROACHES."""
    assert tables.check(ROOT) == [], "run `nfdlab sync`"


def test_a_stale_table_is_seen_and_mended(tmp_path):
    """A number changed by hand in each file; everything outside the tables stays as it was."""
    for name in ("README.md", "APPROACHES.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    for name in ("README.md", "APPROACHES.md"):
        path = tmp_path / name
        path.write_text(path.read_text(encoding="utf-8").replace("| `sparse_conditional` |", "| `sparse` |", 1))
    assert len(tables.check(tmp_path)) == 2 and len(tables.sync(tmp_path)) == 2
    for name in ("README.md", "APPROACHES.md"):
        assert (tmp_path / name).read_text(encoding="utf-8") == (ROOT / name).read_text(encoding="utf-8")


def test_lessons_lead_from_the_first_to_the_last(tmp_path):
    """Each to the next one and back, all of them; a link that was changed is seen and mended."""
    folder = ROOT / "notebooks"
    found = {p.stem: dict(re.findall(r"(before|next): \[`\w+`\]\((\w+)\.ipynb\)", p.read_text(encoding="utf-8")))
             for p in lessons(folder)}
    seen = ["00_start_here"]
    while "next" in found[seen[-1]]:
        seen.append(found[seen[-1]]["next"])
        assert found[seen[-1]]["before"] == seen[-2]
    assert sorted(seen) == sorted(found) and seen[1:3] == ["00b_neural_field_primer", "00c_diffusion_primer"]

    shutil.copytree(folder, tmp_path / "notebooks")
    first = tmp_path / "notebooks" / "00_start_here.py"
    whole = first.read_text(encoding="utf-8")
    first.write_text(whole.replace("00b_neural_field_primer.ipynb", "01_latent_field.ipynb", 1), encoding="utf-8")
    assert [p.name for p in tables.sync(tmp_path)] == ["00_start_here.py"]
    assert first.read_text(encoding="utf-8") == whole


def test_readmes_python_runs():
    """Each python block that needs no file of the reader's."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert blocks
    space = {}
    exec(blocks[0].replace("nfd.explore(model, problem)", ""), space)  # noqa: S102 (our own README)
    assert space["values"].shape == (64, 256, 1)


def test_every_problem_and_baseline_is_named():
    text = (ROOT / "APPROACHES.md").read_text(encoding="utf-8")
    for name in (*nfd.problems.names(), *nfd.baselines.names()):
        assert f"`{name}`" in text
