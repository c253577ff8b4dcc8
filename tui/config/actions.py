"""The table of everything that can be done in the app. Keymap, footer, help screen and command palette are made from it
and from nothing else, so that they agree."""

from __future__ import annotations

import msgspec

from tui.config.message_rows import SELECTED_MESSAGE
from tui.config.scopes import Scope
from tui.words import mark


class Action(msgspec.Struct, frozen=True):
    """One thing that a person can do."""

    id: str
    """Name in `[keys]`; `action_<id>` is the method that does it."""
    title: str
    """A verb and what it is done to, the same in buttons, footer, palette and help; shown through `tr`, as description
    and group are."""
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
# as meta" on a Mac, shift+enter needs the kitty protocol, and f10 and f11 are often the terminal's own, so these are
# never the only way. Left free:
# ctrl+b (tmux), ctrl+a (screen), what edits the prompt (ctrl+a c e k u v w x _) and keys that are others in disguise
# (ctrl+h i m, alt+b f).
ACTIONS: tuple[Action, ...] = (
    *_rows(
        mark("Model"),
        "chat",
        ("pick_model", mark("Choose model"), mark("Choose a model and load it."), "ctrl+o", "footer"),
        (
            "find_models",
            mark("Find models"),
            mark("Search Hugging Face and ModelScope, and download models."),
            "alt+m f10",
        ),
        (
            "downloads",
            mark("Show downloads"),
            mark("See what is being downloaded; pause, resume or cancel it."),
            "alt+d f11",
        ),
        (
            "load_fetched",
            mark("Load downloaded model"),
            mark("Load the model that was downloaded last."),
            "alt+l shift+f2 f14",
        ),
        (
            "get_suggested",
            mark("Download suggested model"),
            mark("Download the model that suits this machine, load it and chat."),
            "",
        ),
        ("delete_model", mark("Delete model"), mark("Choose a model and delete it from the disk."), ""),
        ("add_folder", mark("Add folder"), mark("Look for models in another folder too."), "alt+a shift+f1 f13"),
        ("remove_folder", mark("Remove folder"), mark("No longer look for models in a folder that was added."), ""),
        (
            "switch_backend",
            mark("Switch backend"),
            mark("Move the model to the other backend, with its context."),
            "f6",
            "footer",
        ),
        (
            "load_settings",
            mark("Change load settings"),
            mark("Choose context, offload and backend, and load."),
            "ctrl+l",
            "footer",
        ),
        ("tune", mark("Tune model"), mark("Find the fastest load settings for the model by measuring."), ""),
        ("model_details", mark("Show model details"), mark("Show all that is known of the loaded model."), ""),
        ("raise_context", mark("Double context"), mark("Load the model again with twice the context."), ""),
        ("reload_engine", mark("Restart engine"), mark("End the engine and load the model again."), ""),
        ("unload_model", mark("Unload model"), mark("Free the memory that the model takes."), ""),
    ),
    *_rows(
        mark("Conversation"),
        "chat",
        (
            "toggle_thinking_mode",
            mark("Switch thinking"),
            mark("Let the model think before it answers, or not."),
            "ctrl+t",
            "footer",
        ),
        (
            "stop",
            mark("Stop"),
            mark("Stop what runs; otherwise take back a waiting prompt, or go back to the prompt."),
            "escape",
            "footer",
        ),
        ("new_chat", mark("New conversation"), mark("Start a new conversation."), "ctrl+n", "footer"),
        ("regenerate", mark("Answer again"), mark("Answer the last prompt again."), "f5"),
        ("edit_last", mark("Edit prompt"), mark("Edit the last prompt and send it again."), "f2"),
        (
            "branches",
            mark("Show branches"),
            mark("See all branches of the conversation as a tree, and go to any message."),
            "alt+t insert",
        ),
        ("system_prompt", mark("Edit system prompt"), mark("Edit the system prompt of this conversation."), ""),
        ("sampling", mark("Change sampling"), mark("Edit temperature, top-k, top-p and the like."), ""),
        ("rename", mark("Rename conversation"), mark("Give this conversation another name."), ""),
        (
            "reread_files",
            mark("Read files again"),
            mark("Send files again that have changed since."),
            "",
        ),
        ("export", mark("Export conversation"), mark("Write this conversation to a Markdown or JSON file."), "ctrl+s"),
        ("import", mark("Import conversation"), mark("Open a conversation that was exported as JSON."), ""),
        ("delete", mark("Delete conversation"), mark("Delete this conversation."), ""),
        ("conversations", mark("Open conversation"), mark("Find and open an earlier conversation."), "ctrl+r"),
    ),
    *_rows(
        mark("Messages"),
        "chat",
        ("copy_message", mark("Copy answer"), mark("Copy the selected message, or the last answer."), "ctrl+y"),
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
        ("scroll_page_up", mark("Scroll up a page"), mark("Scroll up by a page."), "pageup", "hidden"),
        ("scroll_page_down", mark("Scroll down a page"), mark("Scroll down by a page."), "pagedown", "hidden"),
        ("scroll_up", mark("Scroll up a line"), mark("Scroll up by a line."), "ctrl+pageup", "hidden"),
        ("scroll_down", mark("Scroll down a line"), mark("Scroll down by a line."), "ctrl+pagedown", "hidden"),
        ("scroll_top", mark("Go to start"), mark("Go to the start of the conversation."), "ctrl+home"),
        ("scroll_end", mark("Go to end"), mark("Go to the end of the conversation and follow it."), "ctrl+end"),
    ),
    *_rows(
        mark("Selected message"),
        "transcript",
        *SELECTED_MESSAGE,
    ),
    *_rows(
        mark("Prompt"),
        "input",
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
    ),
    *_rows(
        mark("After a failure"),
        "card",
        ("card_reload", mark("Reload"), mark("Load the model again."), "r", "footer"),
        (
            "card_small_ubatch",
            mark("Reload with small ubatch"),
            mark("Load with less memory for computing on the GPU."),
            "u",
            "footer",
        ),
        (
            "card_fewer_layers",
            mark("Reload with fewer layers"),
            mark("Load with fewer layers on the GPU."),
            "l",
            "footer",
        ),
        ("card_cpu", mark("Reload on CPU"), mark("Load on the CPU."), "c", "footer"),
        (
            "card_no_repack",
            mark("Reload without repacking"),
            mark("Load without repacking the weights."),
            "n",
            "footer",
        ),
        (
            "card_gpu",
            mark("Reload on GPU"),
            mark("Load on the GPU, after llama.cpp's code for the CPU crashed."),
            "g",
            "footer",
        ),
        (
            "card_load_settings",
            mark("Change load settings"),
            mark("Choose other load settings after a load that failed."),
            "s",
            "footer",
        ),
        (
            "card_other_model",
            mark("Choose other model"),
            mark("Choose another model after a load that failed."),
            "o",
            "footer",
        ),
        ("card_details", mark("Show engine log"), mark("Show the engine's log."), "d", "footer"),
    ),
    *_rows(
        mark("Dialogs"),
        "dialog",
        ("dialog_close", mark("Close"), mark("Close the dialog and change nothing."), "escape", "footer"),
    ),
    *_rows(
        mark("Lists"),
        "list",
        ("list_choose", mark("Choose"), mark("Choose the highlighted entry."), "enter", "footer"),
    ),
    *_rows(
        mark("Model picker"),
        "picker",
        ("picker_load", mark("Load"), mark("Load the highlighted model."), "enter", "footer"),
        (
            "picker_settings",
            mark("Change load settings"),
            mark("Choose load settings for the model, then load."),
            "f2",
            "footer",
        ),
        (
            "picker_favourite",
            mark("Mark favourite"),
            mark("List the model first, or no longer first."),
            "f3",
            "footer",
        ),
        ("picker_details", mark("Show details"), mark("Show all that is known of the model."), "f8", "footer"),
        ("picker_sort", mark("Sort"), mark("Sort by the next column."), "f4", "footer"),
        ("picker_rescan", mark("Rescan"), mark("Scan the folders again."), "f5", "footer"),
        ("picker_find", mark("Find models"), mark("Search the hubs for a model that is not here."), "f7", "footer"),
        ("picker_reverse", mark("Reverse"), mark("Sort the other way round."), "f6"),
        (
            "picker_filter",
            mark("Filter"),
            mark("Show only what fits, what thinks, or mixtures of experts."),
            "f9",
            "footer",
        ),
        (
            "picker_delete",
            mark("Delete"),
            mark("Delete the model from the disk, after asking."),
            "ctrl+d",
            "footer",
        ),
    ),
    *_rows(
        mark("Find models"),
        "find",
        ("find_open", mark("Open"), mark("Show what can be downloaded of the highlighted model."), "enter", "footer"),
        ("find_hub", mark("Switch hub"), mark("Search both hubs, or only one of them."), "f3", "footer"),
        ("find_sort", mark("Sort"), mark("Sort by downloads, likes or the last change."), "f4", "footer"),
    ),
    *_rows(
        mark("Repository"),
        "repository",
        (
            "repository_get",
            mark("Download"),
            mark("Download the variant, or load it if it is on this machine."),
            "enter",
            "footer",
        ),
        ("repository_copy", mark("Copy address"), mark("Copy the address of the repository."), "ctrl+y", "footer"),
    ),
    *_rows(
        mark("Downloads"),
        "downloads",
        ("download_load", mark("Load"), mark("Load the model that was downloaded."), "enter", "footer"),
        ("download_pause", mark("Pause"), mark("Pause the download, or resume it."), "space p", "footer"),
        (
            "download_cancel",
            mark("Cancel download"),
            mark("Cancel the download and delete what was downloaded."),
            "x delete",
            "footer",
        ),
        ("download_up", mark("Move up"), mark("Download it before the one above it."), "K shift+up", "footer"),
        ("download_down", mark("Move down"), mark("Download it after the one below it."), "J shift+down"),
        ("download_limit", mark("Limit speed"), mark("Limit the download speed, in MiB per second."), "l", "footer"),
        ("download_find", mark("Find models"), mark("Search the hubs for more."), "f", "footer"),
    ),
    *_rows(
        mark("Load settings"),
        "load",
        ("load_apply", mark("Load"), mark("Load the model with these settings."), "enter ctrl+s f5", "footer"),
        ("load_fit", mark("Fit"), mark("Choose the fastest settings that fit."), "ctrl+f", "footer"),
        ("load_tune", mark("Tune"), mark("Find the fastest settings by measuring."), "ctrl+t", "footer"),
        ("load_reset", mark("Reset"), mark("Go back to the defaults."), "ctrl+d", "footer"),
        ("value_less", mark("Lower"), mark("Lower the slider."), "left minus"),
        ("value_more", mark("Raise"), mark("Raise the slider."), "right plus"),
        ("value_least", mark("Lower to minimum"), mark("Lower the slider to its minimum."), "home"),
        ("value_most", mark("Raise to maximum"), mark("Raise the slider to its maximum."), "end"),
    ),
    *_rows(
        mark("Conversation list"),
        "conversations",
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
    ),
    *_rows(
        mark("Forms"),
        "form",
        ("form_save", mark("Save"), mark("Save what was written and close the dialog."), "enter ctrl+s", "footer"),
        ("form_reset", mark("Reset"), mark("Go back to the defaults."), "ctrl+d", "footer"),
    ),
    *_rows(
        mark("Lines of a log"),
        "log",
        ("log_copy", mark("Copy"), mark("Copy all lines."), "ctrl+y", "footer"),
    ),
    *_rows(
        mark("Model details"),
        "details",
        ("details_sum", mark("Compute SHA-256"), mark("Compute the sum of its files, to compare it."), "s", "footer"),
        ("details_copy", mark("Copy"), mark("Copy all that is shown."), "ctrl+y y", "footer"),
    ),
    *_rows(
        mark("Bench"),
        "bench",
        ("bench_run", mark("Run"), mark("Run the benchmark that is named at the top."), "enter", "footer"),
        (
            "bench_models",
            mark("Choose models"),
            mark("Measure this model, or all of the library that fit."),
            "m",
            "footer",
        ),
        (
            "bench_history",
            mark("Show earlier runs"),
            mark("Show the saved runs, or the current one."),
            "h",
            "footer",
        ),
    ),
    *_rows(
        mark("Monitor"),
        "monitor",
        ("monitor_close", mark("Close"), mark("Close the monitor."), "escape f3 q", "footer"),
    ),
    *_rows(
        mark("Program"),
        "app",
        ("palette", mark("Open palette"), mark("Find any action by its name."), "ctrl+p", "footer", "hidden"),
        ("help", mark("Help"), mark("Show all actions and their keys."), "f1 ctrl+g", "footer"),
    ),
    *_rows(
        mark("Program"),
        "chat",
        ("toggle_sidebar", mark("Toggle sidebar"), mark("Show or hide the sidebar."), "f4"),
        ("monitor", mark("Open monitor"), mark("Watch the engine and the machine on the whole screen."), "f3"),
        (
            "toggle_conversations",
            mark("Toggle conversation list"),
            mark("Show or hide the conversations at the left of a wide screen."),
            "shift+f4 f16",
        ),
        ("theme", mark("Choose theme"), mark("Choose a theme."), "f8"),
        ("language", mark("Choose language"), mark("Choose the language of the interface."), ""),
        ("bench", mark("Benchmark models"), mark("Measure models on every backend, and see earlier runs."), ""),
        (
            "memory_report",
            mark("Compare memory"),
            mark("Compare the memory that was planned with what is used."),
            "",
        ),
    ),
    *_rows(
        mark("Program"),
        "app",
        ("log_view", mark("Show engine log"), mark("Show the last lines of the engine's log."), "f12"),
        ("notices", mark("Show notices"), mark("Show earlier notices, the newest at the end."), ""),
        ("show_problems", mark("Show problems"), mark("Show what is wrong in settings, themes and keys."), ""),
        (
            "redraw",
            mark("Redraw"),
            mark("Paint the screen again after something else wrote on it."),
            "ctrl+backslash",
        ),
        ("suspend", mark("Suspend"), mark("Go back to the shell; fg brings llmtui back."), "ctrl+z"),
        ("quit", mark("Quit"), mark("Leave llmtui."), "ctrl+q"),
    ),
)

BY_ID: dict[str, Action] = {action.id: action for action in ACTIONS}
