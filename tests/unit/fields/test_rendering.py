"""Rendering to a file: the same values as in memory, in bounded memory, and after a kill the same bytes."""

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import nfdlab as nfd
from nfdlab.core.fields import EvaluatedFields
from nfdlab.fields.rendering import render_to_file

SHAPE = (37, 53)


def draws(n=2, seed=0):
    return nfd.problems.get("gp2d").draw(n, seed=seed)


def painted(c=2):
    """Two draws of some channels whose values say where they are asked: (x + 2 y) (1 + draw) + channel / 10."""
    def rule(x, part):
        which = torch.arange(2)[part].float()
        place = x[..., 0] + 2 * x[..., 1]
        return ((1 + which)[:, None] * place)[..., None] + torch.arange(c) / 10

    return EvaluatedFields(rule, 2, 2, c)


@pytest.mark.parametrize("dtype,error", [(np.float32, 0.0), (np.float16, 2e-3), ("float64", 0.0)])
def test_a_file_holds_what_memory_would_and_any_reader_reads_it(tmp_path, dtype, error):
    """Draw by draw, channels last; half precision is off by half a bit of its eleven, at most."""
    for fields in (draws(), painted(), nfd.problems.get("moving_disc2dt").draw(1, seed=0),
                   nfd.problems.get("gp1d").draw(3, seed=0)):
        shape = (7, 11, 13)[:fields.d]
        path = tmp_path / "deep" / f"{fields.d}{fields.c}{fields.n}.npy"
        got, want = render_to_file(fields, shape, path, dtype=dtype, chunk=50), nfd.render(fields, shape).numpy()
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-5 + error)
        assert got.dtype == np.load(path).dtype == dtype and not got.flags.writeable
        saved = io.BytesIO()
        np.save(saved, np.load(path))
        assert path.read_bytes() == saved.getvalue() and list(path.parent.glob("*.begun")) == []


def test_wherever_it_was_cut_short_the_same_bytes_follow_and_nothing_is_asked_twice(tmp_path):
    """Cut after any number of bytes: within a piece, within the first draw, at its end, within the second."""
    whole, cut, asked = tmp_path / "whole.npy", tmp_path / "cut.npy", []
    base = draws()

    def rule(x, part):
        asked.append(len(x) * len(range(2)[part]))
        return base[part](x)

    fields, marks = EvaluatedFields(rule, 2, 2), []
    render_to_file(fields, SHAPE, whole, chunk=200, progress=lambda done, total: marks.append((done, total)))
    count = 2 * 37 * 53
    assert marks[0] == (0, count) and marks[-1] == (count, count) and len(marks) == 1 + 2 * 10
    held, head = whole.read_bytes(), len(whole.read_bytes()) - 4 * count
    for extra in (0, 4 * 330 + 3, 2 * count, 2 * count + 4 * 401, 4 * count - 1, 4 * count):
        with pytest.raises(KeyboardInterrupt):
            render_to_file(fields, SHAPE, cut, chunk=200, progress=interrupt)
        cut.write_bytes(held[:head + extra])
        asked.clear()
        got = render_to_file(fields, SHAPE, cut, chunk=200)
        assert cut.read_bytes() == held and got.shape == (2, *SHAPE, 1)
        assert sum(asked) - 2 * 256 <= count - extra // 4 + 200
        cut.unlink()


def interrupt(done, total):
    raise KeyboardInterrupt


