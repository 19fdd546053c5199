"""Cost of a posterior: seconds to fit, milliseconds a draw, query points a second, against the matmul ceiling."""

import json
import timeit
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from ..core.capabilities import record_of
from ..core.checks import require_coords, require_count, require_seed
from ..core.processes import temporary_folder
from ..core.rng import normals
from ..core.types import Fitted, Observations

RUNS = 3                         # the fastest run counts: other processes only slow a run down


@dataclass(frozen=True)
class Cost:
    """`fit_seconds`: None where nothing was trained or recorded; `flops_per_point`: None where torch counts none.

    `share` = points_per_second · flops_per_point / ceiling, of the machine's float32 matrix product. Only products are
    counted, so a field of sines or table look-ups may be fast with a low share.
    """

    fit_seconds: float | None
    ms_per_draw: float
    points_per_second: float
    flops_per_point: float | None
    ceiling: float               # flops a second
    threads: int

    @property
    def share(self) -> float | None:
        return None if self.flops_per_point is None else self.points_per_second * self.flops_per_point / self.ceiling


def cost(fitted: Fitted, seen: Observations | None, points: Tensor, *, draws: int = 64, seed: int = 0) -> Cost:
    """Measure one contestant: `draws` draws given `seen`, asked at `points` (p, d).

    A lazy field pays at the points, not at the draw. Each point of each draw counts as one. The ceiling is measured in
    the same run, with the same threads.
    """
    require_count(draws, "draws"), require_seed(seed), require_coords(points)
    drawing, fields = _fastest(lambda: fitted.draw(seen, draws, seed=seed)), fitted.draw(seen, draws, seed=seed)
    asking, asked = _fastest(lambda: fields(points)), draws * len(points)
    with FlopCounterMode(display=False) as counter:      # of what torch runs; 0 where numpy or scipy does it
        fields(points)
    flops = counter.get_total_flops() / asked
    about = record_of(fitted)
    return Cost(fit_seconds=about.get("seconds") or (about.get("budget") or {}).get("seconds"),
                ms_per_draw=1e3 * drawing / draws, points_per_second=asked / asking, flops_per_point=flops or None,
                ceiling=ceiling(seed=seed), threads=torch.get_num_threads())


def ceiling(size: int = 768, *, seed: int = 0) -> float:
    """Flops a second of a float32 matrix product (size, size) on the CPU: 2 size³ over its fastest time."""
    a, b = normals(seed, 2, (size, size), "ceiling")
    return 2 * size**3 / _fastest(lambda: a @ b, 3 * RUNS)


def _fastest(work: Callable[[], object], runs: int = RUNS) -> float:
    """Seconds of the fastest of some runs."""
    wait = torch.cuda.synchronize if torch.cuda.is_available() else (lambda: None)
    return min(timeit.repeat(lambda: (work(), wait()), number=1, repeat=runs))


def peak_memory(work: Callable[[], object]) -> int:
    """Most bytes that torch's tensors on the CPU held at one time during `work`, less what they held before."""
    with temporary_folder() as folder:
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
            work()
        seen.export_chrome_trace(str(folder / "trace.json"))
        events = json.loads((folder / "trace.json").read_text(encoding="utf-8"))["traceEvents"]
    found = sorted((e["ts"], e["args"]["Bytes"], e["args"]["Total Allocated"]) for e in events
                   if e.get("name") == "[memory]" and e["args"]["Device Type"] == 0)
    return max((held for _, _, held in found), default=0) - (found[0][2] - found[0][1] if found else 0)
