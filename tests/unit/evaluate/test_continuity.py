"""Rulers of continuity on functions whose answer is known: waves, steps, noise, the exact posterior."""

import math

import pytest
import torch

import nfdlab
from nfdlab import patterns, problems
from nfdlab.core.fields import EvaluatedFields
from nfdlab.core.rng import stream
from nfdlab.evaluate.continuity import consistency, flicker, gradient, gradient_error, seam_jump, spectrum_error
from nfdlab.evaluate.spectra import spectrum


def fields(rule, d=1, n=1):
    """n fields by a rule coords (…, p, d) -> (…, p), each a factor of its own apart: 1, 1.1, 1.2, …"""
    def values(coords, part):
        found = rule(coords)[..., None]
        factor = 1 + 0.1 * torch.arange(n, dtype=coords.dtype)[part, None, None]
        return factor * found

    return EvaluatedFields(values, n, d)


@pytest.mark.parametrize("name", ["gp1d", "gp2d", "sawtooth1d"])
def test_exact_fields_obey_the_law_of_consistency(name, rng):
    problem = problems.get(name)
    seen = nfdlab.observe(problem.draw(1, seed=0), patterns.Random(count=5), seed=1)
    coords = 2 * torch.rand(60, problem.d, generator=rng) - 1
    assert consistency(problem.draw(4, seed=1), coords) < 1e-5
    assert consistency(problem.oracle().draw(seen, 4, seed=2), coords) < 1e-5


class Exhibit:
    """Asked again it answers otherwise: `rule(coords)` looks at all that is asked."""

    n, d, c = 2, 1, 1

    def __init__(self, rule):
        self.rule = rule

    def __call__(self, coords):
        return self.rule(coords).expand(2, -1, -1) if coords.ndim == 2 else torch.stack([self.rule(x) for x in coords])


@pytest.mark.parametrize("rule", [
    lambda x: torch.randn(x.shape, generator=stream(0, len(x))),              # white noise by place in the list
    lambda x: torch.sin(3 * x) - torch.sin(3 * x).mean(),                     # normalised over what is asked
    lambda x: torch.sin(3 * x) * (len(x) > 1)])                               # single points are another matter
def test_what_depends_on_the_rest_of_the_query_breaks_the_law(rule):
    assert consistency(Exhibit(rule), torch.linspace(-1, 0.5, 40)[:, None]) > 0.1


def test_points_of_each_draws_own_are_asked_too():
    class Shared(Exhibit):
        def __call__(self, coords):
            return self.rule(coords if coords.ndim == 2 else coords[:1].expand(2, -1, -1)).expand(2, -1, -1)

    assert consistency(Shared(lambda x: torch.sin(3 * x)), torch.linspace(-1, 1, 40)[:, None]) > 0.1