def test_killed_in_the_middle_it_goes_on_to_the_same_bytes(tmp_path):
    """A real kill, in another process, which leaves no time to tidy up."""
    code = f"""
import time, torch
import nfdlab as nfd
from nfdlab.fields.rendering import render_to_file
torch.set_num_threads(1)
fields = nfd.load("adaptive_sampling", "bump2d", device="cpu").draw(None, 1, seed=3, steps=4)
render_to_file(fields, (256, 256), {str(tmp_path / "draw.npy")!r}, chunk=1024, progress=lambda *_: time.sleep(0.05))
"""
    path, begun = tmp_path / "draw.npy", tmp_path / "draw.npy.begun"
    writer = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "OMP_NUM_THREADS": "1"})
    started = time.monotonic()
    while time.monotonic() - started < 90 and not (path.exists() and path.stat().st_size > 40_000):
        time.sleep(0.01)
    writer.send_signal(signal.SIGKILL)
    assert writer.wait() == -signal.SIGKILL
    left = path.stat().st_size
    assert 40_000 < left < 4 * 256**2 and begun.exists()
    with pytest.raises(ValueError):
        np.load(path)                                                # what is not whole is not taken for whole
    fields = nfd.load("adaptive_sampling", "bump2d", device="cpu").draw(None, 1, seed=3, steps=4)
    first = []
    render_to_file(fields, (256, 256), path, chunk=1024, progress=lambda done, total: first.append(done))
    render_to_file(fields, (256, 256), tmp_path / "whole.npy", chunk=1024)
    assert path.read_bytes() == (tmp_path / "whole.npy").read_bytes() and not begun.exists()
    assert first[0] >= (left - 128) // 4 - 1024 > 0


def test_another_draw_shape_or_type_is_refused_and_what_is_there_is_kept(tmp_path):
    """Begun or whole; also where the draws agree in all that is written so far."""
    begun, whole, foreign = (tmp_path / f"{name}.npy" for name in ("begun", "whole", "foreign"))
    with pytest.raises(KeyboardInterrupt):
        render_to_file(draws(), SHAPE, begun, progress=interrupt)
    render_to_file(draws(), SHAPE, whole)
    np.save(foreign, np.zeros(5, np.float32))
    for path in (begun, whole, foreign):
        held = path.read_bytes()
        for fields, shape, dtype in ((draws(seed=1), SHAPE, np.float32), (draws(1), SHAPE, np.float32),
                                     (draws(), SHAPE[::-1], np.float32), (draws(), SHAPE, np.float16)):
            with pytest.raises(ValueError, match="\n  do:   "):
                render_to_file(fields, shape, path, dtype=dtype)
            assert path.read_bytes() == held
    shutil.copy(begun, tmp_path / "lost.npy")                        # its record is gone: whose it is nobody knows
    with pytest.raises(ValueError, match="Other draws"):
        render_to_file(draws(), SHAPE, tmp_path / "lost.npy")


def test_memory_does_not_grow_with_the_picture(tmp_path):
    """A file of 64 MB: the process grows by less than a quarter of it beyond what a small picture took."""
    code = f"""
import resource, torch
import nfdlab as nfd
from nfdlab.core.fields import EvaluatedFields
from nfdlab.fields.rendering import render_to_file
torch.set_num_threads(1)
fields = EvaluatedFields(lambda x, part: (x[:, :1] * x[:, 1:])[None], 1, 2)
for side in (512, 4096):
    render_to_file(fields, (side, side), {str(tmp_path)!r} + f"/{{side}}.npy")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    small, large = map(int, done.stdout.split())
    assert (tmp_path / "4096.npy").stat().st_size > 64e6 and (large - small) * 1024 < 16e6


@pytest.mark.parametrize("wrong,kind", [({"path": "draw.png"}, ValueError), ({"path": 3}, ValueError),
                                        ({"dtype": np.int8}, ValueError), ({"chunk": 0}, ValueError),
                                        ({"shape": (8,)}, ValueError), ({"shape": (8, 0)}, ValueError),
                                        ({"shape": (10**7, 10**6)}, ValueError),
                                        ({"fields": "draw"}, TypeError), ({"path": "file/draw.npy"}, OSError)])
def test_what_cannot_be_is_refused_in_four_parts(tmp_path, monkeypatch, wrong, kind):
    """Also what is larger than the disk, and a place that is none."""
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("no folder")
    with pytest.raises(kind, match="\n  came: .*\n  why:  .*\n  do:   "):
        render_to_file(**{"fields": draws(), "shape": SHAPE, "path": "draw.npy", **wrong})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
