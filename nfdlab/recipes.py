"""How what ships is made: for each approach and problem the config, the views it practises on, what it may see."""

from dataclasses import asdict, dataclass, replace
from dataclasses import fields as dataclass_fields

import torch

from . import approaches, problems
from .core.checks import require, require_seed
from .core.fields import EvaluatedFields
from .core.rng import child, normals, uniforms
from .core.types import Approach, Budget, Problem, Source, Watch, quiet
from .observation.training_views import FrameViews, OutlineViews, TrainingViews
from .problems.arrays import Arrays

# what differs from an approach's defaults on one problem, and at a budget too short for its full size; steps were
# measured on what ships (evaluate.steps), where its header has a curve
CONFIGS = {
    ("score_field", "gp1d"): {"prior": "gaussian", "widths": (32, 48), "depth": 1, "batch": 24,
                              "encoder_width": 24, "memory": 8, "field_width": 16, "unconditional_share": 0.1,
                              "steps": 12},
    ("score_field", "sawtooth1d"): {"cells": 32, "points_per_cell": 4, "widths": (64, 64, 72), "steps": 8},
    ("score_field", "digits2d"): {"cells": 14, "points_per_cell": 2, "widths": (48, 56), "batch": 32,
                                  "encoder_width": 24, "memory": 8, "field_width": 8, "queries": 16,
                                  "unconditional_share": 0.5, "steps": 12},
    ("coarse_to_fine", "powerlaw2d"): {"prior": "gaussian", "coarse_widths": (32,), "widths": (32, 32), "depth": 1,
                                       "encoder_width": 16, "width": 24, "field_width": 16, "steps": 12},
    ("coarse_to_fine", "terrain2d"): {"points_per_cell": 4, "coarse_widths": (40,), "widths": (40, 40), "batch": 16,
                                      "pictured": 0.6},
    ("coarse_to_fine", "head2d"): {"coarse_widths": (48,), "widths": (48, 48), "pictured": 0.6, "steps": 8},
    ("sparse_conditional", "gp1d"): {"widths": (48, 48, 48), "steps": 20},
    ("sparse_conditional", "sawtooth1d"): {"widths": (64, 64, 72), "jitter": 0.03},      # fewer draws overshoot a jump
    ("sparse_conditional", "digits2d"): {"batch": 32, "cells": 14, "widths": (48, 56), "encoder_width": 24,
                                         "field_width": 16},
    ("sparse_conditional", "head2d"): {"batch": 32, "widths": (48, 48), "encoder_width": 24, "field_width": 16,
                                       "gaussian_rank": 64},
    ("latent_field", "discs2d"): {"autoencoder": "vector", "latent_channels": 6, "width": 24, "guide": "particles",
                                  "denoiser_layers": (144, 3), "num_particles": 512, "steps": 12,
                                  "diffusion_batch": 512, "reuse": 8},
    ("latent_field", "digits2d"): {"cells": 14, "points_per_cell": 2, "latent_channels": 2, "width": 32,
                                   "widths": (48, 56), "diffusion_batch": 32, "jitter": 0.03,
                                   "autoencoder_share": 0.35, "guide": "linearised_pigdm", "steps": 12},
    ("sparse_features", "stars2d"): {"importance_share": 0.0, "steps": 12},
    ("sparse_features", "shapes3d"): {"tokens": 64, "queries": 384, "batch": 16, "reuse": 3, "lr": 2e-3,
                                      "autoencoder_share": 0.25, "bank": 1536, "bank_share": 0.3, "unbiased": False,
                                      "importance_share": 0.6, "refine": 2.0, "refine_steps": 12, "steps": 8},
    ("temporal_field", "two_speed1dt"): {"widths": (48, 48), "batch": 32, "late_levels": (0.1, 1.8)},
    ("temporal_field", "moving_disc2dt"): {"frame_autoencoder": "vector", "latent_channels": 4, "field_width": 48,
                                           "sharpness": 8.0, "jitter": 0.003, "frame_noise": 0.1,
                                           "field_share": 0.08, "widths": (96,), "depth": 4, "batch": 48,
                                           "encoder_width": 64, "encoder_depth": 3, "noise_draws": 2,
                                           "late_levels": (0.05, 1.8), "late_share": 0.22, "guide": "reweighted",
                                           "num_particles": 64},
    ("temporal_field", "film2dt"): {"batch": 8, "gaussian_rank": 384, "reuse": 3, "refine": 0.07, "steps": 8},
    ("weight_diffusion", "families1d"): {"num_fields": 16384, "rounds": 48},
    ("modulated_field", "sawtooth1d"): {"cells": 32, "points_per_cell": 4, "latent_channels": 2, "modulate": "shift",
                                        "points": 512, "field_batch": 16, "field_width": 32, "omega": 20.0,
                                        "field_share": 0.2, "widths": (64, 64, 72), "depth": 2, "batch": 64,
                                        "noise_draws": 1, "steps": 8},
    ("modulated_field", "families1d"): {"field_share": 0.25, "bank": 8192, "bank_share": 0.35,
                                        "unconditional_share": 0.5, "guide": "particles", "steps": 8},
    ("modulated_field", "styles2d"): {"modulate": "shift", "points": 2048, "field_batch": 6, "field_share": 0.4},
    ("stochastic_field", "gp1d"): {"prior": "gaussian", "widths": (32, 48), "depth": 1, "batch": 24,
                                   "encoder_width": 24, "memory": 8, "field_width": 16, "steps": 12},
    ("stochastic_field", "sawtooth1d"): {"cells": 32, "points_per_cell": 4, "widths": (64, 64, 72), "steps": 6},
    ("stochastic_field", "step1d"): {"cells": 32, "points_per_cell": 4, "widths": (48, 48, 48), "steps": 12},
    ("adaptive_sampling", "step1d"): {"latent_channels": 3, "side": 256, "sharpness": 48.0},
    ("adaptive_sampling", "bump2d"): {"latent_channels": 4},
    ("adaptive_sampling", "digits2d"): {"prior": "white", "latent": "lattice", "guide": "encoder", "cells": 14,
                                        "widths": (48, 56), "depth": 2, "batch": 32, "encoder_width": 24, "memory": 8,
                                        "field_width": 8, "queries": 16, "unconditional_share": 0.05, "lr": 2e-3,
                                        "steps": 12},
}
# the same for pairs that train live and do not ship
LIVE = {
    ("stochastic_field", "terrain2d"): {"batch": 16, "widths": (48, 48), "encoder_width": 24, "field_width": 16},
    ("sparse_features", "gp2d"): {"prior": "gaussian", "importance_share": 0.0, "jitter": 0.03,
                                  "autoencoder_share": 0.6},
    ("latent_field", "stars2d"): {"autoencoder": "vector", "latent_channels": 24, "guide": "pigdm",
                                  "diffusion_batch": 256, "reuse": 8},
}
SMALL = {"coarse_to_fine": {"coarse_widths": (32,), "widths": (32, 32), "depth": 1, "batch": 16, "encoder_width": 16,
                            "width": 24, "field_width": 16},
         "sparse_conditional": {"widths": (32, 48), "batch": 32},
         "modulated_field": {"batch": 64},
         "sparse_features": {"field_width": 48, "width": 64, "depth": 3, "batch": 16, "queries": 192},
         "latent_field": {"width": 32, "widths": (32, 48), "depth": 1, "batch": 24, "queries": 128,
                          "num_particles": 256},
         "score_field": {"widths": (32, 48), "depth": 1, "batch": 24, "encoder_width": 24, "field_width": 16},
         "temporal_field": {"widths": (32,), "depth": 1, "batch": 16, "encoder_width": 16, "field_width": 16},
         "adaptive_sampling": {"width": 32, "batch": 16, "diffusion_batch": 128, "num_particles": 128},
         "weight_diffusion": {"num_fields": 2048, "denoiser_layers": (192, 3)},
         "stochastic_field": {"widths": (32, 48), "depth": 1, "batch": 24, "encoder_width": 24, "field_width": 16}}
