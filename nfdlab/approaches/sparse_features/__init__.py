"""Approach 10: a set of points -> tokens at a few anchors -> conditional diffusion of the tokens -> a field of tokens.

There is no grid of data anywhere. Any points, many or few, are encoded as tokens, each for what lies near its anchor. A
set transformer denoises the tokens by self-attention and by cross-attention to the observations, itself a set. A field
is decoded from the tokens nearest to a query. Denoiser and decoder start from the best linear answer, which a
Gaussian measured on draws gives in closed form: all there is where functions are Gaussian, and elsewhere only a start.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ...core import single
from ...core.config import NetworkConfig
from ...core.grid import cell_centres
from ...core.rng import child
from ...core.types import Budget, Card, Fields, ObservationBatch, Source, Views, Watch, quiet
from ...diffusion.denoiser import NOTHING, Conditioning, Denoiser, ResidualNetwork, like
from ...fields.anchored import AnchoredField
from ...inference.posterior import DecoderError, LatentNetwork, LatentPosterior
from ...nn.networks import Fourier
from ...nn.set_attention import SetBlock, SetTransformer, doubling_lengthscales
from ...training import Losses, Run, Stage, reused
from .tokeniser import SetTokeniser

OCTAVES = 3                               # of places
EVEN = {1: 128, 2: 20, 3: 9}              # points a side of the even set that stands for a whole function


def as_points(coords: Tensor, values: Tensor) -> ObservationBatch:
    """Noiseless points (b, m, d) of b functions and their values (b, m, c)."""
    return ObservationBatch(coords, values, torch.ones(coords.shape[:2], dtype=torch.bool, device=coords.device),
                            coords.new_zeros(len(coords)))


class TokenTransformer(ResidualNetwork):
    """F of tokens x (n, k, tokens): a set transformer that sees the prior's answer and the observations."""

    def __init__(self, config: "SparseFeatures", anchors: Tensor, k: int, c: int):
        super().__init__()
        self.place = Fourier(anchors.shape[1], OCTAVES)
        self.transformer = SetTransformer(anchors, 3 * k + self.place.out, k, self.place.out + c + 1, config.width,
                                          config.depth, config.heads)

    def forward(self, x: Tensor, sigma, mean: Tensor, std: Tensor, *observations: Tensor) -> Tensor:
        level = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).log().reshape(-1) / 4
        places = self.place(self.transformer.places).T.expand(len(x), -1, -1)
        channels = [x / (1 + like(sigma, x)**2).sqrt(), mean, std.log().expand_as(x) / 3, places]
        return self.transformer(torch.cat(channels, 1).mT, level, observations).mT


class SparseFeaturesNetwork(LatentNetwork):
    """Tokeniser, denoiser of the tokens, and decoder: attention to the nearest tokens. With the Gaussian prior that
    adds to the linear reading of the tokens; with the white one it is the whole field."""

    amortised = True

    def __init__(self, config: "SparseFeatures", d: int, c: int):
        super().__init__()
        k, width = min(config.latent_channels, c * 3**d), config.field_width           # a token covers so many values
        tokeniser = SetTokeniser(d, c, config.expansion_side, config.expansion_rank, config.anchors, k)
        self.linear, self.shape = config.prior == "gaussian", tokeniser.shape
        self.encoder = None if self.linear else tokeniser            # the Gaussian prior is the tokeniser itself
        self.denoiser = Denoiser(TokenTransformer(config, tokeniser.anchors, k, c),
                                 tokeniser if self.linear else None)
        self.place = Fourier(d, OCTAVES)
        self.input = nn.Linear(k + self.place.out, width)
        self.blocks = nn.ModuleList(
            SetBlock(width, doubling_lengthscales(config.heads, 2 * tokeniser.reach), 0, ("itself", "unused", "mlp"),
                     affine=True, identity=True, zero_key=True) for _ in range(config.field_depth))
        self.field = AnchoredField(tokeniser.anchors, config.neighbours, c, width)
        self.register_buffer("size", single.ones(()))                 # of what attention adds

    @property
    def tokeniser(self) -> SetTokeniser:
        """Point sets -> latents."""
        return self.denoiser.prior if self.linear else self.encoder

    def condition(self, observations: ObservationBatch) -> Conditioning:
        """Each observation's features, place and mask, and the measured Gaussian's posterior."""
        expansion, coords, mask = self.tokeniser.expansion, observations.coords, observations.mask
        level = observations.noise_std.clamp_min(1e-3).log().reshape(-1, 1, 1).expand(*mask.shape, 1) / 3 + 1
        away = observations.values - expansion.mean(coords)
        features = torch.cat([self.place(coords), away, level.to(away)], -1)
        return Conditioning((features, coords, mask), expansion.condition(observations) if self.linear else None)

    def prepare(self, latent: Tensor, conditioning: Conditioning = NOTHING) -> tuple[Tensor, ...]:
        """The latent, and features of its tokens (b, tokens, width)."""
        anchors = self.tokeniser.anchors
        h = self.input(torch.cat([latent.mT, self.place(anchors).expand(len(latent), -1, -1)], -1))
        for block in self.blocks:
            h = block(h, anchors[None])
        return latent, h

    def evaluate(self, coords: Tensor, prepared: tuple[Tensor, ...]) -> Tensor:
        latent, features = prepared
        added = self.size * self.field(coords, features)
        return added + self.tokeniser.reading(coords, latent) if self.linear else added

    def silence(self, part: str) -> bool:
        """The linear reading of the tokens alone from now on, if the part is "field" and there is such a reading."""
        silent = part == "field" and self.linear
        if silent:
            self.size.zero_()
        return silent


