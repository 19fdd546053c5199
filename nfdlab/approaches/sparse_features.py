"""Approach 10: a set of points -> learned tokens -> conditional diffusion of the tokens -> a field of tokens.

There is no grid of data anywhere. An *encoder* turns any points of a function into a few tokens: learned queries, at
places that are learned too, attend to the points; tokens of training functions may then be learned beside the field
(auto-decoding). A set transformer *denoises* the tokens, by attention among them and to the observations, themselves a
set. A *neural field* reads them: each query attends to the tokens. The last step of a draw moves its tokens, by the
slope of the field, until the field meets the observations.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..core import single
from ..core.config import NetworkConfig
from ..core.grid import cell_centres, farthest_first, grid_values
from ..core.types import Budget, Card, Fields, ObservationBatch, Source, Views, Watch, quiet
from ..diffusion.denoiser import NOTHING, Conditioning, Denoiser
from ..gaussian.karhunen_loeve import STATISTICS, LatentGaussian
from ..inference.posterior import DecoderError, LatentNetwork, LatentPosterior
from ..latents.auto_decoding import LatentBank, fitted, require_bank
from ..latents.importance_sampling import importance_sampled
from ..latents.two_stage import TwoStageLosses
from ..nn.networks import Fourier, Standardise
from ..nn.set_attention import Attention, SetBlock, SetTransformer, doubling_lengthscales
from ..training import Run, Stage, reused

OCTAVES = 4                               # of places
FIRST_EVERY = 8                           # of so many steps of auto-decoding one is the autoencoder's: it keeps up
EVEN = {1: 128, 2: 24, 3: 14}             # points a side of the even set that stands for a whole function
CHANGES = {1: 128, 2: 32, 3: 16}          # points a side of the grid on which a function's changes are looked for


class PointEncoder(nn.Module):
    """Encoder of point sets -> tokens (b, k, tokens): learned queries at learned places attend to the points, then to
    each other. Zhang et al. 2023, sec. 4.1."""

    def __init__(self, d: int, c: int, tokens: int, k: int, width: int, depth: int, heads: int):
        super().__init__()
        places = cell_centres(({1: 256, 2: 40, 3: 14}[d],) * d)
        self.anchors = nn.Parameter(0.9 * farthest_first(places, tokens))
        self.place = Fourier(d, OCTAVES)
        self.point = nn.Sequential(nn.Linear(self.place.out + c, width), nn.SiLU(), nn.Linear(width, width))
        self.query = nn.Linear(self.place.out, width)
        lengthscales = doubling_lengthscales(heads, tokens ** (-1 / d) / 2)
        self.blocks = nn.ModuleList(SetBlock(width, lengthscales, 0, ("others", "itself", "mlp"), affine=True,
                                             zero_key=True) for _ in range(depth))
        self.output = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, k))

    def forward(self, points: ObservationBatch) -> Tensor:
        features = self.point(torch.cat([self.place(points.coords), points.values], -1))
        h, places = self.query(self.place(self.anchors)).expand(len(features), -1, -1), self.anchors[None]
        for block in self.blocks:
            memory = block.others.prepare(features, points.coords, points.mask)
            h = block(h, places, memory=memory)
        return self.output(h).mT


class TokenField(nn.Module):
    """Neural field of tokens (b, k, tokens): they attend to each other, then each query attends to them. Zhang et al.
    2023, sec. 4.3."""

    def __init__(self, d: int, c: int, tokens: int, k: int, width: int, depth: int, heads: int):
        super().__init__()
        self.tokens, reach = tokens, tokens ** (-1 / d)
        self.place = Fourier(d, OCTAVES)
        self.input = nn.Linear(k + self.place.out, width)
        self.blocks = nn.ModuleList(SetBlock(width, doubling_lengthscales(heads, reach), affine=True, zero_key=True)
                                    for _ in range(depth))
        self.norm, self.query = nn.LayerNorm(width), nn.Linear(self.place.out, width)
        self.read = Attention(width, doubling_lengthscales(heads, reach / 4), zero_key=True)
        self.answer = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width),
                                    nn.SiLU(), nn.Linear(width, c))

    def prepare(self, latent: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (b, k, tokens) at anchors (tokens, d) -> keys and values."""
        h = self.input(torch.cat([latent.mT, self.place(anchors).expand(len(latent), -1, -1)], -1))
        for block in self.blocks:
            h = block(h, anchors[None])
        return self.read.prepare(self.norm(h), anchors[None])

    def forward(self, coords: Tensor, memory: tuple[Tensor, Tensor]) -> Tensor:
        coords = coords if coords.ndim == 3 else coords[None]
        query = self.query(self.place(coords)).expand(len(memory[0]), -1, -1)
        return self.answer(query + self.read(query, coords, memory))


