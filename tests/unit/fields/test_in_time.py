"""Latents between frames: cubic between them, straight beyond, and of the frames around a moment alone."""

import pytest
import torch

import nfdlab as nfd
from nfdlab.core.rng import normals
from nfdlab.fields.in_time import around, between

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


def test_a_moment_depends_on_the_four_frames_around_it_alone():
    """The latents moved at one frame: nothing changes two frames away and more, all films keep to their own."""
    times, latent = torch.linspace(-1, 1, 200), normals(0, 2, (3, FRAMES), "latent")
    moved = latent.clone()
    moved[1, :, 6] += 1
    change = (between(*around(moved, times)) - between(*around(latent, times))).abs().amax(2)
    far = ((times + 1) / 2 * FRAMES - 0.5 - 6).abs() >= 2
    assert change[0].max() == 0 and change[1][far].max() < 1e-5 and change[1][~far].max() > 0.9


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_of_few_frames_the_rest_is_a_straight_line(frames):
    """One frame stands still; two move on at their own speed."""
    latent, times = normals(1, 1, (2, frames), "latent"), torch.linspace(-1, 1, 9)
    found, at = between(*around(latent, times))[0], nfd.cell_centres((frames,))[:, 0]
    speed = (latent[0, :, -1] - latent[0, :, -2]) / (2 / frames) if frames > 1 else torch.zeros(2)
    late = times >= at[-1]
    want = latent[0, :, -1] + (times[late] - at[-1])[:, None] * speed
    torch.testing.assert_close(found[late], want, atol=1e-5, rtol=1e-5)
