"""The table of everything that can be done in the app. Keymap, footer, help screen and command palette are made from it
and from nothing else, so that they agree."""

from __future__ import annotations

from typing import Literal

import msgspec

Scope = Literal[
    "app", "chat", "input", "transcript", "card", "dialog", "picker", "load", "conversations", "form", "log", "bench"
]

SCOPE_PARENTS: dict[Scope, Scope] = {
    "chat": "app",
    "input": "chat",
    "transcript": "chat",
    "card": "chat",
    "dialog": "app",
    "picker": "dialog",
    "load": "dialog",
    "conversations": "dialog",
    "form": "dialog",
    "log": "dialog",
    "bench": "dialog",
}
"""A scope is live together with all those above it. "app" is what needs no conversation; "chat" is the main screen,
within it "input" is the prompt, "transcript" a selected message, "card" the card of an engine that died or a load that
failed; "dialog" is any dialog, within it "form" is one whose text or values are saved, "log" one with lines to read,
"bench" the one that measures."""


class Action(msgspec.Struct, frozen=True):
    """One thing that a person can do."""

    id: str
    """Name in `[keys]`; `action_<id>` is the method that does it."""
    title: str
    """A few words, for the footer and the palette."""
    description: str
    """One sentence, for the help screen and the palette."""
    keys: tuple[str, ...]
    """Default keys in Textual's spelling, the one to show first; none is reached through the palette only."""
    group: str
    """Heading in the help screen."""
    scope: Scope
    """Where the keys work."""
    footer: bool = False
    """Shown in the footer of its scope."""
    palette: bool = False
    """Listed in the command palette."""

    def has_priority(self, key: str) -> bool:
        """Whether this key of it must be bound with priority: the prompt, which has the focus most of the time, would
        take it for editing. Not so escape, which a menu that is open over the prompt closes first."""
        return self.scope in ("app", "chat") and key != "escape"


def _rows(group: str, scope: Scope, *rows: tuple[str, ...]) -> tuple[Action, ...]:
    """Rows of id, title, description, keys separated by spaces, and flags: "footer", "hidden" from the palette."""
    found = []
    for action_id, title, description, keys, *flags in rows:
        palette = scope in ("app", "chat") and "hidden" not in flags
        found.append(
            Action(action_id, title, description, tuple(keys.split()), group, scope, "footer" in flags, palette)
        )
    return tuple(found)


