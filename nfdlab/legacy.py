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


def _matern(config: dict) -> tuple:
    return tuple((config.get("smoothness", 2.5), lengthscale) for lengthscale in config["kernels"])


def _sparse_conditional(config: dict) -> dict:
    pairs = _matern(config)
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
            "calibration_functions": config["measured"], "unconditional_share": config["alone"],
            **{key: config[key] for key in ("width", "depth", "heads", "octaves", "batch", "queries", "lr", "steps")}}


def _sparse_features(config: dict) -> dict:
    return {"prior": "gaussian" if config["linear"] else "white", "latent_channels": config["code"],
            "expansion_side": config["side"], "expansion_rank": config["rank"],
            "calibration_functions": config["draws"], "field_width": config["memory"],
            "field_depth": config["mixing"], "neighbours": config["near"], "field_share": config["share"],
            "num_particles": config["cloud"],
            **{key: config[key] for key in ("anchors", "points", "width", "depth", "heads", "jitter", "batch", "reuse",
                                            "queries", "lr", "steps", "guide")}}


def _coarse_to_fine(config: dict) -> dict:
    return {"prior": "gaussian" if config["linear"] else "white", "coarse_side": config["coarse"],
            "fine_side": config["fine"], "max_frequency": config["reach"], "augmentation_levels": config["augment"],
            "augmentation": config["usual"], "calibration_functions": config["measured"],
            "denoiser_dilations": config["dilations"], "budget_shares": config["shares"],
            "unconditional_share": config["alone"],
            **{key: config[key] for key in ("stages", "width", "depth", "octaves", "batch", "queries", "reuse", "lr",
                                            "steps")}}


def _modulated_field(config: dict) -> dict:
    kinds, pairs = config.get("kinds", ()), _matern(config)
    encoder = "meta_learned" if config["coder"] == "cavia" else None if config["linear"] else "convolutional"
    return {"latent": {None: None, True: "vector", False: "grid"}[config["flat"]], "vector_size": config["vector"],
            "latent_channels": config["code"], "cells": config["cells"], "points_per_cell": config["fine"],
            "encoder": encoder, "inner_steps": config["inner_steps"], "inner_lr": config["inner_rate"],
            "field_width": config["sines"], "field_depth": config["depth"], "omega": config["omega"],
            "modulate": "shift_and_scale" if config["scales"] else "shift", "jitter": config["jitter"],
            "width": config["width"], "setconv_widths": config["widths"], "encoder_dilations": config["reader"],
            "denoiser_dilations": config["denoiser"], "denoiser_layers": config["layers"],
            "estimates": "mixture" if kinds else "gp_channels" if pairs else "none", "kernels": pairs,
            "offset_std": config["level"],
            **({"mixture_components": kinds[0], "mixture_rank": kinds[1]} if kinds else {}),
            "least_std": config.get("least", 0.01), "unconditional_share": config["alone"],
            "field_share": config["share"], "diffusion_batch": config["codes"], "noise_draws": config["noises"],
            "num_particles": config.get("cloud", 256), **{key: config[key] for key in
                                                          ("batch", "queries", "lr", "steps", "guide")}}


def _weight_diffusion(config: dict) -> dict:
    return {"field_width": config["width"], "field_depth": config["depth"], "num_fields": config["nets"],
            "initialisation": config["start"], "l2_penalty": config["pull"], "robust_scale": config["edge"],
            "fit_lr": config["rate"], "fit_share": config["share"], "denoiser_layers": config["layers"],
            "num_particles": config["cloud"], **{key: config[key] for key in (
                "omega", "queries", "batch", "lr", "steps", "guide", "rounds")}}


def _two_stage(config: dict) -> dict:
    return {"latent_channels": config["flat"] or config["code"], "denoiser_layers": config["layers"],
            "diffusion_batch": config["codes"], "autoencoder_share": config["share"],
            "autoencoder_lr": config.get("auto_lr", 2e-3), "num_particles": config["cloud"],
            **{key: config[key] for key in ("width", "batch", "reuse", "queries", "jitter", "lr", "steps", "guide")}}


