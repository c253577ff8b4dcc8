"""Where the app's session runs: in the background, so that it outlives the terminal, or in this process."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from tui.chat.store import Store
from tui.config.options import AppOptions
from tui.config.settings import Settings
from tui.config.state import StateStore
from tui.session.interface import Session

if TYPE_CHECKING:
    from tui.host.remote_line import Line, Reached


VARIABLE = "LLMTUI_BACKGROUND"
"""Of the environment: 1 or 0, which goes before the settings."""


def new_session(settings: Settings, state: StateStore, store: Store, options: AppOptions) -> Session:
    """One that has not begun. Settings of this run alone are not those of the background."""
    given = os.environ.get(VARIABLE)
    usual = settings.session.background if given is None else given == "1"
    is_wanted = usual if options.background is None else options.background
    is_usual = options.settings_file is None and not options.software_vulkan and not options.monitor
    if is_wanted and is_usual:
        from tui.host.remote_session import RemoteSession

        here = partial(_here, [], settings)
        return RemoteSession(settings, state, store, options, _reach, is_separate=options.separate, otherwise=here)
    from tui.session.controller import Controller

    return Controller(settings, state, store, options)


async def _reach(*, is_made: bool) -> Line | None:
    """A line to the host of this machine. What that takes is imported after the first paint."""
    from tui.host.client import reach

    return await reach(is_made=is_made)


async def _here(begun: list[Reached], settings: Settings, *, is_made: bool) -> Line | None:
    """A line to a session of this process."""
    from tui.host.session_here import session_here

    if not begun:
        begun.append(session_here(settings))
    return await begun[0](is_made=is_made)
