"""A line to the session of the screens in a host, which is taken up again where it breaks: what was not heard comes,
and what was asked and not answered is asked again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

from tui.host import operations as ops
from tui.host.meeting import HostProblem
from tui.host.messages import (
    FROM_HOST,
    OF_LEAVING,
    Call,
    Caught,
    Closed,
    Happened,
    HostMessage,
    Join,
    KeysMoved,
    Leave,
    Returned,
)
from tui.words import language

_FIRST_S, _LONGEST_S = 0.05, 5.0
"""How long it waits before it tries again, at first and at most."""
_MOST_FAULTS, _MOST_TRIES = 3, 3
"""Of messages that could not be taken, and of hosts that ended before they were joined."""
_log = logging.getLogger("llmtui")


class Line(Protocol):
    """As `tui.host.client.HostLine`."""

    def send(self, message: HostMessage) -> None: ...

    async def next(self) -> FROM_HOST: ...

    def close(self) -> None: ...


class Reached(Protocol):
    """Finds the host and gives a line to it. With `is_made`, one is started where there is none; else None says that
    there is none. Raises `HostProblem` where none can be reached."""

    async def __call__(self, *, is_made: bool) -> Line | None: ...


class SessionLost(Exception):
    """The host is gone, and what was asked of it with it."""


class RemoteLine:
    """Keeps a line. All of it on the event loop."""

    def __init__(
        self,
        reach: Reached,
        *,
        on_caught: Callable[[bytes], None],
        on_happened: Callable[[bytes], None],
        on_lost: Callable[[bool], None],
        on_broken: Callable[[str], None],
        is_separate: bool = False,
    ) -> None:
        """`on_caught` gets the scene of a session that was not followed until now, `on_happened` each event after it.
        `on_broken` is called when the line breaks, with why if that is known, and with nothing when it is there again;
        `on_lost` when the host or its session is gone, and whether it said that it ends. With `is_separate` the session
        is a new one, whatever others there are."""
        self._is_separate = is_separate
        self.reach, self._on_caught, self._on_happened = reach, on_caught, on_happened
        self._on_lost, self._on_broken = on_lost, on_broken
        self.viewer = ops.new_viewer()
        self._line: Line | None = None
        self._session, self._number = "", -1
        self._n_calls = 0
        self._pending: dict[int, tuple[Call, ops.Operation[Any], asyncio.Future[Any]]] = {}
        self.has_keys = True
        self.on_keys: Callable[[bool], None] = lambda _: None
        """Called when the keys come or go."""
        self._is_leaving = False
        self.lost_at_end: Exception | None = None
        """Why not all could be saved when the session ended, if so."""
        self._task: asyncio.Task[None] | None = None
        self._joined: asyncio.Future[None] | None = None

    async def open(self) -> None:
        """Reach a host, starting one if there is none, and wait until its session is known. Raises `HostProblem`."""
        if self._task is None or self._task.done():
            self._joined = asyncio.get_running_loop().create_future()
            self._task = asyncio.create_task(self._keep(self._joined))
        assert self._joined is not None
        await asyncio.shield(self._joined)

    def call(self, operation: ops.Operation[ops.ResultT]) -> asyncio.Future[ops.ResultT]:
        """Ask, now or when the line is there. Raises UnicodeEncodeError; the future raises what came of it, and
        `SessionLost`."""
        future: asyncio.Future[ops.ResultT] = asyncio.get_running_loop().create_future()
        data = ops.encode(operation)
        self._n_calls += 1
        call = Call(id=self._n_calls, operation=data)
        self._pending[call.id] = call, operation, future
        future.add_done_callback(_heard)
        if self._line is not None:
            self._line.send(call)
        return future

    @property
    def n_pending(self) -> int:
        """Calls without an answer."""
        return len(self._pending)

    async def leave(self, *, ends: bool) -> None:
        """Go for good, after all that was asked; with `ends` the session is not wanted any more. Waits until the host
        has ended then."""
        self._is_leaving = True
        if self._line is not None:
            self._line.send(Leave(ends=ends))
            if ends and self._task is not None:
                await asyncio.wait([self._task])

    def close(self) -> None:
        """Take nothing up any more."""
        if self._task is not None:
            self._task.cancel()
        self._fail_pending()

    # The line ---------------------------------------------------------------------------------------------------------

    async def _keep(self, joined: asyncio.Future[None]) -> None:
        line = await self._first(joined)
        n_faults = n_tries = 0
        is_over = False
        while line is not None:
            is_over = False
            try:
                is_over = await self._follow(line, joined)
            except HostProblem as problem:
                _log.info("The line to the host broke: %s", problem)
            except Exception:  # noqa: BLE001 - ours, or what another version says: told anew, but not for ever
                _log.exception("What the host says could not be taken")
                self._number = -1
                n_faults += 1
                is_over = n_faults > _MOST_FAULTS
            finally:
                self._line = None
                line.close()
            if self._is_leaving:
                return
            line = None if is_over else await self._again()
            if line is None and not joined.done() and n_tries < _MOST_TRIES:
                n_tries += 1  # what was reached was about to end
                line = await self._first(joined)
        if joined.done() and joined.exception() is not None:
            return
        if not joined.done():
            joined.set_exception(SessionLost())
            joined.add_done_callback(_heard)
        self._session, self._number = "", -1
        self._fail_pending()
        self._on_lost(is_over and n_faults <= _MOST_FAULTS)

    async def _first(self, joined: asyncio.Future[None]) -> Line | None:
        """A line to a host that may have to be started; None where that cannot be, which `joined` tells."""
        try:
            return await self.reach(is_made=True)
        except HostProblem as problem:
            joined.set_exception(problem)
            joined.add_done_callback(_heard)
            return None

    async def _again(self) -> Line | None:
        """A new line to the same host; None where it is gone."""
        wait_s, is_told = _FIRST_S, False
        while True:
            try:
                line = await self.reach(is_made=False)
            except HostProblem as problem:
                if not is_told:
                    is_told = True
                    self._on_broken(str(problem))
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, _LONGEST_S)
                continue
            if is_told:
                self._on_broken("")
            return line

    async def _follow(self, line: Line, joined: asyncio.Future[None]) -> bool:
        """True when the session has ended."""
        is_new = self._is_separate and not self._session
        line.send(
            Join(viewer=self.viewer, language=language(), session=self._session, after=self._number, is_new=is_new)
        )
        for call, _, _ in tuple(self._pending.values()):
            line.send(call)
        self._line = line
        while True:
            match await line.next():
                case Happened(number=number, event=event) if number == self._number + 1:
                    self._number = number
                    self._on_happened(event)
                case Caught(number=number, scene=scene, session=session):
                    if self._session not in ("", session):
                        return True  # the host is another one; what was asked of the old one is lost
                    self._session, self._number = session, number
                    self._on_caught(scene)
                case Returned(id=number, result=result, problem=problem):
                    self._returned(number, result, problem)
                case Closed():
                    return True
                case KeysMoved(viewer=viewer):
                    had_keys, self.has_keys = self.has_keys, viewer == self.viewer
                    if had_keys != self.has_keys:
                        self.on_keys(self.has_keys)
            if not joined.done() and self._session:
                joined.set_result(None)

    def _returned(self, number: int, result: bytes, problem: bytes) -> None:
        if number == OF_LEAVING:
            self.lost_at_end = ops.error_of(ops.read_problem(problem))
        if number not in self._pending:  # it was heard before the line broke
            return
        _, operation, future = self._pending.pop(number)
        if future.done():
            return
        if problem:
            future.set_exception(ops.error_of(ops.read_problem(problem)))
        else:
            future.set_result(ops.result_of(operation, result))

    def _fail_pending(self) -> None:
        pending, self._pending = self._pending, {}
        for _, _, future in pending.values():
            if not future.done():
                future.set_exception(SessionLost())


def _heard(future: asyncio.Future[Any]) -> None:
    """Not everybody waits for what comes of it."""
    if not future.cancelled():
        future.exception()
