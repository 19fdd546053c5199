"""Batched MLPs: many small fields, whose parameters are the rows of a matrix, evaluated in batched products."""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from ..core.fields import EvaluatedFields
from ..core.rng import child, stream, uniforms
from ..exact.enumerated import even


@dataclass(frozen=True)
class BatchedMLP:
    """A field from d coordinates to c channels, whose parameters are a row theta (size,): a layer of sines, then layers
    of tanh, then a linear one. `omega` is the highest frequency at first, in radians per unit of the box."""

    d: int
    c: int = 1
    width: int = 16
    depth: int = 2
    omega: float = 10.0

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Fan in and fan out of each layer."""
        return tuple(pairwise((self.d, *[self.width] * self.depth, self.c)))

    @property
    def size(self) -> int:
        """How many parameters one field has."""
        return sum((a + 1) * b for a, b in self.sizes)

    def layers(self, theta: Tensor) -> list[tuple[Tensor, Tensor]]:
        """theta (n, size) -> of each layer weights (n, fan in, fan out) and biases (n, 1, fan out)."""
        parts = iter(theta.split([m for a, b in self.sizes for m in (a * b, b)], 1))
        return [(next(parts).reshape(-1, a, b), next(parts).reshape(-1, 1, b)) for a, b in self.sizes]

    def flat(self, layers: list[tuple[Tensor, Tensor]]) -> Tensor:
        """The inverse of `layers`."""
        return torch.cat([part.flatten(1) for layer in layers for part in layer], 1)

    def __call__(self, theta: Tensor, coords: Tensor) -> Tensor:
        """Fields theta (n, size) at coords (p, d) shared, or (n, p, d) each its own: (n, p, c). Differentiable."""
        h = coords if coords.ndim == 3 else coords.expand(len(theta), *coords.shape)
        for k, (weight, bias) in enumerate(self.layers(theta)):
            h = h * weight + bias if h.shape[-1] == 1 else torch.baddbmm(bias, h, weight)
            if k < self.depth:
                h = torch.sin(self.omega * h) if k == 0 else torch.tanh(h)
        return h

    def fields(self, theta: Tensor) -> EvaluatedFields:
        """Rows of parameters as Fields."""
        return EvaluatedFields(lambda coords, part: self(theta[part].to(coords), coords), len(theta), self.d, self.c,
                         2 * self.width)

    def start(self, n: int = 1, *, seed: int) -> Tensor:
        """n random initialisations (n, size), each from its own stream: Sitzmann et al. 2020 for the sines and their
        phases, sqrt(6/fan in) after them, biases zero."""
        u = 2 * uniforms(seed, n, (self.size,), "weights", dtype=torch.float32) - 1
        layers = [(weight * (1 / a if k == 0 else math.sqrt(6 / a)), bias * (k == 0))
                  for k, ((weight, bias), (a, _)) in enumerate(zip(self.layers(u), self.sizes, strict=True))]
        return self.flat(layers)

    def permute(self, theta: Tensor, *, seed: int) -> Tensor:
        """Permute the hidden neurons of each field at random: other parameters, the same functions."""
        layers, n = self.layers(theta), len(theta)
        for k in range(self.depth):
            order = uniforms(seed, n, (self.width,), "order", k).argsort(1).to(theta.device)
            (weight, bias), (after, rest) = layers[k], layers[k + 1]
            columns = order[:, None]
            layers[k] = weight.take_along_dim(columns, 2), bias.take_along_dim(columns, 2)
            layers[k + 1] = after.take_along_dim(order[..., None], 1), rest
        return self.flat(layers)


STARTS = ("shared", "random", "permuted")


def places(n: int, d: int, *, seed: int) -> Tensor:
    """A low-discrepancy set of n places in the box, shifted at random: (n, d)."""
    return 2 * ((even(n, d) + torch.rand(d, generator=stream(seed, "shift"))) % 1) - 1


def misfit(away: Tensor, edge: float) -> Tensor:
    """Charbonnier loss, mean of sqrt(away² + edge²) − edge: quadratic for small errors, linear for large ones, so
    that a jump slightly off its place costs little. Charbonnier et al. 1994."""
    return ((away.square() + edge**2).sqrt() - edge).mean()


def fit(small: BatchedMLP, begin: Tensor, fields, *, seed: int, steps: int = 400, rate: float = 1e-2,
        pull: float = 1e-4, edge: float = 0.1, queries: int = 32) -> Tensor:
    """Parameters (n, size) fitted to n `fields`, all at once, by Adam from `begin` (1 or n, size).

    `pull`·|theta − begin|² keeps parameters near their start. Every step compares all fields at the same places, so
    that similar functions get similar parameters.
    """
    theta = begin.expand(fields.n, -1).clone().requires_grad_()
    adam = torch.optim.Adam([theta], rate, betas=(0.9, 0.99))
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    with torch.enable_grad():
        for i in range(steps):
            coords = places(queries, small.d, seed=child(seed, "places", i))
            loss = misfit(small(theta, coords) - fields(coords), edge) + pull * (theta - begin).square().sum(1).mean()
            adam.zero_grad()
            loss.backward()
            adam.step(), rates.step()
    return theta.detach()


def nearest(values: Tensor, members: Tensor) -> tuple[Tensor, Tensor]:
    """For values (n, p, c) of functions, the distance (rms over places) to the nearest of members (N, p, c), and which
    it is: (n,), (n,)."""
    found = torch.cdist(values.flatten(1), members.flatten(1), compute_mode="donot_use_mm_for_euclid_dist").min(1)
    return found.values / values[0].numel() ** 0.5, found.indices
