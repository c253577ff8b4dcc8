"""The branches of the open conversation: walking from one to another, and what makes or takes away one besides asking
again, which is `replacing`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from tui.chat import tree
from tui.chat.conversation import Turn, edited_answer, places_of
from tui.chat.store import Store, StoreError
from tui.session.context_meter import ContextMeter
from tui.session.events import AnySessionEvent, ConversationChanged
from tui.session.open_conversation import OpenConversation, n_alike


class Branches:
    """For the open conversation. All of it on the event loop; what raises `StoreError` has changed nothing."""

    def __init__(
        self,
        opened: OpenConversation,
        store: Store,
        meter: ContextMeter,
        *,
        is_writing: Callable[[], bool],
        on_free: Callable[[], None],
        tell: Callable[[AnySessionEvent], None],
    ) -> None:
        """`is_writing` says whether an answer is being written here. `on_free` is called when prompts that waited for
        this may be sent."""
        self._opened, self._store, self._meter = opened, store, meter
        self._is_writing, self._on_free, self._tell = is_writing, on_free, tell
        self._lock = asyncio.Lock()

    @property
    def is_busy(self) -> bool:
        """Another branch is about to be shown: what is sent now waits for that."""
        return self._lock.locked()

    @property
    def is_settled(self) -> bool:
        """No answer is being written, here or in another window, and nothing is being replaced: it can be changed."""
        return not (self._is_writing() or self._opened.is_written_elsewhere or self._opened.is_replacing)

    async def show(self, turn_id: str) -> bool:
        """Show the branch that holds this message, with what was shown behind it last. False when nothing may be
        changed now. Raises `StoreError`."""
        async with self._changing() as may:
            if may:
                conversation_id, seen = self._opened.now.id, self._seen
                await self._read_after(self._store.show(conversation_id, turn_id, seen), turn_id)
        return may

    async def remove(self, turn_id: str) -> bool:
        """Delete one message for good; what follows it stays. False when nothing may be changed now. Raises
        `StoreError`."""
        async with self._changing() as may:
            if may:
                conversation_id, seen = self._opened.now.id, self._seen
                await self._read_after(self._store.remove_turn(conversation_id, turn_id, seen))
        return may

    def edit_answer(self, turn_id: str, text: str) -> bool:
        """Put other words in the place of an answer: a branch, as the old ones stay. False when nothing may be changed
        now, or it is no answer that is shown."""
        opened = self._opened
        old = next((turn for turn in opened.now.turns if turn.id == turn_id and turn.role == "assistant"), None)
        if old is None or not self.is_settled or self.is_busy:
            return False
        before = opened.now.turns
        opened.cut_from(turn_id)
        turn = edited_answer(old, text)
        opened.begin_answer(turn)
        opened.settle()
        self._changed(before, turn.id)
        return True

    @property
    def _seen(self) -> tuple[str, ...]:
        return tree.shown(places_of(self._opened.now))

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[bool]:
        """Whether it may be changed now, and nobody else does while it is."""
        if self._lock.locked():
            yield False
            return
        async with self._lock:
            yield self.is_settled and bool(self._opened.saved_id)
        self._on_free()

    async def _read_after(self, change: asyncio.Future[None], focus: str = "") -> None:
        opened = self._opened
        before = opened.now
        reading = self._store.open(before.id)  # behind the change, before any other
        try:
            await change
        except StoreError as error:
            if not error.is_retried:
                reading.add_done_callback(lambda done: done.cancelled() or done.exception())
                raise
        found = await reading
        if opened.now.id == before.id:  # else it was left meanwhile
            opened.walk(found)
            self._changed(before.turns, focus)
            await self._meter.measure()

    def _changed(self, before: Sequence[Turn], focus: str) -> None:
        now = self._opened.now
        self._tell(ConversationChanged(before=tuple(before), now=now, n_same=n_alike(before, now.turns), focus=focus))
