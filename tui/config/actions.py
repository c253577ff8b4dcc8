"""The table of everything that can be done in the app. Keymap, footer, help screen and command palette are made from it
and from nothing else, so that they agree."""

from __future__ import annotations

from tui.config.action import Action
from tui.config.action import rows as _rows
from tui.config.card_rows import CARD
from tui.config.dialog_rows import ODDS, PRESETS
from tui.config.list_rows import CONVERSATION_LIST
from tui.config.message_rows import COMPARED_ANSWERS, MESSAGES, SELECTED_MESSAGE
from tui.config.prompt_rows import COMPLETION, FOLDER, PROMPT, PROMPT_OUTSIDE
from tui.words import mark

__all__ = ["ACTIONS", "BY_ID", "Action"]

# Keys are chosen for SSH, tmux and macOS' Terminal: control letters and function keys always arrive; alt needs "option
# as meta" on a Mac, shift+enter needs the kitty protocol, and f10 and f11 are often the terminal's own, so these are
# never the only way. Left free:
# ctrl+b (tmux), ctrl+a (screen), what edits the prompt (ctrl+a c e k u v w x _) and keys that are others in disguise
# (ctrl+h i m, alt+b f). ctrl+d ends a thought while one is written, and deletes at all other times.
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
        (
            "continue_answer",
            mark("Continue answer"),
            mark("Have the model go on with an answer that was stopped, cut off or edited."),
            "",
        ),
        (
            "answer_now",
            mark("Answer now"),
            mark("End the thought that is being written, so that the answer comes."),
            "ctrl+d alt+n",
            "footer",
        ),
        ("edit_last", mark("Edit prompt"), mark("Edit the last prompt and send it again."), "f2"),
        (
            "branches",
            mark("Show branches"),
            mark("See all branches of the conversation as a tree, and go to any message."),
            "alt+t insert",
        ),
        ("system_prompt", mark("Edit system prompt"), mark("Edit the system prompt of this conversation."), ""),
        (
            "presets",
            mark("Choose preset"),
            mark("Take a preset, or save what this conversation is asked with."),
            "alt+p shift+f7 f19",
        ),
        (
            "answer_format",
            mark("Change format of answers"),
            mark("Have answers keep to a JSON schema or a grammar."),
            "",
        ),
        ("sampling", mark("Change sampling"), mark("Edit temperature, top-k, top-p and the like."), ""),
        ("rename", mark("Rename conversation"), mark("Give this conversation another name."), ""),
        ("summarize", mark("Summarize conversation"), mark("Go on with a summary in the place of what was said."), ""),
        ("reread_files", mark("Read files again"), mark("Send files again that have changed since."), ""),
        (
            "export",
            mark("Export conversation"),
            mark("Write this conversation to a Markdown, HTML or JSON file."),
            "ctrl+s",
        ),
        (
            "import",
            mark("Import conversation"),
            mark("Take in conversations of llmtui, ChatGPT, LM Studio, Open WebUI or OpenAI."),
            "",
        ),
        ("delete", mark("Delete conversation"), mark("Delete this conversation."), ""),
        ("conversations", mark("Open conversation"), mark("Find and open an earlier conversation."), "ctrl+r"),
    ),
    *_rows(
        mark("Messages"),
        "chat",
        *MESSAGES,
    ),
    *_rows(
        mark("Selected message"),
        "transcript",
        *SELECTED_MESSAGE,
    ),
    *_rows(mark("Compared answers"), "compare", *COMPARED_ANSWERS),
    *_rows(mark("Prompt"), "input", *PROMPT),
    *_rows(mark("Prompt"), "chat", *PROMPT_OUTSIDE),
    *_rows(mark("Completion"), "completion", *COMPLETION),
    *_rows(
        mark("After a failure"),
        "card",
        *CARD,
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
    *_rows(mark("Files of a folder"), "folder", *FOLDER),
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
        *CONVERSATION_LIST,
    ),
    *_rows(
        mark("Presets"),
        "presets",
        *PRESETS,
    ),
    *_rows(
        mark("Token probabilities"),
        "odds",
        *ODDS,
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
