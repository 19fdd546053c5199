"""Observations of a field, said to a diffusion over its latents: through the decoder, by guidance or by weighing."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..core.rng import stream
from ..core.types import Observations
from ..diffusion.denoiser import DenoiseFn
from ..diffusion.gaussian_prior import GaussianPrior
from ..diffusion.guidance import Measurement, dps, gauss_newton, pigdm, tweedie
from ..diffusion.samplers import SamplerStep
from ..diffusion.smc import annealed_smc
from ..latents.decoder_error import DecoderError

if TYPE_CHECKING:
    pass

BANK = 8                             # prior draws that are weighed for each that goes on
CLOUD, ROUNDS = 512, 24              # how many go on, and how often they move, unless the config says
ALL_NOISE = 1e4                      # a level at which nothing is known of a latent of unit scale
GUIDES = ("particles", "linearised", "gauss_newton", "tweedie", "pigdm", "dps")


def sorted_observations(seen: Observations) -> Observations:
    """The same observations sorted by place, so that their order means nothing, to the last bit."""
    keys = torch.cat([seen.coords, seen.values], 1)
    order = torch.arange(seen.m)
    for key in keys.T.flip(0).cpu():
        order = order[key[order].sort(stable=True).indices]
    return replace(seen, coords=seen.coords[order], values=seen.values[order])


def measured(model: "Coded", seen: Observations) -> Measurement:
    """What was seen as a measurement of a latent: y = field(latent) at the places, noisier by what the latent cannot hold."""
    coords = seen.coords.to(model.device, torch.float32)
    noise_std = (seen.noise_std**2 + model.about["floor"] ** 2) ** 0.5
    return Measurement(lambda x: model.values(coords, x).flatten(1),
                       seen.values.to(model.device, torch.float32).flatten(), noise_std)


def guided(denoise: DenoiseFn, measurement: Measurement, guide: str, spectrum: GaussianPrior | None,
           shape: tuple) -> DenoiseFn:
    """The prior's denoiser, told a measurement. All but `linearised` are as in diffusion/guidance, with the decoder's
    Jacobian taken anew at each draw and level; `linearised` takes it once, at the most probable latent. Where no
    covariance of the latents is kept, they are taken to be white."""
    covariance = "isotropic" if spectrum is None else spectrum
    if guide == "linearised":
        return gauss_newton(denoise, linearised(measurement, spectrum, shape), covariance=covariance)
    if guide == "gauss_newton":
        return gauss_newton(denoise, measurement, covariance=covariance)
    return {"tweedie": tweedie, "pigdm": pigdm, "dps": dps}[guide](denoise, measurement)


def linearised(measurement: Measurement, spectrum: GaussianPrior | None, shape: tuple, iterations: int = 4) -> Measurement:
    """The same measurement with its Jacobian at the most probable latent of a Gaussian prior. One for all draws: if the
    decoder bends little over the latents in question, nothing is lost, and m passes back through it are paid once."""
    mean = measurement.y.new_zeros(1, *shape) if spectrum is None else spectrum.mean.reshape(1, *shape)
    nearest = gauss_newton(lambda x, sigma: mean.clone(), measurement, iterations=iterations,
                           covariance="isotropic" if spectrum is None else spectrum)
    best = nearest(mean, torch.tensor(ALL_NOISE))
    with torch.inference_mode(False), torch.enable_grad():
        best = best.clone().requires_grad_()
        out = measurement.A(best)[0]
        rows = [torch.autograd.grad(value, best, retain_graph=True)[0].flatten() for value in out]
    return replace(measurement, matrix=torch.stack(rows))


def smc_path(model: "Coded", seen: Observations, n: int, *, seed: int, steps: int, sampler: str) -> Iterator[SamplerStep]:
    """The path of `particles`: of a cloud that does not depend on n, each draw is a member. They hear of the decoder's
    own error as a Misfit."""
    run, _ = model.push(steps, sampler)
    count, rounds = (model.about["config"].get(key, usual) for key, usual in (("num_particles", CLOUD), ("rounds", ROUNDS)))
    noise, pushed = model.bank(BANK * count, steps, sampler, seed=0)
    rng = stream(seed, "members")
    members = torch.cat([torch.randperm(count, generator=rng) for _ in range(-(-n // count))])[:n]

    for visit in annealed_smc(run, likelihood(model, seen), noise, seed=seed, rounds=rounds, count=count, pushed=pushed):
        yield replace(visit, x=visit.x[members], denoised=visit.denoised[members])


def likelihood(model: "Coded", seen: Observations) -> Callable[[Tensor], Tensor]:
    """How likely latents x (n, *shape) make what was seen, in logs: (n,)."""
    measurement = measured(model, seen)
    misfit = DecoderError(**model.about["decoder_error"]) if "decoder_error" in model.about else \
        DecoderError(model.about["floor"], model.about["floor"], 0.5)
    return lambda x: misfit.log_density(measurement.miss(x), seen.noise_std).sum(1)