class SparseFeaturesPosterior(LatentPosterior):
    """A trained approach 10."""

    net: SparseFeaturesNetwork

    @torch.no_grad()
    def encode_points(self, points: ObservationBatch) -> Tensor:
        """Latents (b, k, tokens) of any point sets."""
        return self.net.tokeniser.encode(points.to(self.device))

    def encode(self, fields: Fields) -> Tensor:
        """Latents (n, k, tokens) of fields, from their values on an even set of points."""
        coords = cell_centres((EVEN[fields.d],) * fields.d)
        return self.encode_points(as_points(coords.expand(fields.n, -1, -1), fields(coords)))

    def token_influence(self, coords: Tensor, latent: Tensor) -> Tensor:
        """Influence of each token on the field of one latent (k, tokens) at coords (p, d): shares (p, tokens) that sum
        to one.

        A token's influence is the change of the value, root mean square over its numbers, as one of them moves by 0.1.
        """
        k, tokens = latent.shape
        moved = latent + 0.1 * single.eye(k * tokens).to(latent).reshape(-1, k, tokens)
        change = self.decode(moved)(coords) - self.decode(latent[None])(coords)
        influence = change.square().sum(-1).unflatten(0, (k, tokens)).mean(0).sqrt().T
        return influence / influence.sum(1, keepdim=True)


@dataclass(frozen=True)
class SparseFeatures(NetworkConfig):
    """Config of approach 10. None chooses by dimension."""

    card: ClassVar[Card] = Card(
        10, "Sparse features",
        "any points become tokens at a few anchors; diffuse them given the points; decode a field from the nearest",
        "Zhang et al. 2023 (3DShape2VecSet); Zhang et al. 2022 (3DILG); Lee et al. 2019 (set transformer); "
        "Mardani et al. 2023 (residual)",
        "points anywhere, in any number, with no grid: sensors, tracks, outlines",
        "detail finer than the anchors' distance and the measured statistics is lost; on Gaussian fields the linear "
        "start is the whole answer and the networks add nothing")
    trained: ClassVar[type] = SparseFeaturesPosterior
    network: ClassVar[type] = SparseFeaturesNetwork
    usual: ClassVar[dict] = {
        "anchors": {1: 24, 2: 64, 3: 96}, "expansion_side": {1: 128, 2: 48, 3: 16},
        "expansion_rank": {1: 40, 2: 112, 3: 96}, "points": {1: (64, 128), 2: (250, 500), 3: (300, 600)},
        "neighbours": {1: 4, 2: 8, 3: 10}}

    # "gaussian": denoiser and field start from a Gaussian measured on draws; "white": networks have all to learn
    prior: str = "gaussian"
    anchors: int | None = None               # anchors, one for each token: 24 in 1D, 64 in 2D, 96 in 3D
    latent_channels: int = 4                 # numbers of a token
    expansion_side: int | None = None  # points a side at which the expansion is measured: 128 in 1D, 48 in 2D, 16 in 3D
    expansion_rank: int | None = None        # directions that the expansion keeps: 40, 112, 96
    calibration_functions: int = 16384       # functions that it is measured on
    # fewest and most points that stand for a function in training: (64, 128), (250, 500), (300, 600)
    points: tuple[int, int] | None = None
    width: int = 64                          # features of a token in the denoiser
    depth: int = 4                           # blocks of the denoiser
    heads: int = 4                           # heads of each attention
    field_width: int = 48                    # features of a token in the decoder
    field_depth: int = 2                     # blocks of self-attention in the decoder
    neighbours: int | None = None            # nearest tokens that a query attends to: 4, 8, 10
    jitter: float = 0.01                     # standard deviation of noise on latents while the decoder learns
    field_share: float = 0.3                 # share of the budget for the decoder
    batch: int = 24                          # functions in a batch
    reuse: int = 3                           # training steps of the denoiser with one batch, each with fresh noise
    queries: int = 192                       # query points of each function in a training step of the decoder
    lr: float = 1e-3                         # learning rate of the denoiser; the decoder's is twice that
    steps: int = 20                          # sampling steps
    guide: str = "encoder"                   # how observations enter a draw
    num_particles: int = 256                 # particles of sequential Monte Carlo, where guide is "particles"

    def fit(self, source: Source, *, views: Views, budget: Budget, seed: int, device: str = "auto",
            watch: Watch = quiet) -> SparseFeaturesPosterior:
        """Train on fresh functions, observed as `views` hides them. Cancelled early, it returns what it has."""
        run = Run(source, views, budget, seed, device, watch)
        net = run.build(self)
        learn = SparseFeaturesLosses(self.at(run.d), run, net)
        learn.measure()
        batch = reused(learn.conditioned, self.reuse)
        decoder = [*net.input.parameters(), *net.blocks.parameters(), *net.field.parameters()]
        run.train(net, Stage("field", learn.decode, decoder, self.field_share, 2 * self.lr),
                  Stage("diffuse", lambda i: learn.diffuse(i, *batch(i)), net.denoiser.parameters(),
                        1 - self.field_share, self.lr))
        measured = DecoderError.record(learn.errors(*learn.latents("floor", size=64), run.rng("floor"), 256).detach())
        return SparseFeaturesPosterior(net, run.record("sparse_features", self, **measured), self.steps)