# what a pair says of itself at a short budget, after the above
SMALL_PAIRS = {
    ("modulated_field", "styles2d"): {"batch": 16, "field_batch": 16, "points": 512},
    ("modulated_field", "families1d"): {"bank": 0, "field_share": 0.7, "unconditional_share": 0.3},
    ("sparse_features", "shapes3d"): {"bank": 0, "autoencoder_share": 0.45},
}
FEW_PARTICLES = {"num_particles": 64}                                # where only steps are counted
SMOKE = {"num_fields": 64, "steps": 4, "num_particles": 16, "rounds": 2}
MANY = TrainingViews(usual=32, most=256, tail=0.5)                   # from a few pixels to a quarter of a picture
VIEWS = {"terrain2d": TrainingViews(usual=300, most=400, uneven=0.2, other_noise=0.2), "gp2d": TrainingViews(usual=80),
         "styles2d": TrainingViews(usual=80), "stars2d": OutlineViews(usual=60, most=120),
         "drift1dt": FrameViews(), "two_speed1dt": FrameViews(), "moving_disc2dt": FrameViews(whole=0.5, fixed=0.1),
         "digits2d": MANY, "head2d": MANY, "film2dt": FrameViews(usual=1000),
         "shapes3d": OutlineViews(usual=60, most=120, outlined=0.8, corners=96)}


