"""The rows of the table of actions about the list of conversations. `actions.py` makes the table of them."""

from __future__ import annotations

from tui.words import mark

CONVERSATION_LIST: tuple[tuple[str, ...], ...] = (
    ("conversation_open", mark("Open"), mark("Open the highlighted conversation."), "enter", "footer"),
    ("conversation_rename", mark("Rename"), mark("Rename the conversation."), "f2", "footer"),
    ("conversation_pin", mark("Pin"), mark("List the conversation first, or no longer first."), "f3", "footer"),
    ("conversation_tag", mark("Tag"), mark("Give the conversation tags to find it by."), "f5", "footer"),
    (
        "conversation_archive",
        mark("Archive"),
        mark("Take the conversation out of the list, or back into it."),
        "f6",
        "footer",
    ),
    ("conversation_sort", mark("Sort"), mark("Sort by the last use, the beginning, title or length."), "f4"),
    ("conversation_export", mark("Export"), mark("Export the conversation to a file."), "ctrl+s", "footer"),
    ("conversation_delete", mark("Delete"), mark("Delete the conversation."), "ctrl+d", "footer"),
)
