"""Copying messages in another shape: as plain text, a table as CSV, several messages at once."""

from __future__ import annotations

from collections.abc import Sequence

from tui.app.bindings import title_of
from tui.app.copier import Copier
from tui.app.screens.flows import Flows, flow
from tui.app.widgets.transcript import Transcript
from tui.chat.conversation import Turn
from tui.session.interface import Session
from tui.words import tr, trn

MOST_TABLES = 9


class CopyingAs:
    """Of the selected message, else of the last answer."""

    def __init__(self, controller: Session, transcript: Transcript, flows: Flows, copier: Copier) -> None:
        self.flows = flows
        self._controller, self._transcript, self._copier = controller, transcript, copier

    @flow("dialog")
    async def action_copy_as(self) -> None:
        """Ask for the shape, and copy."""
        from tui.app.screens.choice import Choice, ChoiceScreen
        from tui.chat import copies

        turns = self._controller.conversation.turns
        at = self._meant(turns)
        if at < 0:
            self.flows.tell(tr("There is no answer to copy yet."))
            return
        turn = turns[at]
        tables = copies.tables(turn.text)[:MOST_TABLES] if turn.role == "assistant" else []
        choices = [
            Choice(id="markdown", label="Markdown", note=tr("as it was written"), key="m"),
            Choice(id="plain", label=tr("Plain text"), note=tr("without marks"), key="p"),
        ]
        for number, table in enumerate(tables):
            label = tr("Table as CSV") if len(tables) == 1 else tr("Table {n} as CSV", n=number + 1)
            note = trn("{n} row", "{n} rows", len(table) - 1)
            choices.append(
                Choice(id=f"table{number}", label=label, note=note, key="t" if not number else str(number + 1))
            )
        if len(turns) > 1:
            choices += [
                Choice(id="to-here", label=tr("All up to here"), note=_n_messages(at + 1), key="u"),
                Choice(id="from-here", label=tr("All from here"), note=_n_messages(len(turns) - at), key="f"),
                Choice(id="all", label=tr("Whole conversation"), note=_n_messages(len(turns)), key="w"),
            ]
        chosen = await self.flows.ask(ChoiceScreen(title_of("copy_as"), choices, self.flows.keymap))
        conversation = self._controller.conversation
        match chosen:
            case None:
                return
            case "markdown":
                text = turn.text
            case "plain":
                text = copies.plain(turn.text) if turn.role == "assistant" else turn.text
            case "to-here":
                text = copies.of_turns(conversation, turns[: at + 1])
            case "from-here":
                text = copies.of_turns(conversation, turns[at:])
            case "all":
                text = copies.of_turns(conversation, turns)
            case number_of_table:
                text = copies.as_csv(tables[int(number_of_table.removeprefix("table"))])
        await self._copier.copy(text)

    def action_message_copy_as(self) -> None:
        """The same, of the selected message."""
        self.action_copy_as()

    def _meant(self, turns: Sequence[Turn]) -> int:
        """Where it stands; -1 for none."""
        selected = self._transcript.selected
        if selected is not None:
            return next((at for at, turn in enumerate(turns) if turn.id == selected), -1)
        return next((at for at in reversed(range(len(turns))) if turns[at].role == "assistant"), -1)


def _n_messages(n: int) -> str:
    return trn("{n} message", "{n} messages", n)
