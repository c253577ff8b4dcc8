"""What the list of conversations works on: the session's store, its searcher, and the conversation that is open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence

from tui.chat.conversation import WholeConversation
from tui.chat.export import Kind
from tui.chat.place import Place
from tui.chat.search.searcher import Results
from tui.chat.search.wanted import Wanted
from tui.chat.store import StoreError, Summary
from tui.session.interface import Session
from tui.words import tr


class ConversationShelf:
    """A `Shelf` for `ConversationsScreen`."""

    def __init__(
        self,
        controller: Session,
        write: Callable[[WholeConversation, Kind], str],
    ) -> None:
        """`write` is called in a thread, and gives what is told of the file."""
        self._controller, self._store, self._searcher = controller, controller.store, controller.searcher
        self._write = write

    @property
    def unread(self) -> StoreError | None:
        return self._store.unread

    @property
    def note(self) -> str:
        if self._searcher.trouble is not None:
            return str(self._searcher.trouble)
        if (progress := self._searcher.progress) is not None and progress.n_all > progress.n_done:
            return tr(
                "An index is being made that makes searching quick: {percent}%.",
                percent=100 * progress.n_done // progress.n_all,
            )
        return ""

    async def list(self) -> Sequence[Summary]:
        return await self._store.list()

    def search(self, wanted: Wanted) -> AsyncGenerator[Results]:
        return self._searcher.search(wanted)

    async def rename(self, conversation_id: str, title: str) -> None:
        if conversation_id == self._controller.conversation.id:
            self._controller.configure(title=title)
        await self._store.rename(conversation_id, title)

    async def place(self, conversation_id: str, where: Place) -> None:
        await self._store.place(conversation_id, where)

    async def delete(self, conversation_id: str) -> None:
        await asyncio.shield(self._controller.delete(conversation_id))

    async def export(self, conversation_id: str, kind: Kind) -> str:
        return await asyncio.to_thread(self._write, await self._store.whole(conversation_id), kind)
