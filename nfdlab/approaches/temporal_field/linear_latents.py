"""A film as its frames' latents: a few principal components of each frame, and the best linear answer in closed form.

A latent is a linear measurement of a film, so is an observation; two-point statistics of (t, x) say the rest, at any moment. Where
there are several kinds of film, each has statistics of its own, and the evidence of the observations and of the noisy latent
says which kind it is: for a mixture of Gaussians that is Bayes' rule itself, and a draw that has begun to go one way
goes on.
"""

import math

import torch
from torch import Tensor, nn

from ...core import spline
from ...core.grid import cell_centres
from ...core.types import ObservationBatch
from ...gaussian.karhunen_loeve import KarhunenLoeve, LatentMeasurement, WeightPosterior, assign_components

LEAST_OWN = 0.01             # a standard deviation of a latent's own noise: latents mean nothing finer
Votes = tuple[tuple[WeightPosterior, Tensor], ...]            # of each kind what is believed and its log weight (b,)


def surprise(sensor: LatentMeasurement, before: WeightPosterior, after: WeightPosterior, noisy: Tensor, sigma: Tensor | float) -> Tensor:
    """log N of noisy latents (n, k), by what was believed before and is believed after them: (n,).

    With D the latents' own variance and r what is unexpected by the prior mean of zero, −½(rᵀD⁻¹r + log|2πD| + log|P₁| −
    log|P₀| − h₁ᵀP₁⁻¹h₁ + h₀ᵀP₀⁻¹h₀): the two normalising constants of Bayes' rule. Rasmussen & Williams 2006, eq. 2.30.
    """
    variance = sensor.own + torch.as_tensor(sigma, dtype=noisy.dtype, device=noisy.device).reshape(-1, 1).square()
    own = ((noisy - sensor.middle).square() / variance + (2 * math.pi * variance).log()).sum(-1)
    wide = [2 * b.root.diagonal(dim1=-2, dim2=-1).log().sum(-1) for b in (before, after)]
    told = [(b.information * b.mean).sum(-1) for b in (before, after)]
    return -0.5 * (own + wide[1] - wide[0] - told[1] + told[0])


def blended(sensors: nn.ModuleList, heard: Votes, noisy: Tensor,
            sigma: Tensor | float) -> tuple[Tensor, Tensor, Tensor]:
    """Best answers of all kinds to noisy latents (n, k), averaged by evidence: mean (n, k), spread (n or 1, k) and the
    kinds' odds (n, kinds)."""
    sigma = torch.as_tensor(sigma, dtype=noisy.dtype, device=noisy.device)
    if len(sensors) == 1:
        _, clean, spread = sensors[0].condition(heard[0][0], noisy, sigma)
        return clean, spread, noisy.new_ones(len(noisy), 1)
    means, variances, logs = [], [], []
    for sensor, (belief, vote) in zip(sensors, heard, strict=True):
        after, clean, spread = sensor.condition(belief, noisy, sigma)
        means.append(clean), variances.append(spread.square().expand_as(clean))
        logs.append(vote + surprise(sensor, belief, after, noisy, sigma))
    odds = torch.stack(logs, -1).softmax(-1)                                                         # (n, kinds)
    means, weights = torch.stack(means), odds.T[..., None]
    mean = (weights * means).sum(0)
    return mean, (weights * (torch.stack(variances) + (means - mean).square())).sum(0).sqrt(), odds


def noise_in_time(times: Tensor, lengthscale: float) -> Tensor:
    """The symmetric root (T, T) of a covariance of noise over frames at `times` (T,): squared exponential, a tenth
    each frame's own, since smooth noise alone leaves what flickers untouched. Lengthscale 0: the identity."""
    own = torch.eye(len(times)).to(times)
    if lengthscale == 0:
        return own
    smooth = torch.exp(-0.5 * ((times[:, None] - times) / lengthscale).square())
    variance, Q = torch.linalg.eigh(0.9 * smooth + 0.1 * own)
    return (Q * variance.sqrt()) @ Q.T