@pytest.mark.parametrize("shape,wave", [((64,), (5,)), ((32, 32), (3, 4)), ((16, 24), (0, 6)), ((12,) * 3, (2, 2, 1))])
def test_a_wave_fills_its_shell_and_the_power_is_the_variance(shape, wave):
    points = nfdlab.cell_centres(shape, dtype=torch.float64)
    phase = torch.pi * (points * torch.tensor(wave)).sum(-1) + 0.7                 # cycles across the box, 2 long
    values = 3 + 2 * torch.cos(phase)[:, None]
    k, power = spectrum(values, shape, window=False)
    assert power.shape == (1, len(k)) and int(power[0].argmax()) == round(math.hypot(*wave))
    torch.testing.assert_close(power.max(), torch.tensor(2.0, dtype=torch.float64))    # a² / 2, the mean taken off
    torch.testing.assert_close(power.sum(), values.var(correction=0))
    k, power = spectrum(values, shape)
    assert int(power[0].argmax()) == round(math.hypot(*wave))
    noise = torch.randn(400, len(points), 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    total = spectrum(noise, shape)[1].sum(-1)
    assert total.shape == (400, 2)
    assert abs(total.mean() - 1) < 4.5 * total.std() / 800**0.5 + 2 / len(points)      # a mean was taken off


def test_hanns_window_spreads_a_wave_over_three_shells_and_no_further():
    points = nfdlab.cell_centres((64,), dtype=torch.float64)
    power = spectrum(torch.cos(8 * torch.pi * points), (64,))[1][0]
    torch.testing.assert_close(power[7:10] / power.sum(), torch.tensor([1, 4, 1], dtype=torch.float64) / 6)
    ramp = spectrum(points, (64,))[1][0]                  # not periodic: bare, the tail falls as k^-2
    bare = spectrum(points, (64,), window=False)[1][0]
    assert ramp[20:].sum() < 1e-5 * ramp.sum() and bare[20:].sum() > 1e-2 * bare.sum()


def test_a_grid_is_needed_for_a_spectrum():
    with pytest.raises(ValueError, match="values: "):
        spectrum(torch.zeros(10, 1), (3, 4))


def test_as_rough_as_the_truth_has_no_spectrum_error_and_a_factor_its_log():
    truth = problems.get("gp1d").draw(64, seed=0)
    twice = EvaluatedFields(lambda coords, part: 2 * truth.rule(coords, part), 64, 1)
    error = spectrum_error(twice, truth, scales=(1, 4))
    assert list(error) == [1, 4]
    assert error[1] == pytest.approx(math.log(4), rel=1e-2)         # where there is power: 16 waves
    assert error[4] < error[1]                                      # the rest is below the floor, for both
    again = spectrum_error(problems.get("gp1d").draw(64, seed=1), truth)
    assert max(again.values()) < 2.5 * 1.1 / 64**0.5
    assert max(spectrum_error(truth, truth).values()) == 0.0


def test_the_corners_of_a_grid_are_beyond_its_nyquist():
    truth = problems.get("gp2d").draw(4, seed=0)

    def rule(coords, part):                                         # 14 waves across, 14 up: the 20th shell, of 16
        return truth.rule(coords, part) + 0.3 * torch.cos(14 * torch.pi * coords.sum(-1, keepdim=True))

    error = spectrum_error(EvaluatedFields(rule, 4, 2), truth, base=(32, 32), scales=(1, 2))
    assert error[1] < 0.01 and error[2] > 0.2


@pytest.mark.parametrize("name", ["gp1d", "gp2d"])
def test_detail_lost_between_training_points_shows_at_the_zoom(name):
    """A field that is right at coarse cells and constant within them: its error grows with the scale asked."""
    truth = problems.get(name).draw(8, seed=0)
    side = 32 if truth.d == 1 else 16

    def snap(x):
        return (torch.floor((x + 1) / 2 * side).clamp_max(side - 1) + 0.5) / side * 2 - 1

    blocky = EvaluatedFields(lambda x, part: truth.rule(snap(x), part), 8, truth.d)
    error = spectrum_error(blocky, truth, scales=(1, 4))
    assert error[1] < 1e-3 and error[4] > 2


def test_the_gradient_of_a_sine_is_right_to_the_square_of_the_step(rng):
    x = 1.8 * torch.rand(50, 2, generator=rng, dtype=torch.float64) - 0.9
    wave = fields(lambda c: torch.sin(3 * c[..., 0]) * torch.cos(2 * c[..., 1]), d=2)
    right = torch.stack([3 * torch.cos(3 * x[:, 0]) * torch.cos(2 * x[:, 1]),
                         -2 * torch.sin(3 * x[:, 0]) * torch.sin(2 * x[:, 1])], -1)
    errors = [float((gradient(wave, x, h)[0, :, 0] - right).abs().max()) for h in (0.08, 0.04)]
    assert errors[0] < 27 / 6 * 0.08**2 and errors[0] / errors[1] == pytest.approx(4, rel=0.02)


def test_a_gradient_off_by_a_fifth_errs_by_a_fifth_and_a_flat_answer_by_one():
    coords = torch.linspace(-0.9, 0.9, 40, dtype=torch.float64)[:, None]
    truth = fields(lambda c: torch.sin(4 * c[..., 0]))
    five = fields(lambda c: torch.sin(4 * c[..., 0]), n=5)          # factors 1 to 1.4: their mean is 1.2
    assert gradient_error(five, truth, coords) == pytest.approx(0.2)
    assert gradient_error(truth, truth, coords) == 0.0
    assert gradient_error(fields(lambda c: 0 * c[..., 0]), truth, coords) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="a step from the walls"):
        gradient_error(truth, truth, torch.ones(3, 1))


def test_flicker_is_the_energy_of_the_second_time_difference():
    def wave(speed, amplitude=1.0):
        return fields(lambda c: amplitude * torch.cos(speed * c[..., 0] + 2 * c[..., 1]), d=2)

    assert flicker(wave(3), wave(3)) == 1.0
    assert flicker(wave(3, 2.0), wave(3)) == pytest.approx(4.0, rel=1e-3)
    # a cosine's second difference over h is -4 sin²(w h / 2) of itself; the mean of cos² is ½ at both to a few per cent
    h = 2 / 128
    expected = (math.sin(6 * h / 2) / math.sin(3 * h / 2)) ** 4
    assert flicker(wave(6), wave(3)) == pytest.approx(expected, rel=0.1)
    frozen = fields(lambda c: torch.cos(3 * torch.floor((c[..., 0] + 1) * 8) / 8), d=2)       # held for a frame
    assert flicker(frozen, wave(3)) > 20
    assert flicker(wave(3), wave(3), frames=4, space=(3,), rate=2) == 1.0


def test_a_step_at_a_seam_is_a_jump_and_elsewhere_it_is_none():
    cells = torch.linspace(-0.75, 0.75, 7)
    slope = fields(lambda c: c[..., 0] + 0 * c[..., 1], d=2)
    assert seam_jump(slope, cells) == pytest.approx(1.0, abs=1e-3)
    stepped = fields(lambda c: c[..., 0] + 0.1 * torch.floor((c[..., 0] + 1) * 4), d=2)
    assert seam_jump(stepped, cells) == pytest.approx((0.002 + 0.1) / 0.002, rel=1e-3)
    assert seam_jump(stepped, (-0.6, 0.1)) < 1.0                   # the jumps are among the places compared with
    other = fields(lambda c: c[..., 0] + c[..., 1] + 0.1 * torch.floor((c[..., 1] + 1) * 4), d=2)
    assert seam_jump(other, cells) == pytest.approx(1.0, abs=1e-3)
    assert seam_jump(other, cells, axis=1) > 40
    assert seam_jump(problems.get("gp1d").draw(8, seed=0), (-0.5, 0.0, 0.5)) < 2.5
    with pytest.raises(ValueError, match="seams: places inside the box"):
        seam_jump(slope, (1.0,))