# Keys are chosen for SSH, tmux and macOS' Terminal: control letters and function keys always arrive; alt needs "option
# as meta" on a Mac, and shift+enter needs the kitty protocol, so these are never the only way. Left free:
# ctrl+b (tmux), ctrl+a (screen), what edits the prompt (ctrl+a c e k u v w x _) and keys that are others in disguise
# (ctrl+h i m, alt+b f).
ACTIONS: tuple[Action, ...] = (
    *_rows(
        "Model",
        "chat",
        ("pick_model", "Model", "Choose a model and load it.", "ctrl+o", "footer"),
        ("load_settings", "Load settings", "Choose context, offload and backend, and load.", "ctrl+l", "footer"),
        ("switch_backend", "CPU⇄GPU", "Move the model to the other backend, context and all.", "f6", "footer"),
        ("raise_context", "Larger context", "Load the model again with twice the context.", ""),
        ("reload_engine", "Restart engine", "End the engine and load the model again.", ""),
        ("unload_model", "Unload model", "Free the memory that the model takes.", ""),
    ),
    *_rows(
        "Conversation",
        "chat",
        ("toggle_thinking_mode", "Thinking", "Let the model think before it answers, or not.", "ctrl+t", "footer"),
        (
            "stop",
            "Stop",
            "Take back what waits, or stop what runs; otherwise go back to the prompt.",
            "escape",
            "footer",
        ),
        ("new_chat", "New", "Start a new conversation.", "ctrl+n", "footer"),
        ("regenerate", "Regenerate", "Answer the last prompt again.", "f5"),
        ("edit_last", "Edit last prompt", "Edit the last prompt and send it again.", "f2"),
        ("bring_back", "Bring back", "Show the answer again that was replaced last, in its place.", ""),
        ("system_prompt", "System prompt", "Edit the system prompt of this conversation.", ""),
        ("sampling", "Sampling", "Edit temperature, top-k, top-p and the like.", ""),
        ("rename", "Rename", "Give this conversation another name.", ""),
        ("export", "Export", "Write this conversation to a Markdown or JSON file.", "ctrl+s"),
        ("import", "Import", "Open a conversation that was exported as JSON.", ""),
        ("delete", "Delete", "Delete this conversation.", ""),
        ("conversations", "Conversations", "Open an earlier conversation.", "ctrl+r f3"),
    ),
    *_rows(
        "Messages",
        "chat",
        ("copy_message", "Copy answer", "Copy the selected message, or the last answer.", "ctrl+y"),
        ("copy_code", "Copy code", "Copy a code block of the selected message or last answer.", "f7"),
        ("fold_thinking", "Fold thinking", "Fold or unfold thinking of the selected or last answer.", "ctrl+f"),
        ("fold_all", "Fold all thinking", "Fold or unfold all thinking.", "f9"),
        ("select_previous", "Previous message", "Select the message before.", "alt+up ctrl+up", "hidden"),
        ("select_next", "Next message", "Select the message after.", "alt+down ctrl+down", "hidden"),
        ("scroll_page_up", "Page up", "Scroll up by a page.", "pageup", "hidden"),
        ("scroll_page_down", "Page down", "Scroll down by a page.", "pagedown", "hidden"),
        ("scroll_up", "Line up", "Scroll up by a line.", "ctrl+pageup", "hidden"),
        ("scroll_down", "Line down", "Scroll down by a line.", "ctrl+pagedown", "hidden"),
        ("scroll_top", "To the start", "Go to the start of the conversation.", "ctrl+home"),
        ("scroll_end", "To the end", "Go to the end of the conversation and follow it.", "ctrl+end"),
    ),
    *_rows(
        "Selected message",
        "transcript",
        ("message_previous", "Previous", "Select the message before.", "k up"),
        ("message_next", "Next", "Select the message after.", "j down"),
        ("message_fold", "Fold", "Fold or unfold its thinking.", "space enter", "footer"),
        ("message_copy", "Copy", "Copy it.", "y", "footer"),
        ("message_copy_code", "Copy code", "Copy its code block, or one of several.", "c", "footer"),
        ("message_edit", "Edit", "Edit it and send it again, if it is a prompt.", "e", "footer"),
        ("message_regenerate", "Regenerate", "Answer again from here.", "r", "footer"),
    ),
    *_rows(
        "Prompt",
        "input",
        ("send", "Send", "Send the prompt, or have it wait until the model can answer.", "enter"),
        ("newline", "New line", "Start a new line.", "ctrl+j alt+enter shift+enter"),
        ("undo", "Undo", "Take back the last change of the prompt.", "ctrl+underscore"),
        ("history_previous", "Earlier prompt", "The prompt before, when the cursor is in the first line.", "up"),
        ("history_next", "Later prompt", "The prompt after, when the cursor is in the last line.", "down"),
    ),
    *_rows(
        "After a failure",
        "card",
        ("card_reload", "Reload", "Load the model again.", "r", "footer"),
        ("card_small_ubatch", "Small ubatch", "Load with less memory for computing on the GPU.", "u", "footer"),
        ("card_fewer_layers", "Fewer layers", "Load with fewer layers on the GPU.", "l", "footer"),
        ("card_cpu", "CPU", "Load on the CPU.", "c", "footer"),
        ("card_no_repack", "Not repacked", "Load with the weights as they lie in the file.", "n", "footer"),
        ("card_gpu", "GPU", "Load on the GPU, after llama.cpp's code for the CPU crashed.", "g", "footer"),
        ("card_load_settings", "Load settings", "Choose other load settings after a load that failed.", "s", "footer"),
        ("card_other_model", "Other model", "Choose another model after a load that failed.", "o", "footer"),
        ("card_details", "Details", "Show the engine's log.", "d", "footer"),
    ),
    *_rows(
        "Dialogs",
        "dialog",
        ("dialog_close", "Close", "Close the dialog and change nothing.", "escape", "footer"),
    ),
    *_rows(
        "Model picker",
        "picker",
        ("picker_load", "Load", "Load the highlighted model.", "enter", "footer"),
        ("picker_settings", "Settings first", "Choose load settings for the model, then load.", "f2", "footer"),
        ("picker_rescan", "Rescan", "Look at the folders again.", "f5", "footer"),
    ),
    *_rows(
        "Load settings",
        "load",
        ("load_apply", "Load", "Load the model with these settings.", "f5", "footer"),
        ("load_fit", "Fit", "Choose the largest settings that fit.", "ctrl+f", "footer"),
        ("load_reset", "Defaults", "Go back to the defaults.", "ctrl+d", "footer"),
        ("value_less", "Less", "Lower the slider.", "left minus"),
        ("value_more", "More", "Raise the slider.", "right plus"),
        ("value_least", "Least", "Lower the slider to its least value.", "home"),
        ("value_most", "Most", "Raise the slider to its greatest value.", "end"),
    ),
    *_rows(
        "Conversation list",
        "conversations",
        ("conversation_open", "Open", "Open the highlighted conversation.", "enter", "footer"),
        ("conversation_rename", "Rename", "Give it another name.", "f2", "footer"),
        ("conversation_export", "Export", "Write it to a file.", "ctrl+s", "footer"),
        ("conversation_delete", "Delete", "Delete it.", "ctrl+d", "footer"),
    ),
    *_rows(
        "Forms",
        "form",
        ("form_save", "Save", "Save what was written and close the dialog.", "ctrl+s", "footer"),
        ("form_reset", "Defaults", "Go back to the defaults.", "ctrl+d", "footer"),
    ),
    *_rows(
        "Lines of a log",
        "log",
        ("log_copy", "Copy", "Copy all lines.", "ctrl+y", "footer"),
    ),
    *_rows(
        "Bench",
        "bench",
        ("bench_run", "Run", "Measure what is named at the top.", "enter", "footer"),
        ("bench_models", "This model or all", "Measure this model, or all of the library that fit.", "m", "footer"),
        ("bench_history", "Earlier runs", "Show the runs that were kept, or the present one.", "h", "footer"),
    ),
    *_rows(
        "Program",
        "app",
        ("palette", "Palette", "Find any action by its name.", "ctrl+p", "footer", "hidden"),
        ("help", "Help", "Show all actions and their keys.", "f1 ctrl+g", "footer"),
    ),
    *_rows(
        "Program",
        "chat",
        ("toggle_sidebar", "Sidebar", "Show or hide the sidebar.", "f4"),
        ("theme", "Theme", "Choose a theme.", "f8"),
        ("bench", "Bench", "Measure models on every backend, and see earlier runs.", ""),
        ("memory_report", "Memory", "Compare what the model was planned to take with what it takes.", ""),
    ),
    *_rows(
        "Program",
        "app",
        ("log_view", "Engine log", "Show the last lines of the engine's log.", "f12"),
        ("show_problems", "Problems", "Show what is wrong in settings, themes and keys.", ""),
        ("redraw", "Redraw", "Paint the screen anew, when something else wrote on it.", "ctrl+backslash"),
        ("suspend", "Suspend", "Go back to the shell; fg brings llmtui back.", "ctrl+z"),
        ("quit", "Quit", "Leave llmtui.", "ctrl+q"),
    ),
)

BY_ID: dict[str, Action] = {action.id: action for action in ACTIONS}


def live_together(first: Scope, second: Scope) -> bool:
    """Whether keys of both scopes can be live at one time: the same scope, or one above the other."""
    return first in _with_parents(second) or second in _with_parents(first)


def takes_text(scope: Scope) -> bool:
    """Whether letters are typed where this scope is live, so that its keys must not be letters."""
    return scope not in ("transcript", "card", "load", "bench")


def _with_parents(scope: Scope) -> tuple[Scope, ...]:
    chain = [scope]
    while parent := SCOPE_PARENTS.get(chain[-1]):
        chain.append(parent)
    return tuple(chain)
