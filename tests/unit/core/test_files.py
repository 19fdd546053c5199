"""Files that appear whole or not at all: failures, links, permissions, many writers."""

import os
import threading
import time

import pytest

from nfdlab.core.files import ABANDONED, replacing, write_text


def test_a_block_that_fails_leaves_what_was_there(tmp_path):
    path = write_text(tmp_path / "a.txt", "old")
    with pytest.raises(RuntimeError), replacing(path) as part:
        part.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_link_stays_a_link_and_permissions_stay(tmp_path):
    real, link = tmp_path / "real.txt", tmp_path / "link.txt"
    write_text(real, "old")
    plain = tmp_path / "plain.txt"
    plain.write_text("as usual")
    assert real.stat().st_mode == plain.stat().st_mode
    real.chmod(0o640)
    link.symlink_to(real)
    write_text(link, "new\r\n")
    assert link.is_symlink() and real.read_bytes() == b"new\r\n" and real.stat().st_mode & 0o777 == 0o640


def test_writers_do_not_disturb_each_other(tmp_path):
    path, texts = tmp_path / "a.txt", [str(i) * 100_000 for i in range(8)]
    threads = [threading.Thread(target=write_text, args=(path, text)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in texts and len(list(tmp_path.iterdir())) == 1


def test_what_a_killed_writer_left_goes_after_an_hour(tmp_path):
    """Parts of other files, and of a writer that may still be writing, stay."""
    old, new, other = (tmp_path / name for name in (".a[1].txt.11.aaaa.part", ".a[1].txt.12.bbbb.part",
                                                    ".a[1].txt2.11.aaaa.part"))
    for part, age in ((old, 2 * ABANDONED), (new, ABANDONED / 2), (other, 2 * ABANDONED)):
        part.write_text("half")
        os.utime(part, (time.time() - age,) * 2)
    write_text(tmp_path / "a[1].txt", "whole")
    assert not old.exists() and new.exists() and other.exists()
    assert (tmp_path / "a[1].txt").read_text() == "whole"
