"""Weights files of format 1: their tensors and their header under the names of format 2. Draws stay the same.

Each approach has a list of renames of tensor keys (regular expressions, in order) and a function of its config.
"""

import re
from collections.abc import Callable

import torch
from torch import Tensor

FORMAT = "nfdlab 1"
NOISE_LEVELS = "denoiser.noise_levels.values"            # a tensor now; in format 1 four numbers of the header

# parts of keys that were renamed wherever they stand
EVERYWHERE = {"enter": "input", "leave": "output", "remember": "prepare", "hear": "condition"}


def _sparse_conditional(config: dict) -> dict:
    pairs = tuple((config.get("smoothness", 2.5), lengthscale) for lengthscale in config["kernels"])
    ensemble, linear = config.get("krigings", ()), config["linear"]
    return {"cells": config["cells"], "points_per_cell": config["fine"], "latent_channels": config["code"],
            "autoencoder": "grid" if ensemble else "linear" if linear else "convolutional",
            "estimates": "gp_ensemble" if ensemble else "gp_channels" if pairs else "none",
            "kernels": ensemble or pairs, "offset_std": config.get("level", 0.0), "width": config["width"],
            "octaves": config["octaves"], "setconv_widths": config["widths"], "encoder_dilations": config["reader"],
            "denoiser_dilations": config["denoiser"],
            **{key: config[key] for key in ("batch", "queries", "lr", "steps")}}


def _score_field(config: dict) -> dict:
    return {"prior": "gaussian" if config["linear"] else "white", "lattice": config["context"],
            "expansion_side": config["statistics"], "expansion_rank": config["rank"],
            "expansion_draws": config["measured"], "unconditional_share": config["alone"],
            **{key: config[key] for key in ("width", "depth", "heads", "octaves", "batch", "queries", "lr", "steps")}}


def _sparse_features(config: dict) -> dict:
    return {"prior": "gaussian" if config["linear"] else "white", "latent_channels": config["code"],
            "expansion_side": config["side"], "expansion_rank": config["rank"], "expansion_draws": config["draws"],
            "decoder_width": config["memory"], "decoder_depth": config["mixing"], "neighbours": config["near"],
            "decoder_share": config["share"], "num_particles": config["cloud"],
            **{key: config[key] for key in ("anchors", "points", "width", "depth", "heads", "jitter", "batch", "reuse",
                                            "queries", "lr", "steps", "guide")}}


# Blocks of nn/set_attention, for approaches 3, 6 and 10: a block has `itself`, `others`, `norms`, `film` and `mlp`, an
# attention `query`, `key_value`, `output` and `log_gamma`. In format 1 approaches 6 and 10 had each_other, seen, think;
# ask, told, leave, penalty. These follow EVERYWHERE and come before an approach moves its network.
SET_ATTENTION = [(r"\.each_other\.", ".itself."), (r"\.seen\.", ".others."), (r"\.think\.", ".mlp."),
                 (r"\.(itself|others)\.(ask|question)\.", r".\1.query."),
                 (r"\.(itself|others)\.told\.", r".\1.key_value."), (r"\.penalty$", ".log_gamma")]

# approach: renames of keys, config, and where the noise levels went
SPARSE_CONDITIONAL = [(r"^auto\.", "autoencoder."), (r"^given\.", "encoder.gaussian."),
                      (r"^reader\.", "encoder.reader.")]
SCORE_FIELD = [(r"^last\.ask\.", "last.others."), (r"^blocks\.(\d+)\.ask\.", r"blocks.\1.itself."), *SET_ATTENTION,
               (r"^scale$", "denoiser.prior.sigma_data"), (r"^linear\.", "denoiser.prior.expansion."),
               (r"^dot\.", "observation."), (r"^ask\.", "query."), (r"^(?!denoiser)", "denoiser.net.")]
SPARSE_FEATURES = [(r"^mix\.", "blocks."), *SET_ATTENTION,
                   (r"^denoiser\.net\.tell\.", "denoiser.net.condition."),
                   (r"^denoiser\.net\.", "denoiser.net.transformer."),
                   (r"^tokens\.kl\.", "denoiser.prior.expansion."),
                   (r"^tokens\.sensor\.", "denoiser.prior.measurement."), (r"^tokens\.", "denoiser.prior.")]

RULES: dict[str, tuple[list[tuple[str, str]], Callable[[dict], dict], str | None]] = {
    "sparse_conditional": (SPARSE_CONDITIONAL, _sparse_conditional, NOISE_LEVELS),
    "score_field": (SCORE_FIELD, _score_field, NOISE_LEVELS),
    "sparse_features": (SPARSE_FEATURES, _sparse_features, NOISE_LEVELS),
}


def upgraded_about(about: dict) -> dict:
    """A header of format 1 -> the same under the names of format 2."""
    found = {key: value for key, value in about.items() if key not in ("range", "misfit")}
    if "misfit" in about:
        found["decoder_error"] = about["misfit"]
    return {**found, "config": RULES[about["approach"]][1](about["config"])}


def upgraded_tensors(about: dict, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of format 1, with the header as it was -> the same under the names of format 2."""
    rules, _, levels = RULES[about["approach"]]
    found = {}
    for key, tensor in tensors.items():
        key = ".".join(EVERYWHERE.get(part, part) for part in key.split("."))
        for pattern, new in rules:
            key = re.sub(pattern, new, key)
        found[key] = tensor
    if levels is not None:
        r = about["range"]
        found[levels] = torch.tensor([r["low"], r["high"], r["half"], r["spread"]], dtype=torch.float64)
    return found
