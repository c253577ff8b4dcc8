"""A prompt of the conversation that is written again in the input. It stays in the conversation until it is sent, and
what it will replace then is dimmed."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tui.app.screens.prompt_line import PromptLine
from tui.app.widgets.prompt import Prompt
from tui.app.widgets.transcript import Transcript
from tui.chat.conversation import Turn
from tui.files.attachment import Attachment
from tui.session import events


class Edit(msgspec.Struct, frozen=True):
    """What is being edited."""

    turn_id: str
    draft: str
    """What stood in the input before."""
    files: tuple[Attachment, ...] = ()
    """What the prompt is about."""


class Editing:
    """At most one prompt at a time. Follows it through what the session does to the conversation."""

    def __init__(self, prompt: Prompt, line: PromptLine, transcript: Transcript) -> None:
        self._prompt, self._line, self._transcript = prompt, line, transcript
        self._now: Edit | None = None

    @property
    def turn_id(self) -> str:
        """The prompt that is being edited; empty when none is."""
        return self._now.turn_id if self._now is not None else ""

    @property
    def files(self) -> tuple[Attachment, ...]:
        """The files of the prompt that is being edited, as they were when it was sent."""
        return self._now.files if self._now is not None else ()

    @property
    def draft(self) -> str:
        """What stood in the input before; empty when nothing is edited."""
        return self._now.draft if self._now is not None else ""

    def hear(self, event: events.AnySessionEvent) -> None:
        """Keep to the same prompt."""
        match event:
            case events.ConversationOpened():
                self.leave()
            case (
                events.ConversationChanged(before=before, now=now) | events.ConversationReplaced(before=before, now=now)
            ):
                self._keep(before, now.turns)
            case events.TurnsPutBack(came=came, turns=turns):
                if edited := [turn.text for turn in came if turn.role == "user"]:
                    self._again(turns[0], edited[0])

    def begin(self, turn: Turn, text: str) -> None:
        """Put `text` into the input, to be sent in the place of `turn` and all that came after it."""
        self._now = Edit(turn.id, self._prompt.text if self._now is None else self._now.draft, turn.files)
        self._prompt.set_text(text)
        self._show()

    def forget_files(self) -> None:
        """The files of the prompt are to be read again."""
        if self._now is not None:
            self._now = msgspec.structs.replace(self._now, files=())

    def leave(self) -> bool:
        """Put back what stood in the input before a prompt was edited; False when none is."""
        edit, self._now = self._now, None
        if edit is None:
            return False
        self._show()
        self._prompt.set_text(edit.draft)
        return True

    def _show(self) -> None:
        self._line.show_editing(self._now is not None)
        self._transcript.show_replaced(self.turn_id or None)

    def _again(self, turn: Turn, text: str) -> None:
        """Go on editing a prompt whose new words were not answered. What somebody has begun to write is left alone."""
        if self._now is None and not self._prompt.text:
            self.begin(turn, text)

    def _keep(self, before: Sequence[Turn], now: Sequence[Turn]) -> None:
        """Go on editing the same prompt after the conversation has changed, whatever its id is now. What was written
        stays in the input even when that prompt is gone; it is then sent as a new one."""
        edit = self._now
        if edit is None:
            return
        place = next((place for place, turn in enumerate(before) if turn.id == edit.turn_id), len(now))
        same = next((turn for turn in now if turn.id == edit.turn_id), None)
        if same is None and len(before) == len(now):
            same = now[place]
        if same is not None:
            self._now = Edit(same.id, edit.draft, edit.files)
        else:
            self._now = None
        self._show()
