"""How far decoded latents may lie from their functions: mostly little and, now and then, at an edge, a lot."""

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class DecoderError:
    """Errors of a decoder as one of two zero-mean Gaussians: of std `large` with odds `share`, of std `small` else.

    One Gaussian of the same variance would let a single observation beside a jump outweigh all others, or, wide enough not to,
    would hear none of them well. Observation noise adds to both variances.
    """

    small: float
    large: float
    share: float

    @classmethod
    def of(cls, errors: Tensor) -> "Misfit":
        """From errors of any shape, by expectation and maximisation. Dempster, Laird & Rubin 1977."""
        e2 = errors.flatten().double().square().clamp_min(1e-12)
        small2, large2, share = e2.median() / 2, 4 * e2.mean(), torch.tensor(0.1, dtype=torch.float64)
        for _ in range(100):
            logs = torch.stack([(1 - share).log() - 0.5 * small2.log() - e2 / (2 * small2),
                                share.log() - 0.5 * large2.log() - e2 / (2 * large2)])
            odds = logs.softmax(0)[1]
            share = odds.mean().clamp(1e-6, 1 - 1e-6)
            small2, large2 = ((1 - odds) * e2).sum() / (1 - odds).sum(), (odds * e2).sum() / odds.sum()
        return cls(float(small2) ** 0.5, float(large2) ** 0.5, float(share))

    @staticmethod
    def told(errors: Tensor) -> dict:
        """What a trained approach says of itself: `floor`, the rms error, and `misfit`, the two Gaussians."""
        return {"floor": float(errors.square().mean().sqrt()), "decoder_error": asdict(DecoderError.of(errors))}

    def log_density(self, miss: Tensor, noise_std: float) -> Tensor:
        """Log density of misses (…), decoder's error and observation noise together, one by one: (…)."""
        parts = []
        for std, odds in ((self.small, 1 - self.share), (self.large, self.share)):
            total = (std**2 + noise_std**2) ** 0.5
            parts.append(math.log(odds) - 0.5 * (miss / total).square() - math.log(total * math.sqrt(2 * math.pi)))
        return torch.logaddexp(*parts)
