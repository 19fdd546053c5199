"""What was computed last, kept for a while: a small memory that several threads may use."""

import threading
from collections import OrderedDict
from collections.abc import Hashable


class Recent:
    """The last `size` things that were kept, by key."""

    def __init__(self, size: int = 12):
        self.size, self._kept, self._lock = size, OrderedDict(), threading.Lock()

    def get(self, *key: Hashable):
        """What was kept under the key, or None."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def keep(self, value, *key: Hashable):
        """Keep a value under the key, let go of the oldest, and return the value."""
        with self._lock:
            self._kept[key] = value
            while len(self._kept) > self.size:
                self._kept.popitem(last=False)
        return value
