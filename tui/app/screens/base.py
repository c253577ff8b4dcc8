"""What the parts of the main screen share: the controller, the keys, and the two widgets that all of them need."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TypeVar

import msgspec
from textual.screen import ModalScreen, Screen
from textual.worker import WorkerCancelled

from tui.app import phrases
from tui.app.bindings import Keymap, bind
from tui.app.terminal_input import TerminalDriver
from tui.app.widgets.prompt import Prompt
from tui.app.widgets.transcript import Card, Transcript
from tui.base import text as lines
from tui.base.text import clean
from tui.config.settings import Settings
from tui.models.info import ModelInfo
from tui.session.controller import Controller

T = TypeVar("T")


class ChatScreen(Screen[None]):
    """A screen with a transcript and a prompt; subclasses add what can be done with them."""

    def __init__(self, controller: Controller, keymap: Keymap, settings: Settings) -> None:
        super().__init__()
        self.controller, self.keymap, self.settings = controller, keymap, settings
        self.model_info: ModelInfo | None = None
        """The header of the model that is loaded."""
        self.model_coming: ModelInfo | None = None
        """The header of the model that is being loaded, or was to be last."""
        self.headers = controller.model.headers
        self.try_again: Callable[[], object] = controller.retry
        """What the card about a load that failed does once more."""
        self.card_id = ""
        """The card that was shown last."""
        self._one_dialog, self._resumed = asyncio.Lock(), asyncio.Event()
        bind(self, keymap, "chat")

    @property
    def transcript(self) -> Transcript:
        return self.query_one(Transcript)

    @property
    def prompt(self) -> Prompt:
        return self.query_one(Prompt)

    async def copy(self, text: str, source: str = "") -> None:
        """Copy `text`, without what a terminal would obey when it is pasted there, and say which way it went and what
        was left out. `source` is what the text was taken from, when that was cleaned already."""
        from tui.app.clipboard import CopyError, copy

        n_harmful = lines.n_harmful(source or text)
        text = clean(text)
        self.app._clipboard = text  # what ctrl+v puts in; Textual sets it only where it copies by itself
        try:
            result = await copy(text, self.settings.ui.clipboard, write_terminal=self._write_to_terminal)
        except CopyError as error:
            self.tell(str(error), bad=True)
        else:
            not_taken = f" ({result.detail})" if result.detail else ""
            told = f"Copied {len(text):,} characters to {result.place}{not_taken}"
            self.tell(phrases.with_harmless(told, n_harmful), bad=bool(n_harmful))

    def _write_to_terminal(self, sequence: str) -> None:
        driver = self.app._driver
        if isinstance(driver, TerminalDriver):
            driver.send(sequence)  # which is not dropped with the frames
        elif driver is not None:
            driver.write(sequence)

    async def ask(self, dialog: ModalScreen[T]) -> T | None:
        """Open a dialog as soon as no other is open, and wait for its result; None when it was closed. Only inside a
        worker."""
        async with self._one_dialog:
            await self.uncovered()
            return await self.app.push_screen_wait(dialog)

    async def uncovered(self) -> None:
        """Wait until no dialog is open."""
        while self.app.screen is not self:
            self._resumed.clear()
            await self._resumed.wait()

    def on_screen_resume(self) -> None:
        """The last dialog was closed."""
        self._resumed.set()

    def at_work(self, *groups: str) -> frozenset[object]:
        """The workers of these groups that have not ended."""
        return frozenset(worker for worker in self.workers if worker.group in groups and not worker.is_finished)

    def is_at(self, *groups: str) -> bool:
        """Whether a worker of one of these groups is at work."""
        return bool(self.at_work(*groups))

    async def end_of(self, group: str) -> None:
        """Wait until the workers of another group have ended."""
        for worker in [worker for worker in self.workers if worker.group == group]:
            with contextlib.suppress(WorkerCancelled):
                await worker.wait()

    def show_card(self, card: Card) -> None:
        """Show a card in place of an older one. Its keys work at once, but not in the middle of what somebody types:
        the next letter would choose from it."""
        self.remove_cards()
        self.card_id = card.card_id
        if self.focused is self.prompt and self.prompt.text:
            card = msgspec.structs.replace(card, body=f"{card.body}\n{phrases.reach_card(self.keymap)}")
        else:
            self.transcript.focus()
        self.transcript.add_card(card)

    def remove_cards(self) -> None:
        """What the cards tell is over."""
        for card_id in ("engine_died", "load_failed"):
            self.transcript.remove_card(card_id)

    def show_header(self, fraction: float = 0.0) -> None:
        """Show how things stand in the first row; `fraction` of a load is done."""
        raise NotImplementedError

    def tell(self, text: str, *, bad: bool = False) -> None:
        """A short notice at the corner of the screen."""
        self.notify(text, severity="warning" if bad else "information", timeout=8 if bad else 4, markup=False)
