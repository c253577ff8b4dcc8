"""The session of the screens in this very process, reached as one in a host: where no host can be."""

from __future__ import annotations

import asyncio

from tui.chat.store import StoreError
from tui.config.options import Options
from tui.config.settings import Settings
from tui.config.state import StateStore
from tui.host.client import HostEnded
from tui.host.messages import FROM_HOST, OF_LEAVING, Call, HostMessage, Join, Leave, Returned
from tui.host.operations import encode, problem_of
from tui.host.remote_line import Line, Reached
from tui.host.sessions import Session, Sessions


class LineHere:
    """A `Line` to a session of this process, which ends with it."""

    def __init__(self, settings: Settings) -> None:
        self._sessions = Sessions(settings, lambda _: None)
        state = StateStore()
        state.read()
        self._session: Session = self._sessions.open("app", settings, state, Options())
        self._said: asyncio.Queue[FROM_HOST | None] = asyncio.Queue()
        self._viewer = ""
        self._ending: asyncio.Task[None] | None = None

    def send(self, message: HostMessage) -> None:
        """As `HostLine.send`."""
        served = self._session.served
        assert served is not None
        match message:
            case Join(viewer=viewer):
                self._viewer = viewer
                served.join(message, self._hear)
            case Call():
                served.call(self._viewer, message)
            case Leave():
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
            await self._sessions.close(self._session)
        except StoreError as error:
            self._hear(Returned(id=OF_LEAVING, problem=encode(problem_of(error))))
        finally:
            await self._sessions.engine.close()
            self._said.put_nowait(None)


def session_here(settings: Settings) -> Reached:
    """Begins one when it is first reached."""
    lines: list[LineHere] = []

    async def reach(*, is_made: bool) -> Line | None:
        if is_made and not lines:
            lines.append(LineHere(settings))
        return lines[0] if is_made else None

    return reach
