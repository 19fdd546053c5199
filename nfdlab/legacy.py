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


def _coarse_to_fine(config: dict) -> dict:
    return {"prior": "gaussian" if config["linear"] else "white", "coarse_side": config["coarse"],
            "fine_side": config["fine"], "max_frequency": config["reach"], "augmentation_levels": config["augment"],
            "augmentation": config["usual"], "calibration_functions": config["measured"],
            "denoiser_dilations": config["dilations"], "budget_shares": config["shares"],
            "unconditional_share": config["alone"],
            **{key: config[key] for key in ("stages", "width", "depth", "octaves", "batch", "queries", "reuse", "lr",
                                            "steps")}}


# approach: renames of keys, config, and where the noise levels went
SPARSE_CONDITIONAL = [(r"^auto\.", "autoencoder."), (r"^given\.", "encoder.gaussian."), (r"^reader\.", "encoder.reader.")]
COARSE_TO_FINE = [(r"^(input|blocks|field)\.", r"average.\1."), (r"^coarse\.", "coarse.net.net."),
                  (r"^detail\.", "detail.net."), (r"^waves\.reach$", "waves.max_frequency"),
                  (r"^waves\.loud$", "waves.amplitude_std"), (r"^waves\.", "spectral_prior.")]

RULES: dict[str, tuple[list[tuple[str, str]], Callable[[dict], dict], str | None]] = {
    "sparse_conditional": (SPARSE_CONDITIONAL, _sparse_conditional, NOISE_LEVELS),
    "coarse_to_fine": (COARSE_TO_FINE, _coarse_to_fine, "coarse.noise_levels.values"),
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
