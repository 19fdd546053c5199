"""Sequential Monte Carlo over observations against posteriors in closed form."""

import pytest
import torch
from torch import nn

import nfdlab as nfd
from nfdlab.core.types import Observations
from nfdlab.diffusion.denoiser import Denoiser, GaussianPrior
from nfdlab.exact.normal import Normal
from nfdlab.inference.posterior import LatentNetwork, LatentPosterior
from nfdlab.inference.sequential import SequentialPosterior

PLACES, READ = torch.tensor([[-0.7], [0.1], [0.6]]), torch.tensor([[0.8], [0.1], [-0.4]])


class Silent(nn.Module):
    """F = 0: the denoiser is its prior."""

    def forward(self, x, level):
        return torch.zeros_like(x)


class Waves(LatentNetwork):
    """A field that is linear in its latent, a cos 2x + b sin 2x, latents Gaussian: every posterior is known."""

    shape = (2,)

    def __init__(self):
        super().__init__()
        prior = GaussianPrior(2)
        prior.lam = torch.tensor([1.5, 0.5])
        self.law = Normal(torch.zeros(2, dtype=torch.float64), torch.diag(prior.lam.double().sqrt()))
        self.denoiser = Denoiser(Silent(), prior)
        self.denoiser.noise_levels.set(0.01, 20.0, 1.0)

    @staticmethod
    def rows(coords):
        return torch.cat([(2 * coords).cos(), (2 * coords).sin()], -1)

    def evaluate(self, coords, prepared):
        latent, = prepared
        return (self.rows(coords) @ latent[..., None] if coords.ndim == 3 else latent @ self.rows(coords).T
                ).reshape(len(latent), -1, 1)


def waves(num_particles=512):
    config = {"guide": "particles", "num_particles": num_particles, "rounds": 16}
    return LatentPosterior(Waves(), {"d": 1, "c": 1, "floor": 0.03, "config": config}, 16)


def test_particles_are_the_posterior_after_each_observation():
    """Noise 0.04 and a floor of 0.03 count as 0.05. Mean within 0.2 of the posterior's std, std within 20 %: several
    times the error of 512 particles, some of which were duplicated."""
    particles, model = SequentialPosterior.start(waves(), seed=1), waves()
    for i in range(3):
        particles = particles.tell(Observations(PLACES[i:i + 1], READ[i:i + 1], 0.04))
        law = model.net.law.condition(Waves.rows(PLACES[:i + 1]).double(), READ[:i + 1, 0].double(), 0.05)
        w, x = particles.log_weights.softmax(0), particles.x.double()
        mean = w @ x
        std = (w @ (x - mean).square()).sqrt()
        assert float(((mean - law.mean) / law.std).abs().max()) < 0.2, i
        assert float((std / law.std - 1).abs().max()) < 0.2, i
    assert particles.seen.m == 3 and len(particles.x) == 512
    again = particles.model.push(16, "dpmpp")[0](particles.noise)
    assert torch.allclose(again, particles.x, atol=1e-4)                                # noise and latents agree


def test_with_enough_effective_particles_only_weights_change():
    """A vague observation moves no particle; draws are particles by weight, and more of them append."""
    start = SequentialPosterior.start(waves(), seed=1)
    after = start.tell(Observations(PLACES[:1], READ[:1], 2.0))
    assert after.x is start.x and after.effective_sample_size < start.effective_sample_size
    assert start.tell(Observations(torch.zeros(0, 1), torch.zeros(0, 1))) is start
    coords = nfd.cell_centres((5,))
    torch.testing.assert_close(after.draw(9, seed=2)(coords)[:4], after.draw(4, seed=2)(coords), rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="one noise"):
        after.tell(Observations(PLACES[:1], READ[:1], 0.1))


def test_particles_keep_to_the_log_prior():
    """Latents restricted to positive ones stay so through observations and moves, and follow the exact posterior."""
    particles = SequentialPosterior.start(waves(), seed=1, log_prior=lambda x: 0.0 - 1e4 * (x[:, 0] < 0))
    for i in range(3):
        particles = particles.tell(Observations(PLACES[i:i + 1], 0.3 * READ[i:i + 1], 0.3))
    noise_std = (0.3**2 + 0.03**2) ** 0.5
    law = waves().net.law.condition(Waves.rows(PLACES).double(), 0.3 * READ[:, 0].double(), noise_std)
    exact = law.draw(20_000, seed=1)
    exact = exact[exact[:, 0] > 0]
    w = particles.log_weights.softmax(0)
    assert float(w[particles.x[:, 0] < 0].sum()) == 0
    assert float(((w @ particles.x.double() - exact.mean(0)) / exact.std(0)).abs().max()) < 0.25
