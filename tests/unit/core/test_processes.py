"""A process that is killed leaves nothing: neither workers nor temporary folders."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nfdlab.core.processes import temporary_folder

SLOW = dict(contestants=["kriging"], problems=["gp2d"], tasks=2000, jobs=2)


def soon(holds) -> bool:
    """Whether something comes true within a minute."""
    began = time.monotonic()
    while not holds() and time.monotonic() < began + 60:
        time.sleep(0.05)
    return holds()


def children(process: int) -> set[int]:
    """Its children, as the system lists them."""
    return {int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()}


def alive(process: int) -> bool:
    """Whether it runs; one that ended and was not asked for is no longer there."""
    stat = Path(f"/proc/{process}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_temporary_folder_goes_with_its_block(tmp_path):
    with temporary_folder() as folder:
        (folder / "file").touch()
    with pytest.raises(RuntimeError), temporary_folder() as other:
        raise RuntimeError
    assert not folder.exists() and not other.exists()


def test_a_block_that_fails_leaves_nothing_to_complain_of():
    """The tracker, which removes what is left, is told that nothing is."""
    code = "from nfdlab.core.processes import temporary_folder as folder\nwith folder(): 1 / 0"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ZeroDivisionError" in ended.stderr and "resource_tracker" not in ended.stderr


def test_a_temporary_folder_goes_when_its_process_is_killed(tmp_path):
    code = ("import time; from nfdlab.core.processes import temporary_folder as folder\n"
            "with folder() as f: (f / 'file').touch(); time.sleep(600)")
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(tmp_path)})
    assert soon(lambda: list(tmp_path.rglob("file")))
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and soon(lambda: not list(tmp_path.iterdir()))


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="children are listed in /proc")
def test_workers_end_when_the_bench_is_killed(tmp_path):
    """They are in the middle of a cell that takes minutes."""
    code = f"from nfdlab.evaluate.bench import bench; bench(**{SLOW}, out={str(tmp_path)!r})"
    process = subprocess.Popen([sys.executable, "-c", code])
    assert soon(lambda: len(children(process.pid)) >= 3), "two workers, and one that keeps count of what they share"
    time.sleep(3)
    workers = children(process.pid)
    assert all(map(alive, workers))
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    began = time.monotonic()
    assert soon(lambda: not list(filter(alive, workers))) and time.monotonic() < began + 10
