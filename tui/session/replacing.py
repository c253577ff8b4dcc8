"""What an edited prompt or a new answer takes the place of: it is a branch of the open conversation that is not shown,
and is shown again when nothing came in its place."""

from __future__ import annotations

from collections.abc import Callable

from tui.chat.conversation import Turn
from tui.session.events import AnySessionEvent, ConversationChanged, TurnsPutBack, TurnsRemoved
from tui.session.open_conversation import OpenConversation, n_alike


class Replacing:
    """For the open conversation."""

    def __init__(
        self,
        opened: OpenConversation,
        *,
        is_writing: Callable[[], bool],
        tell: Callable[[AnySessionEvent], None],
    ) -> None:
        """`is_writing` says whether an answer is being written here."""
        self._opened, self._is_writing, self._tell = opened, is_writing, tell

    def cut(self, turn_id: str) -> tuple[Turn, ...]:
        """Take a turn and all after it out of what is shown and give them; none, and nothing happens, when it is not
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