class TokenTransformer(nn.Module):
    """F of tokens x (n, k, tokens): a set transformer that attends to the observations."""

    def __init__(self, d: int, c: int, tokens: int, k: int, width: int, depth: int, heads: int):
        super().__init__()
        self.place = Fourier(d, OCTAVES)
        self.transformer = SetTransformer(d, tokens, k + self.place.out, k, self.place.out + c + 1, width, depth, heads)

    def forward(self, x: Tensor, level: Tensor, anchors: Tensor, *observations: Tensor) -> Tensor:
        places = self.place(anchors).expand(len(x), -1, -1)
        return self.transformer(torch.cat([x.mT, places], -1), anchors, level, observations).mT


class SparseFeaturesNetwork(LatentNetwork):
    """Encoder of point sets, denoiser of their tokens, and the field that reads them. A latent: (k, tokens)."""

    amortised = True

    def __init__(self, config: "SparseFeatures", d: int, c: int):
        super().__init__()
        k, tokens = config.latent_channels, config.tokens
        self.shape = (k, tokens)
        self.encoder = PointEncoder(d, c, tokens, k, config.field_width, config.encoder_depth, config.heads)
        self.unit = Standardise(k)
        self.field = TokenField(d, c, tokens, k, config.field_width, config.field_depth, config.heads)
        prior = None if config.prior == "white" else LatentGaussian(d, c, *STATISTICS[d], self.shape)
        self.denoiser = Denoiser(TokenTransformer(d, c, tokens, k, config.width, config.depth, config.heads), prior)

    def raw(self, points: ObservationBatch) -> Tensor:
        """Point sets -> tokens as the encoder gives them, (b, k, tokens)."""
        return self.encoder(points)

    def rescale(self, raw: Tensor) -> None:
        """Set the scale to that of raw tokens."""
        self.unit.calibrate(raw)

    def encode(self, points: ObservationBatch) -> Tensor:
        """Point sets -> latents (b, k, tokens) of unit scale."""
        return self.unit(self.encoder(points))

    def condition(self, observations: ObservationBatch) -> Conditioning:
        """The tokens' places, and each observation's features, place and mask."""
        coords, mask = observations.coords, observations.mask
        level = observations.noise_std.clamp_min(1e-3).log().reshape(-1, 1, 1).expand(*mask.shape, 1) / 3 + 1
        features = torch.cat([self.denoiser.net.place(coords), observations.values, level], -1)
        return self.conditioned(Conditioning((self.encoder.anchors.detach(), features, coords, mask)), observations)

    def prepare(self, latent: Tensor, conditioning: Conditioning = NOTHING) -> tuple[Tensor, ...]:
        """Keys and values of the tokens."""
        return self.field.prepare(latent, self.encoder.anchors)

    def evaluate(self, coords: Tensor, prepared: tuple[Tensor, ...]) -> Tensor:
        return self.field(coords, prepared)


