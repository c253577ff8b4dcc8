"""Where the app's session runs: in the background, so that it outlives the terminal, or in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.chat.store import Store
from tui.config.options import AppOptions
from tui.config.settings import Settings
from tui.config.state import StateStore
from tui.session.interface import Session

if TYPE_CHECKING:
    from tui.host.remote_line import Line


def new_session(settings: Settings, state: StateStore, store: Store, options: AppOptions) -> Session:
    """One that has not begun. Settings of this run alone are not those of the background."""
    is_wanted = settings.session.background if options.background is None else options.background
    is_usual = options.settings_file is None and not options.software_vulkan and not options.monitor
    if is_wanted and is_usual:
        from tui.host.remote_session import RemoteSession
        from tui.host.session_here import session_here

        async def reach(*, is_made: bool) -> Line | None:
            from tui.host.client import reach

            return await reach(is_made=is_made)

        return RemoteSession(
            settings, state, store, options, reach, is_separate=options.separate, otherwise=session_here(settings)
        )
    from tui.session.controller import Controller

    return Controller(settings, state, store, options)
