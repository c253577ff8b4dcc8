"""The session of the screens in this very process, reached as one in a host: where no host can be."""

from __future__ import annotations

import asyncio

from tui.config.settings import Settings
from tui.host.client import HostEnded
from tui.host.messages import FROM_HOST, Call, HostMessage, Join, Leave
from tui.host.remote_line import Line, Reached
from tui.host.served import Served, new_served

_END_S = 2.0
"""How long an answer may take to stop."""


class LineHere:
    """A `Line` to a session of this process, which ends with it."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._said: asyncio.Queue[FROM_HOST | None] = asyncio.Queue()
        self._viewer = ""
        self._ending: asyncio.Task[None] | None = None

    def send(self, message: HostMessage) -> None:
        """As `HostLine.send`."""
        match message:
            case Join(viewer=viewer):
                self._viewer = viewer
                self._served.join(message, self._hear)
            case Call():
                self._served.call(self._viewer, message)
            case Leave():
                self._served.leave(self._viewer)
                self._ending = asyncio.create_task(self._end())

    async def next(self) -> FROM_HOST:
        """As `HostLine.next`."""
        if (message := await self._said.get()) is None:
            raise HostEnded
        return message

    def close(self) -> None:
        """As `HostLine.close`; the session ends when it is left."""

    def _hear(self, message: HostMessage) -> None:
        self._said.put_nowait(message)  # type: ignore[arg-type]

    async def _end(self) -> None:
        try:
            await self._served.close(_END_S)
        finally:
            self._said.put_nowait(None)


def session_here(settings: Settings) -> Reached:
    """Begins one when it is first reached."""
    lines: list[LineHere] = []

    async def reach(*, is_made: bool) -> Line | None:
        if is_made and not lines:
            lines.append(LineHere(new_served(settings, lambda: None)))
        return lines[0] if is_made else None

    return reach