def _latent_field(config: dict) -> dict:
    return {**_two_stage(config), "cells": config["cells"], "points_per_cell": config["fine"],
            "autoencoder": "grid" if config["folded"] else "vector" if config["flat"] else
            "linear" if config["linear"] else "convolutional",
            "encoder_input": "pixels" if config["pixels"] else "points",
            "decoder_output": "pixels" if config["sized"] else "points",
            "octaves": config["octaves"], "denoiser_dilations": config["dilations"]}


def _adaptive_sampling(config: dict) -> dict:
    cells, fine = config["cells"], config["fine"]            # given in 1D only
    return {**_two_stage(config), "side": (cells or 16) * (fine or 8) if cells or fine else None,
            "depth": config["joint"], "sharpness": config["sharp"], "importance_share": config["keen"],
            "rounds": config["rounds"]}


def _temporal_field(config: dict) -> dict:
    return {"frames": config["frames"], "frame_autoencoder": "neural" if config["flat"] else "linear",
            "latent_channels": config["flat"] or config["code"], "num_components": config["kinds"],
            "noise_lengthscale": config.get("smooth", 0.0), "frame_side": config["fine"],
            "expansion_side": config["side"], "expansion_rank": config["rank"],
            "calibration_functions": config["draws"], "field_width": config["memory"],
            "field_depth": config["layers"], "frame_noise": config["blur"],
            "field_share": config["share"], "reader_share": config["listening"], "num_particles": config["cloud"],
            **{key: config[key] for key in ("width", "depth", "heads", "octaves", "jitter", "batch", "reuse", "queries",
                                            "lr", "steps", "guide")}}


def _stochastic_field(config: dict) -> dict:
    return {"prior": "gaussian" if config["linear"] else "white", "head": config["head"], "heads": config["heads"],
            "noise": "posterior" if config["noise"] == "belief" else config["noise"],
            "expansion_side": config["modes"], "expansion_rank": config["rank"],
            "calibration_functions": config["measured"], "cells": config["cells"],
            "points_per_cell": config["fine"], "setconv_widths": config["widths"],
            "encoder_dilations": config["reader"], "deep_set_width": config["evidence"],
            "head_layers": config["layers"], "table_side": config["places"], "noise_draws": config["noises"],
            "quantile_draws": config["draws"],
            **{key: config[key] for key in ("width", "octaves", "features", "knots", "batch", "queries", "lr",
                "steps")}}


# Blocks of nn/set_attention, for approaches 3, 6 and 10: a block has `itself`, `others`, `norms`, `film` and `mlp`, an
# attention `query`, `key_value`, `output` and `log_gamma`. In format 1 approaches 6 and 10 had each_other, seen, think;
# ask, told, leave, penalty. These follow EVERYWHERE and come before an approach moves its network.
SET_ATTENTION = [(r"\.each_other\.", ".itself."), (r"\.seen\.", ".others."), (r"\.think\.", ".mlp."),
                 (r"\.(itself|others)\.(ask|question)\.", r".\1.query."),
                 (r"\.(itself|others)\.told\.", r".\1.key_value."), (r"\.penalty$", ".log_gamma")]
SPARSE_CONDITIONAL = [(r"^auto\.", "autoencoder."), (r"^given\.", "encoder.gaussian."),
                      (r"^reader\.", "encoder.reader.")]
COARSE_TO_FINE = [(r"^(input|blocks|field)\.", r"average.\1."), (r"^coarse\.", "coarse.net.net."),
                  (r"^detail\.", "detail.net."), (r"^waves\.reach$", "waves.max_frequency"),
                  (r"^waves\.loud$", "waves.amplitude_std"), (r"^waves\.", "spectral_prior.")]