@dataclass(frozen=True)
class Varied:
    """Windows of a source's draws, each stretched by a factor log-even on `stretch` and raised by `shift`·ε.

    For real data of which there is little: the next place will be higher or lower, gentler or steeper, rougher or
    smoother. A window shows a share of the box, log-even on `window`, lying anywhere in it.
    """

    source: Source
    stretch: tuple[float, float] = (0.25, 1.25)
    shift: float = 1.0
    window: tuple[float, float] = (1.0, 1.0)

    def draw(self, n: int, *, seed: int) -> EvaluatedFields:
        """n functions of the source, each varied by its own numbers."""
        fields = self.source.draw(n, seed=child(seed, "fields"))
        d = fields.d

        def even(low: float, high: float, word: str) -> torch.Tensor:
            return low * (high / low) ** uniforms(seed, n, (1, 1), word, dtype=torch.float32)

        factor, share = even(*self.stretch, "stretch"), even(*self.window, "window")
        raised = self.shift * normals(seed, n, (1, 1), "shift")
        centre = (1 - share) * (2 * uniforms(seed, n, (1, d), "centre", dtype=torch.float32) - 1)

        def rule(coords: torch.Tensor, part: slice) -> torch.Tensor:
            coords = centre[part].to(coords) + share[part].to(coords) * coords
            return factor[part].to(coords) * fields.rule(coords, part) + raised[part].to(coords)

        return EvaluatedFields(rule, n, fields.d, fields.c)


@dataclass(frozen=True)
class Mixed:
    """Draws of a few sources, each as often as the others.

    For real data whose training draws are augmented: half of them as they are, as those of the held-out side will be.
    """

    sources: tuple[Source, ...]

    def draw(self, n: int, *, seed: int) -> EvaluatedFields:
        """n functions, each of one of the sources by its own stream."""
        fields = [source.draw(n, seed=child(seed, "fields", k)) for k, source in enumerate(self.sources)]
        which = (len(fields) * uniforms(seed, n, (1, 1), "which")).long()

        def rule(coords: torch.Tensor, part: slice) -> torch.Tensor:
            values = torch.stack([one.rule(coords, part) for one in fields])
            return values.gather(0, which[part].expand(values.shape[1:])[None])[0]

        return EvaluatedFields(rule, n, fields[0].d, fields[0].c)


def half_plain(problem: Problem) -> Mixed:
    """The training side of a problem, one half of its draws not augmented."""
    return Mixed((problem, problem.training_part(0.0, 1.0, augmented=False)))


