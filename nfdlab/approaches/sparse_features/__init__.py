"""Approach 10: a set of points -> tokens at a few anchors -> diffusion over the tokens -> a field that asks them.

Nowhere is there a grid of data. Any points, many or few, become tokens: what stands near each of a few anchors. A set
transformer denoises the tokens, having heard the sparse points as a set too; a field is read from the tokens near a
query. Both networks start from the best linear answer, known in closed form from two-point statistics, and learn what
is left: nothing, where functions are Gaussian; creases, outlines and which of several shapes it is, where not.
"""

from dataclasses import asdict, dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...core.checks import require_seed
from ...core.fields import EvaluatedFields
from ...core.grid import cell_centres
from ...core.rng import child, seeded, stream
from ...core.types import Budget, Card, Fields, ObservationBatch, Source, Views, Watch, quiet
from ...diffusion.schedule import NoiseLevels
from ...inference.posterior import CHUNK, LatentPosterior
from ...inference.restoring import rebuilt
from ...latents.decoder_error import DecoderError
from ...training import Stage, resolve_device, train
from .networks import TokenLatentNetwork

EVEN = {1: 128, 2: 20, 3: 9}              # points a side of the even set that stands for a whole function


def as_points(coords: Tensor, values: Tensor) -> ObservationBatch:
    """Noiseless points (b, m, d) of b functions and their values (b, m, c)."""
    return ObservationBatch(coords, values, torch.ones(coords.shape[:2], dtype=torch.bool, device=coords.device),
                            coords.new_zeros(len(coords)))


@dataclass(frozen=True)
class SparseFeatures:
    """Sizes of the networks. None chooses by dimension."""

    card: ClassVar[Card] = Card(
        10, "Sparse features",
        "any points become tokens at a few anchors; diffuse them, told the points; a field asks those near by",
        "Zhang et al. 2023 (3DShape2VecSet); Zhang et al. 2022 (3DILG); Lee et al. 2019 (set transformer); "
        "Mardani et al. 2023 (residual)",
        "points anywhere, in any number, with no grid: sensors, tracks, outlines",
        "detail finer than the anchors' distance and the measured statistics is lost; on Gaussian fields the linear "
        "start is the whole answer and the networks add nothing")
    anchors: int | None = None
    latent: int = 4                        # numbers a token
    side: int | None = None              # points an axis at which two-point statistics are measured,
    rank: int | None = None              # how many directions are kept of them,
    draws: int = 16384                   # and of how many functions
    linear: bool = True                  # start from the best linear answer
    points: tuple[int, int] | None = None      # how many points stand for a function in training, at any places
    width: int = 64                      # of the denoiser,
    depth: int = 4                       # its blocks
    heads: int = 4
    memory: int = 48                     # numbers a token remembers for the field,
    mixing: int = 2                      # after so many blocks in which tokens hear each other
    near: int | None = None              # tokens that a query asks
    jitter: float = 0.01                 # noise on latents while the field learns
    share: float = 0.3                   # of the budget, for the field
    batch: int = 24
    reuse: int = 3                       # how often a batch is noised
    queries: int = 192
    lr: float = 1e-3
    steps: int = 20                      # of the sampler, unless told
    guide: str = "encoder"               # how observations enter, unless told
    num_particles: int = 256                     # of the particles, where they are the guide

    def anchors_for(self, d: int) -> int:
        return self.anchors or {1: 24, 2: 64, 3: 96}[d]

    def latent_channels_for(self, d: int, c: int) -> int:
        return min(self.latent, c * 3**d)                  # a token looks at so many values

    def statistics_for(self, d: int) -> tuple[int, int]:
        return self.side or {1: 128, 2: 48, 3: 16}[d], self.rank or {1: 40, 2: 112, 3: 96}[d]

    def points_for(self, d: int) -> tuple[int, int]:
        return self.points or {1: (64, 128), 2: (250, 500), 3: (300, 600)}[d]

    def near_for(self, d: int) -> int:
        return self.near or {1: 4, 2: 8, 3: 10}[d]

    def build(self, d: int, c: int, *, seed: int = 0) -> TokenLatentNetwork:
        with seeded(seed):
            return TokenLatentNetwork(self, d, c)

    def fit(self, source: Source, *, views: Views, budget: Budget, seed: int, device: str = "auto",
            watch: Watch = quiet) -> "FittedSparseFeatures":
        """Train on endless fresh functions, seen as `views` hides them. Cancelled early, it returns what it has."""
        require_seed(seed)
        place, probe = resolve_device(device), source.draw(1, seed=child(seed, "probe"))
        d, c = probe.d, probe.c
        net, held = self.build(d, c, seed=seed).to(place), {}
        tokens, (fewest, most) = net.tokens, self.points_for(d)

        def scattered(fields: Fields, rng: torch.Generator) -> ObservationBatch:
            many = int(fewest * (most / fewest) ** torch.rand((), generator=rng))
            coords = 2 * torch.rand(fields.n, many, d, generator=rng) - 1
            return as_points(coords, fields(coords)).to(place)

        @torch.no_grad()
        def latents(*use, size: int = self.batch) -> tuple[Fields, Tensor]:
            fields = source.draw(size, seed=child(seed, "data", *use))
            return fields, tokens.encode(scattered(fields, stream(seed, "points", *use)))

        @torch.no_grad()
        def calibrate() -> None:
            fields = source.draw(self.draws, seed=child(seed, "data", "statistics"))
            draws = fields(tokens.kl.places.cpu()).to(place)
            tokens.calibrate(draws, seed=child(seed, "statistics"))
            part = fields[:min(256, self.draws)]
            tokens.hear_own(scattered(part, stream(seed, "points", "own")), draws[:part.n])
            away = draws if not self.linear else draws[:part.n] - tokens.reading(
                tokens.kl.places, tokens.encode(scattered(part, stream(seed, "points", "size"))))
            net.size.copy_(away.square().mean().sqrt())

        def misfit(fields: Fields, latent: Tensor, noise: torch.Generator, queries: int = self.queries) -> Tensor:
            coords = 2 * torch.rand(len(latent), queries, d, generator=noise) - 1
            return net.values(coords.to(place), latent) - fields(coords).to(place)

        def learn_field(i: int) -> Tensor:
            fields, latent = latents("field", i)
            noise = stream(seed, "noise", "field", i)
            latent = latent + self.jitter * torch.randn(latent.shape, generator=noise).to(place)
            return misfit(fields, latent, noise).square().mean() / net.size**2

        def diffuse(i: int) -> Tensor:
            batch, noise = i // self.reuse, stream(seed, "noise", "diffuse", i)
            if batch not in held:
                fields, latent = latents("diffuse", batch)
                with torch.no_grad():
                    heard = net.condition(views(fields, seed=child(seed, "views", batch)).to(place))
                held.clear()
                held[batch] = latent, heard.features
            latent, heard = held[batch]
            sigma = net.noise_levels.for_training(torch.randn(len(latent), generator=noise)).to(place)
            return net.denoiser.loss(latent, sigma, torch.randn(latent.shape, generator=noise).to(place), *heard)

        calibrate()
        net.noise_levels = NoiseLevels.of(torch.cat([latents("range", j, size=64)[1] for j in range(8)]), low=0.02)
        field = [p for part in (net.input, net.mix, net.field) for p in part.parameters()]
        train(net, [Stage("field", learn_field, field, self.share, 2 * self.lr),
                    Stage("diffuse", diffuse, net.denoiser.parameters(), 1 - self.share, self.lr)], budget, watch)
        with torch.no_grad():
            errors = misfit(*latents("floor", size=64), stream(seed, "noise", "floor"), 256)
        about = {"approach": "sparse_features", "config": asdict(self), "d": d, "c": c, "noise_levels": asdict(net.noise_levels),
                 **DecoderError.told(errors)}
        return FittedSparseFeatures(net, about, self.steps)

    @classmethod
    def restore(cls, about: dict, tensors: dict[str, Tensor], device: str = "auto") -> "FittedSparseFeatures":
        """The inverse of `tensors`: same draws, no code executed."""
        config, net = rebuilt(cls, about, tensors, device)
        net.tokens.precompute()
        return FittedSparseFeatures(net, about, config.steps)


