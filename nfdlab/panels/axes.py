"""What lesson figures of fields share: limits of maps, and what they refuse."""

import torch
from torch import Tensor

from ..core.checks import require
from ..core.types import Fields


def map_limits(values: Tensor) -> tuple[float, float]:
    """Limits of a map's colours: all but 0.2 % of the values at either end."""
    return tuple(float(q) for q in torch.quantile(values.flatten().cpu(), torch.tensor([0.002, 0.998])))


def require_d(d: int, do: str, *bundles: Fields | None) -> None:
    """Refuse fields that do not have d coordinates; `do` is what to do instead."""
    words, why = ("one coordinate", "Bands are drawn over an axis.") if d == 1 else (
        "two coordinates", "They are drawn as pictures.")
    for fields in bundles:
        require(fields is None or fields.d == d, must=f"fields of {words}.", came=fields, why=why, do=do)


def require_some(what: str, values, do: str) -> None:
    """Refuse an empty collection; `do` is an example of one that is not."""
    require(len(values) > 0, must=f"{what}: at least one.", came="none", why="There is nothing to draw.", do=do)
