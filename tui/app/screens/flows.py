"""Flows of the main screen: what leads through dialogs, or prepares a load. One dialog is open at a time, and of two
flows of one kind the newer takes the place of the older."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from textual.screen import ModalScreen, Screen
from textual.worker import WorkerCancelled

from tui.app.bindings import Keymap
from tui.app.notices import tell
from tui.base.beat import beats

ACTS = frozenset({"change", "get", "menu", "open", "read"})
"""Groups of a dialog's own workers that do what a key asked for, or read what the dialog shows first."""

T = TypeVar("T")
P = ParamSpec("P")


class Flows:
    """What a flow may do: ask in a dialog, tell in a notice, wait for other flows. Each is a worker of `screen`, in a
    group: "dialog" for those that ask, "load" for those that prepare a load, so that neither ends the other."""

    def __init__(self, screen: Screen[Any], keymap: Keymap) -> None:
        self.keymap = keymap
        self._screen = screen
        self._one_dialog, self._resumed = asyncio.Lock(), asyncio.Event()

    def start(self, group: str, work: Callable[[], Awaitable[object]]) -> None:
        """Begin a flow in place of the one of this group."""
        self._screen.run_worker(work, group=group, exclusive=True)

    def every(self, seconds: float, work: Callable[[], Awaitable[object]], seen: asyncio.Event) -> None:
        """Do this again and again while the screen is there and `seen`; once more when it is not any longer."""

        async def again() -> None:
            async for _ in beats(seconds, seen):
                await work()

        self._screen.run_worker(again(), group="every")

    def at_work(self, *groups: str) -> frozenset[object]:
        """The flows of these groups that have not ended."""
        return at_work(self._screen, groups)

    def is_at(self, *groups: str) -> bool:
        """Whether a flow of one of these groups is at work."""
        return bool(self.at_work(*groups))

    async def end_of(self, group: str) -> None:
        """Wait until the flows of another group have ended."""
        for worker in [worker for worker in self._screen.workers if worker.group == group]:
            with contextlib.suppress(WorkerCancelled):
                await worker.wait()

    async def ask(self, dialog: ModalScreen[T]) -> T | None:
        """Open a dialog as soon as no other is open, and wait for its result; None when it was closed. Only inside a
        flow."""
        async with self._one_dialog:
            await self.uncovered()
            return await self._screen.app.push_screen_wait(dialog)

    async def uncovered(self) -> None:
        """Wait until no dialog is open. The monitor is none: what is asked is asked over it."""
        while self._screen.app.screen.is_modal:
            self._resumed.clear()
            await self._resumed.wait()

    def resumed(self) -> None:
        """The last dialog was closed: the main screen is seen again, or the monitor."""
        self._resumed.set()

    @property
    def columns(self) -> int:
        """Width of the terminal."""
        return self._screen.app.size.width

    def tell(self, text: str, *, bad: bool = False) -> None:
        """A short notice at the corner of the screen."""
        tell(self._screen.app, text, bad=bad)


def at_work(screen: Screen[Any], groups: Collection[str]) -> frozenset[object]:
    """The workers that a screen itself has started in these groups and that have not ended."""
    return frozenset(
        worker
        for worker in screen.workers
        if worker.node is screen and worker.group in groups and not worker.is_finished
    )


class HasFlows(Protocol):
    """What has methods that are flows."""

    @property
    def flows(self) -> Flows: ...


S = TypeVar("S", bound=HasFlows)


def flow(
    group: str,
) -> Callable[[Callable[Concatenate[S, P], Awaitable[object]]], Callable[Concatenate[S, P], None]]:
    """Make a method a flow: calling it begins one of this group and returns at once."""

    def decorate(method: Callable[Concatenate[S, P], Awaitable[object]]) -> Callable[Concatenate[S, P], None]:
        @wraps(method)
        def begin(owner: S, /, *args: P.args, **kwargs: P.kwargs) -> None:
            owner.flows.start(group, partial(method, owner, *args, **kwargs))

        return begin

    return decorate
