"""Approach 6: sparse frames -> diffusion over the latents of frames -> a field in space and time.

A film becomes one latent a frame, and diffusion draws all of them together, having heard what was seen in some frames or
at a few sensors. A field reads the latents at any moment, between two frames too, so that the frame rate is a choice made
when one looks. A draw decides once what happened in between and stays with it, where one answer for all would show the
mean of what might have: a ghost.
"""

from dataclasses import asdict, dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...core.checks import require, require_number, require_seed
from ...core.fields import EvaluatedFields
from ...core.rng import child, seeded, stream
from ...core.types import Budget, Card, Fields, Source, Views, Watch, quiet
from ...diffusion.schedule import NoiseLevels
from ...inference.posterior import CHUNK, LatentPosterior
from ...inference.restoring import rebuilt
from ...latents.decoder_error import DecoderError
from ...training import Stage, resolve_device, train
from .networks import FrameLatentNetwork

WHOLE = 64                               # places asked at a time: products of fewer rows are rounded in other ways
TOGETHER = 2048                          # functions drawn at a time while statistics are measured


@dataclass(frozen=True)
class TemporalField:
    """Sizes of the networks. None chooses by dimension; the first coordinate is time, cut into `frames`."""

    card: ClassVar[Card] = Card(
        6, "Temporal field",
        "one code a frame, diffused together, told the frames that were seen; a field reads them at any moment",
        "Du et al. 2024 (CoNFiLD); Chen et al. 2025 (SDIFT); Voleti et al. 2022 (MCVD); Chen et al. 2022 (VideoINR)",
        "films with missing frames, sensors that report over time, forecasts; any frame rate, one story a draw",
        "a film is as long as those of the training; what is faster than the frames of the codes is lost; where shapes "
        "move, a decoder's blur and a bounce in a long gap are what it gets wrong")
    frames: int = 16
    latent: int = 16                       # numbers a frame: principal components,
    flat: int = 0                        # or, where not 0, so many of an autoencoder
    kinds: int = 1                       # of film, each with statistics of its own
    smooth: float = 0.0                  # lengthscale in time of the noise on frames; 0: each frame has its own
    fine: int | None = None              # cells a side on which a frame is looked at
    side: int | None = None              # points an axis at which two-point statistics are measured,
    rank: int | None = None              # how many directions are kept of them,
    draws: int = 16384                   # and of how many functions
    width: int = 96                      # of the denoiser,
    depth: int = 4                       # its blocks
    heads: int = 4
    memory: int = 64                     # width of the field,
    layers: int = 3                      # and its depth
    octaves: int = 3
    jitter: float = 0.03                 # noise on the autoencoder's latents while it learns,
    blur: float = 0.1                    # and at most so much on the frames that it sees
    share: float = 0.3                   # of the budget, for the field,
    listening: float = 0.1               # and for the readers of single frames
    batch: int = 32
    reuse: int = 2                       # how often a batch is noised
    queries: int = 192
    lr: float = 1e-3
    steps: int = 20                      # of the sampler, unless told
    guide: str = "encoder"               # how observations enter, unless told
    num_particles: int = 256                     # of the particles, where they are the guide

    def fine_for(self, d: int) -> int:
        return self.fine or {1: 1, 2: 48, 3: 16}[d]

    def statistics_for(self, d: int) -> tuple[int, int]:
        return self.side or {1: 128, 2: 40, 3: 14}[d], self.rank or {1: 40, 2: 112, 3: 96}[d]

    def build(self, d: int, c: int, *, seed: int = 0) -> FrameLatentNetwork:
        require_number(self.smooth, "smooth", 0.0, 1.0)
        require(not (self.flat and self.smooth), must="smooth: 0 where codes are an autoencoder's (flat > 0).",
                came=f"flat={self.flat}, smooth={self.smooth}", why="Smooth noise is a change of linear coordinates.",
                do="flat=0, for principal components, or smooth=0.")
        with seeded(seed):
            return FrameLatentNetwork(self, d, c)

    def fit(self, source: Source, *, views: Views, budget: Budget, seed: int, device: str = "auto",
            watch: Watch = quiet) -> "FittedTemporalField":
        """Train on endless fresh functions, seen as `views` hides them. Cancelled early, it returns what it has."""
        require_seed(seed)
        place, probe = resolve_device(device), source.draw(1, seed=child(seed, "probe"))
        d, c = probe.d, probe.c
        net, held = self.build(d, c, seed=seed).to(place), {}
        latents, grid = net.latents, net.latents.grid.cpu()

        def films(*use, size: int = self.batch) -> tuple[Fields, Tensor]:
            fields = source.draw(size, seed=child(seed, "data", *use))
            return fields, fields(grid).to(place)

        def misfit(fields: Fields, latent: Tensor, noise: torch.Generator, queries: int = self.queries) -> Tensor:
            coords = 2 * torch.rand(len(latent), queries, d, generator=noise) - 1
            return net.values(coords.to(place), latent) - fields(coords).to(place)

        def learn_field(i: int) -> Tensor:
            fields, values = films("field", i)
            noise = stream(seed, "noise", "field", i)
            if self.flat:
                latents.unit.train()
                blur = self.blur * torch.rand(len(values), 1, 1, generator=noise)
                latent = latents.encode(values + (blur * torch.randn(values.shape, generator=noise)).to(place))
                latent = latent + self.jitter * torch.randn(latent.shape, generator=noise).to(place)
            else:
                latent = latents.encode(values)
            return misfit(fields, latent, noise).square().mean() / net.size**2

        @torch.no_grad()
        def measure() -> None:                      # also where training is resumed, or cancelled, between the stages
            net.eval()
            if net.noise_levels is not None:
                return
            if self.flat:
                some = torch.cat([films("range", j, size=256)[1] for j in range(16)])
                latents.unit.calibrate(latents.squeeze(some))
                found = latents.encode(some)
                latents.calibrate(found)
            else:
                found = latents.encode(torch.cat([films("range", j, size=256)[1] for j in range(2)]))
            net.noise_levels = NoiseLevels.of(found, low=0.01)

        @torch.no_grad()
        def calibrate() -> None:
            if self.flat:
                latents.middle.copy_(films("statistics", size=256)[1].mean((0, 1)))
                return
            parts = []
            for j, start in enumerate(range(0, self.draws, TOGETHER)):
                fields = source.draw(min(TOGETHER, self.draws - start), seed=child(seed, "data", "statistics", j))
                parts.append(fields(torch.cat([latents.places.cpu(), grid])).to(place))
            draws, seen_whole = torch.cat(parts).split([len(latents.places), len(grid)], 1)
            latents.calibrate(draws, seen_whole, seed=child(seed, "statistics"))
            fields, values = films("size", size=64)
            net.size.copy_(misfit(fields, latents.encode(values), stream(seed, "noise", "size")).square().mean().sqrt())

        def listen(i: int) -> Tensor:
            measure()
            fields, values = films("listen", i)
            with torch.no_grad():
                latent = latents.encode(values)
            return latents.reader_loss(views(fields, seed=child(seed, "views", "listen", i)).to(place), latent)

        def diffuse(i: int) -> Tensor:
            measure()
            batch, noise = i // self.reuse, stream(seed, "noise", "diffuse", i)
            if batch not in held:
                fields, values = films("diffuse", batch)
                with torch.no_grad():
                    seen = views(fields, seed=child(seed, "views", batch)).to(place)
                    found = latents.encode(values), latents.condition(seen), net.denoiser.lay(seen)
                held.clear()
                held[batch] = found
            latent, votes, laid = held[batch]
            sigma = net.noise_levels.for_training(torch.randn(len(latent), generator=noise)).to(place)
            return net.denoiser.loss(latent, sigma, torch.randn(latent.shape, generator=noise).to(place), votes,
                                     net.denoiser.listen(laid))

        calibrate()
        rest = 1 - self.share - (self.listening if self.flat else 0)
        parts = [latents.encoder, latents.decoder] if self.flat else [net.field]
        stages = [Stage("field", learn_field, [p for part in parts for p in part.parameters()], self.share,
                        4 * self.lr),
                  Stage("diffuse", diffuse, net.denoiser.parameters(), rest, self.lr)]
        if self.flat:
            stages.insert(1, Stage("listen", listen, latents.reader.parameters(), self.listening, 2 * self.lr))
        train(net, stages, budget, watch)
        measure()
        with torch.no_grad():
            fields, values = films("floor", size=128)
            errors = misfit(fields, latents.encode(values), stream(seed, "noise", "floor"), 256)
        about = {"approach": "temporal_field", "config": asdict(self), "d": d, "c": c, "noise_levels": asdict(net.noise_levels),
                 **DecoderError.told(errors)}
        return FittedTemporalField(net, about, self.steps)

    @classmethod
    def restore(cls, about: dict, tensors: dict[str, Tensor], device: str = "auto") -> "FittedTemporalField":
        """The inverse of `tensors`: same draws, no code executed."""
        config, net = rebuilt(cls, about, tensors, device)
        if not config.flat:
            net.latents.precompute()
        return FittedTemporalField(net, about, config.steps)


