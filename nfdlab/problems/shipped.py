"""Arrays that ship inside the package: small compressed files of nfdlab/data, made by toy_data/make_arrays.py."""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


@cache
def shipped(name: str) -> dict[str, Tensor]:
    """The arrays of one file, by name, as they were stored."""
    with np.load(Path(__file__).parents[1] / "data" / f"{name}.npz") as file:
        return {key: torch.as_tensor(file[key]) for key in file.files}
