"""A Gaussian prior as a sum of waves: how much of a function lives at each scale, measured from draws.

f = mean + scale · a · Σ_k √S_k (u_k cos ω_k·x + v_k sin ω_k·x), on a box of twice the side, so that no two points of
the unit box meet a wrapped image (circulant embedding, Dietrich & Newsam 1997). Wave vectors are ω = π/2 k. What is
learned is S along the radius, a few dozen numbers: log S is straight between knots of ln(1 + |k|²), and fits the
windowed powers of fresh draws best (Whittle 1953). So a power law stays one, at any zoom. `a`, how loud a function is,
may differ from function to function; how much it does is measured too.
"""

import math

import torch
from torch import Tensor, nn

from ...core.checks import require
from ...core.grid import cell_centres, to_grid
from ...core.rng import normals

KNOTS = 32                   # of log S
LOUD, LEVELS = 2.5, 11       # loudness is even in its log, out to so many standard deviations, in so many steps
QUIET = 0.06                 # a spread of log loudness below this is luck
BEND = 1e-5                  # how stiff log S is between knots that no wave speaks for
FLOOR = 1e-8                 # of the mean power of a mode: what lies below is rounding


def pairs(a: Tensor, b: Tensor) -> Tensor:
    """cos ω(x − x') of axis features (…, p, 2K − 1) and (…, q, 2K − 1): (…, p, q, K)."""
    K = (a.shape[-1] + 1) // 2
    cos = a[..., :, None, :K] * b[..., None, :, :K]
    cos[..., 1:] += a[..., :, None, K:] * b[..., None, :, K:]
    return cos


