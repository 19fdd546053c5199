"""The field in space and time: latents between frames, and what a time depends on."""

import pytest
import torch

import nfdlab as nfd
from nfdlab.core.rng import normals, seeded, stream, uniforms
from nfdlab.fields.space_time import SpaceTimeField, around, between

FRAMES = 16


@pytest.mark.parametrize("own", [False, True])
def test_latents_between_frames_are_cubic_and_extrapolated_linearly(own):
    """Exact for parabolas in time inside, for straight lines anywhere."""
    times = torch.linspace(-1, 1, 97)
    at = nfd.cell_centres((FRAMES,))[:, 0]
    line, bow = torch.stack([at, -2 * at])[None], torch.stack([at**2, 1 - at**2])[None]
    asked = times.expand(1, -1) if own else times
    found = between(*around(line, asked))[0]
    torch.testing.assert_close(found, torch.stack([times, -2 * times], 1), atol=1e-5, rtol=1e-5)
    inside = (times.abs() < at[-2])
    found = between(*around(bow, asked))[0][inside]
    torch.testing.assert_close(found, torch.stack([times**2, 1 - times**2], 1)[inside], atol=1e-5, rtol=1e-5)
    frames = between(*around(bow, at.expand(1, -1) if own else at))[0]
    torch.testing.assert_close(frames, bow[0].T, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_space_time_field_depends_on_near_frames_and_is_zero_untrained(d):
    with seeded(0):
        field = SpaceTimeField(d, 3, 2, 16, 3, 2).eval()
    latent, coords = normals(0, 2, (3, FRAMES), "latent"), 2 * uniforms(1, 40, (d,), "x", dtype=torch.float32) - 1
    assert field(coords, latent).abs().max() == 0
    with torch.no_grad():                                            # so that what starts at zero is put to use
        rng = stream(1, "perturb")
        for p in field.parameters():
            p.add_(torch.randn(p.shape, generator=rng) / p.shape[-1] ** 0.5)
    with torch.no_grad():
        values = field(coords, latent)
        torch.testing.assert_close(field(coords.expand(2, -1, -1), latent), values, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(field(coords[5:9], latent), values[:, 5:9], atol=1e-5, rtol=1e-5)
        far = coords[:, 0] > -1 + 2 * 3 / FRAMES                     # two frames and more after the first
        moved = field(coords, torch.cat([latent[..., :1] + 1, latent[..., 1:]], -1))
    torch.testing.assert_close(moved[:, far], values[:, far])
    assert d == 1 or (moved - values)[:, coords[:, 0] < -0.8].abs().max() > 1e-3
