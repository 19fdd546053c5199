"""Neural field in space and time: (coords, latents of frames) -> values at any time and place."""

import torch
from torch import Tensor, nn

from ..core.grid import take
from ..nn.networks import Fourier
from .pieces import SiLU, in_pieces, in_place

FOUR = 4                             # frames around a time: two before, two after
RUN = 32                             # from so many points a time, one after another, each time is decoded by itself


def around(latent: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
    """Latents of the four frames around each time, and its position between the inner two, in [0, 1].

    latent (b, k, frames), times (p,) shared or (b, p) in [-1, 1], frames cell-centred: (b, p, 4, k) and (p,) or (b, p).
    Beyond the first and the last frame latents are extrapolated linearly.
    """
    first, last = 2 * latent[..., :1] - latent[..., 1:2], 2 * latent[..., -1:] - latent[..., -2:-1]
    if latent.shape[-1] == 1:
        first, last = latent, latent
    first, last = [2 * first - latent[..., :1], first], [last, 2 * last - latent[..., -1:]]
    longer, frames = torch.cat([*first, latent, *last], -1).mT, latent.shape[-1]
    place = (times + 1) / 2 * frames - 0.5
    low = place.floor().clamp(-1, frames - 1)
    index = low.long()[..., None] + torch.arange(1, 1 + FOUR, device=latent.device)                    # (…, p, 4)
    return take(longer, index), place - low


def between(four: Tensor, share: Tensor) -> Tensor:
    """Cubic convolution over four latents (b, p, 4, k) at share (p,) or (b, p) of the inner step: (b, p, k).

    Keys 1981, eq. 15 with a = −1/2, once differentiable and exact for parabolas.
    """
    s = share[..., None]
    weights = torch.cat([-s + 2 * s**2 - s**3, 2 - 5 * s**2 + 3 * s**3, s + 4 * s**2 - 3 * s**3, s**3 - s**2], -1) / 2
    return (weights[..., None] * four).sum(-2)


class SpaceTimeField(nn.Module):
    """Field of (coords (p, d) or (b, p, d), time first; latents (b, k, frames)) -> (b, p, c).

    The latent at a time is the cubic interpolation of the four frames around it plus a learned correction; it scales
    and shifts (FiLM, Perez et al. 2018) the layers that decode a place. Correction and output start at zero.
    """

    def __init__(self, d: int, k: int, c: int, width: int, depth: int, octaves: int):
        super().__init__()
        self.d = d
        self.move = nn.Sequential(nn.Linear(FOUR * k + 2, width), nn.SiLU(), nn.Linear(width, k))
        nn.init.zeros_(self.move[-1].weight), nn.init.zeros_(self.move[-1].bias)
        self.encode = Fourier(max(1, d - 1), octaves)
        self.place = nn.Linear(self.encode.out, width)
        self.tell = nn.ModuleList(nn.Linear(k, 2 * width) for _ in range(depth))
        self.mix = nn.ModuleList(nn.Linear(width, width) for _ in range(depth - 1))
        self.output = nn.Linear(width, c)
        nn.init.zeros_(self.output.weight), nn.init.zeros_(self.output.bias)

    def at(self, latent: Tensor, times: Tensor) -> Tensor:
        """The latent at times (p,) or (b, p): (b, p, k)."""
        four, share = around(latent, times)
        middle = between(four, share)
        where = torch.stack([share - 0.5, share * (1 - share)], -1).expand(*middle.shape[:2], 2)
        apart = (four - middle[..., None, :]).flatten(2)
        return middle + self.move(torch.cat([apart, where], -1))

    def forward(self, coords: Tensor, latent: Tensor) -> Tensor:
        if coords.ndim == 3:
            return self._modulated((self._place(coords),), self._films(self.at(latent, coords[..., 0])))
        width, (times, counts) = self.place.out_features, coords[:, 0].unique_consecutive(return_counts=True)
        if RUN * len(times) <= len(coords):                     # moment by moment, a film's frames
            films = self._films(self.at(latent, times))
            moments = zip(coords.split(counts.tolist()), zip(*(f.split(1, 1) for f in films), strict=True), strict=True)
            return torch.cat([in_pieces(lambda at: (self._place(at),), self._modulated, at, now, width)
                              for at, now in moments], 1)
        times = times.unique()
        return in_pieces(lambda at: (self._place(at), torch.searchsorted(times, at[..., 0].contiguous())),
                         self._modulated, coords, self._films(self.at(latent, times)), width)

    def _place(self, coords: Tensor) -> Tensor:
        """Embedded places (…, width) of coords (…, d)."""
        return self.place(self.encode(coords[..., 1:] if self.d > 1 else torch.zeros_like(coords)))

    def _films(self, now: Tensor) -> tuple[Tensor, ...]:
        """Latents at times (b, p, k) -> each layer's scale (b, p, width), then each layer's shift."""
        films = [part for tell in self.tell for part in tell(now).chunk(2, -1)]
        return (*(1 + scale for scale in films[::2]), *films[1::2])

    def _modulated(self, placed: tuple[Tensor, ...], films: tuple[Tensor, ...]) -> Tensor:
        """Embedded places (b, p, width), where points share times which is each point's (1, p), and the scales and then
        the shifts of the layers at each time (b, times, width) -> values (b, p, c)."""
        embedded, *which = placed
        h, depth = None, len(self.tell)
        for i in range(depth):
            scale, shift = (t.index_select(1, which[0][0]) if which else t for t in (films[i], films[depth + i]))
            added = SiLU()(torch.addcmul(shift, self.mix[i - 1](h) if i else embedded, scale))
            h = in_place(torch.add, h, added) if i else added
        return self.output(h)
