"""Adaptive rendering: pictures that ask a field closely only where it has detail."""

import pytest
import torch

import nfdlab as nfd
from nfdlab import problems
from nfdlab.core.fields import EvaluatedFields
from nfdlab.fields.refining import render_adaptive


def detailed(n=1):
    """Smooth, with ripples in a spot of about 1 % of the area; draw i is i times as high there."""
    def rule(x, part):
        spot = torch.exp(-0.5 * ((x - 0.31) / 0.035).square().sum(-1))
        wave = 0.3 * torch.sin(2 * x[..., 0]) + 0 * x[..., 1]
        heights = (1 + torch.arange(n)[part])[:, None] if x.ndim == 2 else (1 + torch.arange(n)[part])[:, None]
        return (wave + heights * spot * torch.sin(60 * x[..., 1]))[..., None]

    return EvaluatedFields(rule, n, 2)


def test_with_no_tolerance_every_pixel_is_asked():
    for shape, fields in (((300, 217), detailed(2)), ((500,), problems.get("step1d").draw(2, seed=0)),
                          ((40, 36, 70), problems.get("moving_disc2dt").draw(1, seed=0))):
        got, asked = render_adaptive(fields, shape, tolerance=0.0, leaf=4)
        full = nfd.render(fields, shape)
        torch.testing.assert_close(got, full, rtol=0, atol=1e-5)
        assert asked >= full[0, ..., 0].numel()


def test_detail_in_one_hundredth_of_the_area_costs_few_queries():
    """No pixel is further off than the full render itself is between its pixels: an eighth of a second difference."""
    shape = (1024, 1024)
    full = nfd.render(detailed(), shape)
    own = max(float(full.diff(n=2, dim=axis).abs().max()) / 8 for axis in (1, 2))
    got, asked = render_adaptive(detailed(), shape, tolerance=own)
    assert float((got - full).abs().max()) <= own
    assert asked <= 0.05 * full.numel()


def test_by_spread_only_what_differs_is_asked_closely():
    """Two draws that agree but for the spot: outside it few are asked, inside pixels are exact."""
    shape, fields = (512, 512), detailed(2)
    full, (got, asked) = nfd.render(fields, shape), render_adaptive(fields, shape, tolerance=1e-3, by="spread")
    differs = (full[1] - full[0]).abs()[..., 0] > 0.02
    assert asked < 0.15 * 512**2 and torch.allclose(got[:, differs], full[:, differs], atol=1e-6)


def test_blocks_cut_short_by_the_picture_are_filled_too():
    """A parabola is what a block is filled with, so it comes out right in every pixel, in any number of them."""
    fields = EvaluatedFields(lambda x, part: (x.square().sum(-1) + x[..., 0] * x[..., 1])[None, :, None], 1, 2)
    got, asked = render_adaptive(fields, (515, 611), tolerance=10.0)
    torch.testing.assert_close(got, nfd.render(fields, (515, 611)), rtol=0, atol=1e-5)
    assert asked < 0.03 * 515 * 611


def test_a_margin_is_refined_beside_what_bends():
    bent = [render_adaptive(detailed(), (512, 512), tolerance=0.01, margin=m)[1] for m in (0, 1, 3)]
    assert bent[0] < bent[1] < bent[2]


def test_disagreement_of_one_draw_is_refused():
    with pytest.raises(ValueError, match="two draws"):
        render_adaptive(problems.get("step1d").draw(1, seed=0), (64,), tolerance=0.1, by="spread")
