"""Argument checks. Every error says what must hold, what came, why, and what to do.

Only public functions call these; internal code trusts its shapes. Torch is not imported here, so that a wrong name on a
command line is refused before anything heavy is.
"""

from __future__ import annotations

import math
import numbers
import sys
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

MOST = 10**8                 # things of a kind that memory is asked to hold
ROOM = 10**9                 # and numbers in one piece


def four_parts(must: str, came: str, why: str, do: str) -> str:
    """The text of every error message."""
    return f"{must}\n  came: {came}\n  why:  {why}\n  do:   {do}"


class UnknownName(KeyError):
    """A name that is not in a list of names; prints as plain text (KeyError would print it quoted)."""

    def __str__(self) -> str:
        return str(self.args[0])


def is_tensor(x) -> bool:
    """Whether x is a tensor, without importing torch."""
    return "torch" in sys.modules and isinstance(x, sys.modules["torch"].Tensor)


def describe(x) -> str:
    """A short word for what came: type, shape and dtype of tensors, else the value cut to 80 characters."""
    if hasattr(x, "shape") and hasattr(x, "dtype"):
        kind = "tensor" if is_tensor(x) else type(x).__name__
        return f"{kind} of shape {tuple(x.shape)}, {str(x.dtype).removeprefix('torch.')}"
    text = repr(x)
    return f"{type(x).__name__} {text if len(text) <= 80 else text[:77] + '...'}"


def require(holds: bool, *, must: str, came, why: str, do: str, kind: type[Exception] = ValueError) -> None:
    """Raise `kind` in four parts unless `holds`."""
    if not holds:
        raise kind(four_parts(must, came if isinstance(came, str) else describe(came), why, do))


def require_name(name, names, what: str) -> str:
    """`name` if it is one of `names`, else UnknownName (a KeyError) with the nearest one."""
    names = sorted(names)
    if name in names:
        return name
    near = get_close_matches(str(name), names, n=1)
    raise UnknownName(four_parts(
        f"The name of a known {what}.", describe(name), f"No {what} has that name.",
        (f"Did you mean {near[0]!r}? " if near else "") + f"Choose one of: {', '.join(names)}."))


def is_whole(x) -> bool:
    """Whether x is an integer, of numpy too, and not a boolean."""
    return isinstance(x, numbers.Integral) and not isinstance(x, bool)


def require_seed(seed) -> int:
    """A non-negative integer seed."""
    whole = is_whole(seed)
    require(whole and seed >= 0, kind=ValueError if whole else TypeError, must="seed: a non-negative integer.",
            came=seed, why="A seed is what makes a draw repeatable.", do="Pass seed=0, or any larger integer.")
    return int(seed)


def require_count(count, what: str = "n", at_least: int = 1, at_most: int = MOST) -> int:
    """An integer of at least `at_least` and at most `at_most`."""
    whole = is_whole(count)
    require(whole and at_least <= count <= at_most, kind=ValueError if whole else TypeError,
            must=f"{what}: at least {at_least} and at most {at_most:,}, a whole number.", came=count,
            why=f"{what} counts things, of which memory holds so many.", do=f"Ask for {what}={at_least} or more.")
    return int(count)


def require_room(numbers: int, what: str) -> None:
    """At most as many numbers as memory is asked to hold at once."""
    require(numbers <= ROOM, must=f"{what}: sizes whose product is at most {ROOM:,}.", came=f"{numbers:,}",
            why="So many numbers would have to be held in memory at once.", do="Smaller sizes, or some at a time.")


def require_number(x, what: str, low: float = -math.inf, high: float = math.inf, open_low: bool = False) -> float:
    """A finite number within [low, high], or (low, high] with `open_low`."""
    if is_tensor(x) and x.numel() == 1:
        x = float(x)
    number = isinstance(x, numbers.Real) and not isinstance(x, bool)
    inside = number and math.isfinite(x) and (x > low if open_low else x >= low) and x <= high
    require(inside, kind=ValueError if number else TypeError, came=x,
            must=f"{what}: a finite number in {'(' if open_low else '['}{low:g}, {high:g}].",
            why=f"Outside that range {what} has no meaning.", do=f"Pass {what} within the range.")
    return float(x)


def require_finite(x: Tensor, what: str) -> Tensor:
    """`x` without NaN or infinity."""
    bad = int((~x.isfinite()).sum())
    require(bad == 0, must=f"{what}: finite numbers.", came=f"{describe(x)} with {bad} NaN or infinite entries",
            why="One NaN spreads through every draw.", do=f"Drop or fill those entries of {what} first.")
    return x


def require_coords(coords, d: int | None = None, n: int | None = None) -> Tensor:
    """Query coordinates: floats (p, d), or (n, p, d) where `n` is given, inside the box [-1, 1]^d, d at least 1.

    Up to 1e-5 outside counts as rounding.
    """
    require(is_tensor(coords) and coords.is_floating_point(), kind=TypeError, came=coords,
            must="coords: a torch tensor of floating point numbers, of shape (p, d).",
            why="Coordinates are real numbers.", do="torch.as_tensor(coords).float(), or nfdlab.cell_centres((64,)).")
    ranks = (2,) if n is None else (2, 3)
    right = coords.ndim in ranks and (coords.shape[-1] > 0 if d is None else coords.shape[-1] == d)
    right = right and (coords.ndim == 2 or coords.shape[0] == n)
    wanted = f"(p, {'d' if d is None else d})" + ("" if n is None else f" or ({n}, p, {'d' if d is None else d})")
    require(right, must=f"coords: shape {wanted}.", came=coords, why="One row is one point of the field's domain.",
            do="coords[:, None] turns a list of 1D positions into (p, 1).")
    require_finite(coords, "coords")
    worst = float(coords.abs().max()) if coords.numel() else 0.0
    require(worst <= 1 + 1e-5, must="coords: inside the box [-1, 1]^d.", came=f"{describe(coords)} reaching {worst:g}",
            why="Fields are defined in the box only.",
            do="Scale your positions to [-1, 1] first (problems.arrays does it for data files).")
    return coords
