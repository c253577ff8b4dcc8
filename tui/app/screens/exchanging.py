"""What leads through dialogs about files with conversations: export to anywhere, import of one or of thousands."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tui.app import phrases
from tui.app.bindings import title_of
from tui.app.screens.flows import Flows, flow
from tui.base import format
from tui.base.oserrors import os_reason
from tui.chat.conversation import Conversation, WholeConversation
from tui.chat.place import Place, place_of
from tui.chat.store import StoreError
from tui.config import paths
from tui.session.interface import Session
from tui.words import mark, tr, trn

if TYPE_CHECKING:
    from tui.chat import export
    from tui.chat.foreign.reading import Outcome

IMPORT, EXPORT = mark("Import"), mark("Export")
TELL_S = 2.0
"""How far a long import is, is told this often."""


class Exchanging:
    """Dialogs are imported when they are first opened. `open_conversation` shows a saved conversation."""

    def __init__(self, controller: Session, flows: Flows, open_conversation: Callable[..., Awaitable[None]]) -> None:
        self.flows = flows
        self._controller, self._open = controller, open_conversation

    # Export -----------------------------------------------------------------------------------------------------------

    @flow("dialog")
    async def action_export(self) -> None:
        """Write the open conversation to a file."""
        if self._controller.conversation.turns:
            await self._export(self._controller.conversation)
        else:
            self.flows.tell(tr("There is nothing to export yet."))

    async def _export(self, conversation: Conversation) -> None:
        """In a kind and to a place that are asked for, until it is written or a dialog is closed."""
        from tui.app.screens.choice import ChoiceScreen
        from tui.app.screens.conversations import exports
        from tui.app.screens.text_edit import LineEditScreen
        from tui.app.widgets.path_suggester import PathSuggester
        from tui.base.userpath import typed_path
        from tui.chat import export

        chosen = await self.flows.ask(ChoiceScreen(tr("Export as"), exports(), self.flows.keymap))
        kind = next((kind for kind in export.ENDINGS if kind == chosen), None)
        if kind is None:
            return
        whole = await self._whole(conversation)
        hint = tr("The file to write, anywhere you like. The right arrow takes what is suggested.")
        written = format.path(export.free_path(paths.exports_dir(), conversation.title, kind))
        while True:
            dialog = LineEditScreen(
                tr("Export to"), written, self.flows.keymap, hint=hint, save=EXPORT, suggester=PathSuggester()
            )
            if (answer := await self.flows.ask(dialog)) is None:
                return
            try:
                told = await asyncio.to_thread(self._write_to, whole, typed_path(answer), kind)
            except FileExistsError:
                hint, written = tr("There is such a file already: write another name."), answer
            except OSError as error:
                hint, written = tr("Not exported: {reason}.", reason=os_reason(error)), answer
            else:
                self.flows.tell(tr("Exported to {file}", file=told))
                return

    async def _whole(self, conversation: Conversation) -> WholeConversation:
        """With its branches, where it has some and they can be read, and its tags."""
        try:
            if conversation.places:
                return await self._controller.store.whole(conversation.id)
            listed = await self._controller.store.list()
            place = next((place_of(one) for one in listed if one.id == conversation.id), Place())
            return WholeConversation(shown=conversation, place=place)
        except StoreError as error:
            self.flows.tell(str(error), bad=True)
            return WholeConversation(shown=msgspec.structs.replace(conversation, places=()))

    @staticmethod
    def write(whole: WholeConversation, kind: export.Kind) -> str:
        """Into the folder for exports; where it is now, and what is not in it. Blocks; raises OSError."""
        from tui.chat import export

        file = export.write(whole.shown, paths.exports_dir(), kind, stats=True, hidden=whole.hidden, place=whole.place)
        return phrases.with_harmless(str(file), export.n_left_out(whole.shown, kind))

    @staticmethod
    def _write_to(whole: WholeConversation, file: Path, kind: export.Kind) -> str:
        from tui.chat import export

        if file.is_dir():
            file = export.free_path(file, whole.shown.title, kind)
        export.write_to(whole.shown, file, kind, hidden=whole.hidden, place=whole.place)
        return phrases.with_harmless(str(file), export.n_left_out(whole.shown, kind))

    # Import -----------------------------------------------------------------------------------------------------------

    @flow("dialog")
    async def action_import(self) -> None:
        """Take in the conversations of a file, of which the path is asked for until it is one or the dialog is
        closed."""
        from tui.app.screens.text_edit import LineEditScreen
        from tui.app.widgets.path_suggester import PathSuggester
        from tui.base.userpath import typed_path
        from tui.chat import export

        hint = tr(
            "A file with conversations: exported here as JSON, by ChatGPT (also the .zip), LM Studio or Open WebUI, or"
            " OpenAI's messages."
        )
        written, place = "", f"{format.path(paths.exports_dir())}/….json"
        while True:
            dialog = LineEditScreen(
                title_of("import"),
                written,
                self.flows.keymap,
                placeholder=place,
                hint=hint,
                save=IMPORT,
                suggester=PathSuggester(),
            )
            if (answer := await self.flows.ask(dialog)) is None:
                break
            try:
                await self._import(typed_path(answer))
                break
            except export.ImportProblem as problem:
                hint, written = str(problem), answer

    async def import_file(self, file: Path) -> None:
        """Take in a file at the start, for whose conversation is what was sent already; or say why not."""
        from tui.chat import export

        try:
            await self._import(file, keeps_prompts=True)
        except export.ImportProblem as problem:
            self.flows.tell(tr("{file} was not imported. {problem}", file=file, problem=problem), bad=True)

    async def _import(self, file: Path, *, keeps_prompts: bool = False) -> None:
        """One conversation is opened; of many it is told how many there are, and what was left out."""
        from tui.chat.export import ImportProblem
        from tui.chat.foreign.reading import read

        reading = await asyncio.to_thread(read, file)
        outcomes = reading.outcomes()
        if reading.n > 1:
            self.flows.start("import", partial(self._import_all, outcomes, reading.n))
            return
        outcome = await asyncio.to_thread(next, outcomes)
        if outcome.whole is None:
            raise ImportProblem(_sentence(outcome.why))
        count = Counter[str]()
        if await self._take(outcome, {one.id for one in await self._controller.store.list()}, count):
            if outcome.left_out:
                self.flows.tell(_left_out(Counter(outcome.left_out)))
            await self._open(outcome.whole.shown.id, keeps_prompts=keeps_prompts)

    async def _import_all(self, outcomes: Iterator[Outcome], n: int) -> None:
        """Each as it is read; the event loop is free meanwhile."""
        count = Counter[str]()
        left_out = Counter[str]()
        why = ""
        clock = asyncio.get_running_loop().time
        told_at, number = clock(), 0
        try:
            known = {one.id for one in await self._controller.store.list()}
            while (outcome := await asyncio.to_thread(next, outcomes, None)) is not None:
                number += 1
                if outcome.whole is None:
                    count["bad"] += 1
                    why = why or outcome.why
                elif await self._take(outcome, known, count):
                    left_out.update(outcome.left_out)
                else:
                    return
                if clock() - told_at > TELL_S:
                    told_at = clock()
                    self.flows.tell(tr("Importing: {n} of {all}", n=f"{number:,}", all=f"{n:,}"))
        except StoreError as error:
            self.flows.tell(str(error), bad=True)
            return
        self.flows.tell(_summary(count, left_out, why), bad=not count["new"] and not count["known"])

    async def _take(self, outcome: Outcome, known: set[str], count: Counter[str]) -> bool:
        """Save one that is not there yet; False, and said, when that cannot be done."""
        assert outcome.whole is not None
        store, shown = self._controller.store, outcome.whole.shown
        if shown.id in known:
            count["known"] += 1
            return True
        try:
            await store.create(shown, outcome.whole.hidden)
            if outcome.place != type(outcome.place)():
                await store.place(shown.id, outcome.place)
        except StoreError as error:
            self.flows.tell(str(error), bad=True)
            if not error.is_retried:
                return False
        known.add(shown.id)
        count["new"] += 1
        return True


def _summary(count: Counter[str], left_out: Counter[str], why: str) -> str:
    """What came of a file with many."""
    told = [trn("{n} conversation was imported.", "{n} conversations were imported.", count["new"])]
    if count["known"]:
        told.append(trn("{n} was there already.", "{n} were there already.", count["known"]))
    if count["bad"]:
        bad = trn("{n} could not be read ({why}).", "{n} could not be read (the first: {why}).", count["bad"], why=why)
        told.append(bad)
    if left_out:
        told.append(_left_out(left_out))
    return " ".join(told)


def _left_out(left_out: Counter[str]) -> str:
    """Such as "Left out: 3 images, 2 files."."""
    words = {
        "image": trn("{n} image", "{n} images", left_out["image"]),
        "file": trn("{n} file", "{n} files", left_out["file"]),
        "tool": trn("{n} tool call or result", "{n} tool calls or results", left_out["tool"]),
        "system": trn("{n} later system message", "{n} later system messages", left_out["system"]),
        "unknown": trn("{n} message of an unknown kind", "{n} messages of an unknown kind", left_out["unknown"]),
    }
    return tr("Left out: {what}.", what=", ".join(text for name, text in words.items() if left_out[name]))


def _sentence(why: str) -> str:
    """A reason as a sentence of its own."""
    return f"{why[:1].upper()}{why[1:].rstrip('.')}."
