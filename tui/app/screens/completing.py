"""What the word at the cursor of the prompt may become: a path behind "@", a command or a snippet behind "/". It is
offered while one types, and put in its place when it is taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from tui.app.screens.attaching import Attaching
from tui.app.screens.flows import Flows, flow
from tui.app.screens.slash_commands import SlashCommands
from tui.app.widgets.completion_list import Completion, CompletionList
from tui.app.widgets.prompt import Prompt
from tui.base import format
from tui.base.text import one_line
from tui.base.userpath import user_path
from tui.session.aside import aside
from tui.words import tr

if TYPE_CHECKING:
    from tui.files.folders import Offer

_MOST_LABEL = 40
_ALL = "all"
"""Id of the entry that stands for a folder itself."""


class _Word(msgspec.Struct, frozen=True):
    """The word at the cursor."""

    kind: str
    """The sign that it begins with."""
    line: int
    start: int
    end: int
    written: str


class Completing:
    """Nothing here waits for a disk on the event loop."""

    def __init__(
        self, prompt: Prompt, shown: CompletionList, attaching: Attaching, commands: SlashCommands, flows: Flows
    ) -> None:
        self.flows = flows
        self._prompt, self._shown, self._attaching, self._commands = prompt, shown, attaching, commands
        self._word: _Word | None = None
        self._closed: _Word | None = None
        """What was closed by hand, and stays so until another word is written."""
        self.on_open: Callable[[bool], None] = lambda _: None
        """Hears whether something is offered, when that changes; whoever wants to sets it."""

    @property
    def is_open(self) -> bool:
        """Something is offered."""
        return self._word is not None and self._shown.item is not None

    def typed(self) -> None:
        """There is another text in the prompt, or its cursor is elsewhere."""
        word = self._at_cursor()
        if word is None:
            self._hide()
            self._closed = None
        elif word == self._word or self._is_closed(word):
            return
        elif word.kind == "/":
            is_first = self._word is None or self._word.kind != "/"
            self._word = word
            self._show(self._commands.offered(word.written))
            if is_first:  # the folder of snippets may have changed
                self._prompt.run_worker(self._read_snippets(), group="snippets", exclusive=True)
        else:
            self._word = word
            # What is shown is for fewer letters: of it, what still goes is there until all is known.
            self._show([one for one in self._shown.items if _still_goes(one, word)])
            self._prompt.run_worker(self._look(word), group="complete", exclusive=True)

    def moved(self) -> None:
        """The cursor is elsewhere, perhaps."""
        if self._word is not None and self._at_cursor() != self._word:
            self.typed()

    def move(self, by: int) -> None:
        """Highlight another one."""
        self._shown.move(by)

    def close(self) -> None:
        """Offer nothing more for this word."""
        self._closed = self._word
        self._hide()

    def take(self, completion: Completion | None = None) -> None:
        """Put what is highlighted, or this, in the place of the word."""
        from tui.files.mentions import mention_of

        completion, word = completion or self._shown.item, self._word
        if completion is None or word is None:
            return
        self._hide()
        self._prompt.focus()
        if word.kind == "/":
            self._commands.take(completion.id)
        elif completion.id == _ALL:
            self._choose(word)
        elif completion.id.endswith("/"):
            quoted = mention_of(completion.id)
            self._put(word, quoted.removesuffix(quoted[1]) if quoted[1] in "\"'" else quoted)
        else:
            self._put(word, f"{mention_of(completion.id)} ")

    # ------------------------------------------------------------------------------------------------------------------

    def _is_closed(self, word: _Word) -> bool:
        """Whether this is what was closed by hand, or more of it."""
        closed = self._closed
        return closed is not None and closed.start == word.start and word.written.startswith(closed.written)

    def _at_cursor(self) -> _Word | None:
        line, column = self._prompt.cursor_location
        before = self._prompt.document[line][:column]
        if before.startswith("/") and self._prompt.document.line_count == 1:
            name = before[1:]
            if name.replace("-", "").replace("_", "").isalnum() or not name:
                return _Word("/", line, 0, column, name)
        if "@" not in before:
            return None
        from tui.files.mentions import open_mention  # takes time that the first paint does not have

        if (found := open_mention(before)) is not None:
            return _Word("@", line, found[0], column, found[1])
        return None

    async def _look(self, word: _Word) -> None:
        from tui.files.folders import offers

        found = await aside(partial(offers, word.written, self._attaching.folder))
        if word != self._word:
            return
        if len(found) == 1 and found[0].path == word.written:  # it is written already
            found = ()
        items = [_completion(one) for one in found]
        if found and word.written.endswith("/"):
            items.insert(0, Completion(_ALL, one_line(word.written), tr("choose among all its files")))
        self._show(items)

    async def _read_snippets(self) -> None:
        await aside(self._commands.read)
        if self._word is not None and self._word.kind == "/":
            self._show(self._commands.offered(self._word.written))

    def _show(self, items: Sequence[Completion]) -> None:
        was_open = self._shown.display
        self._shown.show(items)
        if was_open != self._shown.display:
            self.on_open(self._shown.display)
            self._prompt.refresh_bindings()

    def _hide(self) -> None:
        if self._word is not None:
            self._word = None
            self._show(())

    def _put(self, word: _Word, text: str) -> None:
        self._prompt.replace(text, (word.line, word.start), (word.line, word.end))
        self._prompt.move_cursor((word.line, word.start + len(text)))

    @flow("dialog")
    async def _choose(self, word: _Word) -> None:
        """Ask which files of a folder are meant, and mention them."""
        from tui.app.screens.folder_files import FolderFilesScreen
        from tui.files.folders import list_folder
        from tui.files.mentions import mention_of

        folder = self._attaching.folder / user_path(word.written)
        chosen = await self.flows.ask(
            FolderFilesScreen(one_line(word.written), partial(aside, partial(list_folder, folder)), self.flows.keymap)
        )
        if chosen is None or self._at_cursor() != word:
            return
        names = [word.written] if chosen.is_all else [f"{word.written}{name}" for name in chosen.names]
        self._put(word, "".join(f"{mention_of(name)} " for name in names))


def _still_goes(one: Completion, word: _Word) -> bool:
    above, _, name = word.written.rpartition("/")
    folder, _, its_name = one.id.rstrip("/").rpartition("/")
    return one.id != _ALL and folder == above and name.casefold() in its_name.casefold()


def _completion(offer: Offer) -> Completion:
    label = one_line(offer.path if len(offer.path) < _MOST_LABEL else f"…/{offer.name}")
    return Completion(offer.path, label, end="" if offer.is_folder else format.size(offer.n_bytes))
