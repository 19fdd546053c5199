"""Loss of an amortised Gaussian over a latent."""

from torch import Tensor

from ..diffusion.denoiser import Conditioning


def gaussian_loss(latent: Tensor, conditioning: Conditioning) -> Tensor:
    """Gaussian log score of latents under a conditioning's mean and std, each element weighted by its own std (β-NLL,
    β = ½), so that sharp elements do not drown the rest. Seitzer et al. 2022, eq. 5."""
    mean, std = conditioning.mean, conditioning.std
    return (std.detach() * (0.5 * ((latent - mean) / std).square() + std.log())).mean()
