"""The real app with the real engine and a tiny model, under Textual's Pilot."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest
from textual.pilot import Pilot

from tests.app.settling import hurry
from tests.conftest import DENSE, say_memory_was_measured, until
from tui.app.app import LlmtuiApp
from tui.app.run import make_app
from tui.app.widgets.prompt import Prompt
from tui.chat.conversation import Turn
from tui.config import paths
from tui.config.options import AppOptions
from tui.protocol.messages import Loaded
from tui.protocol.records import Timings
from tui.session.controller import Controller
from tui.session.events import AnswerPaused, SessionEvent

hurry()

LOAD: dict[str, object] = {"n_ctx": 1024, "n_threads": 1, "backend": "cpu"}

GREEDY = "[sampling.thinking]\ntemperature = 0.0\n[sampling.plain]\ntemperature = 0.0\n"
"""The tiny models give the answers that they were trained to give, and no others."""

IN_BACKGROUND = bool(os.environ.get("IN_BACKGROUND"))
"""By hand: sessions are in the background too where a test does not say. Those that look into a session fail then."""

NO_RESERVE = "[memory]\nreserve_gib = 0.0\nreserve_percent = 0.0\ngpu_reserve_gib = 0.0\n"
"""However little memory the machine that runs the tests has free, the tiny models are loaded without a question."""


class Person:
    """Somebody in front of the app: types, presses keys, waits for what should come, reads the screen."""

    def __init__(self, app: LlmtuiApp, pilot: Pilot[int], heard: Mapping[str, str] | None = None) -> None:
        """`heard` has what all notices said from the start, see `overhear`."""
        self.app, self.pilot = app, pilot
        self._is_held, self._heard = False, overhear(app) if heard is None else heard

    @property
    def controller(self) -> Controller:
        """The app's session, which runs in this process."""
        assert isinstance(self.app.controller, Controller)
        return self.app.controller

    @property
    def turns(self) -> tuple[Turn, ...]:
        return self.app.controller.conversation.turns

    @property
    def phase(self) -> str:
        return self.app.controller.phase

    @property
    def engine_pid(self) -> int:
        """Of the process that the app has started."""
        pid = self.app.controller.engine.pid
        assert pid is not None, "the engine does not run"
        return pid

    @property
    def loaded(self) -> Loaded:
        """What the engine has loaded."""
        loaded = self.app.controller.engine.loaded
        assert loaded is not None, "no model is loaded"
        return loaded

    @property
    def answer_timings(self) -> Timings:
        """Those of the newest turn, which is an answer."""
        timings = self.turns[-1].timings
        assert timings is not None, "the newest turn is no answer"
        return timings

    async def wait_for(self, condition: Callable[[], object]) -> None:
        await until(condition)
        await self.pilot.pause()

    async def wait_until_ready(self) -> None:
        await self.wait_for(lambda: self.phase == "ready")

    async def wait_without_a_model(self) -> None:
        """It has started on a machine without models, and says what can be done about that."""
        await self.wait_for(lambda: self.phase == "no_model" and "No models were found" in self.screen_text())

    async def press(self, *keys: str) -> None:
        """Press these, and wait until each has acted."""
        await self.pilot.press(*keys)
        await self.wait_for(lambda: self.app.keys_are_done or self.app._exit)

    async def type(self, text: str) -> None:
        self.app.main.query_one(Prompt).insert_text(text)
        await self.pilot.pause()

    async def send(self, text: str) -> None:
        """Type and send, without waiting for the answer."""
        before = len(self.turns)
        await self.type(text)
        await self.press("enter")
        await self.wait_for(lambda: len(self.turns) > before)

    async def ask(self, text: str) -> str:
        """Type, send, and read the answer when it is complete."""
        await self.send(text)
        await self.wait_for(
            lambda: self.phase == "ready" and self.turns[-1].role == "assistant" and self.turns[-1].stop
        )
        return self.turns[-1].text

    @property
    def told(self) -> str:
        """What all notices so far have said: on a busy machine one may be gone before it is looked for."""
        return "\n".join(self._heard.values())

    @property
    def notices(self) -> list[str]:
        """Those that stand now."""
        return [notice.message for notice in self.app._notifications]

    @asynccontextmanager
    async def slowly(self) -> AsyncIterator[None]:
        """The engine gets a small share of its time: what happens in the middle of an answer does so on any machine."""
        pid = self.engine_pid

        async def hold_back() -> None:
            # The event loop stands still while the engine runs: a machine that is slow for the one is not fast for the
            # other.
            while True:
                self._go_on(pid)
                time.sleep(0.003)  # noqa: ASYNC251
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
                await asyncio.sleep(0.05)

        holding = asyncio.create_task(hold_back())
        try:
            yield
        finally:
            holding.cancel()
            self._go_on(pid)

    def _go_on(self, pid: int) -> None:
        if not self._is_held:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def hold_at_the_pause(self) -> Callable[[], None]:
        """Hold the engine still from when an answer pauses, before the load that it pauses for; the result lets it go
        on."""
        return self.hold_at_the_first(AnswerPaused)

    def hold_at_the_first(self, event: builtins.type[SessionEvent]) -> Callable[[], None]:
        """Hold the engine still when the screen is told of `event` for the first time; the result lets it go on, or
        has it never held where it was not yet: wait for `is_held`."""
        pid = self.engine_pid

        def hold() -> None:
            self._is_held = True
            os.kill(pid, signal.SIGSTOP)

        def go_on() -> None:
            end()
            self._is_held = False
            self._go_on(pid)

        end = self.at_the_first(event, hold)
        return go_on

    @property
    def is_held(self) -> bool:
        """Whether the engine is held still now."""
        return self._is_held

    def at_the_first(self, kind: builtins.type[SessionEvent], act: Callable[[], object]) -> Callable[[], None]:
        """Do something at once when the screen was told of such an event for the first time; the result ends that."""

        def told(event: SessionEvent) -> None:
            if isinstance(event, kind):
                end()
                act()

        end = self.app.controller.listen(told)
        return end

    def screen_text(self) -> str:
        """The whole screen as text, as a person reads it."""
        lines = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text.rstrip() for strip in lines)