# half of them patches of 45 to 102 points a side, seen as if they had 64; photographs, which look alike at any
# scale, of 64 to 256
VARIED = {"terrain2d": lambda problem: Mixed((problem, Varied(replace(problem, cells=2 * problem.cells),
                                                                stretch=(0.4, 1.25), window=(0.35, 0.8)))),
          "photo2d": lambda problem: Varied(replace(problem, cells=256), (1.0, 1.0), 0.0, window=(0.25, 1.0)),
          "digits2d": half_plain, "head2d": half_plain}


def knobs(problem) -> dict:
    """The knobs of a problem that weights depend on: its fields, less the side of the data."""
    return {f.name: getattr(problem, f.name) for f in dataclass_fields(problem) if f.name != "side"}


def views_for(problem) -> TrainingViews:
    """How data of this problem will be hidden: more points where there are more dimensions."""
    return VIEWS.get(problem.card.name, TrainingViews() if problem.d == 1 else TrainingViews(usual=120))


def approach_for(name: str, problem, budget: Budget):
    """The approach with the config for a problem and a budget: what its pair says, then what short budgets say of the
    approach, then of the pair, then what a smoke test needs, few of everything. Later ones win."""
    kind, pair = approaches.get(name), (name, problem.card.name)
    settings = [CONFIGS.get(pair, LIVE.get(pair, {}))]
    if budget.seconds is None or budget.seconds < 600:
        settings += [SMALL.get(name, {}), SMALL_PAIRS.get(pair, {})]
    few, has = {**FEW_PARTICLES, **(SMOKE if budget.name == "smoke" else {})}, {f.name for f in dataclass_fields(kind)}
    if budget.seconds is None:
        settings.append({key: value for key, value in few.items() if key in has})
    return kind(**{key: value for part in settings for key, value in part.items()})


def homes(problem: str) -> list[str]:
    """The approaches that have a recipe for a problem, in their order: where their lessons and weights live."""
    return [name for name in approaches.names() if (name, problem) in CONFIGS or (name, problem) in LIVE]


def train(approach, problem, *, budget: str | Budget = "lesson", seed: int = 0, device: str = "auto",
          watch: Watch = quiet):
    """Fit an approach (a name or an instance) to a problem (a name or an instance) and say so in `.about`.

    Training sees fresh functions of the problem's training side and nothing else of it.
    """
    problem = problems.get(problem) if isinstance(problem, str) else problem
    require(isinstance(problem, Problem), kind=TypeError,
            must="problem: a name or a Problem.", came=problem, why="Training needs functions to learn from.",
            do='nfdlab.train("sparse_conditional", "gp1d").')
    budget = Budget.named(budget) if isinstance(budget, str) else budget
    require(isinstance(budget, Budget), kind=TypeError, must="budget: a name, or a Budget.", came=budget,
            why="Training on fresh data has no end of its own.", do='budget="lesson", or Budget(seconds=120).')
    require_seed(seed)
    if isinstance(approach, str):
        approach = approach_for(approach, problem, budget)
    require(isinstance(approach, Approach) and not isinstance(approach, type), kind=TypeError, came=approach,
            must="approach: a name or an Approach.", why="It is what is trained.",
            do='nfdlab.train("sparse_conditional", "gp1d").')
    source = VARIED.get(problem.card.name, lambda source: source)(problem)
    fitted = approach.fit(source, views=views_for(problem), budget=budget, seed=child(seed, "train"), device=device,
                          watch=watch)
    fitted.about.update(problem=problem.card.name, knobs=knobs(problem), seed=seed,
                        budget={"name": budget.name, "seconds": budget.seconds, "steps": budget.steps}, scores={})
    if isinstance(problem, Arrays):
        fitted.about["scaling"] = asdict(problem.scaling)
    return fitted


def refit_line(approach: str, problem) -> str:
    """The line that fits an approach to a problem with these knobs."""
    changed = ", ".join([repr(problem.card.name)] + [f"{k}={v!r}" for k, v in knobs(problem).items()])
    return f"nfdlab.train({approach!r}, nfdlab.problems.get({changed}))"


