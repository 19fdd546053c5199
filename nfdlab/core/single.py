"""Tensors in single precision, whatever torch's default dtype is: torch's factories by their own names.

The default dtype belongs to the program that uses the kit. It is read when a tensor is made without a dtype, so nothing
here makes one that way.
"""

from functools import partial

import torch
from torch.overrides import TorchFunctionMode

arange, as_tensor, empty, eye, full, linspace, ones, rand, randn, tensor, zeros = (
    partial(make, dtype=torch.float32) for make in (
        torch.arange, torch.as_tensor, torch.empty, torch.eye, torch.full, torch.linspace, torch.ones, torch.rand,
        torch.randn, torch.tensor, torch.zeros))


class SinglePrecision(TorchFunctionMode):
    """A context, of this thread alone, in which torch's own layers are made in single precision. It slows every call of
    torch by a third, so that only networks are made within it."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in (torch.empty, torch.zeros, torch.ones):
            kwargs = {"dtype": torch.float32, **{k: v for k, v in kwargs.items() if k != "dtype" or v is not None}}
        return func(*args, **kwargs)
