"""What a session has told, numbered, so that whoever follows it misses nothing and hears nothing twice, however often
the line between them breaks."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

from tui.chat.conversation import new_id
from tui.host.messages import Caught, Happened
from tui.host.scene import Scene, after
from tui.host.scene import encode as encode_scene
from tui.session.events import AnySessionEvent, encode

MOST_BYTES = 8 << 20
"""Of events that are kept for who comes back; who has missed more gets the scene."""
_log = logging.getLogger("llmtui.host")

Follower = Callable[[Caught | Happened], None]


class EventLog:
    """All of it on the event loop."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.session = new_id()
        """Of whose events these are, never given twice."""
        self.number = 0
        """Of the newest event."""
        self.scene = Scene()
        self._most_bytes, self._n_bytes = most_bytes, 0
        self._kept: deque[Happened] = deque()
        self._followers: list[Follower] = []

    @property
    def n_followers(self) -> int:
        """How many hear what happens."""
        return len(self._followers)

    def hear(self, event: AnySessionEvent) -> None:
        """The next event."""
        try:
            line = encode(event)
        except UnicodeEncodeError:  # the name of a file that is no text: nobody could be told
            _log.warning("An event cannot be told: %s", type(event).__name__)
            return
        self.number += 1
        self.scene = after(self.scene, event)
        happened = Happened(number=self.number, event=line)
        self._kept.append(happened)
        self._n_bytes += len(line)
        while self._n_bytes > self._most_bytes:
            self._n_bytes -= len(self._kept.popleft().event)
        for follower in tuple(self._followers):
            follower(happened)

    def follow(self, follower: Follower, number: int) -> Callable[[], None]:
        """Tell everything after the event of this number, now and as it happens: the events, or the scene first where
        they are not all kept. The result, once called, ends that."""
        first = self._kept[0].number if self._kept else self.number + 1
        if first - 1 <= number <= self.number:
            for happened in tuple(self._kept):
                if happened.number > number:
                    follower(happened)
        else:
            follower(Caught(number=self.number, scene=encode_scene(self.scene), session=self.session))
        self._followers.append(follower)

        def end() -> None:
            if follower in self._followers:
                self._followers.remove(follower)

        return end
