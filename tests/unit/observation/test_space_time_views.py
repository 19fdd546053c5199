"""Training views of films: whole frames, sensors, single points, and only the past."""

import pytest
import torch

import nfdlab as nfd
from nfdlab.observation.training_views import FrameViews


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_frame_views_are_frames_sensors_and_points_and_depend_on_the_seed(d):
    fields = nfd.problems.get({1: "gp1d", 2: "drift1dt", 3: "moving_disc2dt", 4: "ball3dt"}[d]).draw(60, seed=1)
    views = FrameViews(cells=8)
    seen = views(fields, seed=3)
    again = views(fields, seed=3)
    assert torch.equal(again.values, seen.values) and not torch.equal(views(fields, seed=4).mask, seen.mask)
    assert (seen.coords[~seen.mask] == 0).all() and (seen.values[~seen.mask] == 0).all()
    error = (seen.values - fields(seen.coords))[..., 0] / seen.noise_std[:, None]
    assert abs(float(error[seen.mask].std()) - 1) < 0.15
    counts = seen.mask.sum(1)
    assert 0.02 < (counts == 0).float().mean() < 0.45
    whole = FrameViews(cells=8, whole=1.0, cut=0.0, nothing=0.0)(fields, seed=5)
    assert (whole.mask.sum(1) % 8 ** (d - 1) == 0).all() and int(whole.mask.sum(1).max()) <= 0.8 * 16 * 8 ** (d - 1)
    times = (whole.coords[..., 0][whole.mask] + 1) * 8 - 0.5
    assert (times - times.round()).abs().max() < 1e-4
    past = FrameViews(whole=0.0, fixed=0.0, cut=1.0, nothing=0.0)(fields, seed=6)
    latest = torch.where(past.mask, past.coords[..., 0], -1.0).amax(1)
    assert latest.median() < 0.6 and abs(float(latest.mean())) < 0.4
    fixed = FrameViews(whole=0.0, fixed=1.0, cut=0.0, nothing=0.0)(fields, seed=7)
    assert (fixed.mask.sum(1) % 16 == 0).all()
