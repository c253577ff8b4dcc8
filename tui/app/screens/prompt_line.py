"""What stands on the border of the prompt: its keys, how much is about to be sent and with what, that a prompt is being
edited, and that there is text below the view."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tui.app import answer_phrases
from tui.app.bindings import Keymap, small_title_of
from tui.app.preset_phrases import format_name
from tui.app.widgets.border_words import BorderPart, EdgeWords
from tui.app.widgets.prompt import Prompt
from tui.base.text import fit_columns
from tui.config.keymap import display_keys
from tui.files.attachment import with_files
from tui.session import events
from tui.session.context_meter import TextLength
from tui.session.interface import Session
from tui.words import tr, trn

if TYPE_CHECKING:
    from tui.app.screens.attaching import Attaching

_PRESET = 24
"""Cells for the name of a preset."""
PAUSE_S = 0.4
"""After nothing was typed for so long, what there is gets counted."""


class PromptLine:
    """Follows the session and what is typed. Nothing waits for the count, and one at most is asked for at a time."""

    def __init__(self, controller: Session, keymap: Keymap, prompt: Prompt) -> None:
        self._controller, self._keymap, self._prompt = controller, keymap, prompt
        self.attaching: Attaching | None = None
        """Reads the files of what is written; set by whoever makes both."""
        self._length: TextLength | None = None
        self._counted = ""
        """The text that was counted last, or is being counted."""
        self._typed_at = 0.0
        self._is_due = self._is_counting = False
        self._is_editing = self._has_new_text = self._is_completing = False

    def hear(self, event: events.AnySessionEvent) -> None:
        """Show with what the next prompt is sent."""
        match event:
            case events.ConversationOpened() | events.ConversationChanged() | events.ConversationReplaced():
                self.show()
            case events.PhaseChanged() | events.ModelLoaded():
                self._forget()
                self._show_top()

    def show(self) -> None:
        """Write it as things stand now."""
        controller = self._controller
        loaded, conversation = controller.engine.loaded, controller.conversation
        right = []
        if length := self._length:
            n_ctx = loaded.n_ctx if loaded is not None else 0
            style = "alert" if n_ctx and length.n_tokens > n_ctx else "plain"
            right.append(BorderPart(((_written(length, n_ctx), style),), worth=5))
            if style == "plain" and n_ctx and not self._is_editing:
                right.append(_left(n_ctx - controller.context.n_used - length.n_tokens))
        if loaded is not None and (thinking := answer_phrases.thinking_state(loaded, conversation)):
            right.append(BorderPart(((thinking, "plain"),), "toggle_thinking_mode", worth=4))
        if wanted := format_name(conversation.answer_format):
            right.append(BorderPart(((wanted, "plain"),), "answer_format", worth=3))
        if conversation.preset:
            right.append(BorderPart(((fit_columns(conversation.preset, _PRESET), "plain"),), "presets", worth=2))
        elif conversation.system_prompt.strip():
            right.append(BorderPart(((tr("system prompt"), "plain"),), "system_prompt", worth=2))
        send = tr("send again") if self._is_editing else small_title_of("send")
        first = (
            self._key("complete", small_title_of("complete"), 3) if self._is_completing else self._key("send", send, 3)
        )
        left = *first, *self._key("newline", small_title_of("newline"), 1)
        self._prompt.set_words("bottom", EdgeWords(left, tuple(right)))

    def show_editing(self, is_editing: bool) -> None:
        """A prompt of the conversation is written again, or not any more."""
        if is_editing != self._is_editing:
            self._is_editing, self._length = is_editing, None  # another text is about to stand there
            self.reword()

    def show_completing(self, is_completing: bool) -> None:
        """Words are offered for what is typed, and the key that sends takes one; or not any more."""
        self._is_completing = is_completing
        self.show()

    def show_new_text(self, is_new: bool) -> None:
        """There is text below what is seen of the conversation, or not any more."""
        self._has_new_text = is_new
        self._show_top()

    def reword(self) -> None:
        """The same in the language in use."""
        self.show()
        self._show_top()

    def _show_top(self) -> None:
        left: tuple[BorderPart, ...] = ()
        right: tuple[BorderPart, ...] = ()
        if self._is_editing:
            left = (BorderPart(((tr("editing"), "hint"),), worth=3),)
            if self._controller.phase not in ("loading", "answering"):  # else that key stops what runs
                left += self._key("stop", tr("cancel"), 1)
        if self._has_new_text:
            keys = display_keys(self._keymap.get("scroll_end", ()), limit=1)
            runs = (tr("↓ new text"), "hint"), *(((f" {keys}", "key"),) if keys else ())
            right = (BorderPart(runs, "scroll_end", worth=2),)
        self._prompt.set_words("top", EdgeWords(left, right))

    def _key(self, action: str, word: str, worth: int) -> tuple[BorderPart, ...]:
        """The key of an action and what it does here; nothing where it has none."""
        keys = self._keymap.get(action, ())
        runs = (display_keys(keys, limit=1), "key"), (f" {word}", "plain")
        return (BorderPart(runs, worth=worth),) if keys else ()

    # How much is to be sent -------------------------------------------------------------------------------------------

    def typed(self) -> None:
        """There is another text in the input."""
        if not self._prompt.text.strip():
            self._length, self._counted = None, ""
            self.show()
            if self.attaching is not None:
                self.attaching.clear()
        elif self._prompt.text != self._counted:
            self._typed_at = time.monotonic()
            self._count_after(PAUSE_S)

    @property
    def is_settled(self) -> bool:
        """Nothing on the border is about to change: what is typed was counted."""
        return (
            not self._is_due
            and not self._is_counting
            and self._counted == (self._prompt.text.strip() and self._prompt.text)
        )

    def _forget(self) -> None:
        """Another model counts otherwise, and one that answers not at all."""
        self._length, self._counted = None, ""
        self.show()
        self.typed()

    def _count_after(self, seconds: float) -> None:
        if not self._is_due:
            self._is_due = True
            self._prompt.set_timer(seconds, self._due)

    def _due(self) -> None:
        self._is_due = False
        left = self._typed_at + PAUSE_S - time.monotonic()
        if left > 0:
            self._count_after(left)
        elif not self._is_counting and self._prompt.text.strip():
            self._prompt.run_worker(self._count(), group="count")

    async def _count(self) -> None:
        self._counted = text = self._prompt.text
        self._is_counting = True
        try:
            files = await self.attaching.look(text) if self.attaching is not None else ()
            # What is edited stands further back than the next prompt.
            length = await self._controller.length_of(with_files(files, text), is_next=not self._is_editing)
        finally:
            self._is_counting = False
        if text == self._counted:
            self._length = length
            self.show()
        self.typed()


def _left(n: int) -> BorderPart:
    """What of the context nothing takes then, or by how much it is too small: the oldest messages would go."""
    if n < 0:
        return BorderPart(((tr("{n} too many", n=f"{-n:,}"), "alert"),), worth=4)
    return BorderPart(((tr("{n} left", n=f"{n:,}"), "plain"),), worth=2)


def _written(length: TextLength, n_ctx: int) -> str:
    """How long what is written is, and where that is too long for the context also how long that is."""
    n = length.n_tokens
    if n_ctx and n > n_ctx:
        return tr("{n} of {n_ctx} tokens", n=f"{n:,}", n_ctx=f"{n_ctx:,}")
    return trn("{n} token", "{n} tokens", n) if length.is_exact else trn("≈ {n} token", "≈ {n} tokens", n)