class SplinedExpansion(KarhunenLoeve):
    """A KarhunenLoeve that is read between its points by cubic splines. Call `settle` after new weights."""

    def __init__(self, d: int, c: int, side: int, rank: int):
        super().__init__(d, c, side, rank)
        for name, channels in (("centre", c), ("modes", c * rank), ("left", c)):
            self.register_buffer(f"{name}_table", torch.zeros((side + 2) ** d, channels), persistent=False)

    @torch.no_grad()
    def precompute(self) -> None:
        """What reading needs, once."""
        for name in ("centre", "modes", "left"):
            getattr(self, f"{name}_table").copy_(spline.table(getattr(self, name)[0]))

    @torch.no_grad()
    def calibrate(self, draws: Tensor, *, seed: int) -> None:
        """As KarhunenLoeve does; then settled."""
        super().calibrate(draws, seed=seed)
        self.precompute()

    def _read(self, grid: Tensor, coords: Tensor) -> Tensor:
        found = self.centre_table if grid is self.centre else self.modes_table if grid is self.modes else \
            self.left_table
        found = spline.read(found, coords.reshape(-1, self.d), self.side)
        return found.unflatten(0, coords.shape[:-1]) if coords.ndim == 3 else found[None]


class Frames(nn.Module):
    """Films of c channels over (t, *space) in [-1, 1]^d -> latents (b, k, frames) of unit scale, k numbers a frame.

    A frame is looked at on `fine` cells a side; its latent are its first k principal components, of all frames together.
    Statistics in space and time are measured on `side` points an axis and kept as `rank` directions, of each kind.

    `smooth` 0: white noise on latents is noise of each frame's own. Else latents are whitened along time by the root of a
    squared exponential of that lengthscale, so that white noise on them is noise on the frames that is smooth in time:
    the same diffusion in other coordinates, and every closed form stays exact.
    """

    def __init__(self, d: int, c: int, side: int, rank: int, frames: int, fine: int, k: int, kinds: int = 1,
                 smooth: float = 0.0):
        super().__init__()
        self.d, self.c, self.k, self.many = d, c, k, frames
        self.each = nn.ModuleList(SplinedExpansion(d, c, side, rank) for _ in range(kinds))
        self.sensors = nn.ModuleList(LatentMeasurement(k * frames, rank) for _ in range(kinds))
        self.register_buffer("share", torch.full((kinds,), 1 / kinds))
        self.register_buffer("middle", torch.zeros(c * fine ** (d - 1)))
        self.register_buffer("basis", torch.zeros(k, c * fine ** (d - 1)))
        self.register_buffer("gains", torch.zeros(kinds, rank, k * frames), persistent=False)
        self.register_buffer("roots", torch.zeros(kinds, rank, k * frames), persistent=False)
        self.register_buffer("constants", torch.zeros(kinds), persistent=False)
        self.register_buffer("grid", cell_centres((frames, *[fine] * (d - 1))), persistent=False)
        self.smooth = smooth
        mixing = noise_in_time(cell_centres((frames,), dtype=torch.float64)[:, 0], smooth)
        self.register_buffer("mixing", mixing.float(), persistent=False)         # of white noise, to noise on frames
        self.register_buffer("whiten", torch.linalg.inv(mixing).float(), persistent=False)

    @property
    def places(self) -> Tensor:
        """Where `calibrate` wants values: (side^d, d)."""
        return self.each[0].places

    @torch.no_grad()
    def calibrate(self, draws: Tensor, films: Tensor, *, seed: int) -> None:
        """From the same fresh functions at `places`, draws (b, side^d, c), and at `grid`, films (b, frames·fine^(d−1),
        c): two-point statistics, principal components, and how a latent follows from the directions' weights."""
        frames = films.unflatten(1, (self.many, -1)).flatten(2)                              # (b, frames, numbers)
        self.middle.copy_(frames.mean((0, 1)))
        away = (frames - self.middle).flatten(0, 1)
        variance, basis = torch.linalg.eigh((away.T @ away).double() / len(away))
        basis, variance = basis.flip(1)[:, :self.k], variance.flip(0)[:self.k].clamp_min(1e-8)
        self.basis.copy_((basis / variance.sqrt()).T)
        latents = self.encode(films).flatten(1)
        kind = assign_components(draws.flatten(1), len(self.each), seed=seed) if len(self.each) > 1 else \
            torch.zeros(len(draws), dtype=torch.long, device=draws.device)
        for j, (kl, sensor) in enumerate(zip(self.each, self.sensors, strict=True)):
            mine = kind == j
            self.share[j] = mine.float().mean()
            kl.calibrate(draws[mine], seed=seed)
            self._sense(kl, sensor, draws[mine], latents[mine])
        self.precompute()

    def _sense(self, kl: KarhunenLoeve, sensor: LatentMeasurement, draws: Tensor, latents: Tensor) -> None:
        """A latent measures what the directions hold by rows; what else is in latents (b, k·frames) of draws is its own."""
        places = kl.places.to(draws)
        rows = kl.rows(self.grid).unflatten(0, (self.many, -1))                              # (frames, numbers, rank)
        sensor.matrix.copy_(torch.einsum("kn,tnr,ts->ksr", self.basis, rows, self.whiten).flatten(0, 1))
        mean = kl.mean(self.grid)[0].reshape(self.many, -1) - self.middle
        sensor.middle.copy_(((mean @ self.basis.T).T @ self.whiten).flatten())
        exact = kl.prior().updated(kl.rows(places), (draws - kl.mean(places)).flatten(1), kl.residual_variance(places).flatten())
        own = (latents - sensor.middle - exact.mean @ sensor.matrix.T).square().mean(0)
        sensor.own.copy_(own.clamp_min(LEAST_OWN**2))

    @torch.no_grad()
    def precompute(self) -> None:
        """After new weights: what the reading of a latent needs, once. The latents of a kind are N(middle, A Aᵀ + own)."""
        for j, (kl, sensor) in enumerate(zip(self.each, self.sensors, strict=True)):
            kl.precompute()
            A, own = sensor.matrix.double(), sensor.own.double()
            precision = torch.eye(A.shape[1]).to(A) + A.T / own @ A
            root = torch.linalg.cholesky(precision)
            self.roots[j] = torch.linalg.solve_triangular(root, A.T / own, upper=False)
            self.gains[j] = torch.cholesky_solve(A.T / own, root)
            self.constants[j] = -root.diagonal().log().sum() - own.log().sum() / 2

    def encode(self, films: Tensor) -> Tensor:
        """Values (b, frames·fine^(d−1), c) at `grid` -> (b, k, frames)."""
        frames = films.unflatten(1, (self.many, -1)).flatten(2)
        return self.whitened(((frames - self.middle) @ self.basis.T).mT)

    def whitened(self, own: Tensor) -> Tensor:
        """Principal components (b, k, frames), frame by frame -> latents."""
        return own @ self.whiten if self.smooth else own

    def own(self, latent: Tensor) -> Tensor:
        """The inverse of `whitened`."""
        return latent @ self.mixing if self.smooth else latent

    def condition(self, seen: ObservationBatch) -> Votes:
        """What observations say of b films, to each kind."""
        found = []
        for kl, share in zip(self.each, self.share, strict=True):
            belief = kl.condition(seen)
            found.append((belief, share.log() + (kl.log_marginal_likelihood(seen, belief) if len(self.each) > 1 else 0)))
        return tuple(found)

    def odds(self, latent: Tensor) -> Tensor:
        """Of which kind clean latents (b, k, frames) are: (b, kinds), from the latents alone."""
        logs = []
        for j, sensor in enumerate(self.sensors):
            away = latent.flatten(1) - sensor.middle
            told = (away @ self.roots[j].T).square().sum(1)
            logs.append(self.constants[j] + self.share[j].log() - 0.5 * ((away.square() / sensor.own).sum(1) - told))
        return torch.stack(logs, 1).softmax(1)

    def prepare(self, latent: Tensor) -> tuple[Tensor, ...]:
        """What `reading` needs of latents, once: odds (b, kinds), and of each kind the weights (b, rank)."""
        return self.odds(latent), *((latent.flatten(1) - sensor.middle) @ gain.T
                                  for sensor, gain in zip(self.sensors, self.gains, strict=True))

    def reading(self, coords: Tensor, remembered: tuple[Tensor, ...]) -> Tensor:
        """The best answer to latents alone, whose kind they show: coords (p, d) or (b, p, d) -> (b, p, c)."""
        odds, *weights = remembered
        out = 0
        for j, (kl, a) in enumerate(zip(self.each, weights, strict=True)):
            rows = kl.rows(coords)
            found = a @ rows.T if rows.ndim == 2 else (rows @ a[..., None])[..., 0]
            out = out + odds[:, j, None, None] * (kl.mean(coords) + found.unflatten(1, (-1, self.c)))
        return out
