"""Two-sample test by a classifier: how well a small network tells draws of a model from fresh functions.

Lopez-Paz & Oquab 2017, sec. 3: the accuracy on functions that the classifier was not trained on is one half where both
come from one distribution. Network, steps and seed are fixed, so that accuracies of several models may be compared.
"""

import torch
from torch import Tensor, nn

from ..core.checks import require, require_count, require_seed
from ..core.grid import grid_values
from ..core.rng import seeded, stream
from ..core.types import Fields
from ..nn.networks import CONV

WIDTH, STEPS, BATCH, LR = 24, 300, 64, 2e-3


def two_sample_accuracy(mine: Fields, theirs: Fields, *, side: int = 28, seed: int = 0) -> float:
    """Held-out accuracy of a classifier of two sets of as many functions, seen on `side` points an axis: ½ is best.

    It is trained twice, each time on one half of both sets, and asked about the other half, so every function is asked
    about once: the standard error is about 1 / sqrt(8 n) where the truth is ½.
    """
    n, d = mine.n, mine.d
    require_seed(seed), require_count(n, "mine.n", 8)
    require(theirs.n == n and (theirs.d, theirs.c) == (d, mine.c),
            must="mine and theirs: as many functions of one kind.",
            came=f"{n} and {theirs.n} functions, d {d} and {theirs.d}, c {mine.c} and {theirs.c}",
            why="Accuracy is compared with one half.", do="Draw the same number of both.")
    require(d in CONV, must="d: 1, 2 or 3.", came=d, why="The classifier is convolutional.",
            do="evaluate.scores.energy_distance takes functions of any d.")
    x = torch.cat([grid_values(mine, side), grid_values(theirs, side)])
    x = (x - x.mean()) / x.std().clamp_min(1e-6)
    label = torch.arange(2 * n) // n
    order = torch.randperm(n, generator=stream(seed, "halves"))
    right = 0
    for half in (order[:n // 2], order[n // 2:]):
        train = torch.ones(2 * n, dtype=torch.bool)
        train[torch.cat([half, n + half])] = False
        net = classifier(x[train], label[train], d, seed=seed)
        with torch.no_grad():
            right += int(((net(x[~train])[:, 0] > 0) == label[~train].bool()).sum())
    return right / (2 * n)


def classifier(x: Tensor, label: Tensor, d: int, *, seed: int) -> nn.Module:
    """The network, trained on grids x (n, c, *[side]*d) with labels 0 or 1 (n,): log odds of label 1."""
    conv = CONV[d]
    with seeded(seed):
        net = nn.Sequential(
            conv(x.shape[1], WIDTH, 3, stride=2, padding=1), nn.SiLU(), conv(WIDTH, WIDTH, 3, stride=2, padding=1),
            nn.SiLU(), conv(WIDTH, WIDTH, 3, padding=1), nn.SiLU(), nn.Flatten(), nn.LazyLinear(1))
        net(x[:1])
    adam, rng = torch.optim.AdamW(net.parameters(), LR, weight_decay=1e-2), stream(seed, "classifier")
    for _ in range(STEPS):
        batch = torch.randint(len(x), (BATCH,), generator=rng)
        loss = nn.functional.binary_cross_entropy_with_logits(net(x[batch])[:, 0], label[batch].float())
        adam.zero_grad()
        loss.backward()
        adam.step()
    return net
