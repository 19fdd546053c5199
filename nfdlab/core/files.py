"""Files that appear whole or not at all."""

import glob
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ABANDONED = 3600.0       # seconds after which a part that nobody wrote to is what a killed writer left


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A new file beside `path`, to be written in the block; at its end it takes the place of `path`.

    Where the block fails, what was there stays. Each writer has a file of its own. A link still points where it did,
    and permissions are those of the old file, or what is usual for a new one. What writers killed long ago left of
    theirs is removed.
    """
    target = Path(path).resolve()
    for left in target.parent.glob(f".{glob.escape(target.name)}.*.part"):
        with suppress(OSError):                                    # another writer may be removing it too
            if time.time() - left.stat().st_mtime > ABANDONED:
                left.unlink()
    part = target.with_name(f".{target.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.part")
    try:
        part.touch()
        mode = (target if target.exists() else part).stat().st_mode & 0o777
        yield part
        part.chmod(mode)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> Path:
    """Write all of a text file, line ends as they are, or nothing of it."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8", newline="")
    return Path(path)
