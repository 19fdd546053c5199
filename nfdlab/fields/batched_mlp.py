"""Batched MLPs: many small fields, whose parameters are the rows of a matrix, evaluated in batched products."""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from ..core import single
from ..core.fields import EvaluatedFields
from ..core.rng import child, stream, uniforms
from ..core.types import Fields
from ..exact.enumerated import even
from .pieces import in_pieces, in_place


@dataclass(frozen=True)
class BatchedMLP:
    """MLP from d coordinates to c channels, whose parameters are a row theta (size,): a layer of sines, then layers of
    tanh, then a linear one. `omega` is the highest initial frequency, in radians per unit of the box."""

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
        """The number of parameters of one field."""
        return sum((a + 1) * b for a, b in self.sizes)

    def layers(self, theta: Tensor) -> list[tuple[Tensor, Tensor]]:
        """theta (n, size) -> of each layer weights (n, fan in, fan out) and biases (n, 1, fan out)."""
        parts = iter(theta.split([m for a, b in self.sizes for m in (a * b, b)], 1))
        return [(next(parts).reshape(-1, a, b), next(parts).reshape(-1, 1, b)) for a, b in self.sizes]

    def flatten(self, layers: list[tuple[Tensor, Tensor]]) -> Tensor:
        """The inverse of `layers`."""
        return torch.cat([part.flatten(1) for layer in layers for part in layer], 1)

    def __call__(self, theta: Tensor, coords: Tensor) -> Tensor:
        """Fields theta (n, size) at coords (p, d) shared, or (n, p, d) each its own: (n, p, c). Differentiable."""
        return in_pieces(lambda at: (at,), self._layered, coords, (theta,), self.width)

    def _layered(self, placed: tuple[Tensor, ...], prepared: tuple[Tensor, ...]) -> Tensor:
        h, (first, *layers) = placed[0], self.layers(prepared[0])
        weight, bias = (self.omega * part for part in first)
        h = torch.addcmul(bias, h, weight) if self.d == 1 else torch.baddbmm(bias, h.expand(len(bias), -1, -1), weight)
        activation = torch.sin
        for weight, bias in layers:
            h, activation = torch.baddbmm(bias, in_place(activation, h), weight), torch.tanh
        return h

    def fields(self, theta: Tensor) -> EvaluatedFields:
        """Rows of parameters as Fields."""
        return EvaluatedFields(lambda coords, part: self(theta[part].to(coords), coords), len(theta), self.d, self.c,
                               2 * self.width)

    def initialise(self, n: int = 1, *, seed: int) -> Tensor:
        """n random initialisations (n, size), each from its own stream: Sitzmann et al. 2020 for the sines and their
        phases, sqrt(6/fan in) after them, biases zero."""
        u = 2 * uniforms(seed, n, (self.size,), "weights", dtype=torch.float32) - 1
        layers = [(weight * (1 / a if k == 0 else math.sqrt(6 / a)), bias * (k == 0))
                  for k, ((weight, bias), (a, _)) in enumerate(zip(self.layers(u), self.sizes, strict=True))]
        return self.flatten(layers)

    def permute(self, theta: Tensor, *, seed: int) -> Tensor:
        """Permute the hidden neurons of each field at random: other parameters (n, size), the same functions."""
        layers, n = self.layers(theta), len(theta)
        for k in range(self.depth):
            order = uniforms(seed, n, (self.width,), "order", k).argsort(1).to(theta.device)
            (weight, bias), (after, rest) = layers[k], layers[k + 1]
            columns = order[:, None]
            layers[k] = weight.take_along_dim(columns, 2), bias.take_along_dim(columns, 2)
            layers[k + 1] = after.take_along_dim(order[..., None], 1), rest
        return self.flatten(layers)


def query_points(p: int, d: int, *, seed: int) -> Tensor:
    """Low-discrepancy query points in the box, shifted at random: (p, d)."""
    return 2 * ((even(p, d) + single.rand(d, generator=stream(seed, "shift"))) % 1) - 1


def robust_loss(error: Tensor, scale: float) -> Tensor:
    """Charbonnier loss, the mean of sqrt(error² + scale²) − scale: quadratic for errors below `scale`, linear above, so
    that a jump slightly off its place costs little. Charbonnier et al. 1994."""
    return ((error.square() + scale**2).sqrt() - scale).mean()


def fit(mlp: BatchedMLP, initial: Tensor, fields: Fields, *, seed: int, steps: int = 400, lr: float = 1e-2,
        l2_penalty: float = 1e-4, robust_scale: float = 0.1, queries: int = 32) -> Tensor:
    """Parameters (n, size) fitted to n `fields`, all at once, by Adam from `initial` (1 or n, size).

    `l2_penalty`·|theta − initial|² keeps parameters near their start. Every step compares all fields at the same query
    points, so that similar functions get similar parameters.
    """
    theta = initial.expand(fields.n, -1).clone().requires_grad_()
    adam = torch.optim.Adam([theta], lr, betas=(0.9, 0.99))
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    with torch.enable_grad():
        for i in range(steps):
            coords = query_points(queries, mlp.d, seed=child(seed, "places", i))
            distance = (theta - initial).square().sum(1).mean()
            loss = robust_loss(mlp(theta, coords) - fields(coords), robust_scale) + l2_penalty * distance
            adam.zero_grad()
            loss.backward()
            adam.step(), rates.step()
    return theta.detach()


def nearest(values: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Nearest neighbours of functions: values (n, p, c) among others (N, p, c) -> root mean square distance over the
    points, and index: (n,), (n,)."""
    found = torch.cdist(values.flatten(1), others.flatten(1), compute_mode="donot_use_mm_for_euclid_dist").min(1)
    return found.values / values[0].numel() ** 0.5, found.indices
