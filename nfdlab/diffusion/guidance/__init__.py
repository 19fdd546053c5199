"""Guidance: a denoiser D(x, sigma) of the prior and a Measurement y = A(x0) + s·eps -> a denoiser of the posterior.

The result approximates E[x0 | x, y] and serves any sampler. The methods differ in their approximation of p(y | x).
`repaint` also steps back up in noise, so it is a sampler of its own.
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
