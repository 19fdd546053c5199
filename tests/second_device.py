"""A second device on a machine that has none: inside `second_device()` tensors on the device "meta" hold values.

Each is a wrapper round a tensor of the CPU, so that every branch runs and every value can be compared with the CPU's.
An operation that mixes the two devices raises `Mixed`, as CUDA does: a number () on the CPU may meet any tensor, an
index on the CPU may index a tensor elsewhere, copies may cross. "meta" since autograd knows it in every build of torch;
"cuda" it only knows where it is there.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("meta")
aten = torch.ops.aten
COPIES = {aten._to_copy.default, aten.copy_.default}
INDEXED = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default}
FROM_NUMBERS = (torch.tensor, torch.as_tensor, torch.asarray)


class Mixed(AssertionError):
    """Tensors of two devices in one operation."""


class Elsewhere(Tensor):
    """A tensor on the second device; `held` has its values."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: Tensor) -> "Elsewhere":
        return Tensor._make_wrapper_subclass(cls, held.shape, held.stride(), held.storage_offset(), dtype=held.dtype,
                                             device=DEVICE)

    def __init__(self, held: Tensor):
        self.held = held

    def __repr__(self, **kwargs) -> str:
        return f"Elsewhere({self.held})"

    def tolist(self):
        return self.held.tolist()

    def new_tensor(self, data, *, dtype=None) -> Tensor:
        return torch.tensor(data, dtype=dtype or self.dtype).to(DEVICE)

    @classmethod
    def __torch_dispatch__(cls, op, types, args=(), kwargs=None):
        return computed(op, args, kwargs or {})


def computed(op, args: tuple, kwargs: dict):
    """What an operation gives, on the device where it belongs."""
    there = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Elsewhere)]
    wanted = kwargs.get("device")
    goes = bool(there) if wanted is None else torch.device(wanted).type == DEVICE.type
    require_one_device(op, args, kwargs, there, goes)
    if goes and wanted is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    known = {id(t.held): t for t in there}                         # what was written in place is the tensor that came
    args, kwargs = tree_map(lambda x: x.held if isinstance(x, Elsewhere) else x, (args, kwargs))
    out = op(*args, **kwargs)

    def placed(x):
        return x if not isinstance(x, Tensor) else known[id(x)] if id(x) in known else Elsewhere(x)

    return tree_map(placed, out) if goes else out


def require_one_device(op, args: tuple, kwargs: dict, there: list[Elsewhere], goes: bool) -> None:
    """Raise `Mixed` where CUDA would refuse."""
    lost = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor) and t.device.type == DEVICE.type
            and not isinstance(t, Elsewhere)]
    if lost:
        raise Mixed(f"{op}: a tensor without values; made by a way that tests/second_device.py does not know")
    if goes and kwargs.get("generator") is not None:
        raise Mixed(f"{op}: a generator of the CPU draws on the CPU")
    if not there or op in COPIES:
        return
    looked = (args[0], *args[2:]) if op in INDEXED and isinstance(args[0], Elsewhere) else args
    here = [t for t in tree_leaves((looked, kwargs)) if isinstance(t, Tensor) and not isinstance(t, Elsewhere)]
    written = [t for a, t in zip(op._schema.arguments, args, strict=False) if a.alias_info and a.alias_info.is_write]
    if any(t.ndim > 0 or any(t is w for w in written) for t in here):
        shapes = ", ".join(f"{'elsewhere' if isinstance(t, Elsewhere) else 'cpu'} {tuple(t.shape)}"
                           for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor))
        raise Mixed(f"{op}: tensors of two devices, {shapes}")


class _Operations(TorchDispatchMode):
    """Operations that no tensor elsewhere takes part in may still make one."""

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        return computed(op, args, kwargs or {})


class _FromNumbers(TorchFunctionMode):
    """torch.tensor and its like on the second device, which make no operation that could be seen: made here, moved."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        device = kwargs.get("device")
        if function in FROM_NUMBERS and device is not None and torch.device(device).type == DEVICE.type:
            return function(*args, **{k: v for k, v in kwargs.items() if k != "device"}).to(DEVICE)
        return function(*args, **kwargs)


@contextmanager
def second_device() -> Iterator[str]:
    """The name of a device that is there as long as the context lasts."""
    with _Operations(), _FromNumbers():
        yield DEVICE.type
