"""Neural fields: initialisation laws, consistency, continuity, and rendering in bounded memory."""

import math

import numpy as np
import pytest
import torch

import nfdlab as nfd
from nfdlab.core.rng import seeded
from nfdlab.core.types import ObservationBatch, Observations
from nfdlab.encoders.grid_channels import SetConv
from nfdlab.fields.cross_attention import CrossAttentionField
from nfdlab.fields.liif import LIIF
from nfdlab.fields.siren import ModulatedSiren, Siren
from nfdlab.nn.networks import CONV, Fourier


def test_siren_activations_keep_their_spread_through_depth():
    """The second sine is fed unit spread, each later one s'² = 1 − exp(−2s²), which settles at 0.893 (within 1 %)."""
    x, spreads = nfd.cell_centres((40, 40)), torch.zeros(8, 6)
    for seed in range(8):
        with seeded(seed), torch.no_grad():
            h = x
            for i, sine in enumerate(Siren(2, width=256, depth=6, omega=30.0).sines):
                spreads[seed, i] = sine.before(h).std()
                h = sine(h)
    want = [1.0]
    for _ in range(4):
        want.append((1 - math.exp(-2 * want[-1] ** 2)) ** 0.5)
    torch.testing.assert_close(spreads[:, 1:].mean(0), torch.tensor(want), rtol=0.01, atol=0.0)


def test_siren_gradient_is_the_finite_difference():
    with seeded(1):
        field = Siren(1).double()
    x = torch.linspace(-0.9, 0.9, 21, dtype=torch.float64)[:, None].requires_grad_()
    slope = torch.autograd.grad(field(x).sum(), x)[0]
    h = 1e-5
    torch.testing.assert_close(slope, (field(x + h) - field(x - h)).detach() / (2 * h), atol=1e-4, rtol=1e-4)


def test_a_zero_code_is_the_shared_field_and_a_code_changes_it():
    with seeded(2):
        field = ModulatedSiren(1, latent=8)
    coords = nfd.cell_centres((33,))
    shared = field.siren(coords)
    torch.testing.assert_close(field(coords, torch.zeros(3, 8)), shared.expand(3, 33, 1))
    latents = torch.eye(8)[:3]
    assert (field(coords, latents) - shared).abs().mean() > 1e-3
    torch.testing.assert_close(field(coords, latents)[1], field(coords, latents[1:2])[0])


@pytest.mark.parametrize("d", [1, 2])
def test_encodings_say_their_size(d):
    x = nfd.cell_centres((5,) * d)[:5]
    encode = Fourier(d, 4)
    assert encode(x).shape == (5, encode.out)


