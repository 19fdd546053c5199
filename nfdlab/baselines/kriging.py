"""Kriging: Gaussian-process regression with hyperparameters fitted to one set of observations.

y = f(x) + noise of known std, f = mean + sqrt(variance) g(x / lengthscale), g with one of four kernels. The mean has
standard deviation `mean_std` and is integrated out; variance and lengthscale maximise the log marginal likelihood under
weak log-normal priors (they matter below about ten points); the kernel with the largest maximum is used. With three
observations or fewer nothing is fitted: zero mean and unit variance, as for standardised data.
Source: Rasmussen & Williams 2006, eqs. 2.23-2.30, 5.8-5.9; draws: Wilson et al. 2020 (Matheron's rule).
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from scipy.linalg import cho_factor, cho_solve
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize
from scipy.spatial.distance import cdist
from torch import Tensor

from ..core.checks import require_count, require_name, require_number, require_seed
from ..core.fields import EvaluatedFields
from ..core.rng import normals
from ..core.types import Observations, require_seen
from .covariance import SMOOTHNESS, frequencies, kernel

LEAST_NOISE = 1e-4                                   # keeps the covariance of repeated places invertible
CHUNK = 100_000                                      # waves computed at a time: 0.8 MB stay in the cache
USUAL = np.log([1.0, 0.4])                           # variance and lengthscale without observations
WIDTH = np.array([1.5, 1.2])                         # of their log-normal priors
BOUNDS = np.log([[1e-4, 1e2], [0.01, 20.0]])
STARTS = (0.15, 0.6)                                 # lengthscales the search begins from


@dataclass(frozen=True)
class CovarianceModel:
    """The covariance of one channel: mean_std² + variance k(r / lengthscale)."""

    kernel: str
    variance: float
    lengthscale: float
    mean_std: float

    def between(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """(p, d), (m, d) -> (p, m)."""
        return self.mean_std**2 + self.variance * kernel(self.kernel, cdist(a, b) / self.lengthscale)[0]


def objective(log: np.ndarray, name: str, r: np.ndarray, y: np.ndarray, noise_std: float, mean_std: float):
    """Negative log marginal likelihood of y (m,) plus the log-normal priors, and its gradient by log (variance,
    lengthscale)."""
    variance, lengthscale = np.exp(log)
    k, slope = kernel(name, r / lengthscale)
    K = variance * k + mean_std**2
    K[np.diag_indices(len(y))] += noise_std**2
    factor = cho_factor(K, lower=True, check_finite=False)
    alpha = cho_solve(factor, y, check_finite=False)
    inverse = dpotri(factor[0], lower=1)[0]          # its lower triangle
    lack = 2 * np.tril(inverse, -1) + np.diag(np.diag(inverse)) - np.outer(alpha, alpha)
    value = 0.5 * y @ alpha + np.log(np.diag(factor[0])).sum() + 0.5 * len(y) * np.log(2 * np.pi)
    gradient = 0.5 * variance * np.array([(lack * k).sum(), (lack * slope).sum()])
    away = (log - USUAL) / WIDTH
    return value + 0.5 * away @ away, gradient + away / WIDTH


@dataclass(frozen=True)
class Kriging:
    """`kernels` to choose from, `mean_std` of the unknown mean, `features` waves in a draw (a power of two).

    The draws' mean and covariance are exact in expectation; each draw is a sum of `features` waves, so that it is only
    nearly Gaussian. Isotropic, channels apart; no trend.
    """

    kernels: tuple[str, ...] = tuple(SMOOTHNESS)
    mean_std: float = 1.0
    features: int = 256

    def __post_init__(self):
        for name in self.kernels:
            require_name(name, SMOOTHNESS, "kernel")
        require_number(self.mean_std, "mean_std", 0.0)
        require_count(self.features, "features")

    def fit(self, seen: Observations | None) -> list[CovarianceModel]:
        """The fitted covariance of each channel."""
        if require_seen(seen) is None or seen.m <= 3:
            usual = CovarianceModel("matern52", *np.exp(USUAL), mean_std=0.0)
            return [usual] * (1 if seen is None else seen.values.shape[1])
        x, y, noise_std = _arrays(seen)
        r = cdist(x, x)
        return [self._best(r, channel, noise_std) for channel in y.T]

    def _best(self, r: np.ndarray, y: np.ndarray, noise_std: float) -> CovarianceModel:
        found = []
        for name, start in product(self.kernels, STARTS):
            begin = np.log([max(y.var(), 0.01), start])
            end = minimize(objective, begin, (name, r, y, noise_std, self.mean_std), method="L-BFGS-B", jac=True,
                           bounds=BOUNDS, options={"maxiter": 30, "ftol": 1e-7})
            found.append((end.fun, name, *np.exp(end.x)))
        _, name, variance, lengthscale = min(found)
        return CovarianceModel(name, float(variance), float(lengthscale), self.mean_std)

    def moments(self, seen: Observations | None, coords: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior mean and standard deviation at coords: (p, c), (p, c)."""
        at = coords.detach().cpu().double().numpy()
        mean, std = [], []
        for j, law in enumerate(self.fit(seen)):
            total = law.variance + law.mean_std**2
            if seen is None or seen.m == 0:
                mean.append(np.zeros(len(at))), std.append(np.full(len(at), np.sqrt(total)))
                continue
            x, y, noise_std = _arrays(seen)
            factor, across = _factor(law, x, noise_std), law.between(at, x)
            mean.append(across @ cho_solve(factor, y[:, j]))
            taken = (across * cho_solve(factor, across.T).T).sum(1)
            std.append(np.sqrt(np.maximum(total - taken, 0)))
        mean, std = (torch.as_tensor(np.stack(part, -1)).to(coords) for part in (mean, std))
        return mean, std

    def draw(self, seen: Observations | None, n: int, *, seed: int, steps: int | None = None) -> EvaluatedFields:
        """n posterior draws by Matheron's rule: a prior draw plus the kriging of its residuals.

        f + K(., x) (K + s²)^-1 (y - f(x) - s eps). `steps` has no effect.
        """
        require_count(n), require_seed(seed)
        channels = [_channel(law, seen, j, n, self.features, seed) for j, law in enumerate(self.fit(seen))]

        def rule(coords: Tensor, part: slice) -> Tensor:
            return torch.stack([channel(coords, part) for channel in channels], -1).to(coords)

        return EvaluatedFields(rule, n, None if seen is None else seen.coords.shape[1], len(channels))


