"""What one draw costs on a very large grid: in full to a file, and adaptively, beside a small picture of it.

Run from the repository's root, on a quiet machine:
    python tests/bench_render.py [APPROACH PROBLEM] [--side 16384] [--folder FOLDER]

Each part is a process of its own, on one thread. Memory is the most that it held at one time, with Python and torch; of
the adaptive rendering, which fills a memmap in any order, also without the pages of that file, which the system takes
back when it needs them. Seconds are by the clock; times a place are of the CPU, the small picture, 512 x 512, rendered
PAUSES times between pieces of the large one, so that other work on the machine slows both alike. The tolerance is 1/256
of the range of the small picture's values: one grey level.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

SMALL, PAUSES = 512, 32


class Stopwatch:
    """Seconds by the clock and of the CPU since it was made."""

    def __init__(self):
        self.began = self.now()

    def now(self) -> np.ndarray:
        return np.array([time.perf_counter(), time.process_time()])

    def __call__(self) -> np.ndarray:
        return self.now() - self.began


def peak() -> str:
    """The most memory that this process held so far."""
    return f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB"


def own() -> float:
    """Memory of this process now that is not a page of some file, in MiB."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1024


def full(draw, side: int, path: Path) -> None:
    """Every place of a large grid, to a file."""
    from nfdlab.fields.rendering import render, render_to_file

    small, paused, total = [], np.zeros(2), side**2

    def pause(done: int, _) -> None:
        if done >= (len(small) + 1) * total / (PAUSES + 1):
            watch = Stopwatch()
            render(draw, (SMALL, SMALL))
            small.append(watch()[1])
            paused[:] += watch()

    watch = Stopwatch()
    render_to_file(draw, (side, side), path, progress=pause)
    wall, cpu = watch() - paused
    a, b = 1e6 * np.mean(small) / SMALL**2, 1e6 * cpu / total
    print(f"full     {side:6d}^2  {wall:7.1f} s  {b:.3f} us a place, {b / a:.2f} of the {a:.3f} of {SMALL}^2; {peak()}")


def adaptive(draw, side: int, path: Path) -> None:
    """The same picture, asked only where it has detail."""
    from nfdlab.fields.refining import render_adaptive
    from nfdlab.fields.rendering import render

    values = render(draw, (SMALL, SMALL))
    tolerance, most, rule = float(values.max() - values.min()) / 256, [], draw.rule
    out = np.lib.format.open_memmap(path, "w+", np.float32, (1, side, side, draw.c))
    object.__setattr__(draw, "rule", lambda x, which: (most.append(own()), rule(x, which))[1])
    watch = Stopwatch()
    _, asked = render_adaptive(draw, (side, side), out, tolerance=tolerance)
    wall, held, whole = watch()[0], peak(), np.load(path.with_name("full.npy"), mmap_mode="r")
    off = max(float(np.abs(out[0, i:i + 64] - whole[0, i:i + 64]).max()) for i in range(0, side, 64))
    print(f"adaptive {side:6d}^2  {wall:7.1f} s  {100 * asked / side**2:.3f} % of the places asked, off by "
          f"{off / tolerance:.2f} grey levels at most; {held}, {max(most):.0f} MiB of it not the file's")


def main() -> None:
    import nfdlab

    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("pair", nargs="*", default=["sparse_conditional", "head2d"])
    parse.add_argument("--side", type=int, default=16_384)
    parse.add_argument("--folder", type=Path, help="where the files are written for the time being")
    parse.add_argument("--part", choices=("full", "adaptive"), help=argparse.SUPPRESS)
    asked = parse.parse_args()
    if asked.part:
        torch.set_num_threads(1)
        draw = nfdlab.load(*asked.pair, device="cpu").draw(None, 1, seed=0)
        nfdlab.render(draw, (64, 64))
        return {"full": full, "adaptive": adaptive}[asked.part](draw, asked.side, asked.folder / f"{asked.part}.npy")
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        print(*asked.pair, flush=True)
        for which in ("full", "adaptive"):
            subprocess.run([sys.executable, __file__, *asked.pair, "--side", str(asked.side), "--folder", folder,
                            "--part", which], check=True)


if __name__ == "__main__":
    main()
