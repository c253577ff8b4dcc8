"""The conversation that is open, and its copy in the store, which is kept in step. Knows no engine and no screen."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from tui.chat.conversation import Turn, new_conversation, truncate_from, user_turn, with_turn
from tui.chat.store import Store
from tui.config.settings import Settings


def keep(future: asyncio.Future[None]) -> None:
    """A write to the store: its failure is told by the store's own `on_error`."""
    future.add_done_callback(lambda done: done.cancelled() or done.exception())


class OpenConversation:
    """A new conversation is in the store from its first message on. Every method but `open` returns at once."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store, self._settings = store, settings
        self._cut: tuple[Turn, ...] = ()
        """What was cut, until something has come in its place."""
        self._n_before_cut = 0
        self.start_new()

    def start_new(self) -> None:
        """An empty one in place of what is open."""
        self.put_back()
        chat = self._settings.chat
        self.now = new_conversation(system_prompt=chat.system_prompt, thinking=chat.thinking, effort=chat.effort)
        self._is_saved = False

    async def open(self, conversation_id: str) -> None:
        """A saved one in place of what is open. Raises `StoreError` when it cannot be read."""
        self.put_back()
        self.now, self._is_saved = await self._store.open(conversation_id), True

    @property
    def saved_id(self) -> str:
        """Its id in the store; empty for one that is not there."""
        return self.now.id if self._is_saved else ""

    def configure(self, **changes: Any) -> None:
        """Change any of its fields but the turns."""
        self.now = msgspec.structs.replace(self.now, **changes)
        if self._is_saved:
            keep(self._store.configure(self.now))
            if "title" in changes:
                keep(self._store.rename(self.now.id, self.now.title))

    def say(self, text: str) -> Turn:
        """Add what the user wrote."""
        turn = user_turn(text)
        self.now = with_turn(self.now, turn)
        if self._is_saved:
            keep(self._store.append_turn(self.now.id, turn))
        else:
            self._is_saved = True
            keep(self._store.create(self.now))
        return turn

    def begin_answer(self, turn: Turn) -> None:
        """Add an answer that is empty yet."""
        self.now = with_turn(self.now, turn)
        keep(self._store.append_turn(self.now.id, turn))

    def end_answer(self, turn: Turn) -> None:
        """The answer as it is at its end."""
        self.now = with_turn(self.now, turn)
        keep(self._store.finish_turn(turn))

    def cut_from(self, turn_id: str) -> tuple[Turn, ...]:
        """Take a turn and all after it out, which the store keeps as superseded, and give them; none if it is not
        there."""
        if turn_id not in {turn.id for turn in self.now.turns}:
            return ()
        self.now, self._cut = truncate_from(self.now, turn_id)
        self._n_before_cut = len(self.now.turns)
        keep(self._store.supersede(self.now.id, turn_id))
        return self._cut

    def settle(self) -> None:
        """Something has come in the place of what was cut."""
        self._cut = ()

    def put_back(self) -> tuple[tuple[Turn, ...], tuple[Turn, ...]]:
        """Undo `cut_from` if nothing was settled since: what came since, which is superseded instead, and what was
        cut."""
        cut, self._cut = self._cut, ()
        if not cut:
            return (), ()
        before, came = self.now.turns[: self._n_before_cut], self.now.turns[self._n_before_cut :]
        self.now = msgspec.structs.replace(self.now, turns=(*before, *cut))
        keep(self._store.bring_back(cut[0].id))
        return came, cut
