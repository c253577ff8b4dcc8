"""Keys, pastes and clicks act one after the other: each wholly, before the next is looked at.

Textual sends a key to the widget that has the focus and goes on with the next one. The first comes back to the app,
where its binding is found, after letters that were typed later, and where the next one goes is decided before the first
has moved the focus. Here the next one waits until nothing of the one before is on its way any more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence, Set
from functools import partial
from typing import Any

from textual import events
from textual.app import App, ScreenStackError
from textual.errors import NoWidget
from textual.message_pump import MessagePump
from textual.widget import Widget

PATIENCE_S = 1.0
"""What takes longer does not keep the next key from acting: it may be the one that stops it."""
LOOK_AGAIN_S = 0.01


class KeyOrder:
    """All of it in the app's own task, except `_give_up`."""

    def __init__(
        self,
        app: App[Any],
        deliver: Callable[[events.Event], Awaitable[None]],
        is_ready: Callable[[], bool],
        opening: Callable[[], Set[object]],
    ) -> None:
        """`deliver` is what Textual does with an event. Nothing is delivered before `is_ready`. `opening` gives what is
        about to take the focus, such as dialogs that were asked for; where a key makes something new of that kind, the
        next key is for it."""
        self._app, self._deliver, self._is_ready, self._opening = app, deliver, is_ready, opening
        self._waiting: deque[events.Event] = deque()
        self._opening_before: Set[object] = frozenset()
        self._turn = 0
        """Counts what was delivered."""
        self._is_busy = False
        self._since = 0.0
        self._patience: asyncio.TimerHandle | None = None

    @property
    def is_done(self) -> bool:
        """Whether all that came has acted."""
        return not self._is_busy and not self._waiting

    async def take(self, event: events.Event) -> None:
        """Deliver this when all before it has acted."""
        self._waiting.append(event)
        if not self._is_busy:
            await self._next()
        elif self._patience is None:
            self._be_patient()

    async def _next(self) -> None:
        self._is_busy = False
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        while self._waiting and not self._is_busy:
            self._is_busy = True
            if not self._is_ready():
                self._app.set_timer(LOOK_AGAIN_S, partial(self._next_after, self._turn))
                return
            event = self._waiting.popleft()
            if isinstance(event, events.MouseMove):
                await self._deliver(event)
                self._is_busy = False
            else:
                await self._begin(event)

    async def _begin(self, event: events.Event) -> None:
        self._turn += 1
        self._since = asyncio.get_running_loop().time()
        self._opening_before = self._opening()
        path = self._path(event)
        if self._waiting:
            self._be_patient()
        await self._deliver(event)
        # Behind the event itself on its way up, and then behind the messages that were sent because of it.
        _follow(path, _follow, path, self._settle, self._turn, path)

    def _path(self, event: events.Event | None = None) -> Sequence[MessagePump]:
        """The widget that gets the event, and all that it bubbles to."""
        app = self._app
        try:
            widget: Widget = app.focused or app.screen
            if isinstance(event, events.MouseEvent):
                widget = app.mouse_captured or app.get_widget_at(event.x, event.y)[0]
        except NoWidget:
            widget = app.screen
        except ScreenStackError:
            return (app,)
        return widget.ancestors_with_self

    async def _settle(self, turn: int, path: Sequence[MessagePump]) -> None:
        """The event has acted; what has the focus then must be there for the next one."""
        if turn != self._turn:
            return
        if (now := self._path())[0] is not path[0]:
            _follow(now, self._settle, turn, now)
        elif self._opening() - self._opening_before:
            if self._patience is None:
                self._be_patient()
            self._app.set_timer(LOOK_AGAIN_S, partial(self._settle, turn, path))
        else:
            await self._next()

    def _be_patient(self) -> None:
        loop = asyncio.get_running_loop()
        self._patience = loop.call_at(self._since + PATIENCE_S, self._give_up, self._turn)

    def _give_up(self, turn: int) -> None:
        self._app.call_later(self._next_after, turn)

    async def _next_after(self, turn: int) -> None:
        if turn == self._turn and self._is_busy:
            self._turn += 1  # it has nothing to say any more
            await self._next()


def _follow(path: Sequence[MessagePump], then: Callable[..., object], *arguments: object) -> None:
    """Call `then` when each on the path, one after the other, has done all that it has been sent by then. What is
    closed is passed over; the last one is the app, whose task calls."""
    for place, pump in enumerate(path):
        rest = path[place + 1 :]
        if pump.call_later(_follow, rest, then, *arguments) if rest else pump.call_later(then, *arguments):
            return
