"""Kriging: Gaussian-process regression with hyperparameters fitted to one set of observations.

y = f(x) + noise, f = mean + sqrt(variance) g(x / lengthscale), g with one of four kernels. The mean has standard
deviation `mean_std` and is integrated out; variance and lengthscale maximise the log marginal likelihood under weak
log-normal priors (they matter below about ten points); the kernel with the largest maximum is used. From ten
observations on, the Bayesian information criterion may ask for a constant in place of a field, and from twenty an axis
for one lengthscale an axis. With three or fewer nothing is fitted: zero mean, unit variance, as for standardised data.
Source: Rasmussen & Williams 2006, eqs. 2.23-2.30, 5.8-5.9; Schwarz 1978; draws: Wilson et al. 2020 (Matheron's rule).
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
from ..problems.points import Measured
from .covariance import SMOOTHNESS, frequencies, kernel

LEAST_NOISE = 1e-4                                   # keeps the covariance of repeated places invertible
CHUNK = 100_000                                      # waves computed at a time: 0.8 MB stay in the cache
# of variance, lengthscales and the variance of the noise: middle and width of the log-normal priors, and bounds
MIDDLE, WIDTH = np.log([1.0, 0.4, 0.01]), np.array([1.5, 1.2, 3.0])
BOUNDS = np.log([[1e-4, 1e2], [0.01, 20.0], [LEAST_NOISE**2, 1e2]])
STARTS = (0.15, 0.6)                                 # lengthscales the search begins from
NOISES = (0.01, 0.5)                                 # and the noise's shares of the variance, where it is estimated
FEW, MANY = 10, 20                                   # observations to choose a constant; an axis, a lengthscale each


@dataclass(frozen=True)
class CovarianceModel:
    """The covariance of one channel, mean_std² + variance k(|Δ / lengthscales|), and the noise's standard deviation.

    `lengthscales`: one for all axes, or one an axis."""

    kernel: str
    variance: float
    lengthscales: tuple[float, ...]
    noise_std: float
    mean_std: float

    def between(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """(p, d), (m, d) -> (p, m)."""
        scale = np.array(self.lengthscales)
        return self.mean_std**2 + self.variance * kernel(self.kernel, cdist(a / scale, b / scale))[0]

    def factor(self, x: np.ndarray):
        """Cholesky factor of the covariance of observations at x (m, d), for `cho_solve`."""
        return cho_factor(self.between(x, x) + self.noise_std**2 * np.eye(len(x)), lower=True)


def objective(log: np.ndarray, name: str, squares: np.ndarray, y: np.ndarray, noise_std: float | None,
              mean_std: float):
    """Negative log marginal likelihood of y (m,) plus the log-normal priors, and its gradient by `log`: log variance,
    log lengthscales, and the log variance of the noise where `noise_std` is None.

    squares (k, m, m): squared distances, along each axis if there are k lengthscales, whole if there is one.
    """
    scales = len(squares)
    variance, lengthscales = np.exp(log[0]), np.exp(log[1:1 + scales])
    noise = np.exp(log[-1]) if noise_std is None else noise_std**2
    parts = squares / lengthscales[:, None, None]**2
    whole = parts.sum(0)
    k, slope = kernel(name, np.sqrt(whole))
    K = variance * k + mean_std**2
    K[np.diag_indices(len(y))] += noise
    factor = cho_factor(K, lower=True, check_finite=False)
    alpha = cho_solve(factor, y, check_finite=False)
    inverse = dpotri(factor[0], lower=1)[0]          # its lower triangle
    lack = 2 * np.tril(inverse, -1) + np.diag(np.diag(inverse)) - np.outer(alpha, alpha)
    value = 0.5 * y @ alpha + np.log(np.diag(factor[0])).sum() + 0.5 * len(y) * np.log(2 * np.pi)
    steep = lack * slope / np.maximum(whole, 1e-300)
    gradient = 0.5 * variance * np.array([(lack * k).sum(), *(steep * parts).sum((1, 2))])
    if noise_std is None:
        gradient = np.append(gradient, 0.5 * noise * np.trace(lack))
    which = np.repeat([0, 1, 2], [1, scales, noise_std is None])
    away = (log - MIDDLE[which]) / WIDTH[which]
    return value + 0.5 * away @ away, gradient + away / WIDTH[which]


@dataclass(frozen=True)
class Kriging:
    """Gaussian-process regression: `kernels` to choose from, `mean_std` of the unknown mean.

    `nugget`: whether the noise's variance is estimated too, and the observations' `noise_std` ignored; by default where
    they were read from a table without one (`Measured.noise_given`). `features` waves in a draw (a power of two): the
    draws' mean and covariance are exact in expectation, but a draw is only nearly Gaussian. Channels apart; no trend.
    """

    kernels: tuple[str, ...] = tuple(SMOOTHNESS)
    mean_std: float = 1.0
    features: int = 256
    nugget: bool | None = None

    def __post_init__(self):
        for name in self.kernels:
            require_name(name, SMOOTHNESS, "kernel")
        require_number(self.mean_std, "mean_std", 0.0)
        require_count(self.features, "features")

    def fit(self, seen: Observations | None) -> list[CovarianceModel]:
        """The fitted covariance of each channel."""
        if require_seen(seen) is None or seen.m <= 3:
            noise_std = LEAST_NOISE if seen is None else max(seen.noise_std, LEAST_NOISE)
            usual = CovarianceModel("matern52", 1.0, (float(np.exp(MIDDLE[1])),), noise_std, mean_std=0.0)
            return [usual] * (1 if seen is None else seen.values.shape[1])
        x, y = _arrays(seen)
        unknown = isinstance(seen, Measured) and not seen.noise_given if self.nugget is None else self.nugget
        return [self._best(x, channel, None if unknown else max(seen.noise_std, LEAST_NOISE)) for channel in y.T]

    def _best(self, x: np.ndarray, y: np.ndarray, noise_std: float | None) -> CovarianceModel:
        """The fit of the least objective plus half a log m for each number fitted (Schwarz 1978)."""
        (m, d), height, unknown = x.shape, max(y.var(), 0.01), noise_std is None
        noises = [(share * height,) for share in NOISES] if unknown else [()]
        begins = [np.log([height, start, *noise]) for start, noise in product(STARTS, noises)]
        whole = cdist(x, x)[None]**2
        found = [self._search(name, begins, whole, y, noise_std) for name in self.kernels]
        if d > 1 and m >= MANY * d:
            along = (x.T[:, :, None] - x.T[:, None])**2
            found += [self._search(name, [np.insert(log, 1, [log[1]] * (d - 1))], along, y, noise_std)
                      for _, name, log in sorted(found, key=lambda fit: fit[0])[:2]]
        value, name, log = min((value + 0.5 * len(log) * np.log(m), name, log.tolist()) for value, name, log in found)
        spread = max(float(y.std()), LEAST_NOISE) if unknown else noise_std
        if m >= FEW and _constant(y, spread, self.mean_std) + 0.5 * unknown * np.log(m) < value:
            return CovarianceModel(name, 0.0, (1.0,), spread, self.mean_std)
        numbers = np.exp(log).tolist()
        noise_std = numbers.pop()**0.5 if unknown else noise_std
        return CovarianceModel(name, numbers[0], tuple(numbers[1:]), noise_std, self.mean_std)

    def _search(self, name: str, begins: list, squares: np.ndarray, y: np.ndarray, noise_std: float | None):
        """Least objective, kernel, and where: the best of several descents."""
        bounds = BOUNDS[[0, *[1] * len(squares), *[2] * (noise_std is None)]]
        ends = [minimize(objective, begin, (name, squares, y, noise_std, self.mean_std), method="L-BFGS-B", jac=True,
                         bounds=bounds, options={"maxiter": 30, "ftol": 1e-7}) for begin in begins]
        best = min(ends, key=lambda end: end.fun)
        return best.fun, name, best.x

    def moments(self, seen: Observations | None, coords: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior mean and standard deviation at coords: (p, c), (p, c)."""
        at = coords.detach().cpu().double().numpy()
        mean, std = [], []
        for j, law in enumerate(self.fit(seen)):
            total = law.variance + law.mean_std**2
            if seen is None or seen.m == 0:
                mean.append(np.zeros(len(at))), std.append(np.full(len(at), np.sqrt(total)))
                continue
            x, y = _arrays(seen)
            factor, across = law.factor(x), law.between(at, x)
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


