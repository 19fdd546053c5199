"""From networks to denoisers. `Denoiser` owns sigma_data, and both the loss and the samplers read it there."""

import torch
from torch import Tensor, nn

from .gaussian_prior import DenoiseFn, GaussianPrior, like

__all__ = ["Denoiser", "Preconditioned", "from_eps", "from_v", "from_velocity", "like"]

class Denoiser(nn.Module):
    """D(x, sigma) = c_skip x + c_out F(c_in x, ¼ ln sigma), scaled so that F sees and gives unit variance.

    Karras et al. 2022, table 1 and eq. 7. F is called as net(x, c_noise (b or 1,), *given). c_skip x is what a white
    Gaussian would answer; `known`, the covariance of the data, puts a better Gaussian's answer there, and F learns the
    rest.
    """

    def __init__(self, net: nn.Module, sigma_data: float = 1.0, known: GaussianPrior | None = None):
        super().__init__()
        self.net, self.sigma_data, self.known = net, sigma_data, known

    def forward(self, x: Tensor, sigma, *given) -> Tensor:
        sd, s = self.sigma_data, like(sigma, x)
        total = (s**2 + sd**2).sqrt()
        level = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).log().reshape(-1) / 4     # (b,), (1,) if shared
        skip = sd**2 / total**2 * x if self.known is None else self.known.denoiser()(x, sigma)
        return skip + s * sd / total * self.net(x / total, level, *given)

    def loss(self, clean: Tensor, sigma: Tensor, noise: Tensor, *given) -> Tensor:
        """Weighted squared error per element, mean over everything: λ(sigma)‖D − clean‖², λ = (s² + sd²)/(s sd)².

        With this weight the network's own target has unit variance at every level (eq. 8).
        """
        sd, s = self.sigma_data, like(sigma, clean)
        weight = (s**2 + sd**2) / (s * sd) ** 2
        return (weight * (self(clean + s * noise, sigma, *given) - clean).square()).mean()


# Adapters: networks that predict something else, made to speak D(x, sigma). Each takes net(x_scaled, sigma).

def from_eps(net) -> DenoiseFn:
    """A network that predicts the noise from the variance-preserving x: D = x − sigma·eps."""

    def D(x, sigma):
        s = like(sigma, x)
        return x - s * net(x / (1 + s**2).sqrt(), sigma)

    return D


def from_v(net) -> DenoiseFn:
    """A network that predicts v = a·noise − b·clean at x_vp = a·clean + b·noise, a² + b² = 1: D = a x_vp − b v.

    Salimans & Ho 2022, app. D.
    """

    def D(x, sigma):
        s = like(sigma, x)
        a = 1 / (1 + s**2).sqrt()
        return a * (a * x) - s * a * net(a * x, sigma)

    return D


def from_velocity(net) -> DenoiseFn:
    """Flow matching on the straight line x_t = (1 − t) clean + t noise, t = sigma/(1 + sigma): D = x_t − t·velocity.

    The network gets net(x_t, t) and predicts noise − clean. Lipman et al. 2023; Liu et al. 2023.
    """

    def D(x, sigma):
        s = like(sigma, x)
        t = s / (1 + s)
        level = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
        return x / (1 + s) - t * net(x / (1 + s), level / (1 + level))

    return D
