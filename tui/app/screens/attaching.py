"""The files that the prompt is about: read while it is written, shown above it with what they take, and given to
whoever sends it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tui.app import attachment_phrases as phrases
from tui.app.screens.editing import Editing
from tui.app.widgets.attached_files import AttachedFiles, AttachedRow, State
from tui.app.widgets.prompt import Prompt
from tui.chat.conversation import Turn
from tui.files.attachment import Attachment, frame
from tui.session.aside import aside
from tui.session.interface import Session

if TYPE_CHECKING:
    from tui.files.gathering import Gathered, Gathering

_KEPT_COUNTS = 512
_LOOK_S = 0.5
"""How long a paste may wait for what its paths name."""


class Attaching:
    """Nothing here waits for a disk on the event loop."""

    def __init__(self, controller: Session, prompt: Prompt, shown: AttachedFiles, editing: Editing) -> None:
        self._controller, self._prompt, self._shown, self._editing = controller, prompt, shown, editing
        self.folder = _here()
        """What paths are relative to: where llmtui was started."""
        self._gathering: Gathering | None = None
        self._counts: dict[tuple[object, ...], int] = {}
        self._gathered: tuple[Gathered, ...] = ()

    # While it is written ----------------------------------------------------------------------------------------------

    async def look(self, text: str) -> tuple[Attachment, ...]:
        """Read the files of what is written, and show them; they are given with their tokens, as far as these can be
        counted now."""
        before = self._prompt.get_text_range((0, 0), self._prompt.cursor_location) if "@" in text else ""
        found = await self.gather(text, self._editing.turn_id, self._editing.files, but_folder_at=len(before))
        self._show(found)
        found = await self.counted(found)
        if text == self._prompt.text:
            self._show(found)
        return files_of(found)

    async def as_mentions(self, pasted: str) -> str | None:
        """What was pasted, as mentions where it names files and nothing else, as what is dragged into a terminal."""
        from tui.files.mentions import DROPPED_STARTS, MOST_DROPPED, dropped

        if len(pasted) > MOST_DROPPED or not pasted.lstrip().startswith(DROPPED_STARTS):
            return None
        try:
            async with asyncio.timeout(_LOOK_S):
                return await aside(partial(dropped, pasted, self.folder))
        except TimeoutError:  # a folder that does not answer: it is text
            return None

    def clear(self) -> None:
        """Nothing is written."""
        self._show(())

    def reword(self) -> None:
        """Say the same in the language in use."""
        self._show(self._gathered)

    def take_away(self, name: str) -> None:
        """Take the mention of a file out of what is written."""
        from tui.files.mentions import mentions, readings

        text = self._prompt.text
        found = next((one for one in mentions(text) if name in readings(one)), None)
        if found is not None:
            end = found.end + (text[found.end : found.end + 1] == " ")
            start, stop = _location(text, found.start), _location(text, end)
            self._prompt.replace("", start, stop, maintain_selection_offset=True)
        self._prompt.focus()

    def _show(self, found: tuple[Gathered, ...]) -> None:
        self._gathered = found
        if not found:
            if self._shown.display:
                self._shown.show(())
            return
        files, n_left = files_of(found), self._n_left()
        n_tokens = sum(file.n_tokens for file in files)
        is_too_long = n_left is not None and n_tokens > n_left
        total = ""
        if sum(bool(one.files) for one in found) > 1 or is_too_long:
            total = phrases.all_files(files, n_left if is_too_long else None)
        rows = [AttachedRow(one.name, phrases.gathered_note(one), _state(one)) for one in found]
        self._shown.show(rows, total, "full" if is_too_long else "muted")

    def _n_left(self) -> int | None:
        """Tokens of the context that nothing takes yet; None without a model."""
        loaded = self._controller.engine.loaded
        return loaded.n_ctx - self._controller.context.n_used if loaded is not None else None

    # When it is sent --------------------------------------------------------------------------------------------------

    async def gather(
        self, text: str, replaces: str = "", known: Sequence[Attachment] = (), *, but_folder_at: int = -1
    ) -> tuple[Gathered, ...]:
        """What a text is about that is sent in the place of the turn `replaces`. Files that are `known` are taken as
        they were; what the conversation has already is not given again."""
        if "@" not in text:
            return ()
        found = await aside(partial(self._gather, text, known, but_folder_at))
        said = self._said(replaces)
        return tuple(_without(one, said) for one in found)

    def _gather(self, text: str, known: Sequence[Attachment], but_folder_at: int) -> tuple[Gathered, ...]:
        """Blocking."""
        from tui.files.gathering import Gathering  # takes time that the first paint does not have

        if self._gathering is None:
            self._gathering = Gathering(self.folder)
        return self._gathering.gather(text, known, but_folder_at=but_folder_at)

    async def counted(self, found: tuple[Gathered, ...]) -> tuple[Gathered, ...]:
        """The same, each file with its tokens."""
        return tuple(
            [
                msgspec.structs.replace(one, files=tuple([await self._count(file) for file in one.files]))
                for one in found
            ]
        )

    async def _count(self, file: Attachment) -> Attachment:
        loaded = self._controller.engine.loaded
        if loaded is None:
            return file
        key = loaded.path, file.name, file.path, file.modified_at, len(file.text)
        if key not in self._counts:
            length = await self._controller.length_of(frame(file), is_next=False)
            if length is None:
                return file
            while len(self._counts) >= _KEPT_COUNTS:
                del self._counts[next(iter(self._counts))]
            self._counts[key] = length.n_tokens
        return msgspec.structs.replace(file, n_tokens=self._counts[key])

    async def changed(self, files: tuple[Attachment, ...]) -> tuple[tuple[Attachment, ...], tuple[Attachment, ...]]:
        """Which of these files say something else now, and which cannot be read."""
        from tui.files.gathering import changed_of

        return await aside(partial(changed_of, files))

    def _said(self, replaces: str) -> tuple[Attachment, ...]:
        """The files that a model is told of before this prompt, as long as nothing of the conversation may have been
        left out for want of room."""
        loaded = self._controller.engine.loaded
        before: list[Turn] = []
        for turn in self._controller.conversation.turns:
            if turn.id == replaces:
                break
            before.append(turn)
        files = [file for turn in before for file in turn.files]
        n_chars = sum(len(turn.text) for turn in before) + sum(len(file.text) for file in files)
        return tuple(files) if loaded is not None and n_chars < loaded.n_ctx else ()


def files_of(found: Sequence[Gathered]) -> tuple[Attachment, ...]:
    """All that goes along."""
    return tuple(file for one in found for file in one.files)


def _without(one: Gathered, said: Sequence[Attachment]) -> Gathered:
    """Without what was said before, and is the same now."""
    is_said = {(file.name, file.text) for file in said}
    files = tuple(file for file in one.files if (file.name, file.text) not in is_said)
    return msgspec.structs.replace(one, files=files, is_said=bool(one.files) and not files)


def _state(one: Gathered) -> State:
    if one.problem is not None:
        return "full"
    if one.is_said:
        return "muted"
    return "tight" if one.is_changed else "good"


def _location(text: str, place: int) -> tuple[int, int]:
    """Line and column of a place in a text."""
    before = text[:place]
    return before.count("\n"), place - (before.rfind("\n") + 1)


def _here() -> Path:
    try:
        return Path.cwd()
    except OSError:  # it was deleted, or is closed to us
        return Path.home()