def _arrays(seen: Observations) -> tuple[np.ndarray, np.ndarray, float]:
    """Places and values sorted by place, so that draws do not depend on the order of observations."""
    x, y = seen.coords.double().cpu().numpy(), seen.values.double().cpu().numpy()
    order = np.lexsort((*y.T, *x.T[::-1]))
    return x[order], y[order], max(seen.noise_std, LEAST_NOISE)


def _factor(law: CovarianceModel, x: np.ndarray, noise_std: float):
    return cho_factor(law.between(x, x) + noise_std**2 * np.eye(len(x)), lower=True)


def _channel(law: CovarianceModel, seen: Observations | None, j: int, n: int, features: int, seed: int):
    """One channel's draws: (coords, part) -> (k, p) in float64."""
    a, b = normals(seed, n, (2, features), "kriging", j, dtype=torch.float64).unbind(1)
    height = torch.hypot(a, b) * (law.variance / features) ** 0.5     # a cos + b sin, as one wave
    phase = torch.atan2(b, a) / (2 * torch.pi)                        # in turns
    level = law.mean_std * normals(seed, n, (1,), "level", j, dtype=torch.float64)
    waves = {}                                                        # frequencies, made once d is known

    def prior(coords: Tensor, part: slice) -> Tensor:
        d = coords.shape[-1]
        if d not in waves:
            waves[d] = frequencies(law.kernel, n, features, d, seed=seed) / (2 * torch.pi * law.lengthscale)
        step = max(1, CHUNK // ((part.stop - part.start) * features))
        out = []
        for x in coords.cpu().double().split(step, -2):
            turns = torch.addcmul(-phase[part, None], x[..., 0, None], waves[d][part, None, :, 0])
            for i in range(1, d):
                turns.addcmul_(x[..., i, None], waves[d][part, None, :, i])
            wave = turns.frac_().float().mul_(2 * torch.pi).cos_()    # float32 is enough within one turn
            out.append((wave @ height[part, :, None].float())[..., 0].double())
        return torch.cat(out, -1) + level[part]

    if seen is None or seen.m == 0:
        return prior
    x, y, noise_std = _arrays(seen)
    noise = noise_std * normals(seed, n, (len(x),), "noise", j, dtype=torch.float64).numpy()
    missing = y[:, j] - prior(torch.from_numpy(x), slice(0, n)).numpy() - noise
    pull = torch.from_numpy(cho_solve(_factor(law, x, noise_std), missing.T).T)    # (n, m)

    def posterior(coords: Tensor, part: slice) -> Tensor:
        q = coords.cpu().double()
        across = torch.from_numpy(law.between(q.reshape(-1, q.shape[-1]).numpy(), x))
        if q.ndim == 2:
            return prior(coords, part) + pull[part] @ across.T
        return prior(coords, part) + (across.reshape(*q.shape[:2], -1) @ pull[part, :, None])[..., 0]

    return posterior


BASELINES = {"kriging": Kriging}