def _arrays(seen: Observations) -> tuple[np.ndarray, np.ndarray]:
    """Places and values sorted by place, so that draws do not depend on the order of observations."""
    x, y = seen.coords.double().cpu().numpy(), seen.values.double().cpu().numpy()
    order = np.lexsort((*y.T, *x.T[::-1]))
    return x[order], y[order]


def _constant(y: np.ndarray, noise_std: float, mean_std: float) -> float:
    """Negative log marginal likelihood of a constant of standard deviation `mean_std`, and noise, in closed form."""
    m, noise, level = len(y), noise_std**2, mean_std**2
    total = noise + m * level
    away = (y @ y - level * y.sum()**2 / total) / noise
    return 0.5 * (away + (m - 1) * np.log(noise) + np.log(total) + m * np.log(2 * np.pi))


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
            waves[d] = frequencies(law.kernel, n, features, d, seed=seed) / (
                2 * torch.pi * torch.tensor(law.lengthscales, dtype=torch.float64))
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
    x, y = _arrays(seen)
    noise = law.noise_std * normals(seed, n, (len(x),), "noise", j, dtype=torch.float64).numpy()
    missing = y[:, j] - prior(torch.from_numpy(x), slice(0, n)).numpy() - noise
    pull = torch.from_numpy(cho_solve(law.factor(x), missing.T).T)    # (n, m)

    def posterior(coords: Tensor, part: slice) -> Tensor:
        q = coords.cpu().double()
        across = torch.from_numpy(law.between(q.reshape(-1, q.shape[-1]).numpy(), x))
        if q.ndim == 2:
            return prior(coords, part) + pull[part] @ across.T
        return prior(coords, part) + (across.reshape(*q.shape[:2], -1) @ pull[part, :, None])[..., 0]

    return posterior


BASELINES = {"kriging": Kriging}
