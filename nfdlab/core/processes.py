"""Work in processes side by side, and what a process leaves when it is killed: nothing. Its workers end, its temporary
folders go."""

import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def side_by_side(work: Callable, arguments: Iterable[tuple], jobs: int, *, threads: int = 1) \
        -> Iterator[tuple[tuple, Any, BaseException | None]]:
    """work(*each) of all `arguments` in `jobs` processes of so many threads: yields (arguments, result, error), the
    first that is done first. A process that is killed costs the others nothing; when this one ends, all end."""
    from joblib.externals.loky import FIRST_COMPLETED, get_reusable_executor, wait

    queue, waiting = iter(arguments), {}

    def pool():                                      # a new one if a process of the last was killed
        return get_reusable_executor(max_workers=jobs, timeout=20, env=dict.fromkeys(THREADS, str(threads)),
                                     initializer=end_with_parent, initargs=(os.getpid(),))

    try:
        while True:
            waiting |= {pool().submit(work, *each): each for each in islice(queue, 2 * jobs - len(waiting))}
            if not waiting:
                return
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                each, error = waiting.pop(future), future.exception()
                yield each, None if error else future.result(), error
    except BaseException:
        pool().shutdown(wait=True, kill_workers=True)
        raise


def end_with_parent(parent: int) -> None:
    """A parent watch for a worker, to be called in it: the worker ends half a second after the process `parent`, in the
    middle of its work."""
    def watch():
        if os.name == "posix":                       # an orphan is handed to another parent
            while os.getppid() == parent:
                time.sleep(0.5)
        else:
            multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent watch").start()


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A private temporary folder that goes when the block ends, and also when this process is killed in it: joblib's
    resource tracker, a process that waits for the end of this one, removes it then."""
    from joblib.externals.loky.backend import resource_tracker

    holder = tempfile.TemporaryDirectory(prefix="nfd")
    resource_tracker.register(holder.name, "folder")
    try:
        with holder as folder:
            yield Path(folder)
    finally:
        resource_tracker.unregister(holder.name, "folder")
