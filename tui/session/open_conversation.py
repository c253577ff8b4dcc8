"""The conversation that is open, and its copy in the store, which is kept in step. Knows no engine and no screen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from tui.chat import tree
from tui.chat.conversation import (
    Conversation,
    Turn,
    copy_with_new_ids,
    new_conversation,
    places_of,
    truncate_from,
    user_turn,
    with_turn,
)
from tui.chat.store import Store, StoreError
from tui.config.settings import Settings
from tui.files.attachment import Attachment


def keep(future: asyncio.Future[None]) -> None:
    """A write to the store: its failure is told by the store's own `on_error`."""
    future.add_done_callback(lambda done: done.cancelled() or done.exception())


def n_alike(before: Sequence[Turn], after: Sequence[Turn]) -> int:
    """How many turns from the first on are the same, as far as one sees."""
    n = 0
    for old, new in zip(before, after, strict=False):
        if (old.id, old.stop, old.text, len(old.reasoning)) != (new.id, new.stop, new.text, len(new.reasoning)):
            break
        n += 1
    return n


class OpenConversation:
    """A new conversation is in the store from its first message on. Every method but `open` returns at once."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store, self._settings = store, settings
        self._cut: tuple[Turn, ...] = ()
        """What was cut, until something has come in its place."""
        self._n_before_cut = 0
        self._came: list[str] = []
        """The ids of what was added here since."""
        self._is_saved = False
        self.is_kept = True
        """It goes into the store; else it is lost when it is left."""
        self.n_changes = 0
        """Grows with each change that is made here."""
        self.has_unsaved = False
        """Something was written that the store had no conversation for: another window deleted it."""
        self.start_new()

    def start_new(self, *, is_kept: bool = True) -> None:
        """An empty one in place of what is open."""
        self.put_back()
        self.is_kept = is_kept
        chat = self._settings.chat
        if self._is_saved:
            self._store.watch("")
        self.now = new_conversation(system_prompt=chat.system_prompt, thinking=chat.thinking, effort=chat.effort)
        self._is_saved = self.has_unsaved = False

    async def open(self, conversation_id: str) -> None:
        """A saved one in place of what is open. Raises `StoreError` when it cannot be read."""
        self.put_back()
        self._store.watch(conversation_id)
        try:
            now = await self._store.open(conversation_id)
        except BaseException:
            self._store.watch(self.saved_id)
            raise
        self.now, self._is_saved, self.has_unsaved, self.is_kept = now, True, False, True

    @property
    def saved_id(self) -> str:
        """Its id in the store; empty for one that is not there."""
        return self.now.id if self._is_saved else ""

    @property
    def is_replacing(self) -> bool:
        """Something was cut, and nothing has come in its place yet."""
        return bool(self._cut)

    @property
    def is_not_replaced(self) -> bool:
        """What was cut is there all the same: the store has said so, for another window was quicker."""
        return not {turn.id for turn in self._cut}.isdisjoint(turn.id for turn in self.now.turns)

    @property
    def is_written_elsewhere(self) -> bool:
        """One of its answers is not complete; another window writes it, unless that is done here."""
        return any(turn.is_streaming for turn in self.now.turns)

    def configure(self, **changes: Any) -> None:
        """Change any of its fields but the turns."""
        self._change(msgspec.structs.replace(self.now, **changes))
        if self._is_saved:
            keep(self._store.configure(self.now))
            if "title" in changes:
                keep(self._store.rename(self.now.id, self.now.title))

    async def retitle(self, title: str) -> bool:
        """Give it another title, unless somebody gives it one meanwhile, here or in another window; whether it has it
        now."""
        before = self.now
        try:
            await self._store.retitle(before.id, before.title, title)
        except StoreError as error:
            if error.kind in ("not_found", "changed"):
                return False  # of anything else the store tells, and it tries again
        if (self.now.id, self.now.title) != (before.id, before.title):
            return False
        self._change(msgspec.structs.replace(self.now, title=title))
        return True

    def say(self, text: str, files: Sequence[Attachment] = ()) -> Turn:
        """Add what the user wrote, and the files that it is about."""
        turn = user_turn(text, files)
        self._came.append(turn.id)
        self._change(with_turn(self.now, turn))
        if self._is_saved:
            self._keep_turn(self._store.append_turn(self.now.id, turn))
        elif self.is_kept:
            self.save()
        return turn

    def save(self) -> None:
        """Put all of it into the store, where it is not yet."""
        self._is_saved, self.has_unsaved = True, False
        keep(self._store.create(self.now))
        self._store.watch(self.now.id)

    def begin_answer(self, turn: Turn) -> None:
        """Add an answer that is empty yet."""
        self._came.append(turn.id)
        self._change(with_turn(self.now, turn))
        if self.is_kept:
            self._keep_turn(self._store.append_turn(self.now.id, turn))

    def take_up_answer(self, turn: Turn) -> None:
        """The last answer goes on from where it ended."""
        self._change(with_turn(self.now, turn))
        if self.is_kept:
            self._keep_turn(self._store.reopen_turn(turn))

    def end_answer(self, turn: Turn) -> None:
        """The answer as it is at its end."""
        self._change(with_turn(self.now, turn))
        if self.is_kept:
            self._keep_turn(self._store.finish_turn(turn))

    def take(self, conversation: Conversation) -> None:
        """It is as the store has it: another window has changed it there."""
        self.now = conversation

    def walk(self, conversation: Conversation) -> None:
        """Another branch of it is shown, or it has lost a message; the store has it so already."""
        self._change(conversation)

    def detach(self) -> None:
        """The store has it no more, or not as it is shown: it is a new one, which is saved with what is said next."""
        self._cut = ()
        self._change(copy_with_new_ids(self.now))
        self._is_saved = False
        self._store.watch("")

    def cut_from(self, turn_id: str) -> tuple[Turn, ...]:
        """Take a turn and all after it out of what is shown, and give them; none if it is not there. They are a branch
        that is not shown any more."""
        if turn_id not in {turn.id for turn in self.now.turns}:
            return ()
        left, self._cut = truncate_from(self.now, turn_id)
        self._change(left)
        self._n_before_cut, self._came = len(self.now.turns), []
        if self.is_kept:
            keep(self._store.supersede(self.now.id, [turn.id for turn in self._cut]))
        return self._cut

    def settle(self) -> None:
        """Something has come in the place of what was cut."""
        self._cut = ()

    def put_back(self) -> tuple[tuple[Turn, ...], tuple[Turn, ...]]:
        """Undo `cut_from` if nothing was settled since: what came since, which is not shown any more, and what was
        cut."""
        cut, self._cut = self._cut, ()
        if not cut:
            return (), ()
        came = tuple(turn for turn in self.now.turns if turn.id in self._came)
        turns = [turn for turn in self.now.turns if turn not in came]
        there = {turn.id for turn in turns}
        turns[self._n_before_cut : self._n_before_cut] = [turn for turn in cut if turn.id not in there]
        # These are no branch.
        wordless = {turn.id for turn in came if turn.role == "assistant" and not (turn.text or turn.reasoning)}
        places = tuple(place for place in places_of(self.now) if place.id not in wordless)
        places = tree.with_shown(places, {turn.id for turn in turns}, time.time())
        self._change(msgspec.structs.replace(self.now, turns=tuple(turns), places=places))
        if self.is_kept:
            keep(self._store.put_back(self.now.id, [turn.id for turn in cut], [turn.id for turn in came]))
        return came, cut

    def _change(self, now: Conversation) -> None:
        self.now = now
        self.n_changes += 1

    def _keep_turn(self, future: asyncio.Future[None]) -> None:
        conversation_id = self.now.id

        def done(future: asyncio.Future[None]) -> None:
            error = None if future.cancelled() else future.exception()
            if isinstance(error, StoreError) and error.kind == "not_found" and self.now.id == conversation_id:
                self.has_unsaved = True

        future.add_done_callback(done)
