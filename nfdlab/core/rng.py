"""Random streams derived from a seed by a hash, one for each draw: the only source of randomness.

`child(seed, "data", 3)` is a new seed for one use. Seeds are never added, so no test task lies in a training stream.
Noise is drawn on the CPU and moved, so CPU and GPU give the same results.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b

import torch
from torch import Tensor

from .single import SinglePrecision


def child(seed: int, *use) -> int:
    """A 63-bit seed for one use of `seed`: child(0, "data", 3)."""
    digest = blake2b(repr((int(seed), *use)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def stream(seed: int, *use) -> torch.Generator:
    """A CPU generator for one use of `seed`."""
    return torch.Generator().manual_seed(child(seed, *use))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """A context in which modules are initialised from a seed, in single precision; torch's global random state is
    restored."""
    with torch.random.fork_rng(devices=[]), SinglePrecision():
        torch.manual_seed(child(seed, "modules"))
        yield


def normals(seed: int, n: int, shape: tuple[int, ...], *use, dtype=torch.float32) -> Tensor:
    """(n, *shape) standard normals, row i from its own stream: a larger n only appends."""
    out = torch.empty((n, *shape), dtype=dtype)
    for i in range(n):
        torch.randn(shape, generator=stream(seed, *use, i), out=out[i])
    return out


def uniforms(seed: int, n: int, shape: tuple[int, ...], *use, dtype=torch.float64) -> Tensor:
    """(n, *shape) uniforms in [0, 1), row i from its own stream."""
    out = torch.empty((n, *shape), dtype=dtype)
    for i in range(n):
        torch.rand(shape, generator=stream(seed, *use, i), out=out[i])
    return out


def choose(log_weights: Tensor, n: int, *, seed: int) -> Tensor:
    """n indices drawn with the given log weights, each from its own stream: (n,)."""
    u = uniforms(seed, n, (), "choose")
    steps = log_weights.double().softmax(0).cumsum(0)
    return torch.searchsorted(steps, u * steps[-1]).clamp_max(len(log_weights) - 1)