class SparseFeaturesLosses(Losses):
    """The losses of a training step i, and what is measured before."""

    def points(self, fields: Fields, rng: torch.Generator) -> ObservationBatch:
        """Random points of functions, as many as stand for a function in training."""
        fewest, most = self.config.points
        coords = self.run.queries(fields.n, int(fewest * (most / fewest) ** single.rand((), generator=rng)), rng)
        return as_points(coords, fields(coords)).to(self.run.device)

    @torch.no_grad()
    def latents(self, *use, size: int | None = None) -> tuple[Fields, Tensor]:
        """Fresh functions, and their latents from points of them."""
        fields = self.run.functions(self.config.batch if size is None else size, *use)
        return fields, self.net.tokeniser.encode(self.points(fields, self.run.rng("points", *use)))

    @torch.no_grad()
    def measure(self) -> None:
        """The tokeniser, the size of what the decoder's attention is to add, and the latents' noise levels."""
        tokeniser, run = self.net.tokeniser, self.run
        fields = run.functions(self.config.calibration_functions, "statistics")
        draws = fields(tokeniser.places.cpu()).to(run.device)
        tokeniser.measure(draws, seed=child(run.seed, "statistics"))
        part = fields[:min(256, fields.n)]
        tokeniser.measure_own(self.points(part, run.rng("points", "own")), draws[:part.n])
        if self.net.linear:
            latent = tokeniser.encode(self.points(part, run.rng("points", "size")))
            draws = draws[:part.n] - tokeniser.reading(tokeniser.places.to(latent), latent)
        self.net.size.copy_(draws.square().mean().sqrt())
        latents = torch.cat([self.latents("range", j, size=64)[1] for j in range(run.few(8))])
        self.net.denoiser.noise_levels.calibrate(latents, low=0.02)

    def errors(self, fields: Fields, latent: Tensor, rng: torch.Generator, queries: int) -> Tensor:
        """Decoded latents less the functions at random queries: (b, q, c)."""
        coords = self.run.queries(len(latent), queries, rng)
        return self.net.values(coords.to(latent), latent) - fields(coords).to(latent)

    def decode(self, i: int) -> Tensor:
        """Stage 1: decode latents, slightly noised, at random queries."""
        (fields, latent), rng = self.latents("field", i), self.run.rng("field", i)
        latent = latent + self.config.jitter * single.randn(latent.shape, generator=rng).to(latent)
        return self.errors(fields, latent, rng, self.config.queries).square().mean() / self.net.size**2

    @torch.no_grad()
    def conditioned(self, batch: int) -> tuple[Tensor, Conditioning]:
        """Latents of fresh functions, and the conditioning by their observations."""
        fields, latent = self.latents("diffuse", batch)
        return latent, self.net.condition(self.run.observe(fields, batch).to(self.run.device))

    def diffuse(self, i: int, latent: Tensor, conditioning: Conditioning) -> Tensor:
        """Stage 2: denoise the latent given observations."""
        return self.net.denoiser.training_loss(latent, self.run.rng("diffuse", i), conditioning)


APPROACH = SparseFeatures
