"""Guidance with the covariance that the denoiser itself implies, sigma² ∂D/∂x."""

from ..denoiser import DenoiseFn
from .gauss_newton import gauss_newton
from .measurement import Measurement


def tweedie(denoise: DenoiseFn, measurement: Measurement) -> DenoiseFn:
    """D + C Jᵀ (J C Jᵀ + s²)⁻¹ (y − A(D)), C = sigma² ∂D/∂x the covariance of x0 given x, J = ∂A/∂x0 at D.

    Boys et al. 2023, with C in full in place of its diagonal; C is Tweedie's second moment. One backward pass through D
    for each entry of y. Exact for a Gaussian prior and linear A. Bias: x0 given x is taken to be Gaussian, so the
    probabilities of several modes come out too equal.
    """
    return gauss_newton(denoise, measurement, covariance="tweedie", iterations=1)
