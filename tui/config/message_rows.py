"""The rows of the table of actions about messages. `actions.py` makes the table of them."""

from __future__ import annotations

from tui.words import mark

MESSAGES: tuple[tuple[str, ...], ...] = (
    ("copy_message", mark("Copy answer"), mark("Copy the selected message, or the last answer."), "ctrl+y"),
    ("copy_as", mark("Copy as"), mark("Copy as plain text, a table as CSV, or several messages."), ""),
    ("copy_code", mark("Copy code"), mark("Copy a code block of the selected message or last answer."), "f7"),
    (
        "fold_thinking",
        mark("Fold thinking"),
        mark("Fold or unfold thinking of the selected or last answer."),
        "ctrl+f",
    ),
    ("fold_all", mark("Fold all thinking"), mark("Fold or unfold all thinking."), "f9"),
    ("select_previous", mark("Select previous"), mark("Select the message before."), "alt+up ctrl+up", "hidden"),
    ("select_next", mark("Select next"), mark("Select the message after."), "alt+down ctrl+down", "hidden"),
    (
        "find_text",
        mark("Find in conversation"),
        mark("Find text in this conversation; n and N go from hit to hit."),
        "alt+s shift+f5 f17",
    ),
    ("scroll_page_up", mark("Scroll up a page"), mark("Scroll up by a page."), "pageup", "hidden"),
    ("scroll_page_down", mark("Scroll down a page"), mark("Scroll down by a page."), "pagedown", "hidden"),
    ("scroll_up", mark("Scroll up a line"), mark("Scroll up by a line."), "ctrl+pageup", "hidden"),
    ("scroll_down", mark("Scroll down a line"), mark("Scroll down by a line."), "ctrl+pagedown", "hidden"),
    ("scroll_top", mark("Go to start"), mark("Go to the start of the conversation."), "ctrl+home"),
    ("scroll_end", mark("Go to end"), mark("Go to the end of the conversation and follow it."), "ctrl+end"),
)
"""At any time: the selected one, or the last."""

SELECTED_MESSAGE: tuple[tuple[str, ...], ...] = (
    ("message_previous", mark("Select previous"), mark("Select the message before."), "k up"),
    ("message_next", mark("Select next"), mark("Select the message after."), "j down"),
    (
        "message_fold",
        mark("Fold"),
        mark("Fold or unfold the thinking of an answer, or a long prompt."),
        "space enter",
        "footer",
    ),
    ("message_copy", mark("Copy"), mark("Copy the message."), "y", "footer"),
    ("message_copy_as", mark("Copy as"), mark("Copy as plain text, a table as CSV, or several messages."), "w"),
    ("message_copy_code", mark("Copy code"), mark("Copy a code block of the message."), "c", "footer"),
    (
        "message_edit",
        mark("Edit"),
        mark("Edit the prompt and send it again, or put other words into an answer."),
        "e",
        "footer",
    ),
    ("message_regenerate", mark("Answer again"), mark("Answer again from here."), "r", "footer"),
    ("message_menu", mark("Show all actions"), mark("See all that can be done with the message."), "m", "footer"),
    (
        "message_branch_previous",
        mark("Show previous branch"),
        mark("Show what stood in the place of the message before it was edited or answered again."),
        "h left",
        "footer",
    ),
    (
        "message_branch_next",
        mark("Show next branch"),
        mark("Show what came in the place of the message when it was edited or answered again."),
        "l right",
        "footer",
    ),
    ("message_files", mark("Show files"), mark("Read the files that the message is about."), "f", "footer"),
    (
        "message_continue",
        mark("Continue answer"),
        mark("Have the model go on with an answer that was stopped, cut off or edited."),
        "g",
        "footer",
    ),
    (
        "message_odds",
        mark("Show probabilities"),
        mark("See how likely each token of the answer was, and the alternatives."),
        "p",
    ),
    (
        "message_new_chat",
        mark("New conversation from here"),
        mark("Start a new conversation that begins as this one does up to the message."),
        "b",
    ),
    ("find_here", mark("Find text"), mark("Find text in this conversation."), "slash"),
    ("find_next", mark("Go to next hit"), mark("Go to the next place of what was found."), "n", "footer"),
    ("find_previous", mark("Go to previous hit"), mark("Go to the place before."), "N", "footer"),
    (
        "message_details",
        mark("Show details"),
        mark("Show what the message was made with, on what, and how fast it came."),
        "i",
    ),
    (
        "message_compare",
        mark("Compare answers"),
        mark("See two answers to one prompt side by side, with their speeds."),
        "v",
    ),
    ("message_delete", mark("Delete message"), mark("Delete the message; what follows it stays."), "x delete"),
)
"""For the scope "transcript"."""

COMPARED_ANSWERS: tuple[tuple[str, ...], ...] = (
    ("compare_keep_left", mark("Keep left"), mark("Close and show the left answer."), "1", "footer"),
    ("compare_keep_right", mark("Keep right"), mark("Close and show the right answer."), "2", "footer"),
    ("compare_left", mark("Change left"), mark("Show another answer at the left."), "h left", "footer"),
    ("compare_right", mark("Change right"), mark("Show another answer at the right."), "l right", "footer"),
)
"""For the scope "compare"."""
