"""The texts are true: the tables of README and APPROACHES are what the cards and the shipped weights say."""

import re
from pathlib import Path

import nfdlab as nfd
from nfdlab import store

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- scores: begin -->", "<!-- scores: end -->"


def scores_table() -> str:
    """The README's table of scores, from the headers of the shipped weights."""
    rows = ["| approach | problem | CRPS | worst m | energy | variogram | spread | coverage | CRPS at each m | tasks |",
            "|---|---|---|---|---|---|---|---|---|---|"]
    for (approach, problem), path in store.shipped().items():
        s = store.about(path)["scores"]
        to = "" if s["to"] == "exact posterior" else f" (to {s['to']})"
        each = " · ".join(f"{m}: {v:.2f}" for m, v in s["crps"].items() if m not in ("mean", "worst"))
        row = [f"`{approach}`", f"`{problem}`{to}", *(f"{s[metric][m]:.2f}" for metric, m in (
            ("crps", "mean"), ("crps", "worst"), ("energy", "mean"), ("variogram", "mean"), ("spread", "mean"),
            ("coverage90", "mean"))), each, str(s["tasks"])]
        rows.append("| " + " | ".join(row) + " |")
    return "\n".join(rows)


def write_scores_table() -> None:
    """Write the table into the README: python -c "import test_docs; test_docs.write_scores_table()" in tests/."""
    text = (ROOT / "README.md").read_text()
    head, rest = text.split(BEGIN)
    (ROOT / "README.md").write_text(f"{head}{BEGIN}\n{scores_table()}\n{END}{rest.split(END)[1]}")


def test_readme_has_the_scores_of_the_weights():
    inside = (ROOT / "README.md").read_text().split(BEGIN)[1].split(END)[0].strip()
    assert inside == scores_table(), "python -c 'import test_docs; test_docs.write_scores_table()' in tests/"


def test_every_approach_is_in_the_table_as_its_card_says():
    text = (ROOT / "APPROACHES.md").read_text()
    for name in nfd.approaches.names():
        card = nfd.approaches.get(name).card
        assert f"| {card.order} | `{name}` | {card.idea} | {card.best_for} | {card.limits} | {card.papers} |" in text


def test_readmes_python_runs():
    """Each python block that needs no file of the reader's."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert blocks
    space = {}
    exec(blocks[0].replace("nfd.explore(model, problem)", ""), space)  # noqa: S102 (our own README)
    assert space["values"].shape == (64, 256, 1)


def test_every_problem_and_baseline_is_named():
    text = (ROOT / "README.md").read_text()
    for name in nfd.problems.names():
        assert f"`{name}`" in text
