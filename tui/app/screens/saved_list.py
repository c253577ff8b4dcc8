"""The saved conversations, read again whenever they have changed and somebody sees them: for the column at the left of
a wide screen and for the start page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

from tui.app.moments import when
from tui.app.screens.flows import Flows
from tui.app.widgets.conversation_list import ConversationList
from tui.app.widgets.start_page import MOST_LATEST, LatestConversation
from tui.chat.conversation import UNTITLED
from tui.chat.store import StoreError, Summary
from tui.session import events
from tui.session.interface import Session
from tui.words import tr

PAUSE_S = 0.5
"""Between two readings: another window may write all the time."""


class SavedList:
    """Follows the store, and the session to which of them is open. Reading is the work of the store's thread."""

    def __init__(
        self,
        controller: Session,
        flows: Flows,
        column: ConversationList,
        show_latest: Callable[[tuple[LatestConversation, ...]], None],
        *,
        is_seen: Callable[[], bool],
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        """`is_seen` says whether anybody looks at the list."""
        self._controller, self._flows, self._column = controller, flows, column
        self._show_latest, self._is_seen, self._now = show_latest, is_seen, now
        self._all: Sequence[Summary] = ()
        self._is_due = self._is_reading = self._is_begun = False
        controller.store.on_news = self._changed

    def begin(self) -> None:
        """The store is open: read what it has, as soon as that is seen."""
        self._is_begun = True
        self._controller.searcher.keep_index()
        self._changed()

    def hear(self, event: events.AnySessionEvent) -> None:
        """Mark the one that is open."""
        match event:
            case events.ConversationOpened() | events.ConversationReplaced():
                self._show()

    def reword(self) -> None:
        """The same in the language in use."""
        self._show()

    def look(self) -> None:
        """Somebody may see the list now: read what has changed meanwhile."""
        if self._is_due and self._is_begun and not self._is_reading and self._is_seen():
            self._is_reading = True
            self._flows.start("list", self._read)

    def _changed(self) -> None:
        self._is_due = True
        self._controller.searcher.changed()
        self.look()

    async def _read(self) -> None:
        try:
            while self._is_due and self._is_seen():
                self._is_due = False
                try:
                    self._all = await self._controller.store.list()
                except StoreError:
                    return  # the store tells what is wrong, and has news when that is over
                self._show()
                await asyncio.sleep(PAUSE_S)
        finally:
            self._is_reading = False

    def _show(self) -> None:
        open_id, now = self._controller.conversation.id, self._now()
        shown = [one for one in self._all if not one.is_archived or one.id == open_id]
        self._column.take(shown, open_id, now)
        others = [one for one in shown if one.id != open_id and one.n_turns][:MOST_LATEST]
        self._show_latest(
            tuple(
                LatestConversation(id=one.id, title=one.title.strip() or tr(UNTITLED), when=when(one.updated_at, now))
                for one in others
            )
        )
