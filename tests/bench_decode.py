"""What decoding costs beside its bare layers, for every shipped weights file.

Run from the repository's root, on a quiet machine: python tests/bench_decode.py [PART OF A NAME ...] [--repeats 5]

Drawn Fields are asked at a grid of 256 x 256 points (2,048 in 1D, 32 a side of a solid, one frame of 128 x 128 of a
film). The bare layers are those linear layers, modulations (FiLM), attention and activations of the decoder that need
both the point and the draw, run on contiguous rows that stay in cache, as many as the decoder has. Both run in turn, on
one thread; times are CPU time, the least of the repeats.
"""

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

import nfdlab
from nfdlab import store

CACHED = 65_536                      # numbers in an intermediate of the bare layers: 256 kB


def frame(side: int) -> Tensor:
    """One frame, halfway between two others: (side², 3)."""
    space = nfdlab.cell_centres((side, side))
    return torch.cat([torch.full((len(space), 1), 0.21), space], 1)


def grid(model) -> Tensor:
    """Where fields are asked."""
    d, film = model.about["d"], model.about["approach"] == "temporal_field"
    if film and d == 3:
        return frame(128)
    return nfdlab.cell_centres({1: (2048,), 2: (256, 256), 3: (32, 32, 32)}[d])


def liif(field) -> tuple[Callable, int]:
    """What LIIF runs for each point: 2^d rows of its last layers."""
    width, corners = field.prepare.out_features, 2**field.d
    x = torch.randn(max(corners, CACHED // width // corners * corners), width)
    return (lambda: field.answer(x)), len(x) // corners


def siren(field, grid: bool) -> tuple[Callable, int]:
    """The sines, the linear layers between them, and the shifts where latents lie on a grid."""
    x, z = torch.randn(CACHED // field.width, field.width), torch.randn(CACHED // field.width, field.shift.in_features)

    def run():
        h = torch.sin(x)
        if grid:
            field.shift(z)
        for sine in field.siren.sines[1:]:
            h = torch.sin(sine.linear(h))
        return field.siren.output(h)

    return run, len(x)


def batched(mlp) -> tuple[Callable, int]:
    """An MLP of the same sizes whose weights all rows share."""
    layers = [nn.Linear(a, b) for a, b in mlp.sizes]
    x = torch.randn(CACHED // mlp.width, mlp.d)

    def run():
        h = torch.sin(layers[0](x))
        for layer in layers[1:-1]:
            h = torch.tanh(layer(h))
        return layers[-1](h)

    return run, len(x)


def queries(field) -> tuple[Callable, int]:
    """The layers of queries that attend to the tokens of one draw."""
    read = field.read
    heads, size, p = read.heads, read.size, CACHED // field.query.out_features
    x, keys = torch.randn(1, p, field.query.in_features), torch.randn(1, heads, field.tokens, size + 5)

    def run():
        h = field.query(x)
        q = nn.functional.pad(read.query(h).unflatten(-1, (heads, size)).transpose(1, 2), (0, 5))
        found = nn.functional.scaled_dot_product_attention(q, keys, keys, scale=1.0)[..., :size]
        return field.answer(h + read.output(found.transpose(1, 2).flatten(2)))

    return run, p


def bare(model) -> tuple[Callable, int] | None:
    """The bare layers of a model's decoder, and for how many points and draws one call stands; None: it has none."""
    name, net = model.about["approach"], model.net
    if name == "coarse_to_fine":
        (average, rows), (rest, _) = liif(net.average.field), liif(net.detail.field)
        return (lambda: (average(), rest())), rows
    if name in ("latent_field", "sparse_conditional"):
        return liif(net.autoencoder.decoder.field)
    if name in ("score_field", "stochastic_field"):
        return liif(net.field)
    if name == "modulated_field":
        return siren(net.field, len(net.shape) > 1)
    if name == "weight_diffusion":
        return batched(net.field)
    if name == "sparse_features":
        return queries(net.field)
    if name == "temporal_field" and model.about["config"]["frame_autoencoder"] == "lattice":
        return liif(net.autoencoder.field)
    if name in ("adaptive_sampling", "temporal_field"):
        field = getattr(net.autoencoder, "frame", net.autoencoder).field
        x = torch.randn(CACHED // field.place.out_features, field.place.out_features)
        return (lambda: field.answer(x)), len(x)
    return None


def seconds(run: Callable, times: int = 1) -> float:
    start = time.process_time()
    for _ in range(times):
        run()
    return (time.process_time() - start) / times


@torch.inference_mode()
def measure(model, draws: int, repeats: int) -> tuple[float, float | None]:
    """Microseconds for one point and draw: decoded, and by the bare layers."""
    coords, fields, layers = grid(model), model.draw(None, draws, seed=1, steps=2), bare(model)
    decoded, alone = [], []
    times = max(1, round(0.1 / seconds(layers[0], 20))) if layers else 0
    for _ in range(repeats):
        if layers:
            alone.append(seconds(layers[0], times) / layers[1])
        decoded.append(seconds(lambda: fields(coords)) / (draws * len(coords)))
        if layers:
            alone.append(seconds(layers[0], times) / layers[1])
    return 1e6 * min(decoded), 1e6 * min(alone) if layers else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*"), parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--draws", type=int, nargs="*", default=[16, 64])
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{nfdlab.__file__}\nmicroseconds for one point and draw, one thread\n")
    print(f"{'weights':36s}" + "".join(f"{f'{n} draws':>10s}{'bare':>8s}{'ratio':>7s}" for n in args.draws))
    for (approach, problem), path in sorted(store.shipped().items()):
        name = f"{approach}--{problem}"
        if args.names and not any(part in name for part in args.names):
            continue
        model, line = store.load(path, device="cpu"), f"{name:36s}"
        for n in args.draws:
            ours, alone = measure(model, n, args.repeats)
            line += f"{ours:10.3f}" + (f"{alone:8.3f}{ours / alone:7.2f}" if alone else f"{'-':>8s}{'-':>7s}")
        print(line, flush=True)


if __name__ == "__main__":
    main()
