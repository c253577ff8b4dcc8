"""Which command runs, which ones are to stop, and which to think no longer. Shared by the thread that hears of it and
the one that computes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tui.engine.abort import AbortSwitch


class Cancelling:
    """Sets the switch when the command that runs is cancelled. A command may be cancelled before it runs, too."""

    def __init__(self) -> None:
        self.switch = AbortSwitch()
        self._lock = threading.Lock()
        self._cancelled: set[int] = set()
        self._running = 0
        self._thought_over: set[int] = set()

    def end_thought(self, command_id: int) -> None:
        """It is to think no longer, now or when it begins."""
        with self._lock:
            self._thought_over.add(command_id)

    def is_thought_over(self) -> bool:
        """The command that runs is to think no longer."""
        return self._running in self._thought_over

    def cancel(self, command_id: int) -> None:
        """Stop it, now or when it begins."""
        with self._lock:
            self._cancelled.add(command_id)
            if command_id == self._running:
                self.switch.set()

    @contextmanager
    def running(self, command_id: int) -> Iterator[None]:
        """While this command is carried out."""
        with self._lock:
            self._running = command_id
            self.switch.clear()
            if command_id in self._cancelled:
                self.switch.set()
        try:
            yield
        finally:
            with self._lock:
                self._running = 0
                self._cancelled.discard(command_id)
                self._thought_over = {known for known in self._thought_over if known > command_id}

    def shield(self) -> None:
        """The command that runs cannot be cancelled any more."""
        with self._lock:
            self._running = 0
            self.switch.clear()
