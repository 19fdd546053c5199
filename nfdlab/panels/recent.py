"""A least-recently-used cache that several threads may share."""

import threading
from collections import OrderedDict
from collections.abc import Hashable


class Recent:
    """The last `size` values that were used, by key."""

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
