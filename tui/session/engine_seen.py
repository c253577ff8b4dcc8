"""What who looks on may know of the engine of a session, wherever that runs."""

from __future__ import annotations

from typing import Protocol

from tui.protocol.messages import AnswerT, Command, Hello, Loaded


class EngineSeen(Protocol):
    """The engine of a session, as who looks on knows it; see `tui.engines.interface.Engine`."""

    @property
    def alive(self) -> bool: ...
    @property
    def pid(self) -> int | None: ...
    @property
    def hello(self) -> Hello | None: ...
    @property
    def loaded(self) -> Loaded | None: ...

    async def ask(self, command: Command[AnswerT]) -> AnswerT:
        """As that of an engine."""