def overhear(app: LlmtuiApp) -> Mapping[str, str]:
    """What its notices say from now on, by their identity."""
    heard: dict[str, str] = {}
    refresh = app._refresh_notifications

    def hear() -> None:
        heard.update({notice.identity: notice.message for notice in app._notifications})
        refresh()

    app._refresh_notifications = hear  # type: ignore[method-assign]
    return heard


class StartApp(Protocol):
    """Starts the app as `started` does, in the home folder of the test."""

    def __call__(
        self,
        model: Path | None = DENSE,
        size: tuple[int, int] = (120, 40),
        load: Mapping[str, object] | None = None,
        more_settings: str = "",
        **options: Any,
    ) -> AbstractAsyncContextManager[Person]: ...


@asynccontextmanager
async def started(
    model: Path | None = DENSE,
    size: tuple[int, int] = (120, 40),
    load: Mapping[str, object] | None = None,
    more_settings: str = "",
    **options: Any,
) -> AsyncIterator[Person]:
    """Start the app, in the home folder that is set: `async with started() as person`."""
    settings = paths.user_settings_file()
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(GREEDY + NO_RESERVE + more_settings)
    if not paths.bandwidth_file().exists():
        say_memory_was_measured()
    options.setdefault("background", IN_BACKGROUND)
    app = make_app(AppOptions(model=model, load={**LOAD, **(load or {})}, **options))
    heard = overhear(app)
    async with app.run_test(size=size, notifications=True) as pilot:
        person = Person(app, pilot, heard)
        if model is not None:
            await person.wait_until_ready()
        yield person
        if IN_BACKGROUND:
            app.controller.leaves_running = False


@pytest.fixture
def start(home: Path) -> StartApp:
    """Start the app: `async with start() as person`."""
    return started
