"""Apps under test take no longer than what they do.

When one has done all that it has to do now, Textual's Pilot finds out by sleeping, some fiftieths of a second at each
key, until the whole process computes nothing; here it is looked up, which takes as long as it takes. Nothing is waited
for that comes later by itself: a timer, an engine's answer, a thread of its own. A test waits for what these lead to.

Rules of style are parsed once for all apps. Frames are painted when a test looks at the screen, and the last one when
it leaves the app: without a terminal Textual throws them away, after a quarter of all the work. `LLMTUI_EVERY_FRAME=1`
has each painted, which finds what fails only in between; campaigns do so always."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import textual.app
import textual.pilot
from rich.console import RenderableType
from textual._compositor import Compositor
from textual._context import active_app, visible_screen_stack
from textual.app import App
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet
from textual.geometry import Size
from textual.message_pump import MessagePump
from textual.pilot import Pilot
from textual.screen import Screen
from textual.strip import Strip

_MOMENT_S = 0.001
_LONGEST_MOMENT_S = 0.02
"""It is looked less and less often at what goes on for long: to look takes about a millisecond."""
THREADS_S = 0.02
"""So long may threads that asyncio has started work on; what takes longer is waited for by what it leads to."""


_IDLE_S = 3.0
"""So long is waited while the loop has nothing to do: what is handled then waits itself, for an answer or a timer."""


async def settled(app: App[Any], within_s: float = 30.0) -> bool:
    """Wait until no message is left in a queue or in the middle of being handled, no callback is ready to run, and no
    frame is due. False when the app has failed, goes on for longer than that, or waits itself."""
    loop: Any = asyncio.get_running_loop()
    failed: Any = app._exception_event
    end = loop.time() + within_s
    moment, idle_s = _MOMENT_S, 0.0
    while loop.time() < end and idle_s < _IDLE_S:
        await asyncio.sleep(0)
        if failed.is_set():
            return False
        if loop._ready:
            continue
        if not any(_is_at_work(pump) for pump in _pumps(app)):
            if app._resize_timer is not None:  # Textual waits a little whether another size comes
                app._check_resize()
                continue
            if not _owes_a_frame(app):
                return True
            app.screen._on_timer_update()
            if not _owes_a_frame(app):
                continue  # else it is held back for now
        await asyncio.sleep(moment)
        idle_s += moment
        moment = min(_LONGEST_MOMENT_S, 1.2 * moment)
    return False


def _pumps(app: App[Any]) -> Iterator[MessagePump]:
    yield app
    if app._screen_stacks.get(app._current_mode):
        yield from app.screen.walk_children(with_self=True)


def _is_at_work(pump: MessagePump) -> bool:
    if pump._closing or not pump._running or (pump._task is not None and pump._task.done()):
        return False
    queue: Any = pump._message_queue
    return not queue.empty() or not queue.ready_event._waiters


def _owes_a_frame(app: App[Any]) -> bool:
    if not app._screen_stacks.get(app._current_mode):
        return False
    screen = app.screen
    return bool(
        screen._layout_required
        or screen._scroll_required
        or screen._repaint_required
        or screen._recompose_required
        or screen._dirty_widgets
        or screen._callbacks
    )


async def _nothing_computes(_min_s: float = 0.0, max_s: float = 1.0) -> None:
    """In place of Textual's `wait_for_idle`."""
    app = active_app.get()
    await settled(app, max_s)
    executor: Any = getattr(asyncio.get_running_loop(), "_default_executor", None)
    for _ in range(round(THREADS_S / _MOMENT_S)):
        if not _threads_work(executor):
            break
        await asyncio.sleep(_MOMENT_S)
    await settled(app, max_s)


def _threads_work(executor: Any) -> bool:
    return executor is not None and len(executor._threads) > executor._idle_semaphore._value


async def _wait_for_screen(self: Pilot[Any], timeout: float = 30.0) -> bool:  # noqa: ASYNC109
    return await settled(self.app, timeout)


_parsed: dict[tuple[object, ...], list[RuleSet]] = {}
_parse_rules = Stylesheet._parse_rules


def _parse_once(self: Stylesheet, css: str, *args: Any, **options: Any) -> list[RuleSet]:
    """In place of a stylesheet's own: a thousand apps have the same rules, in the same few themes."""
    key = (css, args, *options.items(), *self._variables.items())
    if key not in _parsed:
        _parsed[key] = _parse_rules(self, css, *args, **options)
    return _parsed[key]


render_update = Compositor.render_update
"""Textual's own, for tests of what a frame repaints."""


def _paint_nothing(
    self: Compositor, full: bool = False, screen_stack: list[Screen[Any]] | None = None, simplify: bool = False
) -> RenderableType | None:
    """In place of a compositor's own: headless apps use nothing of it but whole pictures."""
    if full:
        return render_update(self, full, screen_stack, simplify)
    self._dirty_regions.clear()
    return None


_render_strips = Compositor.render_strips


def _paint(self: Compositor, size: Size | None = None) -> list[Strip]:
    """In place of a compositor's own: also what is behind a dialog, which a frame would have told it."""
    screen = self.root
    if isinstance(screen, Screen) and screen is screen.app.screen:
        visible_screen_stack.set(screen.app._background_screens)
    return _render_strips(self, size)


_run_test = App.run_test


@asynccontextmanager
async def _run_test_and_look(self: App[Any], **options: Any) -> AsyncIterator[Pilot[Any]]:
    """In place of an app's own: whatever a test has led to can be painted."""
    async with _run_test(self, **options) as pilot:
        yield pilot
        if self._running and not self._exit and self._screen_stacks.get(self._current_mode):
            self.screen._compositor.render_strips()


def hurry() -> None:
    """From now on Pilots wait no longer than there is something to do, no rules are parsed twice, and nothing is
    painted that nobody looks at."""
    changes: list[tuple[Any, str, Any]] = [
        (Stylesheet, "_parse_rules", _parse_once),
        (Pilot, "_wait_for_screen", _wait_for_screen),
        (textual.app, "wait_for_idle", _nothing_computes),
        (textual.pilot, "wait_for_idle", _nothing_computes),
    ]
    if "PYTEST_VERSION" in os.environ and not os.environ.get("LLMTUI_EVERY_FRAME"):
        changes += [
            (Compositor, "render_update", _paint_nothing),
            (Compositor, "render_strips", _paint),
            (App, "run_test", _run_test_and_look),
        ]
    for owner, name, act in changes:
        setattr(owner, name, act)
