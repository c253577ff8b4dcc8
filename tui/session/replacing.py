"""What an edited prompt or a new answer replaces: it is taken out of the open conversation, is there again when nothing
came in its place, and can be brought back later from the store, which keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import msgspec

from tui.chat.conversation import Turn
from tui.chat.store import Superseded
from tui.session.elsewhere import n_alike
from tui.session.events import ConversationChanged, TurnsPutBack, TurnsRemoved

if TYPE_CHECKING:
    from tui.session.controller import Controller


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """Messages that were replaced together."""

    turns: tuple[Turn, ...]
    replaced_at: float
    """Unix time in seconds."""


class Replacing:
    """For the open conversation of `controller`."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    def cut(self, turn_id: str) -> tuple[Turn, ...]:
        """Take a turn and all after it out of the conversation and give them; none, and nothing happens, when it is not
        there or an answer is being written, here or in another window."""
        controller = self._controller
        is_busy = controller.is_writing or controller.opened.is_written_elsewhere
        cut = () if is_busy else controller.opened.cut_from(turn_id)
        if cut:
            controller.tell(TurnsRemoved(turn_id=turn_id, n=len(cut)))
        return cut

    def put_back(self) -> None:
        """Undo `cut` as long as no answer has come."""
        opened, tell = self._controller.opened, self._controller.tell
        before = opened.now.turns
        came, cut = opened.put_back()
        if cut:
            tell(ConversationChanged(before=before, now=opened.now, n_same=n_alike(before, opened.now.turns)))
            tell(TurnsPutBack(came=came, turns=cut))

    async def versions(self) -> tuple[Version, ...]:
        """All that was replaced in the open conversation and holds a word, what was replaced last first. Raises
        `StoreError`."""
        return versions_of(await self._controller.store.superseded(self._controller.conversation.id))

    async def bring_back(self, version: Version) -> None:
        """Put it in its place again; what stands there now is what can be brought back next. Raises `StoreError`."""
        controller = self._controller
        await controller.store.bring_back(version.turns[0].id)
        await controller.open(controller.conversation.id)


def versions_of(superseded: Sequence[Superseded]) -> tuple[Version, ...]:
    """The turns by when they were replaced, the last first."""
    groups = [
        Version(turns=tuple(old.turn for old in olds), replaced_at=replaced_at)
        for replaced_at, olds in groupby(superseded, lambda old: old.superseded_at)
    ]
    return tuple(version for version in reversed(groups) if any(turn.text.strip() for turn in version.turns))
