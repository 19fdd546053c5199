"""Self-attention and the transformer block: what a fresh one does, no order, and what is given."""

import torch

from nfdlab.core.rng import seeded
from nfdlab.nn.attention import SelfAttention, TransformerBlock


def test_a_fresh_block_returns_its_input_and_a_trained_one_knows_no_order(rng):
    with seeded(0):
        block = TransformerBlock(16, 8, heads=2)
    x, given = torch.randn(3, 7, 16, generator=rng), torch.randn(3, 8, generator=rng)
    torch.testing.assert_close(block(x, given), x)
    for layer in (block.film, block.attention.output, block.mlp[-1]):
        layer.weight.data = 0.3 * torch.randn(layer.weight.shape, generator=rng)
    order = torch.randperm(7, generator=rng)
    out = block(x, given)
    assert (out - x).abs().mean() > 0.1 and (block(x, given + 1) - out).abs().mean() > 0.01
    torch.testing.assert_close(block(x[:, order], given), out[:, order], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(block(x, given[:1])[:1], out[:1], atol=1e-5, rtol=1e-4)


def test_attention_reads_the_other_tokens(rng):
    """Told by the softmax of its own products, written out for one head."""
    with seeded(1):
        one = SelfAttention(4, heads=1)
    torch.nn.init.eye_(one.output.weight)
    x = torch.randn(2, 5, 4, generator=rng)
    q, k, v = one.read(x).chunk(3, -1)
    torch.testing.assert_close(one(x), (q @ k.mT / 2).softmax(-1) @ v)
