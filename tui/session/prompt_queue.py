"""Prompts that were sent before they could be answered. They wait, in order, and are sent by themselves as soon as the
model can answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from tui.files.attachment import Attachment
from tui.session.events import AnySessionEvent, QueueChanged


class QueuedPrompt(msgspec.Struct, frozen=True):
    """What somebody wrote, and sent."""

    text: str
    replaces: str = ""
    """Id of the prompt in whose place it goes, with all that came after that."""
    files: tuple[Attachment, ...] = ()
    """What it is about."""


class PromptQueue:
    """For the open conversation; each change is told. All of it on the event loop.

    It is held after something was stopped or went wrong: then nothing is sent unasked, until somebody asks for an
    answer again.
    """

    def __init__(
        self,
        *,
        can_send: Callable[[], bool],
        send: Callable[[QueuedPrompt], None],
        tell: Callable[[AnySessionEvent], None],
    ) -> None:
        """`can_send` says whether a prompt can be answered now; `send` has one answered."""
        self._can_send, self._send, self._tell = can_send, send, tell
        self._prompts: list[QueuedPrompt] = []
        self._is_held = self._stays = False
        self.is_load_coming: Callable[[], bool] = lambda: False
        """Whether a load is being prepared, for which prompts wait; whoever prepares loads sets it."""

    @property
    def texts(self) -> tuple[str, ...]:
        """What waits, in the order in which it is sent."""
        return tuple(prompt.text for prompt in self._prompts)

    @property
    def is_held(self) -> bool:
        """Something waits and is not sent unasked."""
        return self._is_held and bool(self._prompts)

    def send(self, text: str, replaces: str = "", files: tuple[Attachment, ...] = ()) -> None:
        """Send what the user wrote, at once or when all that goes before it is answered. `replaces` is the id of the
        prompt in whose place it goes, `files` what it is about."""
        self._prompts.append(QueuedPrompt(text, replaces, files))
        self.release()

    def hold(self) -> None:
        """Send nothing unasked from now on."""
        self._is_held = True
        self._changed()

    def release(self) -> None:
        """Go on with what waits."""
        self._is_held = False
        self.send_next()

    def send_next(self) -> None:
        """Send what can be sent now."""
        if self._prompts and not self._is_held and self._can_send():
            self._send(self._prompts.pop(0))
        self._changed()

    def take_back(self) -> QueuedPrompt | None:
        """Take the newest one out."""
        if not self._prompts:
            return None
        prompt = self._prompts.pop()
        self._changed()
        return prompt

    def withdraw(self) -> tuple[str, ...]:
        """Take out all that waits, as its conversation is left; nothing where it stays."""
        return () if self._stays else self.take_all()

    def take_all(self) -> tuple[str, ...]:
        """Take out all that waits."""
        texts = self.texts
        self._prompts.clear()
        self._is_held = False
        self._changed()
        return texts

    @contextmanager
    def kept(self) -> Iterator[None]:
        """What waits is for the conversation that is being opened."""
        self._stays = True
        try:
            yield
        finally:
            self._stays = False

    def _changed(self) -> None:
        self._tell(QueueChanged(texts=self.texts, is_held=self.is_held))
