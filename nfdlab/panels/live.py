"""A worker thread for the newest request only: a slider never queues, and a drag shows frames all along.

Cancelling at once would show nothing during a drag, because each move would cancel the run before its first picture. So
a stale run goes on to its first picture, and is stopped at the next yield after it.
"""

import atexit
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from typing import Any


class Latest:
    """Runs `work(request)` for the newest request only, in one thread of its own.

    `work(request)` is a generator. It yields pictures, previews first, and None wherever an outdated run may stop.
    `show(picture)` is called for the first picture of every run, then at most every `every` seconds, and always for
    the last. `fail(error)` gets whatever `work` or `show` raises; the worker goes on. With `synchronous=True`, submit
    returns when everything is shown (reports, tests).
    """

    def __init__(self, work: Callable[[Any], Iterable], show: Callable[[Any], None], fail: Callable[[Exception], None],
                 *, every: float = 1 / 30, synchronous: bool = False):
        self.work, self.show, self.fail = work, show, fail
        self.every, self.synchronous = every, synchronous
        self._change = threading.Condition()
        self._newest, self._halted, self._request = 0, 0, None      # requests are counted; those <= _halted must stop
        self._busy, self._closed = False, False
        self._thread: threading.Thread | None = None

    def submit(self, request) -> None:
        """Ask for `request`; it replaces any request still waiting and outdates the one under way."""
        with self._change:
            if self._closed:
                return
            self._newest += 1
            self._request = mine = (self._newest, request)
            if self.synchronous:
                self._request, self._busy = None, True
            elif self._thread is None:
                self._thread = threading.Thread(target=self._loop, daemon=True, name="nfdlab-panel")
                self._thread.start()
                atexit.register(self._at_exit)
            self._change.notify_all()
        if self.synchronous:
            self._run(*mine)

    def stop(self) -> None:
        """Drop what waits and stop what runs at its next yield, first picture or not; what is shown stays."""
        with self._change:
            self._halted, self._request = self._newest, None
            self._change.notify_all()

    def close(self) -> None:
        """Stop, and end the worker. Later requests are ignored."""
        self.stop()
        with self._change:
            self._closed = True
            self._change.notify_all()
        atexit.unregister(self._at_exit)

    def wait(self, timeout: float | None = None) -> bool:
        """Block until nothing runs or waits; False if that took longer than `timeout` seconds."""
        with self._change:
            return self._change.wait_for(lambda: not self._busy and self._request is None, timeout)

    def _loop(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._closed or self._request is not None)
                if self._closed:
                    return
                mine, self._request, self._busy = self._request, None, True
            self._run(*mine)

    def _run(self, number: int, request) -> None:
        try:
            self._pictures(number, self.work(request))
        except Exception as error:                                  # noqa: BLE001 - a panel shows every error
            with suppress(Exception):                               # a `fail` that fails has nowhere to report to
                self.fail(error)
        finally:
            with self._change:
                self._busy = False
                self._change.notify_all()

    def _pictures(self, number: int, pictures: Iterable) -> None:
        shown_at, waiting = None, None
        for picture in pictures:
            with self._change:
                halted, stale = number <= self._halted, number < self._newest
            if halted or (stale and shown_at is not None):
                return
            waiting = picture if picture is not None else waiting
            due = shown_at is None or time.perf_counter() - shown_at >= self.every
            if waiting is not None and due:
                self.show(waiting)
                shown_at, waiting = time.perf_counter(), None
        if waiting is not None and number > self._halted:
            self.show(waiting)

    def _at_exit(self) -> None:
        """An interpreter that ends while a thread is inside torch aborts: let the run reach its next yield first."""
        self.close()
        self._thread.join(20)


class Recent:
    """A cache that several threads may share: the last `size` values that were used, by key."""

    def __init__(self, size: int = 12):
        self.size, self._values, self._lock = size, OrderedDict(), threading.Lock()

    def get(self, *key: Hashable):
        """The value under the key, or None."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def keep(self, value, *key: Hashable):
        """Store a value under the key, drop the oldest beyond `size`, and return the value."""
        with self._lock:
            self._values[key] = value
            while len(self._values) > self.size:
                self._values.popitem(last=False)
        return value
