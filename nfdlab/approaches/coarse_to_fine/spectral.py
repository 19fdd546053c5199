"""A stationary Gaussian prior given by its spectral density, and conditioning of it in closed form.

`SpectralPrior` is a sum of Fourier modes, its spectral density measured from draws. `Lattices` and `ConditionedPoints`
condition it (Rasmussen & Williams 2006, eqs. 2.23-2.24): coarse values given observations, fine values given coarse
ones, and the rest of a function given fine values and observations. For a Gaussian field the chain is exact.
Covariances are in float64 on the CPU, in units of the prior, divided by each function's own amplitude.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from numpy import ndarray
from scipy.optimize import minimize
from torch import Tensor, nn

from ...core import single
from ...core.checks import require
from ...core.grid import cell_centres, to_grid
from ...core.rng import normals
from ...core.types import Observations
from ...diffusion.denoiser import DenoiseFn, GaussianPrior
from ...diffusion.schedule import NoiseLevels
from ...fields.pieces import in_pieces, in_place
from ...nn.networks import refresh

KNOTS = 32                           # of the log spectral density
REACH, AMPLITUDES = 2.5, 11          # amplitudes: out to so many standard deviations of their log, in so many steps
LEAST_AMPLITUDE_STD = 0.06           # a smaller standard deviation of log amplitude is sampling error
STIFFNESS = 1e-5                     # penalty on bends of the log density, for knots that no mode determines
FLOOR = 1e-8                         # of the mean power of a mode: what lies below is rounding
LEAST = 0.003                        # least error, as a standard deviation, of coarse values and observations
LEAST_FINE = 0.01                    # the same of fine values, which are many and near, so that rounding stays small
LEAST_STD = 1e-3                     # least standard deviation that a stage leaves open, in units of the prior


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """cos ω(x − x') of axis features (…, p, 2K − 1) and (…, q, 2K − 1): (…, p, q, K)."""
    K = (a.shape[-1] + 1) // 2
    cos = a[..., :, None, :K] * b[..., None, :, :K]
    cos[..., 1:] += a[..., :, None, K:] * b[..., None, :, K:]
    return cos


def each_axis(M: Tensor, x: Tensor, axis: int, d: int) -> Tensor:
    """M (q, k) applied along each of d axes of x, the first of them `axis`; they come last."""
    for _ in range(d):
        x = torch.tensordot(x, M, dims=([axis], [1]))
    return x


def hann(side: int) -> Tensor:
    """Hann's window on cell centres, of mean square 1: (side,)."""
    w = torch.sin(math.pi * (torch.arange(side, dtype=torch.float64) + 0.5) / side) ** 2
    return w / w.square().mean().sqrt()


class SpectralPrior(nn.Module):
    """Stationary Gaussian prior of functions of c channels over [-1, 1]^d, as a sum of Fourier modes.

    f = mean + scale · a · Σ_k √S_k (u_k cos ω_k·x + v_k sin ω_k·x) with ω = π/2 k: the box has twice the side, so that
    no two points of [-1, 1]^d meet a periodic image (circulant embedding, Dietrich & Newsam 1997). Channels are
    independent and share S, which depends on |k| alone: log S is linear between knots of ln(1 + |k|²). The amplitude a
    may differ from function to function, log-normally; it does not scale the constant mode k = 0.

    `power` (K,)*d holds S, which sums to 1; `root` (2K − 1,)*d the standard deviation of each cosine and sine. Both
    follow from the buffers. A fresh prior has a falling density that nothing was measured of.
    """

    def __init__(self, d: int, c: int, limit: int):
        """`limit`: the largest frequency that may be measured, in half-cycles of the box an axis."""
        super().__init__()
        self.d, self.c, self.limit = d, c, limit
        self.knots = torch.linspace(0, math.log(1 + d * limit**2), KNOTS, dtype=torch.float64)
        for name, start in (("log_density", -(1 + d / 2) * self.knots.float()), ("mean", single.zeros(c)),
                            ("scale", single.ones(c)), ("max_frequency", single.tensor(float(limit))),
                            ("amplitude_std", single.zeros(()))):
            self.register_buffer(name, start)
        self.register_load_state_dict_post_hook(refresh)
        self.precompute()

    def precompute(self) -> None:
        """Compute what follows from the buffers."""
        K = round(float(self.max_frequency)) + 1
        self.omega = math.pi / 2 * torch.arange(K, dtype=torch.float64)
        line, signs = self._radius(torch.arange(K))
        power = (self.knot_weights(line.flatten()) @ self.log_density.double().cpu()).exp().reshape(line.shape) * signs
        self.power = power / power.sum()
        both = torch.cat([torch.arange(K), torch.arange(1, K)])
        self.root = self.power.sqrt()[torch.meshgrid(*[both] * self.d, indexing="ij")]

    def _radius(self, k: Tensor) -> tuple[Tensor, Tensor]:
        """ln(1 + |k|²) at frequencies k an axis, (len k,)*d, and how many signs each has."""
        grids = torch.stack(torch.meshgrid(*[k.double()] * self.d, indexing="ij"))
        return grids.square().sum(0).log1p(), torch.where(grids > 0, 2.0, 1.0).double().prod(0)

    def knot_weights(self, at: Tensor) -> Tensor:
        """Weights (p, knots) of linear interpolation between knots at (p,)."""
        step = self.knots[1]
        return (1 - (at[:, None] / step - torch.arange(KNOTS)).abs()).clamp_min(0)

    # Measuring

    @torch.no_grad()
    def calibrate(self, values: Tensor, side: int, *, seed: int) -> None:
        """Measure from values (b, side^d, c) of fresh functions on cell centres: mean and scale, the density and its
        maximum frequency, and how much amplitudes differ. Frequencies that the grid cannot see are left out."""
        require(len(values) >= 16, must="values: of at least 16 functions.", came=values,
                why="Powers are means over functions.", do="Pass a few hundred.")
        flat = values.double().cpu()
        self.mean.copy_(flat.mean((0, 1))), self.scale.copy_(flat.std((0, 1)).clamp_min(1e-6))
        found = self.periodogram(flat, side)
        mean = found.mean(0)
        tried = sorted({max(2, self.limit * i // 8) for i in (2, 3, 4, 6, 8)})[::-1]
        loss, theta, frequency, total = min((self._fit(mean, side, r) for r in tried), key=lambda fit: fit[0])
        self.log_density.copy_(theta), self.max_frequency.fill_(frequency), self.scale.mul_(total**0.5)
        self.precompute()
        own = self._log_amplitude(found, side)
        drawn = self(cell_centres((side,) * self.d), self.noise(min(512, max(128, len(flat))), seed=seed)).double()
        chance = self._log_amplitude(self.periodogram(self.scale.to(drawn) * drawn + self.mean.to(drawn), side), side)
        std = float((own.var() - chance.var()).clamp_min(0).sqrt())
        self.amplitude_std.fill_(std if std > LEAST_AMPLITUDE_STD else 0.0)

    def periodogram(self, values: Tensor, side: int) -> Tensor:
        """Powers (b, *[side]*d) of values (b, side^d, c) under Hann's window, mean over channels."""
        u = (values - self.mean.to(values)) / self.scale.to(values)
        u = to_grid(u, (side,) * self.d).movedim(-1, 1)
        axes, w = tuple(range(-self.d, 0)), hann(side)
        for axis in axes:
            u = u * w.reshape(-1, *[1] * (-1 - axis))
        return (torch.fft.fftn(u, dim=axes).abs() / side**self.d).square().mean(1)

    @staticmethod
    def _response(side: int, K: int) -> Tensor:
        """M (side, K): the windowed power of mode k, either sign, at each frequency of the grid, aliases too."""
        x, k = cell_centres((side,), dtype=torch.float64)[:, 0], torch.arange(K, dtype=torch.float64)
        modes = torch.exp(1j * math.pi / 2 * k[:, None] * x) * hann(side)
        forth = (torch.fft.fft(modes) / side).abs().square()
        back = (torch.fft.fft(modes.conj()) / side).abs().square()
        return ((forth + back) / 2).T

    def expected_periodogram(self, side: int) -> Tensor:
        """The mean of `periodogram` under the prior: (side,)*d."""
        return each_axis(self._response(side, len(self.power)), self.power, 0, self.d)

    def _fit(self, found: Tensor, side: int, frequency: int) -> tuple[float, Tensor, int, float]:
        """Whittle's likelihood (1953) of mean powers, mean of found/E + log E with a penalty on bends, minimised over
        the knots up to a maximum frequency, Fisher's information as its Hessian: the loss, knots of a density of
        total 1, frequency, and that total."""
        M, floor = self._response(side, frequency + 1), FLOOR * found.mean()
        line, signs = self._radius(torch.arange(frequency + 1))
        B, found = self.knot_weights(line.flatten()).reshape(*line.shape, KNOTS), found + floor
        bends = single.eye(KNOTS).double().diff(n=2, dim=0)
        stiff = STIFFNESS * bends.T @ bends
        half = torch.fft.fftfreq(side, 0.5 / side)                   # half-cycles; what no mode can reach is left out
        inside = half.abs() <= self.limit
        M, half = M[inside], half[inside]
        found = found[torch.meshgrid(*[inside.nonzero()[:, 0]] * self.d, indexing="ij")]

        def mean_powers(theta: Tensor) -> tuple[Tensor, Tensor]:
            S = (B @ theta).exp() * signs
            return S, each_axis(M, S, 0, self.d) + floor

        def loss(knots: ndarray) -> tuple[float, ndarray, ndarray]:
            theta = torch.from_numpy(knots)
            S, E = mean_powers(theta)
            J = each_axis(M, S[..., None] * B, 0, self.d).flatten(1) / E.flatten()                   # (knots, modes)
            slope = stiff @ theta - J @ (found / E - 1).flatten() / E.numel()
            information = J @ J.T / E.numel() + stiff
            value = float((found / E + E.log()).mean() + theta @ stiff @ theta / 2)
            return value, slope.numpy(), information.numpy()

        near = self.knot_weights(self._radius(half)[0].clamp_max(self.knots[-1]).flatten())
        theta = torch.linalg.solve(near.T @ near + 1e3 * stiff, near.T @ found.flatten().log())
        theta = theta + (found.mean() / mean_powers(theta)[1].mean()).log()
        best = minimize(lambda knots: loss(knots)[:2], theta.numpy(), jac=True, hess=lambda knots: loss(knots)[2],
                        method="trust-exact", options={"gtol": 1e-7, "maxiter": 80})
        theta = torch.from_numpy(best.x)
        total = float(mean_powers(theta)[0].sum())
        return best.fun if 0.33 < total < 3 else math.inf, theta - math.log(total), frequency, total

    def _log_amplitude(self, found: Tensor, side: int) -> Tensor:
        """The log of each function's amplitude (b,), by the powers of modes from 2 to a quarter of the grid's."""
        k = torch.fft.fftfreq(side, 1 / side).abs()
        far = torch.stack(torch.meshgrid(*[k] * self.d, indexing="ij")).amax(0)
        expected = self.expected_periodogram(side)
        band = (far >= 2) & (far <= max(3, side // 8)) & (expected > 1e-5 * expected.max())
        return (found / expected)[:, band].mean(1).clamp_min(1e-12).log() / 2

    def amplitudes(self) -> tuple[Tensor, Tensor]:
        """Amplitudes (l,) of mean square one, and their log probabilities (l,); one amplitude if all are alike."""
        std = float(self.amplitude_std)
        if std == 0:
            return single.ones(1).double(), single.zeros(1).double()
        steps = torch.linspace(-REACH, REACH, AMPLITUDES, dtype=torch.float64)
        a, log = torch.exp(std * steps), (-steps.square() / 2).log_softmax(0)
        return a / (log.exp() * a.square()).sum().sqrt(), log

    # Functions and covariances

    def axis_features(self, coords: Tensor) -> list[Tensor]:
        """Cosines and sines of each coordinate of (…, p, d): d of (…, p, 2K − 1), in the dtype of coords."""
        angle = coords[..., None] * self.omega.to(coords)
        return list(torch.cat([angle.cos(), angle[..., 1:].sin()], -1).unbind(-2))

    def noise(self, n: int, *, seed: int) -> Tensor:
        """n white weights (n, c, *[2K − 1]*d), each from its own stream: what a draw of the prior is made of."""
        return normals(seed, n, (self.c, *self.root.shape), "waves")

    def forward(self, coords: Tensor, weights: Tensor) -> Tensor:
        """Σ root · weights · modes at coords (p, d) or (n, p, d), weights (n, c, *[2K − 1]*d): (n, p, c)."""
        W = self.root.to(weights) * weights
        if coords.ndim == 3:
            first, *rest = self.axis_features(coords)
            return self._summed(torch.einsum("npe,nce...->ncp...", first.to(W), W), rest)
        ticks = coords[:, 0].unique()                                    # on a grid, far fewer than points
        lines = torch.tensordot(self.axis_features(ticks[:, None])[0].to(W), W, dims=([1], [2])).movedim(0, 2)
        return in_pieces(
            lambda at: (torch.searchsorted(ticks, at[..., 0].contiguous()), *self.axis_features(at)[1:]),
            lambda placed, of: self._summed(of[0].index_select(2, placed[0][0]), placed[1:]), coords, (lines,),
            lines[0, :, 0].numel())

    @staticmethod
    def _summed(out: Tensor, rest: Sequence[Tensor]) -> Tensor:
        """Modes (n, c, p, …) times the features (1 or n, p, 2K − 1) of the axes that are left, summed: (n, p, c)."""
        for axis in rest:
            out = in_place(torch.mul, out, axis.to(out)[:, None].unflatten(-1, (-1, *[1] * (out.ndim - 4)))).sum(3)
        return out.mT

    def adjoint(self, axes: list[Tensor], pull: Tensor) -> Tensor:
        """root · Σ_i pull_i modes(x_i): pull (n, c, m), features (m, 2K − 1) an axis -> (n, c, *[2K − 1]*d)."""
        out = pull
        for axis in axes[:-1]:
            out = out[..., None] * axis.to(pull).reshape(len(axis), *[1] * (out.ndim - 3), axis.shape[-1])
        return self.root.to(pull) * torch.tensordot(out, axes[-1].to(pull), dims=([2], [0]))

    def adjoint_grid(self, tick: Tensor, pull: Tensor) -> Tensor:
        """The same for pull (n, c, *[side]*d) on a grid, its ticks' features (side, 2K − 1) shared by the axes."""
        return self.root.to(pull) * each_axis(tick.T.to(pull), pull, 2, self.d)

    def kernel(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        """Covariance between points, by their axis features: (…, p, q)."""
        return self._modes(a) @ self._modes(b).mT

    def _modes(self, axes: Sequence[Tensor]) -> Tensor:
        """root · modes at points, by their axis features (…, p, 2K − 1): (…, p, (2K − 1)^d)."""
        out, *rest = axes
        for axis in rest:
            out = (out[..., None] * axis[..., None, :]).flatten(-2)
        return out * self.root.to(out).flatten()

    def kernel_to_grid(self, a: list[Tensor], tick: Tensor) -> Tensor:
        """Covariance of points (…, m) with a grid whose axes have these ticks' features: (…, m, side^d)."""
        K = len(self.power)
        first, *rest = (cosines(x.reshape(-1, 1, 2 * K - 1), tick.to(x))[:, 0] for x in a)           # (m, side, K)
        out = first @ self.power.to(first).reshape(K, -1)
        for cos in rest:
            out = torch.einsum("mxkr,myk->mxyr", out.unflatten(-1, (K, -1)), cos).flatten(1, 2)
        return out[..., 0].reshape(*a[0].shape[:-1], len(tick) ** self.d)

    def kernel_of_grids(self, one: Tensor, two: Tensor) -> Tensor:
        """Covariance between two grids by the features of their ticks: (side^d, side'^d)."""
        cos, out = cosines(one, two), self.power.to(one)
        for _ in range(self.d):
            out = torch.tensordot(out, cos, dims=([0], [2]))                                         # …, A, B
        order = [*range(0, 2 * self.d, 2), *range(1, 2 * self.d, 2)]
        return out.permute(order).reshape(len(one) ** self.d, len(two) ** self.d)


@dataclass(frozen=True, eq=False)
class Detail:
    """Fine values (N_F) given coarse ones that are known up to noise of std `s`: their mean is `gain` (N_F, N_C) times
    the coarse values; what is left open has a zero-mean Gaussian `prior` of root mean square std `size`."""

    s: float
    gain: Tensor
    prior: GaussianPrior
    noise_levels: NoiseLevels
    size: float


class Lattices:
    """Covariances of a SpectralPrior on two lattices of cell centres, with `coarse` and `fine` points an axis."""

    def __init__(self, prior: SpectralPrior, coarse: int, fine: int):
        self.prior, self.coarse, self.fine = prior, coarse, fine
        self.ticks = {side: prior.axis_features(cell_centres((side,), dtype=torch.float64))[0]
                      for side in (coarse, fine)}
        self.among_coarse = self.between(coarse, coarse)                                             # (N_C, N_C)
        K = self.between(fine, fine)
        K.diagonal().add_(LEAST_FINE**2)
        self.inverse = torch.cholesky_inverse(torch.linalg.cholesky(K))                              # (N_F, N_F)
        self._details: dict[float, Detail] = {}                          # each level costs half a second

    def between(self, one: int, two: int) -> Tensor:
        """Covariance between two lattices, by their sides."""
        return self.prior.kernel_of_grids(self.ticks[one], self.ticks[two])

    def detail(self, s: float) -> Detail:
        """The conditional distribution of fine values given coarse ones that carry noise s."""
        if s not in self._details:
            self._details[s] = self._measure_detail(s)
        return self._details[s]

    @torch.inference_mode(False)
    @torch.no_grad()
    def _measure_detail(self, s: float) -> Detail:
        K, across = self.among_coarse.clone(), self.between(self.fine, self.coarse)
        K.diagonal().add_(s**2 + LEAST**2)
        root = torch.linalg.cholesky(K)
        gain = torch.cholesky_solve(across.T, root).T
        left = self.between(self.fine, self.fine) - gain @ across.T
        lam, Q = torch.linalg.eigh((left + left.T) / 2)
        lam = lam.clamp_min(0)
        size = max(float(lam.mean().sqrt()), LEAST_STD)
        prior = GaussianPrior(len(lam), size)
        prior.lam, prior.Q = lam.float(), Q.float()
        scaled = (lam / size**2).clamp_min(1e-6)
        n_eff = float(scaled.sum() ** 2 / scaled.square().sum())
        median = max(1.0, 0.94 * (len(lam) / n_eff) ** 0.5) ** 0.5
        high = max(7 * float(scaled[-1]) ** 0.5, 1.0)
        return Detail(s, gain, prior, NoiseLevels(0.02 * size, high * size, median * size), size)

    def constant_variance(self, a: float) -> float:
        """What amplitude a adds to the variance of the constant mode, which it does not scale, in units of a²."""
        return (1 / a**2 - 1) * float(self.prior.power.flatten()[0])

    def condition(self, seen: Observations) -> "ConditionedPoints":
        """Observations of one function, standardised, with the features of their places."""
        prior = self.prior
        scale = prior.scale.double().cpu()
        values = (seen.values.double().cpu() - prior.mean.double().cpu()) / scale
        coords, noise = seen.coords.detach().double().cpu(), (seen.noise_std / scale).clamp_min(LEAST / 2)
        return ConditionedPoints(self, coords, prior.axis_features(coords), values.T, noise)


@dataclass(frozen=True, eq=False)
class ConditionedPoints:
    """Observations of one function, and the prior conditioned on them: coords (m, d) and their axis features, values
    (c, m) and noise std (c,) in units of the prior. `a` is an amplitude that the function is assumed to have."""

    lattices: Lattices
    coords: Tensor
    axes: list[Tensor]
    values: Tensor
    noise: Tensor

    @property
    def m(self) -> int:
        return self.values.shape[1]

    @cached_property
    def among(self) -> Tensor:
        """Covariance of the function at the observations (m, m)."""
        return self.lattices.prior.kernel(self.axes, self.axes)

    @cached_property
    def to_fine(self) -> Tensor:
        """Covariance with the fine values (m, N_F)."""
        return self.lattices.prior.kernel_to_grid(self.axes, self.lattices.ticks[self.lattices.fine])

    @cached_property
    def rows(self) -> Tensor:
        """The mean at the observations is these rows (m, N_F) times the fine values."""
        return self.to_fine @ self.lattices.inverse

    def cholesky(self, a: float) -> Tensor:
        """Cholesky root of the covariance of the observations, over a²: (c, m, m)."""
        noise = (self.noise / a).square()[:, None, None] * single.eye(self.m).double()
        return torch.linalg.cholesky(self.among + self.lattices.constant_variance(a) + noise
                                     + 1e-6 * single.eye(self.m).double())

    def cholesky_given_fine(self, a: float) -> Tensor:
        """Cholesky root of the covariance of the observations given the fine values: (c, m, m)."""
        left = self.among - self.rows @ self.to_fine.T
        noise = (self.noise / a).square()[:, None, None] + LEAST**2
        return torch.linalg.cholesky((left + left.T) / 2 + noise * single.eye(self.m).double())

    def log_marginal_likelihood(self, a: float) -> float:
        """Of the observations under amplitude a, but for a constant. Rasmussen & Williams 2006, eq. 2.30."""
        root, c = self.cholesky(a), len(self.values)
        inside = torch.linalg.solve_triangular(root, self.values[..., None] / a, upper=False)
        logs = root.diagonal(dim1=-2, dim2=-1).log().sum()
        return float(-0.5 * inside.square().sum() - logs - c * self.m * torch.tensor(a).double().log())

    def amplitude_log_weights(self) -> Tensor:
        """Log posterior probabilities (l,) of the prior's `amplitudes`."""
        a, log = self.lattices.prior.amplitudes()
        likelihoods = [self.log_marginal_likelihood(float(x)) for x in a]
        return (log + torch.tensor(likelihoods, dtype=torch.float64)).log_softmax(0)

    def coarse(self, a: float) -> tuple[Tensor, Tensor, Tensor]:
        """Coarse values given the observations: mean (c, N_C), eigenvectors (c, N_C, N_C), eigenvalues (c, N_C)."""
        at, more, root = self.lattices, self.lattices.constant_variance(a), self.cholesky(a)
        across = at.prior.kernel_to_grid(self.axes, at.ticks[at.coarse]) + more                      # (m, N_C)
        half = torch.linalg.solve_triangular(root, across.expand(len(root), -1, -1), upper=False)
        inside = torch.linalg.solve_triangular(root, self.values[..., None] / a, upper=False)
        K = at.among_coarse + more - half.mT @ half
        lam, Q = torch.linalg.eigh((K + K.mT) / 2)
        return (half.mT @ inside)[..., 0], Q, lam.clamp_min(1e-8)

    def matheron(self, weights: Tensor, fine: Tensor, a: float, values: Tensor, noise: Tensor) -> Tensor:
        """Posterior weights (n, c, *[2K − 1]*d) of functions, from prior ones: with fine values (n, c, N_F) on the
        lattice, and observed values (n, c, m), their noise made of normals `noise` (n, c, m).

        w + Φᵀ K⁻¹ (values − Φ w − ε), Matheron's rule (Wilson et al. 2020, eq. 13): first for the lattice, then for the
        observations.
        """
        at, prior = self.lattices, self.lattices.prior
        tick, grid = at.ticks[at.fine], (at.fine,) * prior.d
        on_lattice = each_axis(tick, prior.root * weights.double(), 2, prior.d)     # in float64: K⁻¹ amplifies rounding
        pull, out = (fine.double() - on_lattice.flatten(2)) @ at.inverse, weights
        if self.m:
            moved = (out + prior.adjoint_grid(tick, pull.unflatten(-1, grid)).to(out)).double()
            here = prior(self.coords, moved).mT
            std = (self.noise / a).clamp_min(LEAST)[:, None]
            miss = (values - here - std * noise).transpose(0, 1)                                     # (c, n, m)
            late = torch.cholesky_solve(miss.mT, self.cholesky_given_fine(a)).mT.transpose(0, 1)
            pull = pull - late @ self.rows
            out = out + prior.adjoint(self.axes, late).to(out)
        return out + prior.adjoint_grid(tick, pull.unflatten(-1, grid)).to(out)      # large pulls, most of which cancel


def guided(denoise: DenoiseFn, prior: GaussianPrior, rows: Tensor, rest: Tensor, target: Tensor) -> DenoiseFn:
    """D conditioned on target = rows x + rest·ε, by the covariance C that a Gaussian prior leaves open:
    D + C Jᵀ (J C Jᵀ + R)⁻¹ (target − J D), the update of `guidance.gauss_newton` with a target for each draw.

    x (n, c, N), rows J (m, N), rest (c, m, m) lower triangular, R = rest restᵀ, target (n, c, m).
    """
    turned = (rows @ prior.Q.double()).contiguous()                                                  # (m, N)
    lam, R = prior.lam.double(), rest @ rest.mT

    def D(x: Tensor, sigma) -> Tensor:
        clean, s = denoise(x, sigma), float(sigma)
        miss = (target - clean.double().cpu() @ rows.T).transpose(0, 1)                              # (c, n, m)
        left_open = turned * (lam / (1 + lam / s**2))
        root = torch.linalg.cholesky(left_open @ turned.T + R)
        pull = torch.cholesky_solve(miss.mT, root).mT.transpose(0, 1)                                # (n, c, m)
        return clean + (pull @ left_open).to(clean) @ prior.Q.T.to(clean)

    return D
