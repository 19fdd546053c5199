"""What a trained stochastic field can do: draw, show its way from noise, tell its margins without drawing."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Self

import torch
from torch import Tensor, nn

from ...core.checks import require_count, require_name, require_seed
from ...core.fields import EvaluatedFields
from ...core.rng import child
from ...core.types import ObservationBatch, Observations, require_seen
from ...diffusion.samplers import METHODS, SamplerStep
from ...gaussian.karhunen_loeve import WeightPosterior
from .marginal_heads import HEADS
from .noise_function import NOISES, NoiseFunction

KNOBS = {"head": HEADS, "noise": NOISES}                # that change draws, and nothing that was learned
NODES = 512                                             # of w, for moments


@dataclass(frozen=True, eq=False)
class PushForwardPosterior:
    """Draws f(x) = mean(x) + spread(x) T(x, w(x)): a noise function w, pushed through a map T that all draws share.

    Its network `net` offers `reader` (a PointwiseEncoder), `heads` by name and a `table`. `about` says how it was trained;
    its "config" which `noise` and which `head` are usual.
    """

    net: nn.Module = field(repr=False)
    about: dict
    steps: int

    @property
    def device(self) -> torch.device:
        return next(self.net.parameters()).device

    def tensors(self) -> dict[str, Tensor]:
        return self.net.state_dict()

    def using(self, **knobs) -> Self:
        """The same weights, another `noise` function or another `head`."""
        for name, value in knobs.items():
            require_name(value, KNOBS[require_name(name, KNOBS, "knob")], name)
        if "head" in knobs:
            require_name(knobs["head"], self.net.heads.keys(), "trained head")
        return replace(self, about={**self.about, "config": {**self.about["config"], **knobs}})

    @torch.no_grad()
    def heard(self, seen: Observations | None) -> tuple[WeightPosterior, Tensor]:
        """What the network makes of the observations: its belief, and a memory (1, cells, w) to read places from."""
        d, c = self.about["d"], self.about["c"]
        if require_seen(seen, d, c) is None or seen.m == 0:          # of nothing, the noise does not matter
            seen = Observations(torch.zeros(0, d), torch.zeros(0, c))
        batch = ObservationBatch.of([seen]).to(self.device)
        belief = self.net.reader.believe(batch)
        return belief, self.net.reader.prepare(batch, belief)

    def chance(self, belief: WeightPosterior) -> NoiseFunction:
        """The noise functions that draws are made from."""
        return NoiseFunction(self.about["config"]["noise"], self.net.reader.modes, belief)

    def path(self, seen: Observations | None, n: int, *, seed: int, steps: int | None = None,
             sampler: str = "dpmpp") -> Iterator[SamplerStep]:
        """From noise to draws, a Visit a step; `fields(seen, visit.denoised)` shows what it has in mind.

        x (n, k) is all that a draw is: the numbers of its noise function, and the map so far, which all draws share;
        the ancestral sampler adds noise of its own to each, so that they share none.
        """
        walk, numbers, _ = self._walk(seen, n, seed, steps, sampler)

        def packed(x: Tensor) -> Tensor:
            return torch.cat([numbers, x.flatten(1) if sampler == "ancestral" else x.flatten().expand(n, -1)], 1)

        return (replace(visit, x=packed(visit.x), denoised=packed(visit.denoised)) for visit in walk)

    def draw(self, seen: Observations | None, n: int, *, seed: int, steps: int | None = None,
             sampler: str = "dpmpp") -> EvaluatedFields:
        """n functions given what was seen, as Fields; None gives the prior.

        `sampler`: euler, heun, dpmpp or ancestral; `steps` noise levels, those of the config unless told.
        """
        walk, numbers, belief = self._walk(seen, n, seed, steps, sampler)
        for visit in walk:
            values = visit.x
        return self._fields(belief, numbers, values[:, None] if sampler == "ancestral" else values)

    def fields(self, seen: Observations | None, x: Tensor) -> EvaluatedFields:
        """The functions that noise numbers and maps x (n, k) stand for, given what was seen."""
        belief, table = self.heard(seen)[0], self.net.table
        size = self.chance(belief).size
        values = x[:, size:].unflatten(1, (-1, len(table.places), table.c))
        return self._fields(belief, x[:, :size], values if values.shape[1] == 1 else values[0])

    @torch.no_grad()
    def _walk(self, seen, n: int, seed: int, steps, sampler: str) -> tuple[Iterator[SamplerStep], Tensor, WeightPosterior]:
        """The way of the map, or, of the ancestral sampler, of each draw's own values at the places of the table."""
        require_count(n), require_seed(seed), require_name(sampler, METHODS, "sampler")
        steps = require_count(self.steps if steps is None else steps, "steps", at_least=2)
        belief, memory = self.heard(seen)
        noise, places = self.chance(belief), self.net.table.places
        numbers = noise.numbers(n, seed=seed)
        if sampler != "ancestral":
            return self._map(belief, memory, self.net.table.fan(), steps, sampler), numbers, belief

        def fresh(i: int, x: Tensor) -> Tensor:
            return noise(noise.numbers(n, seed=child(seed, "step", i)), places)

        return self._map(belief, memory, noise(numbers, places), steps, sampler, fresh), numbers, belief

    @torch.no_grad()
    def _map(self, belief: WeightPosterior, memory: Tensor, w: Tensor, steps: int, sampler: str, fresh=None,
             head: nn.Module | None = None) -> Iterator[SamplerStep]:
        """The transport of w (k, p, c) at the places of the table."""
        reader, places = self.net.reader, self.net.table.places
        h = reader.read(memory, *reader.answer(belief, places), places)[0]
        head = self.net.heads[self.about["config"]["head"]] if head is None else head
        return head.walk(w, h, steps, sampler, fresh)

    def _fields(self, belief: WeightPosterior, numbers: Tensor, values: Tensor) -> EvaluatedFields:
        """Maps `values` as `Table` takes them."""
        reader, table, noise = self.net.reader, self.net.table, self.chance(belief)

        def rule(coords: Tensor, part: slice | Tensor) -> Tensor:
            where = coords.to(self.device, torch.float32)
            mean, spread = reader.answer(belief, where)
            own = values[part] if values.ndim == 4 else values
            return (mean + spread * table(own, noise(numbers[part], where), where)).to(coords)

        return EvaluatedFields(rule, len(numbers), self.about["d"], self.about["c"], len(table.knots) + reader.modes.rank)

    @torch.no_grad()
    def moments(self, seen: Observations | None, coords: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (p, c) of f at coords (p, d), by quadrature over w: no sampling, no noise."""
        w = torch.special.ndtri((torch.arange(NODES, dtype=torch.float64) + 0.5) / NODES).float().to(self.device)
        values = self.at(seen, coords, w)
        return values.mean(0), values.std(0)

    @torch.no_grad()
    def at(self, seen: Observations | None, coords: Tensor, w: Tensor, head: nn.Module | None = None) -> Tensor:
        """f at coords (p, d) where the noise is w (k,): (k, p, c). Rising in w: quantiles of the margins. `head`: in
        place of the usual one."""
        reader, table, where = self.net.reader, self.net.table, coords.to(self.device, torch.float32)
        belief, memory = self.heard(seen)
        for visit in self._map(belief, memory, table.fan(), self.steps, "dpmpp", head=head):
            values = visit.x
        mean, spread = reader.answer(belief, where)
        fan = w[:, None, None].expand(-1, len(coords), table.c)
        return (mean + spread * table(values, fan, where)).to(coords)