def test_attention_field_knows_no_order_and_each_query_is_alone():
    with seeded(3):
        field = CrossAttentionField(2, width=32)
    tokens, coords = torch.randn(2, 7, 32, generator=torch.Generator().manual_seed(0)), nfd.cell_centres((6, 6))
    values, weights = field.attend(coords, tokens)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 36))
    turned = tokens[:, torch.tensor([3, 0, 6, 1, 2, 5, 4])]
    torch.testing.assert_close(field(coords, turned), values, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(field(coords[4:9], tokens), values[:, 4:9], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_local_field_is_continuous_and_consistent(d):
    with seeded(4):
        field = LIIF(d, 16, c=2, width=32)
    memory = torch.randn(3, 16, *[5] * d, generator=torch.Generator().manual_seed(0))
    coords = 2 * torch.rand(50, d, generator=torch.Generator().manual_seed(1)) - 1
    with torch.no_grad():
        values = field(coords, memory)
        torch.testing.assert_close(field(coords[10:20], memory), values[:, 10:20], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(field(coords.expand(3, -1, -1), memory), values, atol=1e-5, rtol=1e-4)
        # across the seam between two cells' reach, and over the whole box along a line: no jumps
        line = torch.linspace(-1, 1, 4001)[:, None].repeat(1, d)
        steps = field(line, memory).diff(dim=1).abs()
        assert steps.max() < 30 * steps.mean()
        corners = torch.tensor([[-1.0] * d, [1.0] * d])
        assert torch.isfinite(field(corners, memory)).all()


def test_at_its_centre_a_cell_speaks_alone():
    """Change every other cell and the value stays; change this one and it moves. Cells differ in number by axis."""
    with seeded(7):
        field = LIIF(2, 8, width=16)
    rng = torch.Generator().manual_seed(0)
    memory, other = torch.randn(2, 1, 8, 4, 7, generator=rng)
    centres = nfd.cell_centres((4, 7))
    values = field(centres, memory)[0, :, 0]
    for cell in (0, 6, 10, 27):
        mixed = other.flatten(2).clone()
        mixed[..., cell] = memory.flatten(2)[..., cell]
        torch.testing.assert_close(field(centres, mixed.view_as(memory))[0, cell, 0], values[cell])
        mixed = memory.flatten(2).clone()
        mixed[..., cell] = other.flatten(2)[..., cell]
        assert abs(field(centres, mixed.view_as(memory))[0, cell, 0] - values[cell]) > 1e-3


def test_local_field_blends_to_one():
    """With every cell answering the same constant the field is that constant, to rounding, everywhere."""
    with seeded(5):
        field = LIIF(2, 8, width=16)
        torch.nn.init.zeros_(field.answer[-1].weight), torch.nn.init.constant_(field.answer[-1].bias, 3.0)
    values = field(2 * torch.rand(200, 2, generator=torch.Generator().manual_seed(0)) - 1, torch.zeros(1, 8, 4, 7))
    torch.testing.assert_close(values, torch.full_like(values, 3.0))


@pytest.mark.parametrize("d,function", [(1, torch.nn.functional.conv1d), (2, torch.nn.functional.conv2d)])
def test_fast_convolutions_are_torchs(d, function):
    for stride, kernel, dilation in ((1, 3, 1), (1, 3, 4), (2, 4, 1), (1, 1, 1)):
        with seeded(6):
            fast = CONV[d](8, 5, kernel, stride=stride, padding=(kernel - 1) // 2 * dilation, dilation=dilation)
        x = torch.randn(2, 8, *[16] * d, generator=torch.Generator().manual_seed(0))
        want = function(x, fast.weight, fast.bias, stride, (kernel - 1) // 2 * dilation, dilation)
        torch.testing.assert_close(fast(x), want, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_setconv_by_hand_and_blind_to_order_and_padding(d):
    net = SetConv(d, 1, 6, (0.9,))
    rng = torch.Generator().manual_seed(0)
    seen = Observations(2 * torch.rand(5, d, generator=rng) - 1, torch.randn(5, 1, generator=rng), 0.1)
    nothing = Observations(torch.zeros(0, d), torch.zeros(0, 1), 0.1)
    turned = Observations(seen.coords.flip(0), seen.values.flip(0), 0.1)
    out = net(ObservationBatch.of([seen, turned, nothing]))
    near = torch.exp(-torch.cdist(nfd.cell_centres((6,) * d), seen.coords).square() / (2 * 0.3**2))
    density = near.sum(1)
    torch.testing.assert_close(out[0, 0].flatten(), density / (1 + density), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(out[0, 1].flatten(), near @ seen.values[:, 0] / (density + 0.1), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(out[0], out[1], atol=1e-5, rtol=1e-4)
    assert (out[2, :2] == 0).all() and torch.equal(out[2, 2], out[0, 2])


def test_render_streams_into_arrays_and_files(tmp_path):
    draws = nfd.problems.get("gp2d").draw(2, seed=0)
    want = draws(nfd.cell_centres((20, 30))).reshape(2, 20, 30, 1)
    torch.testing.assert_close(nfd.render(draws, (20, 30), chunk=97), want, atol=1e-5, rtol=1e-4)
    file = np.lib.format.open_memmap(tmp_path / "picture.npy", "w+", np.float32, (2, 20, 30, 1))
    assert nfd.render(draws, (20, 30), out=file, chunk=100) is file
    np.testing.assert_allclose(np.load(tmp_path / "picture.npy"), want.numpy(), atol=1e-5)


def test_render_asks_for_no_more_than_a_chunk_at_a_time():
    asked = []

    class Watched:
        n, d, c = 3, 2, 1

        def __call__(self, coords):
            asked.append(len(coords))
            return torch.zeros(3, len(coords), 1)

    nfd.render(Watched(), (50, 50), chunk=600)
    assert max(asked) <= 200 and sum(asked) == 2500


@pytest.mark.parametrize("shape,out", [
    ((8,), None), ((8, 8), np.zeros((2, 8, 9, 1))), ((8, 8), np.zeros((2, 1, 8, 8)).transpose(0, 2, 3, 1)[:, :, ::-1])])
def test_render_refuses_what_does_not_fit(shape, out):
    with pytest.raises(ValueError, match="do:"):
        nfd.render(nfd.problems.get("gp2d").draw(2, seed=0), shape, out=out)
