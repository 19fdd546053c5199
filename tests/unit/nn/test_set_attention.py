"""Set attention: each head's penalty on distance, padding, no order, what a level does, memory that is given."""

import pytest
import torch

from nfdlab.core.rng import normals, seeded, stream
from nfdlab.nn.set_attention import Attention, SetBlock, SetTransformer, doubling_lengthscales


def jostle(net, *, seed):
    """Random weights everywhere, so that what starts at zero is put to use."""
    with torch.no_grad():
        rng = stream(seed, "jostle")
        for p in net.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=rng) / max(1, p.shape[-1] if p.ndim else 1) ** 0.5)
    return net


@pytest.mark.parametrize("zero_key", [False, True])
@pytest.mark.parametrize("d", [1, 2])
def test_each_head_adds_its_own_law_of_distance(d, zero_key):
    """Scores q·k/sqrt(w/heads) − γ_h |x − x'|², written out for all pairs; padding has no weight; a token of
    zeros, where there is one, is at no distance."""
    with seeded(1):
        attention = Attention(12, torch.tensor([0.06, 0.3, 1.5]), zero_key)
    x, tokens = normals(0, 2, (5, 12), "x"), normals(1, 2, (6, 12), "tokens")
    here, there = normals(2, 2, (5, d), "here"), normals(3, 2, (6, d), "there")
    mask = torch.arange(6)[None] < torch.tensor([[6], [4]])
    found = attention(x, here, attention.prepare(tokens, there, mask))
    away = torch.cdist(here, there).square()
    if zero_key:
        tokens, mask = torch.nn.functional.pad(tokens, (0, 0, 0, 1)), torch.nn.functional.pad(mask, (0, 1), value=True)
        away = torch.nn.functional.pad(away, (0, 1))
    q = attention.query(x).unflatten(-1, (3, 4)).transpose(1, 2)
    k, v = (t.unflatten(-1, (3, 4)).transpose(1, 2) for t in attention.key_value(tokens).chunk(2, -1))
    scores = q @ k.mT / 2 - attention.log_gamma.exp()[:, None, None] * away[:, None]
    weights = scores.masked_fill(~mask[:, None, None], -torch.inf).softmax(-1)
    torch.testing.assert_close(found, attention.output((weights @ v).transpose(1, 2).flatten(2)), atol=1e-5, rtol=1e-4)


def test_a_near_point_weighs_more_in_a_local_head():
    with seeded(1):
        attention = Attention(8, torch.tensor([0.06, 1.5]))
    with torch.no_grad():
        attention.key_value.weight[:8].zero_(), attention.key_value.bias[:8].zero_()
        attention.output.weight.copy_(torch.eye(8)), attention.output.bias.zero_()
    tokens, places, mask = normals(0, 1, (2, 8), "tokens"), torch.tensor([[[0.0], [0.3]]]), torch.ones(1, 2).bool()
    values = attention.key_value(tokens)[..., 8:]
    found = attention(normals(1, 1, (1, 8), "x"), torch.tensor([[[0.0]]]), attention.prepare(tokens, places, mask))
    share = torch.softmax(torch.tensor([0.0, -0.09]) / (2 * 0.06**2), 0)
    torch.testing.assert_close(found[0, 0, :4], (share @ values[0])[:4], atol=1e-5, rtol=1e-4)
    assert (found[0, 0, 4:] - values[0].mean(0)[4:]).abs().max() < 0.1 * values[0, :, 4:].abs().max()


def test_with_a_zero_key_one_set_serves_many_queries_and_nobody_need_be_near():
    """One set for three batches of queries; far from all tokens only the token of zeros is left."""
    with seeded(1):
        attention = Attention(8, doubling_lengthscales(2, 0.1), zero_key=True)
    x, tokens, places = normals(0, 3, (2, 8), "x"), normals(1, 1, (4, 8), "tokens"), normals(2, 1, (4, 1), "places")
    memory, here = attention.prepare(tokens, places), torch.tensor([[[0.3], [9.0]]])
    each = torch.cat([attention(x[i:i + 1], here, memory) for i in range(3)])
    torch.testing.assert_close(attention(x, here, memory), each, atol=1e-5, rtol=1e-4)
    alone = attention.output(attention.key_value.bias[8:])
    torch.testing.assert_close(each[:, 1], alone.expand(3, -1), atol=1e-4, rtol=1e-4)
    assert (each[:, 0] - alone).abs().max() > 1e-2


def test_a_level_scales_and_shifts_what_goes_into_both_layers():
    with seeded(2):
        block = SetBlock(8, torch.tensor([0.06, 1.5]), 4)
    x, places, mask = normals(0, 2, (5, 8), "x"), normals(1, 2, (5, 1), "places"), torch.ones(2, 5).bool()
    level = normals(2, 2, (4,), "given")
    assert torch.equal(block(x, places, level=level, mask=mask), block(x, places, level=0 * level, mask=mask)), \
        "none at first"
    torch.nn.init.normal_(block.film.weight, generator=torch.Generator().manual_seed(0))
    both = block(x, places, level=level, mask=mask)
    second = block(x[1:], places[1:], level=level[1:], mask=mask[1:])
    torch.testing.assert_close(second, both[1:], atol=1e-5, rtol=1e-4)
    assert (both - block(x, places, level=level.flip(0), mask=mask)).abs().amax((1, 2)).min() > 1e-2


def test_a_block_that_starts_as_the_identity_returns_its_input():
    """Whatever its parts."""
    x, places = normals(0, 2, (5, 8), "x"), normals(1, 2, (5, 1), "places")
    for parts in (("itself", "mlp"), ("itself", "others", "mlp")):
        with seeded(0):
            block = SetBlock(8, torch.tensor([0.06, 1.5]), 0, parts, affine=True, identity=True)
        memory = block.others.prepare(x, places) if block.others else None
        assert torch.equal(block(x, places, memory=memory), x)
    with pytest.raises(KeyError):
        SetBlock(8, torch.tensor([0.06, 1.5]), 0, ("everybody",))


@pytest.mark.parametrize("m", [0, 1, 6])
def test_a_set_has_no_order_and_padding_changes_nothing(m):
    tokens_at = normals(5, 1, (9, 2), "tokens")[0].clamp(-1, 1)
    with seeded(0):
        net = jostle(SetTransformer(2, 9, 5, 3, 4, 16, 2, 4).eval(), seed=1)
    x, features, places = normals(0, 2, (9, 5), "x"), normals(1, 1, (6, 4), "told"), normals(2, 1, (6, 2), "places")
    mask, level, turn = torch.arange(6)[None] < m, torch.zeros(1), torch.arange(6).flip(0)
    with torch.no_grad():
        found = net(x, tokens_at, level, (features, places, mask))
        again = net(x, tokens_at, level, (features[:, turn], places[:, turn], mask[:, turn]))
        silent = net(x, tokens_at, level, (torch.where(mask[..., None], features, 99.0), places, mask))
        cut = net(x, tokens_at, level, (features[:, :max(1, m)], places[:, :max(1, m)], mask[:, :max(1, m)]))
        order = torch.tensor([3, 1, 4, 0, 5, 8, 2, 6, 7])
        moved = net(x[:, order], tokens_at[order], level, (features, places, mask))
    for same in (again, silent, cut):
        torch.testing.assert_close(same, found, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(moved, found[:, order], atol=1e-5, rtol=1e-4)
    assert m == 0 or (net(x, tokens_at, level, (features + 1, places, mask)) - found).abs().max() > 1e-4
