"""Neural field by cross-attention: each query coordinate attends to latent tokens.

Zhang et al. 2023 (3DShape2VecSet), sec. 4.3.
"""

from torch import Tensor, nn

from ..nn.networks import Fourier


class CrossAttentionField(nn.Module):
    """Field of (coords (b, p, d), tokens (b, k, width)) -> (b, p, c).

    Every query attends by itself, so values do not depend on other queries, nor on the order of the tokens.
    """

    def __init__(self, d: int, c: int = 1, width: int = 64, heads: int = 4, octaves: int = 5):
        super().__init__()
        self.encode = Fourier(d, octaves)
        self.query = nn.Sequential(nn.Linear(self.encode.out, width), nn.SiLU(), nn.Linear(width, width))
        self.norm_query, self.norm_tokens = nn.LayerNorm(width), nn.LayerNorm(width)
        self.ask = nn.MultiheadAttention(width, heads, batch_first=True)
        self.answer = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, c))

    def forward(self, coords: Tensor, tokens: Tensor) -> Tensor:
        return self.attend(coords, tokens)[0]

    def attend(self, coords: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Values (b, p, c), and attention weights (b, p, k) that sum to one."""
        coords = coords.expand(len(tokens), *coords.shape[-2:])
        query = self.query(self.encode(coords))
        keys = self.norm_tokens(tokens)
        read, weights = self.ask(self.norm_query(query), keys, keys, need_weights=True)
        return self.answer(query + read), weights
