"""Auto-decoding: fits of latents, the bank of latents that training learns, and its checkpoints."""

import pytest
import torch

import nfdlab as nfd
from nfdlab.approaches.modulated_field import ModulatedField
from nfdlab.approaches.sparse_features import SparseFeatures
from nfdlab.core.rng import normals
from nfdlab.core.types import ObservationBatch
from nfdlab.latents.auto_decoding import LatentBank, fitted, nearest_start, require_bank

CAVIA = {"latent_channels": 6, "field_width": 24, "encoder_width": 16, "widths": (16,), "depth": 1, "points": 48,
         "field_batch": 16, "batch": 16, "bank": 48, "field_share": 0.4, "bank_share": 0.4}
TOKENS = {"tokens": 8, "latent_channels": 4, "field_width": 16, "width": 16, "depth": 1, "points": (24, 32), "heads": 2,
          "queries": 48, "batch": 16, "autoencoder_batch": 16, "bank": 48, "autoencoder_share": 0.4, "bank_share": 0.4}


def basis(coords: torch.Tensor) -> torch.Tensor:
    return torch.cat([torch.ones_like(coords), coords, coords**2], -1)


def linear(coords: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
    """A field that is linear in its latent."""
    return (basis(coords) * latent[:, None]).sum(-1, keepdim=True)


def test_a_fit_finds_the_latents_that_made_the_points_and_sees_no_padding():
    coords = nfd.cell_centres((40,)).expand(5, -1, -1)
    truth = 0.5 * normals(0, 5, (3,), "truth")
    points = ObservationBatch.exact(coords, linear(coords, truth))
    found = fitted(linear, torch.zeros(5, 3), points)
    assert (found - truth).abs().max() < 0.02 < truth.abs().max()
    padded = ObservationBatch(torch.cat([points.coords, coords[:, :7]], 1),
                              torch.cat([points.values, 9 + points.values[:, :7]], 1),
                              torch.cat([points.mask, torch.zeros(5, 7, dtype=torch.bool)], 1), points.noise_std)
    torch.testing.assert_close(fitted(linear, torch.zeros(5, 3), padded), found, atol=1e-5, rtol=1e-4)


def test_a_bank_gives_back_its_latents_and_moves_at_its_pace():
    """Adam's first step is its learning rate, whatever the gradient: the latents move `pace` times as far."""
    bank = LatentBank(torch.nn.Identity(), (3,), 4, 2, pace=10.0)
    start = [normals(0, 4, (3,), "start", j) for j in range(2)]
    for j in range(2):
        bank.start(j, start[j])
    torch.testing.assert_close(bank.whole(), torch.cat(start))
    assert len(bank) == 2 and torch.equal(bank[3], bank[1])
    adam = torch.optim.Adam(bank.parts, 0.01)
    bank[1].sum().backward()
    adam.step()
    torch.testing.assert_close(bank[1].detach(), start[1] - 0.1, atol=1e-5, rtol=0)
    torch.testing.assert_close(bank[0].detach(), start[0])


@pytest.mark.parametrize("config", [ModulatedField(**CAVIA), SparseFeatures(**TOKENS)], ids=["modulated", "tokens"])
def test_auto_decoded_latents_fit_better_than_encoded_ones(config):
    """Latents of a bank fit their functions better than those that the first stage finds; so do new ones, fitted."""
    model = nfd.train(config, "families1d", budget=nfd.Budget(steps=300), device="cpu")
    functions, coords = nfd.problems.get("families1d").draw(128, seed=1), nfd.cell_centres((64,))
    at = nfd.cell_centres((128,)).expand(128, -1, -1)

    def error(latent):
        return float((model.decode(latent)(coords) - functions(coords)).abs().mean())

    encoded = model.net.encode(ObservationBatch.exact(at, functions(at))).detach()
    assert error(model.encode(functions)) < 0.9 * error(encoded)


@pytest.mark.parametrize("config", [ModulatedField(**CAVIA), SparseFeatures(**TOKENS)], ids=["modulated", "tokens"])
def test_a_training_killed_while_it_auto_decodes_goes_on_as_if_nothing_had_happened(config, tmp_path):
    """The bank is in the checkpoint; it is not in the weights."""
    budget = nfd.Budget(steps=30, checkpoint=tmp_path / "run.ckpt")
    whole = nfd.train(config, "families1d", budget=nfd.Budget(steps=30), device="cpu")
    nfd.train(config, "families1d", budget=budget, device="cpu", watch=lambda step: step.stage == "auto-decode"
              and step.index == 4)
    resumed = nfd.train(config, "families1d", budget=budget, device="cpu")
    for name, tensor in whole.tensors().items():
        torch.testing.assert_close(resumed.tensors()[name], tensor, atol=1e-5, rtol=1e-4, msg=name)
    assert not [name for name in whole.tensors() if "parts" in name or "bank" in name]


def test_a_bank_that_holds_no_batch_or_leaves_no_time_is_refused():
    for bank, shares in ((8, 0.5), (64, 1.0)):
        with pytest.raises(ValueError, match="bank: 0, or at least a batch"):
            require_bank(bank, 16, shares)
    require_bank(0, 16, 1.0)


def test_a_fit_starts_from_whichever_latent_is_nearest():
    """Of its own start and three others; for all functions at once as for each by itself."""
    coords = nfd.cell_centres((40,)).expand(4, -1, -1)
    truth = normals(0, 4, (3,), "truth")
    points, own = ObservationBatch.exact(coords, linear(coords, truth)), truth + 0.1
    own[1:] += 5.0
    others = torch.cat([truth[1:2] + 0.01, truth[3:] - 0.02, truth[1:2] + 3.0])
    found = nearest_start(linear, own, others, points)
    torch.testing.assert_close(found[:2], torch.stack([own[0], others[0]]))
    torch.testing.assert_close(found[3], others[1])
    alone = [nearest_start(linear, own[i:i + 1], others, part) for i, part in enumerate(points.split(1))]
    torch.testing.assert_close(torch.cat(alone), found)
