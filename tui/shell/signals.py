"""Running a command such that whatever asks it to end, Ctrl-C, SIGTERM or a terminal that is closed, leaves it time to
show and keep what it has. Ctrl+\\ (SIGQUIT) is for who does not want to wait for that."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from tui.base import ending
from tui.base.exit_codes import ExitCode

_ENDS = (signal.SIGTERM, signal.SIGHUP, *ending.OTHERS)


def run(work: Coroutine[Any, Any, ExitCode], heard: Callable[[int], None] = lambda _: None) -> ExitCode:
    """Run `work` to its end. The first signal cancels it, as `asyncio.run` does for Ctrl-C; those that follow, for
    a closed terminal brings several, change nothing. A signal that whoever started us ignores, as nohup does, is
    ignored. `heard` is called with the number of the first, but for Ctrl-C."""
    return asyncio.run(_cancelled_by_signals(work, heard))


async def _cancelled_by_signals(work: Coroutine[Any, Any, ExitCode], heard: Callable[[int], None]) -> ExitCode:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    is_ending = False

    def end(number: int) -> None:
        nonlocal is_ending
        if not is_ending:
            is_ending = True
            heard(number)
            task.cancel()

    for number in _ENDS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, end, number)
    return await work
