"""Guidance: what was measured, said to a prior's denoiser, so that any sampler draws from the posterior. Nearly.

Each method takes a denoiser D(x, sigma) of the prior and a Measurement y = A(x0) + s·eps, and returns a denoiser that
stands for E[x0 | x, y]. They differ in what they take p(y | x) to be. `repaint` steps back as well as forth, so it
walks a path of its own.
"""

from .dps import dps
from .gauss_newton import gauss_newton, linearised
from .measurement import Measurement
from .naive import naive
from .pigdm import pigdm
from .repaint import repaint
from .replacement import replacement
from .tweedie import tweedie

METHODS = {"replacement": replacement, "naive": naive, "dps": dps, "pigdm": pigdm, "tweedie": tweedie,
           "gauss_newton": gauss_newton}
__all__ = ["METHODS", "Measurement", "dps", "gauss_newton", "linearised", "naive", "pigdm", "repaint", "replacement",
           "tweedie"]
