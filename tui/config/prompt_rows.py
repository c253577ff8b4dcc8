"""The rows of the table of actions about the prompt and what it is about. `actions.py` makes the table of them."""

from __future__ import annotations

from tui.words import mark

PROMPT: tuple[tuple[str, ...], ...] = (
    ("send", mark("Send"), mark("Send the prompt, or have it wait until the model can answer."), "enter"),
    ("newline", mark("New line"), mark("Start a new line."), "ctrl+j alt+enter shift+enter"),
    ("undo", mark("Undo"), mark("Undo the last change of the prompt."), "ctrl+underscore"),
    (
        "history_previous",
        mark("Recall earlier prompt"),
        mark("The prompt before, or one that waits, when the cursor is in the first line."),
        "up",
    ),
    (
        "history_next",
        mark("Recall later prompt"),
        mark("The prompt after, when the cursor is in the last line."),
        "down",
    ),
)

PROMPT_OUTSIDE: tuple[tuple[str, ...], ...] = (
    (
        "find_prompt",
        mark("Find prompt"),
        mark("Search the prompts of all conversations, and take one again."),
        "alt+h ctrl+circumflex_accent",
    ),
    (
        "edit_outside",
        mark("Write in editor"),
        mark("Write the prompt in the editor that VISUAL or EDITOR names."),
        "alt+e ctrl+right_square_bracket",
    ),
)

COMPLETION: tuple[tuple[str, ...], ...] = (
    ("complete", mark("Complete"), mark("Take the highlighted path, command or snippet."), "tab enter"),
    ("complete_next", mark("Go to next"), mark("Highlight the next one."), "down"),
    ("complete_previous", mark("Go to previous"), mark("Highlight the one before."), "up"),
    ("complete_close", mark("Close"), mark("Offer nothing for this word."), "escape", "footer"),
)

FOLDER: tuple[tuple[str, ...], ...] = (
    ("folder_take", mark("Attach"), mark("Mention the chosen files in the prompt."), "enter", "footer"),
    ("folder_toggle", mark("Choose"), mark("Choose the highlighted file, or leave it out."), "f2", "footer"),
    ("folder_all", mark("Choose all"), mark("Choose all that are shown, or none."), "f3", "footer"),
)
