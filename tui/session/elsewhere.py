"""What other windows do to the open conversation: it is noticed, loaded before anything is replaced, shown, and said.
A conversation that is deleted there goes on here as a new one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from tui.chat.conversation import Conversation
from tui.chat.store import Store, StoreError
from tui.chat.tree import forks
from tui.session.context_meter import ContextMeter
from tui.session.events import (
    AnySessionEvent,
    ConversationChanged,
    ConversationGone,
    ConversationReplaced,
    OtherWindowWrites,
    OtherWindowWrote,
    ReplaceConflict,
)
from tui.session.open_conversation import OpenConversation, keep, n_alike
from tui.session.replacing import Replacing
from tui.session.state_writer import StateWriter

AGREE_S = 1.0
"""An answer does not wait longer for a database that somebody else holds."""
STREAM_S = 1.0
"""How often an answer that is written in another window is read again."""


class Elsewhere:
    """For the open conversation. All of it on the event loop."""

    def __init__(
        self,
        opened: OpenConversation,
        store: Store,
        replacing: Replacing,
        meter: ContextMeter,
        remembered: StateWriter,
        *,
        is_writing: Callable[[], bool],
        tell: Callable[[AnySessionEvent], None],
    ) -> None:
        """`is_writing` says whether an answer is being written here."""
        self._opened, self._store, self._replacing, self._meter = opened, store, replacing, meter
        self._remembered, self._is_writing, self._tell = remembered, is_writing, tell
        self._is_due = self._is_anew = False
        """Something has changed; because the whole database is another one."""
        self._is_told = self._is_agreeing = False
        self._task: asyncio.Task[None] | None = None
        self._again: asyncio.TimerHandle | None = None
        store.on_change = self._noticed

    def _noticed(self, is_anew: bool) -> None:
        self._is_due = True
        self._is_anew |= is_anew
        if self._is_writing():
            if not self._is_told:
                self._is_told = True
                self._tell(OtherWindowWrites())
        elif not self._is_agreeing:
            self._start()

    def settle(self) -> None:
        """An answer has ended: what came meanwhile is shown now."""
        self._is_told = False
        if self._is_due:
            self._start()

    async def agree(self) -> bool:
        """Before an answer: load what others have written. False when that came in the way of what was to be replaced,
        which is there again: then there is nothing to answer."""
        if not self._opened.saved_id:
            return True
        self._is_agreeing = True
        try:
            # Who cannot be asked in time says so in another way.
            with contextlib.suppress(TimeoutError, StoreError):
                async with asyncio.timeout(AGREE_S):
                    await self._store.settled()
                    opened, reading = self._opened, self._reading
                    is_replacing = opened.is_replacing
                    if not self._is_due and not reading and not opened.is_not_replaced:
                        return True
                    if is_replacing:
                        self._replacing.put_back()
                    if reading:  # what was noticed a moment before is being read
                        await asyncio.wait(reading)
                    await self._catch_up()
                    if is_replacing:
                        self._tell(ReplaceConflict())
                        return False
            return True
        finally:
            self._is_agreeing = False
            self.settle()

    def close(self) -> None:
        """Nobody looks any more."""
        if self._again is not None:
            self._again.cancel()

    @property
    def _reading(self) -> set[asyncio.Task[None]]:
        return set() if self._task is None or self._task.done() else {self._task}

    def _start(self) -> None:
        if not self._reading:
            self._task = asyncio.create_task(self._catch_up())

    async def _catch_up(self) -> None:
        opened, store = self._opened, self._store
        while self._is_due and not self._is_writing():
            self._is_due = False
            is_anew, before, n_changes = self._is_anew, opened.now, opened.n_changes
            if not opened.saved_id:
                continue
            try:
                store.watch(before.id)
                found: Conversation | None = await store.open(before.id)
            except StoreError as error:
                if error.kind != "not_found":
                    return  # the store tells, and tries again
                found = None
            except BaseException:
                self._is_due = True
                raise
            if opened.now.id != before.id:  # it was left
                continue
            if opened.n_changes != n_changes:  # what was read is older than what is here
                self._is_due = True
                continue
            self._is_anew = False
            if found is None or (is_anew and _is_lost(before, found)):
                self._go_on_as_new(is_anew=is_anew)
            else:
                self._take(before, found)
            await self._meter.measure()

    def _take(self, before: Conversation, found: Conversation) -> None:
        self._opened.take(found)
        n_same = n_alike(before.turns, found.turns)
        has_turns = n_same < max(len(before.turns), len(found.turns)) or forks(before.places) != forks(found.places)
        if has_turns or _settings(before) != _settings(found):
            self._tell(ConversationChanged(before=before.turns, now=found, n_same=n_same))
            grows = n_same + 1 == len(before.turns) == len(found.turns) and before.turns[-1].is_streaming
            if not grows:
                self._tell(OtherWindowWrote(has_turns=has_turns))
        if self._again is not None:
            self._again.cancel()
        self._again = None
        if any(turn.is_streaming for turn in found.turns):
            self._again = asyncio.get_running_loop().call_later(STREAM_S, self._read_again)

    def _read_again(self) -> None:
        """An answer grows elsewhere, or whoever wrote it is dead."""
        if self._opened.is_written_elsewhere and not self._is_writing():
            keep(self._store.close_dead())
            self._is_due = True
            self._start()

    def _go_on_as_new(self, *, is_anew: bool) -> None:
        opened = self._opened
        before = opened.now.turns
        opened.detach()
        if is_anew or opened.has_unsaved:
            opened.save()
        self._remembered.update(conversation=opened.saved_id)
        self._tell(ConversationReplaced(before=before, now=opened.now))
        self._tell(ConversationGone(is_saved=bool(opened.saved_id), is_other_database=is_anew))


def _is_lost(before: Conversation, found: Conversation) -> bool:
    """Whether something that is shown is not in the database that came in the place of the other."""
    there = {turn.id for turn in found.turns} | {place.id for place in found.places}
    return not {turn.id for turn in before.turns} <= there


def _settings(conversation: Conversation) -> tuple[object, ...]:
    """What can be chosen, but the model: each window has its own."""
    return (
        *(conversation.title, conversation.system_prompt, conversation.thinking, conversation.effort),
        *(conversation.sampling, conversation.max_tokens, conversation.thinking_budget),
        *(conversation.answer_format, conversation.preset),
    )
