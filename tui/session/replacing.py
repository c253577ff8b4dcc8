"""What an edited prompt or a new answer replaces: it is taken out of the open conversation, is there again when nothing
came in its place, and can be brought back later from the store, which keeps it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

import msgspec

from tui.chat.conversation import Turn
from tui.chat.store import Store, Superseded
from tui.session.events import AnySessionEvent, ConversationChanged, TurnsPutBack, TurnsRemoved
from tui.session.open_conversation import OpenConversation, n_alike


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """Messages that were replaced together."""

    turns: tuple[Turn, ...]
    replaced_at: float
    """Unix time in seconds."""


class Replacing:
    """For the open conversation."""

    def __init__(
        self,
        opened: OpenConversation,
        store: Store,
        *,
        is_writing: Callable[[], bool],
        tell: Callable[[AnySessionEvent], None],
    ) -> None:
        """`is_writing` says whether an answer is being written here."""
        self._opened, self._store, self._is_writing, self._tell = opened, store, is_writing, tell

    def cut(self, turn_id: str) -> tuple[Turn, ...]:
        """Take a turn and all after it out of the conversation and give them; none, and nothing happens, when it is not
        there or an answer is being written, here or in another window."""
        is_busy = self._is_writing() or self._opened.is_written_elsewhere
        cut = () if is_busy else self._opened.cut_from(turn_id)
        if cut:
            self._tell(TurnsRemoved(turn_id=turn_id, n=len(cut)))
        return cut

    def put_back(self) -> None:
        """Undo `cut` as long as no answer has come."""
        before = self._opened.now.turns
        came, cut = self._opened.put_back()
        if cut:
            now = self._opened.now
            self._tell(ConversationChanged(before=before, now=now, n_same=n_alike(before, now.turns)))
            self._tell(TurnsPutBack(came=came, turns=cut))

    async def versions(self) -> tuple[Version, ...]:
        """All that was replaced in the open conversation and holds a word, what was replaced last first. Raises
        `StoreError`."""
        return versions_of(await self._store.superseded(self._opened.now.id))

    async def restore(self, version: Version) -> None:
        """Put it in its place again, in the store: the conversation is to be opened again after that. What stands there
        now is what can be restored next. Raises `StoreError`."""
        await self._store.bring_back(version.turns[0].id)


def versions_of(superseded: Sequence[Superseded]) -> tuple[Version, ...]:
    """The turns by when they were replaced, the last first."""
    groups = [
        Version(turns=tuple(old.turn for old in olds), replaced_at=replaced_at)
        for replaced_at, olds in groupby(superseded, lambda old: old.superseded_at)
    ]
    return tuple(version for version in reversed(groups) if any(turn.text.strip() for turn in version.turns))