class FittedSparseFeatures(LatentPosterior):
    """A trained approach 10."""

    guides: ClassVar[tuple[str, ...]] = ("encoder", *LatentPosterior.guides)

    @torch.no_grad()
    def encode_points(self, points: ObservationBatch) -> Tensor:
        """Tokens (b, k, many) of any point sets."""
        return self.net.tokens.encode(points.to(self.device))

    def encode(self, fields: Fields) -> Tensor:
        """Tokens (n, k, many) of fields, from their values on an even set of points."""
        coords = cell_centres((EVEN[fields.d],) * fields.d)
        return self.encode_points(as_points(coords.expand(fields.n, -1, -1), fields(coords)))

    def decode(self, latent: Tensor) -> EvaluatedFields:
        """Tokens (n, k, many) -> Fields; what needs no coordinates is done once."""
        net, c = self.net, self.about["c"]
        with torch.no_grad():
            known = net.prepare(latent)

        def rule(coords: Tensor, part: slice | Tensor) -> Tensor:
            own = tuple(x[part] for x in known)
            step = max(1, CHUNK // len(own[0]))
            with torch.no_grad():
                pieces = [net.evaluate(piece.to(self.device, torch.float32), own) for piece in coords.split(step, dim=-2)]
            return torch.cat(pieces, 1).to(coords) if pieces else coords.new_zeros(len(own[0]), 0, c)

        return EvaluatedFields(rule, len(latent), self.about["d"], c)

    def token_influence(self, coords: Tensor, latent: Tensor) -> Tensor:
        """Which token speaks at coords (p, d) of the field of one latent (k, many): shares (p, many) that sum to one.

        A token's voice is how far the value moves, root mean square over its numbers, as one of them moves by 0.1.
        """
        k, many = latent.shape
        moved = latent + 0.1 * torch.eye(k * many).to(latent).reshape(-1, k, many)
        away = self.decode(moved)(coords) - self.decode(latent[None])(coords)
        voice = away.square().sum(-1).unflatten(0, (k, many)).mean(0).sqrt().T
        return voice / voice.sum(1, keepdim=True)


APPROACH = SparseFeatures