SCORE_FIELD = [(r"^last\.ask\.", "last.others."), (r"^blocks\.(\d+)\.ask\.", r"blocks.\1.itself."), *SET_ATTENTION,
               (r"^scale$", "denoiser.prior.sigma_data"), (r"^linear\.", "denoiser.prior.expansion."),
               (r"^dot\.", "observation."), (r"^ask\.", "query."), (r"^(?!denoiser)", "denoiser.net.")]
SPARSE_FEATURES = [(r"^mix\.", "blocks."), *SET_ATTENTION,
                   (r"^denoiser\.net\.tell\.", "denoiser.net.condition."),
                   (r"^denoiser\.net\.", "denoiser.net.transformer."),
                   (r"^tokens\.kl\.", "denoiser.prior.expansion."),
                   (r"^tokens\.sensor\.", "denoiser.prior.measurement."), (r"^tokens\.", "denoiser.prior.")]
TWO_STAGE = [(r"^auto\.", "autoencoder."), (r"^denoiser\.known\.", "denoiser.prior.")]
MODULATED_FIELD = [(r"^listener\.given\.", "observation_encoder.gaussian."),
                   (r"^listener\.kinds\.each\.", "observation_encoder.estimates.components."),
                   (r"^listener\.kinds\.share$", "observation_encoder.estimates.component_weights"),
                   (r"^listener\.dot\.", "observation_encoder.point."), (r"^listener\.", "observation_encoder."),
                   (r"^spectrum\.", "gaussian.")]
WEIGHT_DIFFUSION = [(r"^begin$", "initial"), (r"^denoiser\.known\.", "denoiser.prior.")]
TEMPORAL_FIELD = [(r"^codes\.each\.", "autoencoder.expansions."), (r"^codes\.sensors\.", "autoencoder.measurements."),
                  (r"^codes\.share$", "autoencoder.component_weights"), (r"^codes\.middle$", "autoencoder.mean"),
                  (r"^(codes\.decoder|field)\.", "autoencoder.field."), (r"^codes\.", "autoencoder."),
                  (r"^size$", "autoencoder.correction_scale"), (r"^denoiser\.listen\.", "features."), *SET_ATTENTION]
STOCHASTIC_FIELD = [(r"^reader\.modes\.", "encoder.expansion."), (r"^reader\.dot\.", "encoder.point."),
                    (r"^reader\.", "encoder."), (r"\.told\.", ".modulate."),
                    (r"^heads\.diffusion\.net\.", "heads.diffusion.denoiser.net.net.")]

# approach: renames of keys, config, and where the noise levels went
RULES: dict[str, tuple[list[tuple[str, str]], Callable[[dict], dict], str | None]] = {
    "latent_field": (TWO_STAGE, _latent_field, NOISE_LEVELS),
    "adaptive_sampling": (TWO_STAGE, _adaptive_sampling, NOISE_LEVELS),
    "sparse_conditional": (SPARSE_CONDITIONAL, _sparse_conditional, NOISE_LEVELS),
    "score_field": (SCORE_FIELD, _score_field, NOISE_LEVELS),
    "sparse_features": (SPARSE_FEATURES, _sparse_features, NOISE_LEVELS),
    "modulated_field": (MODULATED_FIELD, _modulated_field, NOISE_LEVELS),
    "weight_diffusion": (WEIGHT_DIFFUSION, _weight_diffusion, NOISE_LEVELS),
    "temporal_field": (TEMPORAL_FIELD, _temporal_field, NOISE_LEVELS),
    "stochastic_field": (STOCHASTIC_FIELD, _stochastic_field, "heads.diffusion.denoiser.noise_levels.values"),
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
        r = about.get("range", {"low": 0.01, "high": 6.0, "half": 0.5, "spread": 1.6})        # approach 8 had these
        found[levels] = torch.tensor([r["low"], r["high"], r["half"], r["spread"]], dtype=torch.float64)
    return found