class SpectralPrior(nn.Module):
    """Functions of c channels over [-1, 1]^d, waves up to `most` half-cycles an axis. Channels are independent and
    share S. Everything is in units of each channel's own mean and scale; `power` (K,)*d sums to 1 over them. Fresh, it
    is a falling law that nothing was measured of."""

    def __init__(self, d: int, c: int, most: int):
        super().__init__()
        self.d, self.c, self.most = d, c, most
        ends = torch.linspace(0, math.log(1 + d * most**2), KNOTS, dtype=torch.float64)
        self.ends = ends
        for name, start in (("log_density", -(1 + d / 2) * ends.float()), ("reach", torch.tensor(float(most))),
                            ("mean", torch.zeros(c)), ("scale", torch.ones(c)), ("loud", torch.zeros(()))):
            self.register_buffer(name, start)
        self.precompute()

    def precompute(self) -> None:
        """Make what follows from the numbers that are kept: after they were measured or loaded."""
        K = round(float(self.reach)) + 1
        self.omega = math.pi / 2 * torch.arange(K, dtype=torch.float64)
        line, signs = self._radius(K)
        power = (self._spread(line.flatten()) @ self.log_density.double().cpu()).exp().reshape(line.shape) * signs
        self.power = power / power.sum()
        both = torch.cat([torch.arange(K), torch.arange(1, K)])
        root = self.power.sqrt()
        for axis in range(self.d):
            root = root.index_select(axis, both)
        self.root = root                                             # (2K − 1,)*d: the size of each cosine and sine

    def _radius(self, K: int, k: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """ln(1 + |k|²) at k ≥ 0 (K,)*d, or at the k given, and how many signs of k there are."""
        k = torch.arange(K, dtype=torch.float64) if k is None else k.double()
        square, signs = torch.zeros(()).double(), torch.ones(()).double()
        for _ in range(self.d):
            square, signs = square[..., None] + k**2, signs[..., None] * torch.where(k > 0, 2.0, 1.0)
        return square.log1p(), signs

    def _spread(self, at: Tensor) -> Tensor:
        """Weights (p, knots) of a straight line between knots at (p,)."""
        step = self.ends[1]
        return (1 - (at[:, None] / step - torch.arange(KNOTS)).abs()).clamp_min(0)

    @torch.no_grad()
    def calibrate(self, values: Tensor, side: int, *, seed: int) -> None:
        """Measure from values (b, side^d, c) of fresh functions on cell centres. How far waves reach, and how much
        loudness differs, are measured with the rest; waves that the grid cannot see are left out."""
        require(len(values) >= 16, must="values: of at least 16 functions.", came=values,
                why="Powers are means over functions.", do="Pass a few hundred.")
        flat = values.double().cpu()
        self.mean.copy_(flat.mean((0, 1))), self.scale.copy_(flat.std((0, 1)).clamp_min(1e-6))
        found = self.powers(flat, side)
        mean = found.mean(0)
        fits = [self._fit(mean, side, r) for r in sorted({max(2, self.most * i // 8) for i in (2, 3, 4, 6, 8)})[::-1]]
        loss, theta, reach, total = min(fits, key=lambda fit: fit[0])
        self.log_density.copy_(theta), self.reach.fill_(reach), self.scale.mul_(total**0.5)
        self.precompute()
        own = self._loudness(found, side)
        luck = self._loudness(self.powers(self.scale * self(cell_centres((side,) * self.d), self.noise(
            min(512, max(128, len(flat))), seed=seed)).double() + self.mean, side), side)
        spread = float((own.var() - luck.var()).clamp_min(0).sqrt())
        self.loud.fill_(spread if spread > QUIET else 0.0)

    def powers(self, values: Tensor, side: int) -> Tensor:
        """Powers (b, *[side]*d) of values (b, side^d, c) under Hann's window, mean over channels."""
        u = (values - self.mean.double()) / self.scale.double()
        u = to_grid(u, (side,) * self.d).movedim(-1, 1)
        axes, w = tuple(range(-self.d, 0)), self._window(side)
        for axis in axes:
            u = u * w.reshape(-1, *[1] * (-1 - axis))
        return (torch.fft.fftn(u, dim=axes).abs() / side**self.d).square().mean(1)

    @staticmethod
    def _window(side: int) -> Tensor:
        w = torch.sin(math.pi * (torch.arange(side, dtype=torch.float64) + 0.5) / side) ** 2
        return w / w.square().mean().sqrt()

    def _seen(self, side: int, K: int) -> Tensor:
        """M (side, K): the windowed power that wave k, either sign, has at each frequency of the grid, aliases too."""
        x, k = cell_centres((side,), dtype=torch.float64)[:, 0], torch.arange(K, dtype=torch.float64)
        waves = torch.exp(1j * math.pi / 2 * k[:, None] * x) * self._window(side)
        forth = (torch.fft.fft(waves) / side).abs().square()
        back = (torch.fft.fft(waves.conj()) / side).abs().square()
        return ((forth + back) / 2).T

    def expected(self, side: int) -> Tensor:
        """What `powers` is on average: (side,)*d."""
        return self._through(self._seen(side, len(self.power)), self.power)

    def _through(self, M: Tensor, power: Tensor) -> Tensor:
        for _ in range(self.d):
            power = torch.tensordot(power, M, dims=([0], [1]))
        return power

    def _fit(self, found: Tensor, side: int, reach: int) -> tuple[float, Tensor, int, float]:
        """Whittle's likelihood of mean powers, mean of found/E + log E, least over the knots, by Fisher's scoring: the
        loss, knots of a law of total 1, reach, and the total it had."""
        K, floor, M = reach + 1, FLOOR * found.mean(), self._seen(side, reach + 1)
        line, signs = self._radius(K)
        B, found = self._spread(line.flatten()).reshape(*line.shape, KNOTS), found + floor
        stiff = BEND * torch.eye(KNOTS).double().diff(n=2, dim=0).T @ torch.eye(KNOTS).double().diff(n=2, dim=0)

        half = torch.fft.fftfreq(side, 0.5 / side)                   # half-cycles; what no wave can reach is left out
        seen = half.abs() <= self.most
        M, half = M[seen], half[seen]
        for axis in range(self.d):
            found = found.index_select(axis, seen.nonzero()[:, 0])

        def tried(theta: Tensor) -> tuple[float, Tensor, Tensor]:
            S = (B @ theta).exp() * signs
            E = self._through(M, S) + floor
            return float((found / E + E.log()).mean() + theta @ stiff @ theta / 2), S, E

        near = self._spread(self._radius(side, half)[0].clamp_max(self.ends[-1]).flatten())       # powers as they look
        theta = torch.linalg.solve(near.T @ near + 1e3 * stiff, near.T @ found.flatten().log())
        theta = theta + (found.mean() / tried(theta)[2].mean()).log()
        (loss, S, E), damp = tried(theta), 1e-3
        for _ in range(80):
            J = self._through(M, S[..., None] * B).flatten(1) / E.flatten()                          # (knots, modes)
            slope = J @ (found / E - 1).flatten() / E.numel() - stiff @ theta
            F = J @ J.T / E.numel() + stiff
            step = torch.linalg.solve(F + damp * F.diagonal().mean() * torch.eye(KNOTS).double(), slope)
            there = theta + step.clamp(-3.0, 3.0)
            new = tried(there)
            better = loss - new[0]
            damp = max(damp / 4, 1e-9) if better > 0 else damp * 4
            if better > 0:
                theta, (loss, S, E) = there, new
            if 0 < better < 1e-9 or damp > 1e9:
                break
        total = float(S.sum())                                       # of units: far from 1, waves stand for others
        return loss if 0.33 < total < 3 else math.inf, theta - math.log(total), reach, total

    def _loudness(self, found: Tensor, side: int) -> Tensor:
        """The log of each function's loudness (b,), by the powers of modes from 2 to a quarter of the grid's."""
        k = torch.fft.fftfreq(side, 1 / side).abs()
        far = k
        for _ in range(self.d - 1):
            far = torch.maximum(far[..., None], k)
        expected = self.expected(side)
        band = (far >= 2) & (far <= max(3, side // 8)) & (expected > 1e-5 * expected.max())
        return (found / expected)[:, band].mean(1).clamp_min(1e-12).log() / 2

    def loudnesses(self) -> tuple[Tensor, Tensor]:
        """How loud functions may be (l,), mean square one, and the log of how often each is; one if all are alike."""
        tau = float(self.loud)
        if tau == 0:
            return torch.ones(1).double(), torch.zeros(1).double()
        steps = torch.linspace(-LOUD, LOUD, LEVELS, dtype=torch.float64)
        a, log = torch.exp(tau * steps), (-steps.square() / 2).log_softmax(0)
        return a / (log.exp() * a.square()).sum().sqrt(), log

    def axes(self, coords: Tensor) -> list[Tensor]:
        """Cosines and sines of each coordinate of (…, p, d): d of (…, p, 2K − 1), in the dtype of coords."""
        angle = coords[..., None] * self.omega.to(coords)
        return list(torch.cat([angle.cos(), angle[..., 1:].sin()], -1).unbind(-2))

    def noise(self, n: int, *, seed: int) -> Tensor:
        """n white weights (n, c, *[2K − 1]*d), each from its own stream: what a draw of the prior is made of."""
        return normals(seed, n, (self.c, *self.root.shape), "waves")

    def forward(self, coords: Tensor, weights: Tensor) -> Tensor:
        """Σ root · weights · waves at coords (p, d) or (n, p, d), weights (n, c, *[2K − 1]*d): (n, p, c)."""
        first, *rest = self.axes(coords)
        W = self.root.to(weights) * weights
        if coords.ndim == 2:
            out = torch.tensordot(first.to(W), W, dims=([1], [2])).movedim(0, 2)                     # (n, c, p, …)
        else:
            out = torch.einsum("npe,nce...->ncp...", first.to(W), W)
        for axis in rest:
            axis = axis.to(W).reshape(*([1, 1] if coords.ndim == 2 else [len(axis), 1]), *axis.shape[-2:],
                                      *[1] * (out.ndim - 4))
            out = (out * axis).sum(3)
        return out.mT

    def back(self, axes: list[Tensor], pull: Tensor) -> Tensor:
        """root · Σ_i pull_i waves(x_i): pull (n, c, m), axes (m, 2K − 1) each -> (n, c, *[2K − 1]*d)."""
        out = pull
        for axis in axes[:-1]:
            out = out[..., None] * axis.to(pull).reshape(len(axis), *[1] * (out.ndim - 3), axis.shape[-1])
        if len(axes) == 1:
            return self.root.to(pull) * (pull @ axes[0].to(pull))
        out = torch.tensordot(out, axes[-1].to(pull), dims=([2], [0]))
        return self.root.to(pull) * out

    def back_grid(self, tick: Tensor, pull: Tensor) -> Tensor:
        """The same for pull (n, c, *[side]*d) on a grid, its ticks' features (side, 2K − 1) shared by the axes."""
        for _ in range(self.d):
            pull = torch.tensordot(pull, tick.to(pull), dims=([2], [0]))
        return self.root.to(pull) * pull

    def kernel(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        """Covariance between points of which `axes` are given: (…, p, q)."""
        out = pairs(a[0], b[0]) @ self.power.to(a[0]).reshape(len(self.power), -1)
        for i in range(1, self.d):
            cos = pairs(a[i], b[i])
            out = (out.unflatten(-1, (cos.shape[-1], -1)) * cos[..., None]).sum(-2)
        return out[..., 0]

    def to_lattice(self, a: list[Tensor], tick: Tensor) -> Tensor:
        """Covariance of points (…, m) with a lattice whose axes have these ticks' features: (…, m, side^d)."""
        lead, K = a[0].shape[:-1], len(self.power)
        out = self.power.to(a[0]).reshape(K, -1)
        cos = pairs(a[0].reshape(-1, 1, 2 * K - 1), tick.to(a[0]))[:, 0]                             # (m, side, K)
        out = cos @ out
        for i in range(1, self.d):
            cos = pairs(a[i].reshape(-1, 1, 2 * K - 1), tick.to(a[0]))[:, 0]
            out = torch.einsum("mxkr,myk->mxyr", out.unflatten(-1, (K, -1)), cos).flatten(1, 2)
        return out[..., 0].reshape(*lead, -1)

    def lattices(self, one: Tensor, two: Tensor) -> Tensor:
        """Covariance between two lattices by the features of their ticks: (side^d, side'^d)."""
        cos, out = pairs(one, two), self.power.to(one)
        for _ in range(self.d):
            out = torch.tensordot(out, cos, dims=([0], [2]))                                         # …, A, B
        order = [*range(0, 2 * self.d, 2), *range(1, 2 * self.d, 2)]
        return out.permute(order).reshape(len(one) ** self.d, len(two) ** self.d)
