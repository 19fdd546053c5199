"""What a Gaussian of known waves says of a coarse lattice, a fine one, and observations anywhere: all in closed form.

A function is drawn in steps: its values on the coarse lattice given observations, those on the fine lattice given the coarse
ones and the observations, and the rest of the function given all of these. Each step is Bayes' rule (Rasmussen & Williams
2006, eqs. 2.23-2.24), so for a Gaussian the chain is exact. Everything is in units of the waves, loudness divided out;
an unknown level, the wave k = 0, is not loud or quiet. In float64 on the CPU.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ...core.grid import cell_centres
from ...core.types import Observations
from ...diffusion.gaussian_prior import GaussianPrior
from ...diffusion.schedule import NoiseLevels
from .spectral_prior import SpectralPrior

LEAST = 0.003                # a standard deviation: coarse values and observations are held to this, no better
ON_FINE = 0.01               # the same of fine values, which are many and near: smaller ones would make rounding grow
LEAST_SPREAD = 1e-3          # of what a stage leaves open, in standard deviations of the function


@dataclass(frozen=True, eq=False)
class Detail:
    """What fine values (N_F) are, given coarse ones known up to noise `s`: `gain` (N_F, N_C) times them on average;
    what is left has this `spectrum`, standard deviation `size`, and noise levels `range`."""

    s: float
    gain: Tensor
    spectrum: GaussianPrior
    size: float
    noise_levels: NoiseLevels


class Lattices:
    """Cell centres of [-1, 1]^d, `coarse` and `fine` an axis, under `waves`."""

    def __init__(self, waves: SpectralPrior, coarse: int, fine: int):
        self.waves, self.coarse, self.fine = waves, coarse, fine
        self.ticks = {side: waves.axes(cell_centres((side,), dtype=torch.float64))[0] for side in (coarse, fine)}
        self._details: dict[float, Detail] = {}
        self.asked: tuple = (None, None, None)                       # the last question, kept for who asks it again

    def between(self, one: int, two: int) -> Tensor:
        return self.waves.lattices(self.ticks[one], self.ticks[two])

    @cached_property
    def among_coarse(self) -> Tensor:
        """(N_C, N_C)."""
        return self.between(self.coarse, self.coarse)

    @cached_property
    def inverse(self) -> Tensor:
        """Of the covariance of fine values, each with an error of ON_FINE: (N_F, N_F)."""
        K = self.between(self.fine, self.fine)
        K.diagonal().add_(ON_FINE**2)
        return torch.cholesky_inverse(torch.linalg.cholesky(K))

    @torch.inference_mode(False)
    @torch.no_grad()
    def detail(self, s: float) -> Detail:
        """The step from coarse values, seen with noise s, to fine ones; made once for each s."""
        if s not in self._details:
            K, across = self.among_coarse.clone(), self.between(self.fine, self.coarse)
            K.diagonal().add_(s**2 + LEAST**2)
            root = torch.linalg.cholesky(K)
            gain = torch.cholesky_solve(across.T, root).T
            left = self.between(self.fine, self.fine) - gain @ across.T
            lam, Q = torch.linalg.eigh((left + left.T) / 2)
            lam = lam.clamp_min(0)
            size = max(float(lam.mean().sqrt()), LEAST_SPREAD)
            spectrum = GaussianPrior(len(lam))
            spectrum.lam, spectrum.Q = lam.float(), Q.float()
            known = (lam / size**2).clamp_min(1e-6)
            many = float(known.sum() ** 2 / known.square().sum())
            half = max(1.0, 0.94 * (len(lam) / many) ** 0.5) ** 0.5
            scaled = NoiseLevels(0.02 * size, max(7 * float(known[-1]) ** 0.5, 1.0) * size, half * size)
            self._details[s] = Detail(s, gain, spectrum, size, scaled)
        return self._details[s]

    def level(self, a: float) -> float:
        """What a loudness a does to the variance of the level, in units of loud functions."""
        return (1 / a**2 - 1) * float(self.waves.power.flatten()[0])

    def told(self, seen: Observations) -> "ConditionedPoints":
        """Observations of one function, read once."""
        waves = self.waves
        scale = waves.scale.double().cpu()
        values = (seen.values.double().cpu() - waves.mean.double().cpu()) / scale
        axes = waves.axes(seen.coords.double().cpu())
        places, noise = seen.coords.detach().cpu().float(), (seen.noise_std / scale).clamp_min(LEAST / 2)
        return ConditionedPoints(self, places, axes, values.T, noise)


@dataclass(frozen=True, eq=False)
class ConditionedPoints:
    """Observations of one function: places (m, d) and their features, values (c, m) and noise (c,) in units of the waves."""

    at: Lattices
    places: Tensor
    axes: list[Tensor]
    values: Tensor
    noise: Tensor

    @property
    def m(self) -> int:
        return self.values.shape[1]

    @cached_property
    def among(self) -> Tensor:
        """Covariance of the function at the observations (m, m)."""
        return self.at.waves.kernel(self.axes, self.axes)

    @cached_property
    def to_coarse(self) -> Tensor:
        """(m, N_C)."""
        return self.at.waves.to_lattice(self.axes, self.at.ticks[self.at.coarse])

    @cached_property
    def to_fine(self) -> Tensor:
        """(m, N_F)."""
        return self.at.waves.to_lattice(self.axes, self.at.ticks[self.at.fine])

    def _root(self, a: float) -> Tensor:
        """Cholesky of the covariance of what was seen, over a²: (c, m, m)."""
        noise = (self.noise / a).square()[:, None, None] * torch.eye(self.m).double()
        return torch.linalg.cholesky(self.among + self.at.level(a) + noise + 1e-6 * torch.eye(self.m).double())

    def evidence(self, a: float) -> float:
        """log N of what was seen, were the function as loud as a. Rasmussen & Williams 2006, eq. 2.30."""
        root, c = self._root(a), len(self.values)
        inside = torch.linalg.solve_triangular(root, self.values[..., None] / a, upper=False)
        logs = root.diagonal(dim1=-2, dim2=-1).log().sum()
        return float(-0.5 * inside.square().sum() - logs - c * self.m * torch.tensor(a).double().log())

    def loudness(self) -> Tensor:
        """The log of how probable each of the waves' `loudnesses` is: (l,)."""
        a, log = self.at.waves.loudnesses()
        if len(a) > 1 and self.m:
            log = log + torch.tensor([self.evidence(float(x)) for x in a], dtype=torch.float64)
        return log.log_softmax(0)

    def coarse(self, a: float) -> tuple[Tensor, Tensor, Tensor]:
        """Coarse values given the observations: mean (c, N_C), eigenvectors (c, N_C, N_C), eigenvalues (c, N_C)."""
        K = self.at.among_coarse + self.at.level(a)
        if self.m == 0:
            K, mean = K.expand(len(self.values), -1, -1), K.new_zeros(len(self.values), len(K))
        else:
            root = self._root(a)
            half = torch.linalg.solve_triangular(root, (self.to_coarse + self.at.level(a)).expand(len(root), -1, -1),
                                                 upper=False)                                        # (c, m, N_C)
            inside = torch.linalg.solve_triangular(root, self.values[..., None] / a, upper=False)
            mean, K = (half.mT @ inside)[..., 0], K - half.mT @ half
        lam, Q = torch.linalg.eigh((K + K.mT) / 2)
        return mean, Q, lam.clamp_min(1e-8)

    @cached_property
    def rows(self) -> Tensor:
        """What the fine values say of the function at the observations: (m, N_F)."""
        return self.to_fine @ self.at.inverse

    def rest(self, a: float) -> Tensor:
        """Cholesky of the covariance of what was seen, given the fine values: (c, m, m)."""
        left = self.among - self.rows @ self.to_fine.T
        noise = (self.noise / a).square()[:, None, None] + LEAST**2
        return torch.linalg.cholesky((left + left.T) / 2 + noise * torch.eye(self.m).double())