class SparseFeaturesPosterior(LatentPosterior):
    """A trained approach 10."""

    net: SparseFeaturesNetwork

    @torch.no_grad()
    def encode_points(self, points: ObservationBatch) -> Tensor:
        """Latents (b, k, tokens) of any point sets, by the encoder; fitted, where training auto-decoded them."""
        points = points.to(self.device)
        latent = self.net.encode(points)
        return fitted(self.net.values, latent, points) if self.about["config"].get("bank") else latent

    def encode(self, fields: Fields) -> Tensor:
        """Latents (n, k, tokens) of fields, from their values on an even set of points."""
        coords = cell_centres((EVEN[fields.d],) * fields.d).expand(fields.n, -1, -1)
        return self.encode_points(ObservationBatch.exact(coords, fields(coords)))

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
        "any points become a few learned tokens; diffuse them given the points; each query attends to them",
        "Zhang et al. 2023 (3DShape2VecSet); Lee et al. 2019 (set transformer); Park et al. 2019 (DeepSDF); Bardsley "
        "et al. 2014 (randomise-then-optimise)",
        "points anywhere, in any number, with no grid: outlines, surfaces, sensors, tracks",
        "detail finer than its tokens hold is lost; attention learns more slowly than convolutions on a lattice")
    trained: ClassVar[type] = SparseFeaturesPosterior
    network: ClassVar[type] = SparseFeaturesNetwork
    usual: ClassVar[dict] = {"tokens": {1: 24, 2: 64, 3: 96}, "points": {1: (48, 96), 2: (150, 300), 3: (300, 500)}}

    prior: str = "white"                     # or "gaussian", measured on draws and conditioned on the observations
    tokens: int | None = None                # tokens of a function: 24 in 1D, 64 in 2D, 96 in 3D
    latent_channels: int = 8                 # numbers of a token
    # fewest and most points that stand for a function in training: (48, 96), (150, 300), (300, 500)
    points: tuple[int, int] | None = None
    heads: int = 4                           # heads of each attention
    field_width: int = 64                    # features of encoder and field
    encoder_depth: int = 1                   # blocks of the encoder
    field_depth: int = 1                     # blocks of attention among tokens before the field reads them
    width: int = 96                          # features of a token in the denoiser
    depth: int = 4                           # blocks of the denoiser
    jitter: float = 0.1                      # standard deviation of the noise on latents while the field learns
    # share of points and queries that lie where functions change, by importance sampling
    importance_share: float = 0.5
    unbiased: bool = True                    # weights make the loss the mean over the box; else such points count more
    autoencoder_share: float = 0.4           # share of the budget for encoder and field
    autoencoder_batch: int = 8               # functions in a batch of theirs
    bank: int = 0                            # training functions whose latents are auto-decoded; 0: encoded alone
    bank_share: float = 0.25                 # share of the budget for that
    bank_pace: float = 10.0                  # learning rate of their latents, as a multiple of the field's
    queries: int = 256                       # query points of each
    batch: int = 32                          # functions in a batch of the denoiser
    reuse: int = 2                           # training steps of the denoiser with one batch, each with fresh noise
    lr: float = 1e-3                         # learning rate of the denoiser
    autoencoder_lr: float = 2e-3             # learning rate of encoder and field
    refine: float = 0.6                      # how far a draw's latent may move to meet the observations; 0: not at all
    refine_steps: int = 6                    # steps of that move
    steps: int = 12                          # sampling steps
    guide: str = "encoder"                   # how observations enter a draw
    num_particles: int = 256                 # particles of sequential Monte Carlo, where guide is "particles"

    def fit(self, source: Source, *, views: Views, budget: Budget, seed: int, device: str = "auto",
            watch: Watch = quiet) -> SparseFeaturesPosterior:
        """Train on fresh functions, observed as `views` hides them. Cancelled early, it returns what it has."""
        require_bank(self.bank, self.batch, self.autoencoder_share + self.bank_share)
        run = Run(source, views, budget, seed, device, watch)
        net, config = run.build(self), self.at(run.d)
        joint = LatentBank(net, net.shape, self.batch, run.few(self.bank // self.batch),
                           self.bank_pace).to(run.device)
        learn = SparseFeaturesLosses(config, run, net, (16, 64), joint)
        batch = reused(learn.conditioned, self.reuse)

        def model() -> SparseFeaturesPosterior:
            return SparseFeaturesPosterior(net, run.record("sparse_features", self,
                                                           **DecoderError.record(learn.errors())), self.steps)

        shared = [*net.encoder.parameters(), *net.field.parameters()]
        stages = [Stage("autoencode", learn.autoencode, shared, self.autoencoder_share, self.autoencoder_lr,
                        after=learn.begin)]
        if self.bank:
            stages.append(Stage("auto-decode", learn.auto_decode, [*shared, *joint.parts], self.bank_share,
                                self.autoencoder_lr, after=learn.recalibrate))
        run.train(joint, *stages, Stage("diffuse", lambda i: learn.diffuse(i, *batch(i)), net.denoiser.parameters(),
                                        1 - sum(stage.share for stage in stages), self.lr, model=model))
        return model()


@dataclass(frozen=True)
class SparseFeaturesLosses(TwoStageLosses):
    """The losses of a training step i; `bank`: the latents that are auto-decoded."""

    bank: LatentBank | None = None

    def batch(self, n: int, *use) -> tuple[Fields, ObservationBatch]:
        """Fresh functions, and the random points that stand for each, more of them where it changes."""
        fields, rng, (fewest, most) = self.run.functions(n, *use), self.run.rng("points", *use), self.config.points
        coords = self.sampled_points(fields, int(fewest * (most / fewest) ** single.rand((), generator=rng)), rng)[0]
        return fields, ObservationBatch.exact(coords, fields(coords)).to(self.run.device)

    def sampled_points(self, fields: Fields, count: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Points (n, count, d), more of them where a function changes, and their weights."""
        coords = self.run.queries(fields.n, count, rng)
        if not self.config.importance_share:
            return coords, single.ones(coords.shape[:2])
        return importance_sampled(grid_values(fields, CHANGES[fields.d]), coords, self.config.importance_share, rng)

    def autoencode(self, i: int) -> Tensor:
        """Stage 1: encode point sets, decode them."""
        fields, points = self.batch(self.config.autoencoder_batch, "autoencode", i)
        return self.reconstruction(fields, self.net.unit.by_batch(self.net.raw(points)), "autoencode", i)

    def reconstruction(self, fields: Fields, latent: Tensor, *use) -> Tensor:
        """Mean squared error of the fields that latents, slightly noised, decode to, at query points."""
        config, rng = self.config, self.run.rng(*use)
        coords, weights = self.sampled_points(fields, config.queries, rng)
        latent = latent + config.jitter * single.randn(latent.shape, generator=rng).to(latent)
        errors = (self.net.values(coords.to(latent), latent) - fields(coords).to(latent)).square()
        return (errors * weights[..., None].to(latent)).mean() if config.unbiased else errors.mean()

    @torch.no_grad()
    def begin(self) -> None:
        """Measure the latents, and let a bank start from those that the encoder finds."""
        self.measure()
        for j, latent in enumerate(self.bank.parts):
            self.bank.start(j, self.net.unit(self.net.raw(self.batch(len(latent), "bank", j)[1])))

    def auto_decode(self, i: int) -> Tensor:
        """Stage 2, if there is a bank: each function's latent and the field learn together."""
        if i % FIRST_EVERY == 0:
            return self.autoencode(i)
        latent, fields = self.banked(i)
        return self.reconstruction(fields, latent, "auto-decode", i)

    def banked(self, j: int) -> tuple[Tensor, Fields]:
        """Latents and functions of batch j of the bank, in turn."""
        latent = self.bank[j]
        return latent, self.run.functions(len(latent), "bank", j % len(self.bank))

    @torch.no_grad()
    def recalibrate(self) -> None:
        """Measure the encoder's latents anew, and the noise levels of the bank's."""
        self.measure()
        self.net.denoiser.noise_levels.calibrate(self.bank.whole())

    @torch.no_grad()
    def errors(self) -> Tensor:
        """Errors of decoded functions at random points."""
        if not len(self.bank):
            return super().errors()
        latent, fields = self.banked(0)
        coords = self.run.queries(fields.n, self.config.queries, self.run.rng("floor"))
        return self.net.values(coords.to(latent), latent) - fields(coords).to(latent)

    @torch.no_grad()
    def conditioned(self, batch: int) -> tuple[Tensor, Conditioning]:
        """Latents of functions, fresh ones or of the bank, and the conditioning by their observations."""
        if len(self.bank):
            latent, fields = self.banked(batch)
        else:
            fields, points = self.batch(self.config.batch, "diffuse", batch)
            latent = self.net.encode(points)
        return latent, self.net.condition(self.run.observe(fields, batch).to(self.run.device))

    def diffuse(self, i: int, latent: Tensor, conditioning: Conditioning) -> Tensor:
        """Stage 2: denoise the latent given observations."""
        return self.net.denoiser.training_loss(latent, self.run.rng("diffuse", i), conditioning)


APPROACH = SparseFeatures
