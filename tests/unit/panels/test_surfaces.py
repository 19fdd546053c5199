"""Shaded surfaces: how large a ball looks, where it is as it turns, from where the light comes."""

import math

import numpy as np
import pytest
import torch

import nfdlab as nfd
from nfdlab.core.fields import EvaluatedFields
from nfdlab.core.grid import grid_values
from nfdlab.panels import plots
from nfdlab.panels.shading import FAR, LIGHT, screen, shade
from nfdlab.panels.solids import GRID, MARGIN


def ball(centre=(0.0, 0.0, 0.0), radius: float = 0.5) -> EvaluatedFields:
    at = torch.tensor(centre)
    return EvaluatedFields(lambda coords, part: (radius - (coords - at).norm(dim=-1, keepdim=True)).expand(
        1, *coords.shape[-2:-1], 1), 1, 3)


def seen_from(fields, angle: float, side: int = 96):
    return shade(grid_values(fields, GRID), angle, side)


@pytest.mark.parametrize("angle", [0.0, 1.0, 3.0])
def test_a_ball_looks_like_a_disc_of_its_radius_lit_from_where_the_light_is(angle):
    light, depth = seen_from(ball(), angle)
    share = (~light.isnan()).float().mean()
    assert abs(float(share) * (2 * FAR) ** 2 / (math.pi * 0.25) - 1) < 0.05
    assert abs(float(depth[47:49, 47:49].mean()) - 0.5) < 0.03
    row, column = divmod(int(light.nan_to_num(-1).argmax()), 96)
    brightest = torch.tensor([(column / 95 * 2 - 1) * FAR, (1 - row / 95 * 2) * FAR])
    assert (brightest - 0.5 * torch.tensor(LIGHT[:2])).norm() < 0.1


def test_a_ball_off_the_axis_goes_round():
    centre = torch.tensor([0.5, 0.1, -0.2])
    for angle in (0.0, 1.5, 4.0):
        light, depth = seen_from(ball(centre.tolist(), 0.2), angle)
        rows, columns = (~light.isnan()).nonzero().float().mean(0)
        right, up, near = screen(angle) @ centre
        assert abs((columns / 95 * 2 - 1) * FAR - right) < 0.03 and abs((1 - rows / 95 * 2) * FAR - up) < 0.03
        assert abs(float(depth[~depth.isnan()].max()) - float(near + 0.2)) < 0.05


def test_films_and_stills_have_a_tile_for_each_and_dots_for_what_was_seen():
    seen = nfd.Observations(torch.tensor([[0.0, 0.0, 0.5]]), torch.zeros(1, 1), 0.05)
    film = plots.turning({"truth": ball(), "model": ball((0.3, 0.0, 0.0))}, frames=3, side=32, seen=seen)
    plain = plots.turning({"truth": ball(), "model": ball((0.3, 0.0, 0.0))}, frames=3, side=32)
    assert film.frames.shape == (3, 54, 88, 3) and (film.frames != plain.frames).any()
    assert (plain.frames[0] != plain.frames[1])[:, 48:].any() and film.gif()[:3] == b"GIF"
    assert len(plots.solids({"truth": ball(), "model": ball()}, seen=seen, side=32, title="two").axes) == 2
    tiles = np.stack([ax.images[0].get_array() for ax in plots.solids({"truth": ball(), "model": ball()}).axes])
    shown = np.argwhere((tiles < 255).any((0, 3)))
    assert min(shown.min(), tiles.shape[1] - 1 - shown.max()) == MARGIN, "solids fill their picture"
    with pytest.raises(ValueError, match=r"fields of \(x, y, z\)"):
        plots.turning({"truth": nfd.problems.get("gp2d").draw(1, seed=0)})
