"""Tells the events of a session to all who listen."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from tui.session.events import AnySessionEvent


class Announcer:
    """Tells events to all who listen, on the thread and at the moment of `tell`. All hear the same events in the same
    order: what is told while one is being told comes after it."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[AnySessionEvent], None]] = []
        self._waiting: deque[AnySessionEvent] = deque()
        self._is_telling = False

    def listen(self, callback: Callable[[AnySessionEvent], None]) -> Callable[[], None]:
        """Call `callback` with each event from now on; the result, once called, ends that."""
        self._callbacks.append(callback)

        def end() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

        return end

    def tell(self, event: AnySessionEvent) -> None:
        """Tell an event. What a callback raises comes out of this; what was to be told after that is told next time."""
        self._waiting.append(event)
        if self._is_telling:
            return
        self._is_telling = True
        try:
            while self._waiting:
                event = self._waiting.popleft()
                for callback in tuple(self._callbacks):
                    callback(event)
        finally:
            self._is_telling = False

    def close(self) -> None:
        """Nobody listens any more."""
        self._callbacks.clear()
