"""The video U-Net: shapes in every dimension, levels of films, frames that hear of one another by attention alone."""

import pytest
import torch

from nfdlab.core.rng import seeded
from nfdlab.nn.video import FrameAttention, VideoUNet, by_film, by_frame

FRAMES, CELLS = 5, {0: (), 1: (7,), 2: (6, 7), 3: (4, 4, 5)}


def numbers(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def net(d: int, fresh: bool = False, attending: bool = True) -> VideoUNet:
    """A network, fresh or with layers that all add something, attention only if it is `attending`."""
    with seeded(0):
        made = VideoUNet(d, 2, 3, (8, 16) if d else (32,), 1, FRAMES)
        for name, weight in made.named_parameters():
            if not (fresh or weight.any()) and (attending or not name.endswith(("1.output.weight", "1.output.bias"))):
                torch.nn.init.normal_(weight, std=0.3)
    return made


def inputs(d: int, b: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """x, a level for each film, and features that all films share."""
    return numbers(b, 2, FRAMES, *CELLS[d]), numbers(b, seed=2), numbers(1, 3, FRAMES, *CELLS[d], seed=3)


@pytest.mark.parametrize("d", [0, 1, 2, 3])
def test_films_become_frames_and_frames_films(d):
    film = numbers(3, 2, FRAMES, *CELLS[d])
    frames = by_frame(film)
    assert frames.shape == (3 * FRAMES, 2, *CELLS[d]) and torch.equal(frames[FRAMES + 2], film[1, :, 2])
    assert torch.equal(by_film(frames, 3), film)


@pytest.mark.parametrize("d", [0, 1, 2, 3])
def test_it_answers_film_by_film_on_grids_of_any_side(d):
    """Each film at its own level, with its own features or those of all; a fresh network answers 0."""
    x, level, features = inputs(d)
    made = net(d)
    with torch.no_grad():
        out = made(x, level, features)
        alone = torch.cat([made(x[i:i + 1], level[i:i + 1], features) for i in range(3)])
        own = made(x, level, features.expand(3, *features.shape[1:]))
        other = made(x, level.flip(0), features)
        fresh = net(d, fresh=True)(x, level, features)
    assert out.shape == x.shape and torch.isfinite(out).all() and out.std() > 0.1 and fresh.abs().max() == 0
    torch.testing.assert_close(alone, out, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(own, out, atol=1e-5, rtol=1e-5)
    assert (other - out)[0].abs().max() > 1e-3 and (other - out)[1].abs().max() < 1e-5


@pytest.mark.parametrize("d", [0, 1, 2, 3])
def test_frames_hear_of_one_another_by_attention_alone(d):
    x, level, features = inputs(d, 1)
    moved = x.clone()
    moved[:, :, 1] += 2
    for attending in (True, False):
        made = net(d, attending=attending)
        with torch.no_grad():
            away = (made(moved, level, features) - made(x, level, features)).transpose(1, 2)[0].flatten(1).abs().amax(1)
        assert away[1] > 1e-2 and ((away[[0, 2, 3, 4]] > 1e-5).all() if attending else away[[0, 2, 3, 4]].max() == 0)


def attention(fresh: bool = False) -> FrameAttention:
    with seeded(0):
        made = FrameAttention(16, FRAMES)
        if not fresh:
            torch.nn.init.normal_(made.output.weight), torch.nn.init.normal_(made.bias)
    return made


def test_attention_among_frames_knows_no_order_of_cells_and_a_fresh_one_adds_nothing():
    h = numbers(2 * FRAMES, 16, 12)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(attention()(h, 2)[..., order], attention()(h[..., order], 2), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(attention()(h.unflatten(2, (3, 4)), 2).flatten(2), attention()(h, 2))
    assert torch.equal(attention(fresh=True)(h, 2), h)


def test_the_bias_of_attention_is_of_the_time_between_two_frames():
    """With queries and keys of nought it alone says who is heard: a softmax over the biases of the distances."""
    made, h = attention(), numbers(FRAMES, 16, 1)
    with torch.no_grad():
        made.read.weight[:32].zero_(), made.read.bias[:32].zero_()
        made.output.weight.copy_(torch.eye(16)), made.output.bias.zero_()
        values = made.read(made.norm(h)[..., 0])[:, 32:].unflatten(1, (4, 4))                     # (frames, heads, 4)
        at = torch.arange(FRAMES)
        weights = made.bias[:, FRAMES - 1 + at[:, None] - at].softmax(-1)
        want = torch.einsum("hts,shk->thk", weights, values).flatten(1)
        torch.testing.assert_close((made(h, 1) - h)[..., 0], want, atol=1e-5, rtol=1e-5)
