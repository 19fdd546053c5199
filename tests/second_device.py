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


def tensors(values) -> list[Tensor]:
    """Those among the arguments of an operation."""
    found = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += tensors(value)
    return found


def changed(change, value):
    """An argument or a result with `change` applied to each of its tensors."""
    if isinstance(value, Tensor):
        return change(value)
    return type(value)([changed(change, v) for v in value]) if isinstance(value, list | tuple) else value


def computed(op, args: tuple, kwargs: dict):
    """What an operation gives, on the device where it belongs."""
    came, wanted = tensors((*args, *kwargs.values())), kwargs.get("device")
    there = [t for t in came if t.device.type == DEVICE.type]
    goes = bool(there) if wanted is None else wanted.type == DEVICE.type
    if not there and not goes:
        return op(*args, **kwargs)
    if not all(isinstance(t, Elsewhere) for t in there):
        raise Mixed(f"{op}: a tensor without values, made by a way that tests/second_device.py does not know")
    if goes and kwargs.get("generator") is not None:
        raise Mixed(f"{op}: a generator of the CPU draws on the CPU")
    if 0 < len(there) < len(came) and op not in COPIES:
        require_one_device(op, args, kwargs)
    if goes and wanted is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    known = {id(t.held): t for t in there}                         # what was written in place is the tensor that came

    def held(t: Tensor) -> Tensor:
        return t.held if isinstance(t, Elsewhere) else t

    def placed(t: Tensor) -> Tensor:
        return known[id(t)] if id(t) in known else Elsewhere(t)

    out = op(*changed(held, args), **{k: changed(held, v) for k, v in kwargs.items()})
    return changed(placed, out) if goes else out


def require_one_device(op, args: tuple, kwargs: dict) -> None:
    """Raise `Mixed` where CUDA would refuse tensors of both devices: all but numbers that are only read, and indices of
    a tensor elsewhere."""
    index = op in INDEXED and isinstance(args[0], Elsewhere)
    here = [t for t in tensors((*(args[::2] if index else args), *kwargs.values())) if not isinstance(t, Elsewhere)]
    form = zip(op._schema.arguments, args, strict=False)
    written = [id(t) for argument, t in form if argument.alias_info and argument.alias_info.is_write]
    if any(t.ndim > 0 or id(t) in written for t in here):
        came = (f"{'elsewhere' if isinstance(t, Elsewhere) else 'cpu'} {tuple(t.shape)}"
                for t in tensors((*args, *kwargs.values())))
        raise Mixed(f"{op}: tensors of two devices: {', '.join(came)}")


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
