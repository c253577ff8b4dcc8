"""The rows of the table of actions that only one dialog has. `actions.py` makes the table of them."""

from __future__ import annotations

from tui.words import mark

PRESETS: tuple[tuple[str, ...], ...] = (
    ("preset_take", mark("Use"), mark("Use the preset in the open conversation."), "enter", "footer"),
    ("preset_save", mark("Save as"), mark("Save what the conversation is asked with."), "ctrl+s", "footer"),
    ("preset_rename", mark("Rename"), mark("Give the preset another name."), "f2", "footer"),
    ("preset_default", mark("Make default"), mark("Give the preset to new conversations."), "f3", "footer"),
    ("preset_delete", mark("Delete"), mark("Delete the preset."), "ctrl+d", "footer"),
)
ODDS: tuple[tuple[str, ...], ...] = (
    ("odds_previous", mark("Go to previous"), mark("Go to the token before."), "left h", "footer"),
    ("odds_next", mark("Go to next"), mark("Go to the next token."), "right l", "footer"),
    ("odds_unsure", mark("Go to next unsure"), mark("Go to the next token that was not likely."), "n", "footer"),
    ("odds_unsure_before", mark("Go to previous unsure"), mark("Go back to one that was not likely."), "N"),
)
