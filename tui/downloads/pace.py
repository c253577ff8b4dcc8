"""How fast all connections together may be: a bucket that fills with time, and whoever has read takes from it."""

from __future__ import annotations

import threading
import time

from tui.downloads.connection import Stop

_AHEAD_S = 0.1
"""What may be read at once is what comes in this time."""
_LEAST = 1 << 12


class Pace:
    """A limit in bytes a second, 0 for none; it may be changed at any time."""

    def __init__(self, bytes_per_s: int = 0) -> None:
        self._lock = threading.Lock()
        self._limit = bytes_per_s
        self._free_at = 0.0

    @property
    def limit(self) -> int:
        """Bytes a second; 0 for none."""
        return self._limit

    @limit.setter
    def limit(self, bytes_per_s: int) -> None:
        with self._lock:
            self._limit, self._free_at = max(0, bytes_per_s), 0.0

    def portion(self, most: int) -> int:
        """How much to read at once."""
        limit = self._limit
        return most if not limit else max(_LEAST, min(most, int(limit * _AHEAD_S)))

    def take(self, n: int, stop: Stop) -> None:
        """Wait for as long as `n` bytes take. Raises `StoppedError`."""
        if not self._limit:
            return
        with self._lock:
            now = time.monotonic()
            at = max(now, self._free_at)
            self._free_at = at + n / self._limit if self._limit else 0.0
        while (left := at - time.monotonic()) > 0 and self._limit:  # without one it goes on at once
            stop.wait(min(left, 0.25))
