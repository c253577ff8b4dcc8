"""One word for one action: the table's title stands in key bar, palette, help, buttons, cards and sentences."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.widgets import Button

from tests.app.conftest import StartApp
from tests.places import CHECKOUT
from tui.app import death_card, phrases
from tui.app.screens.dialog import Dialog
from tui.app.widgets.key_bar import KeyBar
from tui.app.widgets.transcript import Card
from tui.config.actions import ACTIONS, BY_ID
from tui.config.keymap import default_keymap
from tui.config.scopes import live_together
from tui.protocol.death import Death
from tui.protocol.records import ErrorInfo

VERBS = {
    "Add", "Answer", "Archive", "Attach", "Benchmark", "Bring", "Cancel", "Change", "Choose", "Close", "Compare",
    "Complete", "Compute", "Continue", "Copy", "Delete", "Double", "Download", "Edit", "Export", "Filter", "Find",
    "Fit", "Fold", "Go", "Help", "Import", "Keep", "Limit", "Load", "Lower", "Make", "Mark", "Move", "New", "Open",
    "Pause", "Pin", "Quit", "Raise", "Read", "Recall", "Redraw", "Reload", "Remove", "Rename", "Rescan", "Reset",
    "Restart", "Reverse", "Run", "Save", "Scroll", "Select", "Send", "Show", "Sort", "Stop", "Summarize", "Suspend",
    "Switch", "Tag", "Toggle", "Tune", "Undo", "Unload", "Use", "Write",
}  # fmt: skip
"""What an action may begin with; "New" stands for making one."""


def test_every_action_begins_with_a_verb() -> None:
    assert [action.title for action in ACTIONS if action.title.split()[0] not in VERBS] == []


def test_no_two_actions_that_are_live_together_have_one_name_unless_they_do_the_same() -> None:
    same = {
        (first.title, first.id, second.id)
        for number, first in enumerate(ACTIONS)
        for second in ACTIONS[number + 1 :]
        if first.title == second.title and live_together(first.scope, second.scope)
    }
    assert same == {
        ("Change load settings", "load_settings", "card_load_settings"),
        ("Answer again", "regenerate", "message_regenerate"),
        ("Copy code", "copy_code", "message_copy_code"),
        ("Continue answer", "continue_answer", "message_continue"),
        ("Copy as", "copy_as", "message_copy_as"),
        ("Select previous", "select_previous", "message_previous"),
        ("Select next", "select_next", "message_next"),
        ("Show engine log", "card_details", "log_view"),
    }


def _cards() -> Iterator[Card]:
    keymap = default_keymap()
    for cause in ("killed", "cpu_code", "bad_file", "crashed"):
        death = Death(cause=cause, exit_code=None, signal_name="", last_words="", log=(), running="answering")
        for n_gpu_layers in (0, 48):
            yield death_card.engine_stopped(death, n_gpu_layers, 512, keymap, gpu="Vulkan0")
    yield phrases.load_failure(Path("model.gguf"), ErrorInfo(kind="internal", detail="why"), keymap)


@pytest.mark.parametrize("card", list(_cards()), ids=lambda card: card.title[:30])
def test_a_card_calls_an_action_what_the_table_calls_it(card: Card) -> None:
    assert card.choices
    for choice in card.choices:
        assert choice.label.split()[0] == BY_ID[choice.action].title.split()[0].lower(), choice


def test_what_sentences_quote_is_named_by_the_table() -> None:
    """“Quit” in a sentence would be another word as soon as the table has one."""
    titles = {action.title for action in ACTIONS}
    found = []
    for file in sorted((CHECKOUT / "tui").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found += [(file.name, word) for word in re.findall("“([^”{}]+)”", node.value) if word in titles]
    assert found == []


async def test_buttons_and_key_bar_of_every_dialog_agree(start: StartApp) -> None:
    async with start() as person:
        await person.ask("ping")
        for action in ("load_settings", "sampling", "system_prompt", "rename", "import"):
            await person.app.run_action(f"screen.{action}")
            await person.wait_for(lambda: isinstance(person.app.screen, Dialog))
            dialog = person.app.screen
            bar = dialog.query_one(KeyBar).rows_as_text[0]
            labels = [str(button.label).split(" (")[0] for button in dialog.query(Button)]
            assert labels, action
            assert [label for label in labels if label not in bar] == [], action
            await person.press("escape")
            await person.wait_for(lambda: person.app.screen is person.app.main)
