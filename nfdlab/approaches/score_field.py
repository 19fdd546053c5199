"""Approach 3: a neural field predicts the score, in function space.

Noise is added to the function itself, known at the points of a *lattice*; the noise is a function too, and smooth if
one likes. The *denoiser* is a U-Net on the lattice whose features a *neural field* reads at any query: it says what the
clean function is there, D(q | x, sigma, observations), and the score is (D − x)/sigma² for white noise. A sampler takes
the lattice from noise to data; then any query asks the last lattice. Observations at points condition the network;
linear ones (averages, blurs, integrals along lines) guide the same weights.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..core import single
from ..core.checks import require
from ..core.fields import EvaluatedFields
from ..core.grid import interpolate, to_grid
from ..core.types import Budget, Card, LinearObservations, PointSource, Seen, Source, Views, Watch, quiet
from ..diffusion.guidance import Measurement
from ..inference.lattice import LatticeConfig, LatticeLosses, LatticeNetwork, LatticePosterior
from ..inference.posterior import DecoderError, gain
from ..training import Run


class ScoreFieldPosterior(LatticePosterior):
    """A trained approach 3. What diffuses is z (n, c, *side), the noisy functions at the lattice, made white."""

    def guide(self, name: str | None = None, seen: Seen | None = None) -> str:
        """A guide by name; None is "encoder" for observations at points, and `linear_guide` for linear ones."""
        linear = name is None and isinstance(seen, LinearObservations)
        return super().guide(self.about["config"]["linear_guide"] if linear else name)

    @torch.no_grad()
    def denoise(self, x: Tensor, sigma: float, seen: Seen | None = None) -> EvaluatedFields:
        """Noisy values x (n, N, c) at the lattice, at one sigma in units of the values' standard deviation -> the mean
        of the clean functions, as Fields."""
        (c, *side), size = self.net.shape, math.prod(self.net.shape[1:])
        require(x.ndim == 3 and x.shape[1:] == (size, c), must=f"x: shape (n, {size}, {c}).", came=x,
                why="Noisy functions are known at the lattice.", do="x = fields(model.lattice) + sigma * noise.")
        z = self.net.encode(to_grid(x.to(self.device, torch.float32), tuple(side)).movedim(-1, 1))
        prepared = self.net.prepare(z, self.conditioning(seen), sigma)
        return self.evaluated(lambda coords, part: self.net.evaluate(coords, tuple(t[part] for t in prepared)), len(x))

    @torch.no_grad()
    def score(self, z: Tensor, sigma: float, seen: Seen | None = None) -> Tensor:
        """∇ log p of noisy latents z (n, c, *side): (D − z)/sigma²."""
        z = self.require_latent(z)
        return (self.denoiser(self.conditioning(seen))(z, sigma) - z) / sigma**2

    @torch.no_grad()
    def measurement(self, seen: Seen) -> Measurement:
        """Observations as a linear measurement of z, whose functions are read linearly between lattice points; what
        that reading leaves open adds to the noise."""
        seen, net = seen.to(self.device, torch.float32), self.net
        noise_std = (seen.noise_std**2 + (self.about["floor"] * gain(seen)) ** 2) ** 0.5
        size = math.prod(net.shape)
        units = single.eye(1 + size, size, device=self.device).roll(1, 0).reshape(-1, *net.shape)    # 0, unit vectors
        rows = [seen.measure(interpolate(net.unit.restore(net.noise.colour(part)), seen.points)).flatten(1)
                for part in units.split(64)]
        rows = torch.cat(rows)
        return Measurement.linear((rows[1:] - rows[0]).T, seen.values.flatten() - rows[0], noise_std)


@dataclass(frozen=True)
class ScoreField(LatticeConfig):
    """Config of approach 3. None chooses by dimension."""

    card: ClassVar[Card] = Card(
        3, "Score field",
        "noise the function itself; a network denoises it at a lattice, a field between; ask the last lattice anywhere",
        "Dutordoir et al. 2023 (neural diffusion processes); Zhuang et al. 2023 (DPF); Lim et al. 2023 (noise as a "
        "function); Song et al. 2023 (pseudo-inverse guidance)",
        "one prior for many inverse problems: points, blurs, averages, projections, without training anew",
        "the lattice costs as much as a picture; detail finer than the lattice is its posterior mean, not a draw")
    trained: ClassVar[type] = ScoreFieldPosterior
    network: ClassVar[type] = LatticeNetwork

    gaussian_rank: int = 96                  # directions of the Gaussian of lattice values that guidance uses
    guide: str = "encoder"                   # how observations at points enter a draw
    linear_guide: str = "gaussian_pigdm"     # how linear observations do

    def fit(self, source: Source | PointSource, *, views: Views, budget: Budget, seed: int, device: str = "auto",
            watch: Watch = quiet) -> ScoreFieldPosterior:
        """Train on fresh functions, observed as `views` hides them, or on scattered points of each. Cancelled early,
        it returns what it has."""
        run = Run(source, views, budget, seed, device, watch, whole=self.prior == "gaussian")
        net = run.build(self)
        learn = LatticeLosses(self, run, net)

        def model() -> ScoreFieldPosterior:
            floor = DecoderError.record(learn.errors("floor"))
            return ScoreFieldPosterior(net, run.record("score_field", self, **floor), self.steps)

        run.train(net, *learn.stages(model))
        return model()


APPROACH = ScoreField
