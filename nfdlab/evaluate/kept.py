"""Tables measured once on shipped weights and kept beside them, each under the key of those weights and its setting."""

import io
import json
from pathlib import Path

import pandas as pd

from ..core.checks import require
from ..core.files import write_text
from .ablation import folder, key


def keep(rows: pd.DataFrame, what: str, approach: str, name: str, *, tasks: int, draws: int, seed: int,
         command: str) -> Path:
    """Write a table where `kept` finds it; its head says the key, the setting and the command that makes it."""
    head = {"key": key(approach, name, tasks, draws, seed=seed), "tasks": tasks, "draws": draws, "seed": seed,
            "command": command}
    return write_text(_place(what, approach, name), f"# {json.dumps(head)}\n{rows.to_csv(index=False)}")


def kept(what: str, approach: str, name: str) -> pd.DataFrame:
    """The table that `keep` wrote; a KeyError where it belongs to other weights."""
    text = _place(what, approach, name).read_text(encoding="utf-8")
    head = json.loads(text.partition("\n")[0].removeprefix("# "))
    require(head["key"] == key(approach, name, head["tasks"], head["draws"], seed=head["seed"]), kind=KeyError,
            must="a table that was measured with the weights that ship.", came=head["key"],
            why="Other weights give other numbers.", do=head["command"])
    return pd.read_csv(io.StringIO(text), comment="#")


def _place(what: str, approach: str, name: str) -> Path:
    return folder().parent / f"{what}--{approach}--{name}.csv"
