"""What a process leaves when it is killed: nothing. Its workers end, its temporary folders go."""

import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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

    with tempfile.TemporaryDirectory(prefix="nfd") as folder:
        resource_tracker.register(folder, "folder")
        yield Path(folder)
    resource_tracker.unregister(folder, "folder")
