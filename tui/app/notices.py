"""Notices: short sentences that come and go by themselves, one at a time, in a line of their own or three at most; all
of them can be read again. Where they stand is said in `app.tcss`."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import datetime
from time import time
from typing import Any, Self

from textual.app import App
from textual.content import Content
from textual.notifications import Notification, Notifications
from textual.visual import Visual
from textual.widgets._toast import Toast, ToastHolder, ToastRack

from tui.app.widgets.wrapped import Shortened

MOST_ROWS, MOST_ROWS_OF_BAD_NEWS, ROOMY_ROWS = 3, 6, 30
"""What a notice takes of the screen; a click shows the rest."""
MOST_PAST = 200
"""Notices that can be read again."""


def tell(app: App[Any], text: str, *, bad: bool = False) -> None:
    """A short notice; `bad` ones look like it and stay longer."""
    app.notify(text, severity="warning" if bad else "information", timeout=8 if bad else 4, markup=False)


class Notices(Notifications):
    """What has been told and not been seen for its whole time. The newest is shown, for it answers what somebody does
    now; those that it pushed aside come back afterwards for what is left of their time."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[tuple[Notification, float]] = []
        """From the oldest to the newest, with the seconds that each is still to be seen."""
        self._top: Notification | None = None
        self._past: deque[tuple[datetime, str]] = deque(maxlen=MOST_PAST)

    @property
    def past(self) -> list[str]:
        """All that was told, the newest last, with the time at which it was."""
        return [f"{moment:%H:%M:%S}  {words}" for moment, words in self._past]

    @property
    def top(self) -> Notification | None:
        """The one that is shown now."""
        while self._top is not None and self._top.has_expired:
            self._next()
        return self._top

    def add(self, notification: Notification) -> Self:
        """Show this one, in place of an older one with the same words."""
        self._past.append((datetime.now(), in_one_line(notification)))
        if (top := self.top) is not None:
            self._waiting.append((top, top.time_left))
        words = notification.title, notification.message
        self._waiting = [(one, left) for one, left in self._waiting if (one.title, one.message) != words]
        self._top = notification
        return self

    def clear(self) -> Self:
        """Forget all."""
        self._waiting, self._top = [], None
        return self

    def __len__(self) -> int:
        return len(self._waiting) + (self.top is not None)

    def __iter__(self) -> Iterator[Notification]:
        """All of them, from the oldest to the newest."""
        top = self.top
        yield from (notification for notification, _ in self._waiting)
        if top is not None:
            yield top

    def __contains__(self, notification: Notification) -> bool:
        return any(one.identity == notification.identity for one in self)

    def __delitem__(self, notification: Notification) -> None:
        """It was seen, or somebody clicked it away."""
        self._waiting = [(one, left) for one, left in self._waiting if one is not notification]
        if self._top is notification:
            self._next()

    def _next(self) -> None:
        self._top, left = self._waiting.pop() if self._waiting else (None, 0.0)
        if self._top is not None:
            self._top.raised_at, self._top.timeout = time(), left


def in_one_line(notification: Notification) -> str:
    """Title and message."""
    text = " ".join(notification.message.split())
    return f"{notification.title}: {text}" if notification.title else text


class NoticeLine(Toast):
    """One notice, wrapped as its language is written. A click takes it away, or shows all of one that is too long."""

    def render(self) -> Visual:  # type: ignore[override]
        """Title and message."""
        return self._text

    @property
    def _text(self) -> Shortened:
        # What went wrong ends in what to do about it, which is shown where there is room.
        is_bad = self._notification.severity != "information"
        most = MOST_ROWS_OF_BAD_NEWS if is_bad and self.app.size.height >= ROOMY_ROWS else MOST_ROWS
        return Shortened(Content(in_one_line(self._notification)), most)

    def on_click(self) -> None:
        """Where the end is missing, show all that was told."""
        if self._text.is_cut(self.content_size.width):
            self.app.call_later(self.app.run_action, "app.notices")


async def show_newest(rack: ToastRack, notices: Notices) -> None:
    """Show in a screen's rack the one that is to be seen now, and no other."""
    notice = notices.top
    rack.display = notice is not None
    if notice is None or all(toast._notification is not notice for toast in rack.query(Toast)):
        await rack.remove_children()
        if notice is not None:
            await rack.mount(ToastHolder(NoticeLine(notice)))