class FittedTemporalField(LatentPosterior):
    """A trained approach 6."""

    guides: ClassVar[tuple[str, ...]] = ("encoder", *LatentPosterior.guides)

    @torch.no_grad()
    def encode(self, fields: Fields) -> Tensor:
        """Codes (n, k, frames) of films, from their frames."""
        latents = self.net.latents
        return latents.encode(fields(latents.grid.cpu()).to(self.device, torch.float32))

    @torch.no_grad()
    def decode(self, latent: Tensor) -> EvaluatedFields:
        """Codes (n, k, frames) -> Fields; what needs no coordinates is done once."""
        net, known = self.net, self.net.prepare(latent)

        def rule(coords: Tensor, part: slice | Tensor) -> Tensor:
            own = tuple(x[part] for x in known)
            p, step = coords.shape[-2], WHOLE * max(1, CHUNK // (WHOLE * len(own[0])))
            if p == 0:
                return coords.new_zeros(len(own[0]), 0, self.about["c"])
            places = torch.cat([coords, coords[..., -1:, :].expand(*coords.shape[:-2], -p % WHOLE, -1)], -2)
            with torch.no_grad():
                pieces = [net.evaluate(piece.to(self.device, torch.float32), own) for piece in places.split(step, dim=-2)]
            return torch.cat(pieces, 1)[:, :p].to(coords)

        return EvaluatedFields(rule, len(latent), self.about["d"], self.about["c"])

    @torch.no_grad()
    def kinds(self, latent: Tensor) -> Tensor:
        """Of which kind films are, from their latents (n, k, frames): odds (n, kinds)."""
        latents = self.net.latents
        return latent.new_ones(len(latent), 1) if self.about["config"]["flat"] else latents.odds(latent)


APPROACH = TemporalField
